"""Which scans models are fitted on: the same ones while a cohort grows.

Training takes hours, and a model that was trained on other people is another model.  So a
dataset's training set stays as it was when its first model was trained.  Who joins the train
or validation split later waits; where scans of the set were removed, replaced or moved, the
user is asked.  ``retrain: true`` takes everyone and trains again.
Reads ``training.json`` beside the batch lists; writes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from refacebench.files import read_json
from refacebench.run.mistakes import ConfigError
from refacebench.run.plan import Lists
from refacebench.vocabulary import FAILED, MEASURED

#: The file in a dataset's folder of lists.
FILE = "training.json"
#: So many scans are named.
_NAMED = 5


class TrainingSet(NamedTuple):
    """The scans that models of a dataset are fitted on.

    Attributes
    ----------
    scans : dict of str to dict
        By batch of the train and validation split the scans with their files' stamps.
    waiting : list of str
        Batches of these splits that no model is fitted on.
    """

    scans: dict[str, dict[str, str]]
    waiting: list[str]


def saved(lists: Lists) -> TrainingSet:
    """Return what the main process wrote; nothing waits where it wrote nothing."""
    kept = read_json(lists.folder / FILE)
    now = _now(lists)
    return TrainingSet(kept or now, [b for b in now if b not in kept] if kept else [])


def decide(dataset: str, lists: Lists, models: Iterable[str], retrain: bool) -> TrainingSet:
    """Return the training set of a run that begins.

    Parameters
    ----------
    dataset : str
        Its name in the config.
    lists : Lists
        Its scans.
    models : iterable of str
        The files of all models that the run trains on it.
    retrain : bool
        Train anew where the set changed.

    Raises
    ------
    ConfigError
        If scans of the set that finished models were trained on changed.
    """
    now, kept = _now(lists), read_json(lists.folder / FILE)
    trained = [path for path in models if _is_trained(path)]
    if retrain or lists.anew or not kept or not trained:
        return TrainingSet(now, [])
    told = _changes(kept, now)
    if told:
        raise ConfigError(
            f"datasets.{dataset}: the scans that {_count(trained)} trained on changed: {told}. "
            "Run again with --config retrain=true to train again on the scans as they are, "
            "or undo the change."
        )
    return TrainingSet(kept, [batch for batch in now if batch not in kept])


def waiting_note(dataset: str, lists: Lists, found: TrainingSet) -> str:
    """Say who waits; empty where nobody does."""
    names = list(lists.scans(found.waiting))
    if not names:
        return ""
    return (
        f"datasets.{dataset}: {len(names)} scans joined the train and validation split after the "
        f"models were trained and are not used ({_some(names)}); to train again with them, run "
        "with --config retrain=true"
    )


def _now(lists: Lists) -> dict[str, dict[str, str]]:
    parts = [name.split("-") for name in lists.names]
    fitted = [p for p in parts if p[0] in ("train", "validation") and p[1] == MEASURED]
    return {batch: lists.scans([batch]) for batch in map("-".join, fitted)}


def _is_trained(path: str) -> bool:
    """Tell whether a model is there: a card that says why there is none is no model."""
    if not Path(path).is_file():
        return False
    card = (read_json(Path(path)) if path.endswith(".json") else None) or {}
    return card.get("status") != FAILED and set(card) != {"note"}


def _changes(kept: Mapping[str, Mapping[str, str]], now: Mapping[str, Mapping[str, str]]) -> str:
    """Name the scans of the kept batches that are gone or replaced, and those new in them."""
    before = {scan: stamp for scans in kept.values() for scan, stamp in scans.items()}
    after = {s: stamp for batch in kept for s, stamp in now.get(batch, {}).items()}
    gone = sorted(before.keys() - after.keys())
    added = sorted(after.keys() - before.keys())
    other = sorted(s for s in before.keys() & after.keys() if before[s] != after[s])
    parts = [("no longer among them", gone), ("another file", other), ("added", added)]
    return "; ".join(f"{_some(names)} ({word})" for word, names in parts if names)


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def _count(trained: list[str]) -> str:
    return "one model was" if len(trained) == 1 else f"{len(trained)} models were"
