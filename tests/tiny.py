"""A tiny workflow in a folder of its own, started like a user's, for tests that do it harm.

The processes that it consists of, too.
"""

import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import yaml

from running import SNAKEFILE, TINY_REFACER, TINY_REST, tables

CONFIG = {
    "seed": 3,
    "batch_size": 2,
    "splits": {"train": 1, "validation": 1, "test": 2},
    "datasets": {
        "tiny": {
            "type": "demo",
            "faces": "public",
            "sessions_measured": 1,
            "participants": 4,
            "sessions": 1,
            "voxel_mm": 4.0,
            "blend_amplitude": 0,
        }
    },
    "defacers": {"mask_face": {}},
    "refacers": {"pix2pix25d": {**TINY_REFACER, "epochs": 2}},
    "brain_age": {"min_train": 2},
    **TINY_REST,
}
#: A segmenter that takes no time: classes of brightness.
BLOCKS = '''"""Bright voxels are brain."""

import numpy as np

from refacebench.contracts import Segmentation, Segmenter
from refacebench.vocabulary import GLOBALS, REGIONS


def segment(volume, options, source):
    tissue = np.digitize(volume.data, np.percentile(volume.data, (80, 87, 94))).astype(np.uint8)
    volumes = {name: float((tissue > 0).sum()) for name in (*GLOBALS, *REGIONS)}
    return Segmentation(tissue > 0, tissue, tissue == 1, tissue, volumes)


METHOD = Segmenter(version="1", run=segment)
'''
#: So often a run is started again before it is given up.
MOST_STARTS = 40


class Home:
    """A folder in which the tiny workflow runs, with the cohort of the run that was left alone."""

    #: Where its jobs run, as Snakemake is told.
    where = ("--cores", "2")

    def __init__(self, folder: Path, cohort: Path | None = None, user: int | None = None):
        self.folder, self.user, self.starts = folder, user, 0
        folder.mkdir(parents=True)
        (folder / "blocks.py").write_text(BLOCKS)
        self.configure(CONFIG)
        if cohort:
            # Not grown anew each time: of all stages that one takes the longest.
            for name in ("results/cohort", "results/grow", "results/plan", ".snakemake/metadata"):
                shutil.copytree(cohort / name, folder / name, symlinks=True)
        self.own()

    def configure(self, config: dict) -> None:
        """Write the config of all further starts; the segmenter is always the quick one."""
        own = {"segmenters": {"blocks": {"file": str(self.folder / "blocks.py")}}}
        (self.folder / "config.yaml").write_text(yaml.safe_dump({**config, **own}))

    def own(self) -> None:
        """Hand the folder to the user whose run it is."""
        if self.user is not None:
            subprocess.run(["chown", "-R", str(self.user), str(self.folder)], check=True)

    def start(self, *arguments, limit: int = 0) -> subprocess.Popen:
        """Start the workflow in a session of its own; ``limit`` bounds a file's size in bytes."""
        self.starts += 1

        def before():
            if limit:
                resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
            if self.user is not None:
                os.setgid(self.user)
                os.setuid(self.user)

        log = open(self.folder / "run.log", "ab")  # noqa: SIM115 - lives as long as the process
        command = [sys.executable, "-m", "snakemake", "-s", str(SNAKEFILE), *self.where]
        command += ["--directory", str(self.folder), "--rerun-incomplete"]
        return subprocess.Popen(
            [*command, "--configfile", str(self.folder / "config.yaml"), *arguments],
            stdout=log,
            stderr=log,
            start_new_session=True,
            preexec_fn=before,
            env={**os.environ, "HOME": str(self.folder), "XDG_CACHE_HOME": str(self.folder)},
        )

    def end(self) -> str:
        """Start the run again until it ends well; return what is wrong if it never does."""
        while self.starts < MOST_STARTS:
            self.start("--unlock").wait()
            if self.start().wait() == 0:
                return ""
        return f"did not end well in {self.starts} starts, see {self.folder}/run.log"

    def tables(self) -> dict[str, bytes]:
        """Return the bytes of every table that holds no measured time."""
        return tables(self.folder)

    def differs(self, truth: dict[str, bytes]) -> str:
        """Say how its tables differ from the truth; empty if they do not."""
        mine = self.tables()
        other = sorted(n for n in truth.keys() | mine.keys() if truth.get(n) != mine.get(n))
        return f"other tables: {', '.join(other)}" if other else ""

    def unfinished(self) -> str:
        """Say how many half-written files are left; empty if there are none."""
        left = [p for p in (self.folder / "results").rglob(".part-*") if p.is_file()]
        return f"{len(left)} unfinished files are left" if left else ""


def processes() -> dict[int, tuple[int, str]]:
    """Return parent and command line of all processes, by number."""
    listed = subprocess.run(["ps", "-eo", "pid=,ppid=,args="], capture_output=True, text=True)
    rows = (line.split(None, 2) for line in listed.stdout.splitlines())
    return {int(row[0]): (int(row[1]), row[2] if len(row) > 2 else "") for row in rows}


def below(top: int) -> list[int]:
    """Return all processes below one."""
    known = processes()
    found, look = [], [top]
    while look:
        here = look.pop()
        children = [number for number, (parent, _) in known.items() if parent == here]
        found += children
        look += children
    return found
