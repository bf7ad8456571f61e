"""Put a face back on defaced scans with a trained model."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from refacebench import bids, contracts
from refacebench.head import values
from refacebench.image import nifti
from refacebench.run import batch
from refacebench.run.methods import Chosen
from refacebench.run.stage import Stage
from refacebench.vocabulary import OK

STAGE = Stage(
    "reface",
    follows=("deface",),
    given={"variant": "defacer+refacer"},
    reads=("scan", "path", "changed_path"),
    adds={"path": "the refaced image"},
)


class Trained(NamedTuple):
    """A model as the train stage has left it.

    Attributes
    ----------
    model
        What the method loads; None where there is none.
    weights : list of Path
        The files that it was loaded from.
    reason : str
        Why there is no model.
    """

    model: Any
    weights: list[Path]
    reason: str = ""


def load(card: str | Path, chosen: Chosen) -> Trained:
    """Load the model that a card describes, if one came out of the training."""
    facts = json.loads(Path(card).read_text())
    if facts.get("status", OK) != OK:
        return Trained(None, [], facts["reason"])
    folder = Path(card).parent
    return Trained(chosen.method.load(folder, chosen.options), [folder / "model.safetensors"])


def run(
    row: Mapping[str, Any],
    chosen: Chosen,
    trained: Trained,
    out_folder: str | Path,
    *,
    version: str = "",
) -> dict[str, Any]:
    """Reface one scan: image and sidecar.

    Parameters
    ----------
    row : mapping
        Of the deface stage's manifest.
    chosen : Chosen
        The refacer.
    trained : Trained
        From :func:`load`.
    out_folder : str or Path
        Root of the variant's derivatives.

    Returns
    -------
    dict
        The columns of :data:`STAGE`.

    Raises
    ------
    RuntimeError
        If there is no model or its output is not finite.
    """
    if trained.model is None:
        raise RuntimeError(trained.reason)
    read = values.read(row["path"])
    volume = read.volume
    changed = nifti.read_mask(row["changed_path"])
    made = chosen.method.run(trained.model, volume, changed, chosen.options)
    taken = contracts.taken(changed, chosen.options)
    if not np.isfinite(made[taken]).all():
        raise RuntimeError("the model's output is not finite")
    image = bids.derivative(out_folder, row["scan"], "T1w", "refaced")
    nifti.write_changed(row["path"], made + read.offset, taken, image)
    bids.write_sidecar(
        image,
        [row["path"]],
        method=chosen.name,
        version=version or chosen.version,
        parameters=chosen.options,
        key=row.get("key", ""),
        Engine="native",
        SkullStripped=False,
    )
    return {"path": str(image)}


def run_batch(
    rows: pd.DataFrame,
    out: str | Path,
    chosen: Chosen,
    card: str | Path,
    out_folder: str | Path,
    *,
    variant: str,
    version: str,
    timeout: float = 3600.0,
    gpu: bool = False,
) -> pd.DataFrame:
    """Reface the scans of one batch and write the manifest."""
    trained = load(card, chosen)
    bids.describe(out_folder, variant)
    return batch.run_batch(
        STAGE,
        rows.assign(variant=variant),
        lambda row: run(row, chosen, trained, out_folder, version=version),
        out,
        method=chosen.name,
        version=version,
        params={**chosen.options, "headers": nifti.HEADER_VERSION},
        inputs=lambda row: [row["path"], row["changed_path"], *trained.weights],
        timeout=timeout,
        isolate=not gpu,
        preload=("scipy.ndimage", "torch.nn.functional"),
    )
