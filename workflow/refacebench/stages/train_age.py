"""Train one age model on the originals of one dataset's train split.

No stage of scans: it reads manifests and leaves a folder with one model, or, in the model's
card, the reason why there is none.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from refacebench import manifest, reasons
from refacebench.contracts import Aged, NotEnoughTraining
from refacebench.run import batch, people, training
from refacebench.run.methods import Chosen
from refacebench.run.stage import Stage
from refacebench.vocabulary import OK

STAGE = Stage(
    "train_age",
    follows=("segment",),
    reads=("scan", "participant", "path", "original_path", "brainseg_path"),
)


def aged(paths: Iterable[str | Path], about: pd.DataFrame) -> list[Aged]:
    """Return the segmented scans of known age of some manifests.

    Parameters
    ----------
    paths : iterable of str or Path
        Manifests of the segment stage.
    about : pandas.DataFrame
        The ages (:func:`refacebench.run.people.read`).
    """
    paths = list(paths)
    if not paths:
        return []
    rows = manifest.read_many(paths)
    rows = rows[rows["status"] == OK]
    if len(rows):
        STAGE.check_rows(rows.columns)
        rows = people.known(rows, about)
        rows = rows.assign(age=pd.to_numeric(rows["age"], errors="coerce"))
        rows = rows[rows["age"].notna()].sort_values("scan", kind="stable")
        batch.check_originals(rows.to_dict("records"))
    return [
        Aged(row["scan"], row["participant"], float(row["age"]), row["path"], row["brainseg_path"])
        for row in rows.to_dict("records")
    ]


def run(
    card: str | Path,
    chosen: Chosen,
    train: Iterable[str | Path],
    validation: Iterable[str | Path],
    about: str | Path,
    *,
    seed: int = 0,
) -> None:
    """Train, or say in the card why there is no model; the run goes on either way.

    Too few people are no failure: as for models of volumes, tables then say so.

    Parameters
    ----------
    card : str or Path
        Where the method describes its model; its folder gets all other files.
    chosen : Chosen
        The age model.
    train, validation : iterable of str or Path
        Manifests of the segment stage, of originals.
    about : str or Path
        The table of ages.
    seed : int
        Of the run.
    """
    folder = Path(card).parent
    folder.mkdir(parents=True, exist_ok=True)

    def train_model() -> None:
        try:
            sides = [aged(paths, people.read(about)) for paths in (train, validation)]
            chosen.method.train(*sides, folder, chosen.options, seed)
        except NotEnoughTraining as error:
            training.write(card, {"note": reasons.clean(str(error))})

    training.attempt(card, train_model, "no age model", lambda reason: {"note": reason})
