#!/usr/bin/env bash
# Measure every trained network on the GPU of this machine: under 8 minutes.
#   bash benchmarks/gpu.sh [gpu.json] [arguments of benchmarks/gpu.py]
# Needs torch, numpy, scipy, scikit-image, safetensors, nibabel, MONAI; nvidia-ml-py for "busy".
set -euo pipefail
cd "$(dirname "$0")/.."
out=${1:-gpu.json}; shift || true
export PYTHONPATH=$PWD/workflow${PYTHONPATH:+:$PYTHONPATH} OMP_NUM_THREADS=${OMP_NUM_THREADS:-4} PYTHONUNBUFFERED=1
exec "${PYTHON:-python3}" benchmarks/gpu.py --out "$out" --limit 400 "$@"
