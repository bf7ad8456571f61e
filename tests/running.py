"""Runs the workflow as a user does, for tests."""

import re
import subprocess
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]


#: Tables that hold measured times, which no two runs share.
TIMED = {"runtime.tsv", "costs.tsv"}
#: A refacing model that trains in seconds; ``epochs`` is to be added.
TINY_REFACER = {
    "defacers": ["mask_face"],
    "size": 32,
    "filters": 4,
    "voxel_mm": 6.0,
    "steps_per_epoch": 4,
    "decay_epochs": 1,
}
#: What the workflow does after the refacing, in seconds too.
TINY_REST = {
    "statistics": {"bootstrap": 200},
    "rendering": {"pixels": 32, "views": 1, "lights": 1, "voxel_mm": 4.0},
    "attackers": {"surface": {}},
}
SNAKEFILE = ROOT / "workflow" / "Snakefile"


def snakemake(folder, *arguments, config=None, timeout=900, directory=True):
    """Run Snakemake as a user does, in a folder of its own: named, or the one it is started in."""
    command = [sys.executable, "-m", "snakemake", "-s", str(SNAKEFILE)]
    command += ["--directory", str(folder)] if directory else []
    if config is not None:
        path = Path(folder) / "config.yaml"
        path.write_text(yaml.safe_dump(config))
        command += ["--configfile", str(path)]
    return subprocess.run(
        [*command, "--cores", "2", *arguments],
        capture_output=True,
        text=True,
        timeout=timeout,
        cwd=None if directory else folder,
    )


def tables(folder):
    """Return the bytes of every table that holds no measured time."""
    found = sorted((Path(folder) / "results" / "tables").rglob("*.tsv"))
    return {str(p.relative_to(folder)): p.read_bytes() for p in found if p.name not in TIMED}


def job_counts(run):
    """Return the job table of a dry run."""
    assert run.returncode == 0, run.stderr[-3000:]
    table = run.stdout.split("Job stats:")[1].split("total")[0]
    return {name: int(n) for name, n in re.findall(r"^(\w+)\s+(\d+)\s*$", table, re.M)}


def bids(folder, participants=10, sessions=("",)):
    """Make a folder of empty files with BIDS names: enough for a dry run."""
    for i in range(participants):
        for session in sessions:
            stem = f"sub-{i:02d}" + (f"_ses-{session}" if session else "")
            home = Path(folder) / f"sub-{i:02d}" / (f"ses-{session}" if session else "") / "anat"
            home.mkdir(parents=True, exist_ok=True)
            (home / f"{stem}_T1w.nii.gz").write_bytes(b"")
    return {"type": "bids", "path": str(folder)}
