"""A run whose files are all there and empty, to count what a change makes run again."""

import re

from running import job_counts, snakemake

CONFIG = {
    "splits": {"train": 1, "validation": 1, "test": 1},
    "batch_size": 2,
    "defacers": {"quickshear": {}, "mask_face": {}},
    "refacers": {"pix2pix25d": {"defacers": ["mask_face"]}},
    "attackers": {"surface": {}, "head_shape": {}},
}
#: Two batches a split.  Variants: original, quickshear, mask_face, mask_face+pix2pix25d and, as
#: there are attackers, skull_strip.  `head_shape` is not shown the blurred control.
OF_SCANS = {
    "inventory": 6,
    "prepare": 6,
    # mask_face in all splits, for the refacer is trained on it; two others in the test split.
    "deface": 6 + 2 + 2,
    "train": 1,
    "reface": 2,
    # Five variants of the test split, and the train split's originals.
    "segment": 10 + 2,
    "measure": 10,
    "render": 10,
    "enrol": 2,
    "attack": 7 + 6,
    "brain_age": 1,
}
#: What is made from all tables and figures, and the end of a run.
PAGE = {"costs": 1, "page": 1, "finished": 1, "all": 1}
#: Tables of measurements, where scans ended, tables and figures of attacks, other figures.
MEASURES, FLOW, ATTACKS, FIGURES = (
    {name: 1} for name in ("statistics", "flow", "privacy", "figures")
)
ATTACKS |= {"surfaces": 1}
TABLES = MEASURES | FLOW | ATTACKS | FIGURES
EVERYTHING = OF_SCANS | TABLES | {"slices": 1, "curves": 1} | PAGE


def touch(home, config):
    """Make all files of a run, empty, and let Snakemake think that it made them."""
    planned = snakemake(home, "-n", config=config)
    assert job_counts(planned) == EVERYTHING
    for line in re.findall(r"^    output: (.*)$", planned.stdout, re.M):
        for path in line.split(", "):
            (home / path).parent.mkdir(parents=True, exist_ok=True)
            (home / path).write_text("")
    touched = snakemake(home, "--touch", "--forceall", config=config)
    assert touched.returncode == 0, touched.stderr[-3000:]


def counted(home, config, *arguments):
    """Return the jobs that a run would do; none where nothing is to be done."""
    run = snakemake(home, "-n", *arguments, config=config)
    assert run.returncode == 0, run.stdout[-2000:] + run.stderr[-3000:]
    return {} if "Nothing to be done" in run.stdout + run.stderr else job_counts(run)
