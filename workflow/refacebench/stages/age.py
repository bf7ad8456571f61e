"""Predict an age from each image of a variant, with a model that was trained on originals."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from refacebench.head import values
from refacebench.image import nifti
from refacebench.run import batch
from refacebench.run.methods import Chosen
from refacebench.run.stage import Stage

STAGE = Stage(
    "age",
    follows=("segment",),
    given={"variant": "whose image it is", "age_model": "name of the age model in the config"},
    reads=("scan", "path", "brainseg_path"),
    adds={"predicted_age": "years, before any correction; nothing where there is no model"},
)


class LoadedAge(NamedTuple):
    """A model as training has left it: None where there is none; and its files."""

    model: Any
    weights: list[Path]


def load(card: str | Path, chosen: Chosen) -> LoadedAge:
    """Load the model that a card describes, if one came out of the training."""
    facts = json.loads(Path(card).read_text())
    if "correction" not in facts:
        return LoadedAge(None, [])
    folder = Path(card).parent
    return LoadedAge(chosen.method.load(folder, chosen.options), [folder / "model.safetensors"])


def run(row: Mapping[str, Any], chosen: Chosen, trained: LoadedAge) -> dict[str, Any]:
    """Predict the age of one image.

    Raises
    ------
    ValueError
        If image and brain mask differ in their grids.
    RuntimeError
        If what is predicted is no number.
    """
    if trained.model is None:
        return {"predicted_age": np.nan}
    volume, brain = values.read(row["path"]).volume, nifti.read_mask(row["brainseg_path"])
    if volume.shape != brain.shape:
        raise ValueError("image and brain mask differ in grid")
    found = float(chosen.method.run(trained.model, volume, brain, chosen.options))
    if not np.isfinite(found):
        raise RuntimeError("the predicted age is not finite")
    return {"predicted_age": found}


def run_batch(
    rows: pd.DataFrame,
    out: str | Path,
    chosen: Chosen,
    card: str | Path,
    *,
    variant: str,
    version: str,
    timeout: float = 3600.0,
    gpu: bool = False,
) -> pd.DataFrame:
    """Predict the ages of the images of one variant and batch and write the manifest."""
    trained = load(card, chosen)
    return batch.run_batch(
        STAGE,
        rows.assign(variant=variant, age_model=chosen.name),
        lambda row: run(row, chosen, trained),
        out,
        method=chosen.name,
        version=version,
        engine=chosen.engine,
        params=chosen.options,
        inputs=lambda row: [row["path"], row["brainseg_path"], *trained.weights],
        timeout=timeout,
        isolate=not gpu,
        preload=chosen.method.preload,
    )
