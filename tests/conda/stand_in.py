#!/usr/bin/env python3
"""Does for Snakemake what conda does, with venvs and pip: for machines without conda.

What is tested with it is ours: that an environment of ``envs/`` holds every package which its
scripts import, that its post-deploy script runs, and that jobs find the package of the checkout.
Whether conda's channels have the pinned versions only conda itself can say.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import yaml

#: Packages that conda calls otherwise than pip; those that pip does not have are left out.
NAMES = {"pytorch": "torch", "snakemake-minimal": "snakemake"}
ACTIVATE = """\
export PATH="$1/bin:$PATH" CONDA_PREFIX="$1"
hash -r
"""


def requirements(path: Path) -> tuple[list[str], list[str]]:
    """Return what an environment file asks of conda, and of pip, both as pip writes it."""
    *conda, last = yaml.safe_load(path.read_text())["dependencies"]
    pairs = [each.split("=") for each in conda if not each.startswith(("python=", "pip"))]
    return [f"{NAMES.get(name, name)}=={version}" for name, version in pairs], last["pip"]


def create(path: Path, prefix: Path) -> None:
    """Make a venv with the packages of an environment file, and nothing else."""
    subprocess.run([sys.executable, "-m", "venv", prefix], check=True)
    pip = [prefix / "bin" / "pip", "install", "--quiet", "--disable-pip-version-check"]
    for wanted in requirements(path):
        subprocess.run([*pip, *wanted], check=True)


def main(arguments: list[str]) -> None:
    """Answer as conda does."""
    if "--version" in arguments:
        print("conda 25.1.1")
    elif arguments[:1] == ["info"]:
        prefix = Path(__file__).resolve().parent.parent
        print(json.dumps({"conda_prefix": str(prefix), "platform": "linux-64"}))
    elif arguments[:1] == ["config"]:
        print(json.dumps({"get": {"channel_priority": "strict"}}))
    elif arguments[:1] == ["clean"]:
        pass  # pip keeps no archives here
    elif arguments[:2] == ["env", "create"]:
        of = dict(zip(arguments, arguments[1:], strict=False))
        create(Path(of["--file"]), Path(of["--prefix"]))
    else:
        sys.exit(f"the stand-in for conda knows no {' '.join(arguments)}")


if __name__ == "__main__":
    main(sys.argv[1:])
