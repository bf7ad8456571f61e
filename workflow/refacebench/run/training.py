"""One training, of whatever kind: a model, or the reason in its card why there is none."""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from refacebench import files, manifest, pseudonyms, reasons
from refacebench.contracts import TrainingFailed
from refacebench.run import sandbox


def attempt(
    card: str | Path,
    train: Callable[[], None],
    what: str,
    describe: Callable[[str], Mapping[str, Any]],
) -> None:
    """Train; where that fails, write a card that says so, and the run goes on.

    What may pass (memory, disk, time) is tried again at the next run.

    Parameters
    ----------
    card : str or Path
        Where the method describes its model.
    train : callable
        Trains and writes the card.
    what : str
        What there is not, for the reason.
    describe : callable
        Takes the reason and returns the card.

    Raises
    ------
    Exception
        Whatever is neither a :class:`TrainingFailed` nor may pass.
    """
    again: dict[str, str] = {}
    final: dict[str, str] = {}
    try:
        train()
        _name_nobody(Path(card))
    except Exception as error:
        passing = sandbox.may_pass(error)
        if not passing and not isinstance(error, TrainingFailed):
            raise
        traceback.print_exc(file=sys.stdout)  # the log
        reason = reasons.clean(f"{what}: {str(error) or 'out of memory'}")
        (again if passing else final)["training"] = reason
        write(card, describe(reason))
    manifest.note_failures(card, again, final, total=1)


def _name_nobody(card: Path) -> None:
    """Put pseudonyms into the card of a finished model, which goes where the model goes."""
    told = card.read_text()
    shown = pseudonyms.active().text(told)
    if shown != told:
        files.write_text(shown, card)


def write(card: str | Path, facts: Mapping[str, Any]) -> None:
    """Write a card without a model."""
    files.write_text(pseudonyms.active().text(json.dumps(facts)) + "\n", card)
