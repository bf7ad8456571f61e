#!/usr/bin/env bash
set -euo pipefail
# The package itself, from the checkout whose Snakefile is run (it sets the variable).
pip install --no-deps --no-build-isolation --editable "${REFACEBENCH_CHECKOUT:?is set by workflow/Snakefile}"
