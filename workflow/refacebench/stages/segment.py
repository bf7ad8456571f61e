"""Segment an image from scratch, as its later user would, knowing nothing of the original."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from refacebench import bids
from refacebench.head import values
from refacebench.image import nifti
from refacebench.run import batch
from refacebench.run.methods import Chosen
from refacebench.run.stage import Stage
from refacebench.vocabulary import DSEG, GLOBALS, REGIONS

STAGE = Stage(
    "segment",
    follows=("inventory", "prepare", "deface", "reface"),
    given={"variant": "what is segmented", "segmenter": "name of the segmenter in the config"},
    reads=("scan", "path"),
    adds={
        "seg_path": "tissue labels, see vocabulary.DSEG",
        "brainseg_path": "brain mask found in this image",
        "regions_path": "labels of the regions, their places in vocabulary.REGIONS",
        **{f"vol_{name}": f"volume of {name}, ml" for name in (*GLOBALS, *REGIONS)},
    },
    may_add={"vol_*": "further volumes, ml", "q_*": "what helps to judge the segmentation"},
)


def run(row: Mapping[str, Any], chosen: Chosen, out_folder: str | Path) -> dict[str, Any]:
    """Segment one image: masks and labels are written, volumes returned.

    Parameters
    ----------
    row : mapping
        Of the manifest of any stage that makes images.
    chosen : Chosen
        The segmenter; its ``prepare`` was called.
    out_folder : str or Path
        Root of the variant's derivatives.

    Returns
    -------
    dict
        The columns of :data:`STAGE`.
    """
    volume = values.read(row["path"]).volume
    found = chosen.method.run(volume, chosen.options, row["path"])
    tissue = np.where(found.vcsf, DSEG["vcsf"], found.tissue).astype(np.uint8)
    desc = bids.label(chosen.name)
    images = {
        "seg_path": (tissue, "dseg", desc),
        "brainseg_path": (found.brain, "mask", f"{desc}Brain"),
        "regions_path": (found.regions.astype(np.uint8), "dseg", f"{desc}Regions"),
    }
    columns: dict[str, Any] = {}
    for column, (data, suffix, label) in images.items():
        path = bids.derivative(out_folder, row["scan"], suffix, label)
        nifti.write(volume.with_data(data), path)
        columns[column] = str(path)
    columns |= {f"vol_{name}": float(ml) for name, ml in found.volumes.items()}
    return columns | {f"q_{name}": float(value) for name, value in found.quality.items()}


def run_batch(
    rows: pd.DataFrame,
    out: str | Path,
    chosen: Chosen,
    out_folder: str | Path,
    *,
    variant: str,
    shared: str | Path,
    version: str,
    timeout: float = 3600.0,
) -> pd.DataFrame:
    """Segment the images of one variant and batch and write the manifest."""
    chosen.method.prepare(chosen.options, shared)
    desc = bids.label(chosen.name)
    bids.describe(out_folder, variant)
    bids.name_labels(out_folder, desc, DSEG)
    regions = {name: place for place, name in enumerate(REGIONS, 1)}
    bids.name_labels(out_folder, f"{desc}Regions", regions)
    return batch.run_batch(
        STAGE,
        rows.assign(variant=variant, segmenter=chosen.name),
        lambda row: run(row, chosen, out_folder),
        out,
        method=chosen.name,
        version=version,
        engine=chosen.engine,
        params=chosen.options,
        timeout=timeout,
        preload=chosen.method.preload,
    )
