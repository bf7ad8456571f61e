#!/usr/bin/env python3
"""Run a tiny cohort with ``--use-conda``, from an environment that holds what its file says.

``make test-conda``: 15 minutes, mostly installation. Where there is no conda, a stand-in made of
venvs takes its place (``stand_in.py``), and the last line says so.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests/workflow"), str(Path(__file__).parent)]

import stand_in  # noqa: E402
from test_pipeline import TINY  # noqa: E402


def main() -> None:
    """Make the environment, run the workflow in it, look for the page."""
    work = Path(tempfile.mkdtemp(prefix="conda-"))
    checkout, run = work / "checkout", work / "run"
    run.mkdir()
    subprocess.run(["git", "clone", "--quiet", ROOT, checkout], check=True)
    (run / "config.yaml").write_text(yaml.safe_dump(TINY))
    base = work / "base"
    real = shutil.which("conda")
    if real:
        command = ["env", "create", "--quiet", "--prefix", base, "--file"]
        subprocess.run([real, *command, checkout / "environment.yaml"], check=True)
    else:
        stand_in.create(checkout / "environment.yaml", base)
        shim = work / "conda" / "bin"
        shim.mkdir(parents=True)
        (shim / "activate").write_text(stand_in.ACTIVATE)
        text = Path(stand_in.__file__).read_text().split("\n", 1)[1]
        (shim / "conda").write_text(f"#!{sys.executable}\n{text}")
        (shim / "conda").chmod(0o755)
    path = os.pathsep.join([f"{base}/bin", *([] if real else [str(work / "conda/bin")])])
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
    environment["PATH"] = f"{path}{os.pathsep}/usr/local/bin:/usr/bin:/bin"
    if real:
        environment["PATH"] += os.pathsep + str(Path(real).parent)
    done = subprocess.run(
        [base / "bin" / "snakemake", "--cores", "2", "--use-conda", "--configfile", "config.yaml",
         "--snakefile", checkout / "workflow/Snakefile"],
        cwd=run, env=environment,
    )  # fmt: skip
    if done.returncode or not (run / "results" / "report.html").exists():
        sys.exit(f"--use-conda failed; all is left in {work}")
    shutil.rmtree(work)
    print(
        "--use-conda: a tiny run, page included;", "by conda" if real else "by a stand-in of venvs"
    )


if __name__ == "__main__":
    main()
