"""Grow the scans of a synthetic cohort, and first of all what they share.

Writes below ``results/cohort``.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from refacebench import bids, files, manifest
from refacebench.image import nifti
from refacebench.metrics import truth
from refacebench.run import batch, configuration
from refacebench.run.methods import Chosen
from refacebench.run.stage import Stage
from refacebench.vocabulary import GLOBALS, REGIONS

#: Raise it when what is read from the true labels changes; it is part of every key.
VERSION = "1"

STAGE = Stage(
    "grow",
    reads=("participant", "session", "scan", "site"),
    # Whatever else the dataset's own index says of a scan.
    may_read=("*",),
    adds={"path": "the grown T1w image", "truth_path": "its true labels, see vocabulary.TRUTH"},
    may_add={
        f"truth_vol_{name}": f"true volume of {name}, ml; the method's own, or its labelled voxels"
        for name in (*GLOBALS, *REGIONS)
    }
    | {"companions": "the session's other contrasts, as JSON (see manifest.companions)"},
)


def make_base(chosen: Chosen, entry: Mapping[str, Any], statement: str | Path, seed: int) -> None:
    """Make what all scans of a cohort share, and describe the cohort as a BIDS folder.

    Parameters
    ----------
    chosen, entry
        The dataset's method, and its entry in the config.
    statement : str or Path
        A file that says what the cohort is made of, in the folder of what is shared.
    seed : int
        Of the run.
    """
    folder = Path(statement).parent
    chosen.method.base(chosen.options, seed, folder)
    home = folder.parent / "bids"
    bids.describe(home, f"synthetic cohort '{chosen.name}'")
    people = chosen.method.index(chosen.options, seed).drop_duplicates("participant")
    people = people.rename(columns={"participant": "participant_id"})
    manifest.write(people[["participant_id", "age", "sex", "site"]], home / "participants.tsv")
    files.write_text(configuration.statement(chosen.name, entry) + "\n", statement)


def run(
    row: Mapping[str, Any], chosen: Chosen, base: Path, home: Path, seed: int
) -> dict[str, Any]:
    """Grow one scan into a BIDS folder, from what :func:`make_base` made."""
    made = dict(chosen.method.grow(row, chosen.options, seed, base, home))
    if made.get("truth_path"):
        labels = nifti.read(made["truth_path"])
        held = np.bincount(np.rint(labels.data).astype(int).ravel(), minlength=256)
        found = truth.volumes(held, labels.voxel_ml)
        made = {f"truth_vol_{name}": ml for name, ml in found.items()} | made
    return made


def run_batch(
    rows: pd.DataFrame,
    about: pd.DataFrame,
    out: str | Path,
    chosen: Chosen,
    *,
    method: str,
    base: str | Path,
    home: str | Path,
    seed: int,
    version: str,
    timeout: float = 3600.0,
) -> pd.DataFrame:
    """Grow the scans of one batch, of people of known age and sex, and write the manifest."""
    base, home = Path(base), Path(home)
    facts = about.set_index("scan").to_dict("index")
    return batch.run_batch(
        STAGE,
        rows,
        lambda row: run({**row, **facts[row["scan"]]}, chosen, base, home, seed),
        out,
        method=method,
        version=version,
        params={**chosen.options, "seed": seed, "true_volumes": VERSION},
        inputs=lambda row: [],
        timeout=timeout,
        preload=("scipy.ndimage",),
    )
