"""Train one refacing model on one defacer's output of one dataset.

No stage of scans: it reads manifests and leaves a folder with one model, or, in the model's
card, the reason why there is none.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from refacebench import manifest
from refacebench.contracts import Pair, ScanInterrupted, TrainingFailed
from refacebench.run import batch, dropped, training
from refacebench.run.methods import Chosen
from refacebench.run.stage import Stage
from refacebench.vocabulary import FAILED, OK

STAGE = Stage(
    "train",
    follows=("deface",),
    reads=("scan", "path", "original_path", "changed_path", "brain_path", "site"),
    may_read=("checksum",),
)


def pairs(paths: Iterable[str | Path], sites: Collection[Any] = ()) -> list[Pair]:
    """Return the usable scans of defaced manifests, of some sites only, as training pairs.

    Raises
    ------
    ScanInterrupted
        If an original is another file than the one that was checked and defaced.
    """
    paths = list(paths)
    if not paths:
        return []
    rows = manifest.read_many(paths)
    rows = rows[rows["status"] == OK].sort_values("scan")
    if len(rows):
        STAGE.check_rows(rows.columns)
    if sites:
        rows = rows[rows["site"].astype(str).isin([str(site) for site in sites])]
    batch.check_originals(rows.to_dict("records"))
    rows = _there(rows)
    return [
        Pair(
            row["scan"],
            row["original_path"],
            row["path"],
            row["changed_path"],
            row["brain_path"],
            str(row["site"]),
        )
        for row in rows.to_dict("records")
    ]


def _there(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows whose files are there, or cannot be had any more.

    Raises
    ------
    ScanInterrupted
        If one was deleted, see :mod:`refacebench.run.dropped`, and nobody has tried to make it
        again.
    """
    notes = [
        next(filter(None, map(dropped.find, (row["path"], row["changed_path"]))), None)
        for row in rows.to_dict("records")
    ]
    if any(note and not note.reason for note in notes):
        raise ScanInterrupted(batch.DROPPED)
    return rows[[note is None for note in notes]]


def run(
    card: str | Path,
    chosen: Chosen,
    train: Iterable[str | Path],
    validation: Iterable[str | Path],
    *,
    sites: Collection[Any] = (),
    seed: int = 0,
) -> None:
    """Train, or say in the card why there is no model; the run goes on either way.

    Parameters
    ----------
    card : str or Path
        Where the method describes its model; its folder gets all other files.
    chosen : Chosen
        The refacer.
    train, validation : iterable of str or Path
        Manifests of the deface stage.
    sites : collection
        Sites whose scans are used; all if none are named.
    seed : int
        Of the run.
    """

    def train_model() -> None:
        sides = [pairs(paths, sites) for paths in (train, validation)]
        if not all(sides):
            of = f" of site {', '.join(map(str, sites))}" if sites else ""
            raise TrainingFailed(
                f"{len(sides[0])} training and {len(sides[1])} validation scans{of}"
            )
        chosen.method.train(*sides, Path(card).parent, chosen.options, seed)

    training.attempt(
        card, train_model, "no model", lambda reason: {"status": FAILED, "reason": reason}
    )
