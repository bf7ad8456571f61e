"""How much memory a job asks for: the measured peak of its largest scan, and a margin.

The peaks stand in :data:`refacebench.run.estimate.COSTS`.  Methods that nobody has measured
(programs of others, a user's own file) ask for a fixed amount.  What is asked for is no parameter
of a job: another number makes nothing run again.

Reads the inventory of a batch, or where there is none yet the headers of some of its scans.
"""

from __future__ import annotations

import functools
import math
import os

from refacebench.run import configuration, estimate
from refacebench.run.estimate import Cost, cost_of
from refacebench.run.failures import rows
from refacebench.run.graph import Run

#: So much more than the measured peak is asked for.
MARGIN = 1.5
#: The least that is asked for, and the steps (MB).
FLOOR_MB, STEP_MB = 1000, 100
#: Methods whose peaks are those of their stage in COSTS (``benchmarks/memory.py``).
MEASURED = {
    "deface": (
        *("null", "pydeface", "quickshear", "mri_deface", "mideface", "fsl_deface"),
        *("afni_refacer", "mask_face", "mri_reface", "skull_strip"),
    ),
    "reface": ("pix2pix25d",),
    "segment": ("deepbet_atlas",),
}
#: Those of them that are released code, but run in the job itself.
WITHIN = ("quickshear",)
#: What others ask for (MB).
FIXED_MB = {"deface": 6000, "reface": 8000, "segment": 8000}
#: The stage whose cost is that of the data set's type.
GROWN = "grow"
#: The kind of method that works in a stage.
KINDS = {"deface": "defacers", "reface": "refacers", "segment": "segmenters"}


def by_voxels(cost: Cost, mvox: float) -> int:
    """Return what a job asks for whose largest scan has so many million voxels.

    >>> by_voxels(Cost(0, 0, 400, 100), 10.0)
    2100
    """
    peak = MARGIN * (cost.mb + cost.mb_per_mvox * mvox)
    return max(FLOOR_MB, STEP_MB * math.ceil(peak / STEP_MB))


class Asking:
    """What the jobs of a run ask for.

    Parameters
    ----------
    run : Run
    """

    def __init__(self, run: Run):
        self.run = run
        self.largest = functools.lru_cache(None)(self._largest)

    def mb(self, stage: str, dataset: str, batch: str, name: str = "") -> int:
        """Return the megabytes of a job's first attempt.

        Parameters
        ----------
        stage : str
            One of :data:`refacebench.run.estimate.COSTS`.
        name : str
            The method in the config, where there are several.
        """
        method = str(self.run.config["datasets"][dataset]["type"]) if stage == GROWN else ""
        if stage in KINDS:
            method = self._measured(stage, name)
            if not method:
                return FIXED_MB[stage]
        return by_voxels(cost_of(stage, method), self.largest(dataset, batch))

    def _measured(self, stage: str, name: str) -> str:
        """Return the method behind a name, if its peak was measured; empty for all others."""
        entry = self.run.entry(KINDS[stage], name)
        if {"file", "program", "command"} & set(entry):
            return ""
        method = str(entry.get("method", name))
        own = method in WITHIN or self.run.chosen(KINDS[stage], name).engine == "native"
        return method if own and method in MEASURED[stage] else ""

    def _largest(self, dataset: str, batch: str) -> float:
        """Return the voxels of the largest scan of a batch, in millions."""
        checked = f"results/inventory/{dataset}/{batch}.tsv"
        if os.path.isfile(checked):
            shapes = [row.get("shape", "") for row in rows(checked)]
            # Of a batch that failed as a whole nothing is known yet.
            if largest := max(map(_product, shapes), default=0):
                return largest / 1e6
        if configuration.is_synthetic(self.run.config, dataset):
            return estimate.megavoxels(self.run, dataset)
        return estimate.largest_mvox(self.run, dataset, batch)


def _product(shape: str) -> int:
    """Return the voxels of a shape as the inventory writes it; 0 for none.

    >>> _product("176x256x256"), _product("")
    (11534336, 0)
    """
    sizes = [int(part) for part in shape.split("x") if part.isdigit()]
    return math.prod(sizes) if sizes else 0
