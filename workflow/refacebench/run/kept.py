"""What a growing cohort keeps from run to run: everyone's split, every scan's batch.

``splits.tsv``, beside the batch lists of a dataset, says who is in which split.  It may be
edited, or put there before the first run.  Someone who joins later is added to it, and nobody
who is in it is moved: a person of the test split has never been in a training.  A scan stays
in its batch too, so that the work on the others is not done again.
Reads ``splits.tsv`` and the batch lists; says what ``splits.tsv`` is to hold, and writes nothing.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from refacebench import manifest
from refacebench.run.mistakes import ConfigError
from refacebench.vocabulary import SPLITS

#: The file in a dataset's folder of lists.
SPLITS_FILE = "splits.tsv"
_COLUMNS = ["participant", "split"]


class Kept(NamedTuple):
    """What earlier runs of a dataset decided.

    Attributes
    ----------
    splits : dict of str to str
        Split by participant.
    batches : dict of str to str
        Batch by scan, of those that jobs may have opened.
    """

    splits: dict[str, str]
    batches: dict[str, str]


NOTHING = Kept({}, {})


def rule(weights: Mapping[str, float], seed: int) -> str:
    """Return the line of ``splits.tsv`` that says by which rule it was made.

    >>> rule({"train": 60, "validation": 0.5, "test": 30}, 1)
    '# seed 1; weights: train 60, validation 0.5, test 30'
    """
    shares = ", ".join(f"{split} {weights.get(split, 0):g}" for split in SPLITS)
    return f"# seed {seed}; weights: {shares}"


def read(folder: str | Path, weights: Mapping[str, float], seed: int) -> Kept:
    """Return what was kept in a dataset's folder of lists.

    Nothing, if the config has another seed or other weights now: then all are assigned anew.

    Raises
    ------
    ConfigError
        If ``splits.tsv`` was edited into something else than a table of splits.
    """
    folder = Path(folder)
    path = folder / SPLITS_FILE
    if not path.is_file():
        return Kept({}, {})
    text = path.read_text()
    made = next((line for line in text.splitlines() if line.startswith("# seed ")), "")
    if made and made != rule(weights, seed):
        print(
            f"{path}: made with another seed or other weights, so everyone is assigned anew",
            file=sys.stderr,
        )
        return Kept({}, {})
    return Kept(_splits(text, path), _batches(folder))


def _splits(text: str, path: Path) -> dict[str, str]:
    """Return the split of each participant.

    Raises
    ------
    ConfigError
        Naming the line that is wrong.
    """
    found: dict[str, str] = {}
    lines = [(n, line) for n, line in enumerate(text.splitlines(), start=1) if line.strip()]
    lines = [(n, line) for n, line in lines if not line.startswith("#")]
    if not lines or lines[0][1].split("\t") != _COLUMNS:
        raise ConfigError(
            f"{path}: the columns must be {' and '.join(_COLUMNS)}, with a tab between"
        )
    for number, line in lines[1:]:
        name, _, split = (part.strip() for part in line.partition("\t"))
        if split not in SPLITS:
            raise ConfigError(
                f"{path}, line {number}: '{split}' is no split (there are {', '.join(SPLITS)})"
            )
        if found.setdefault(name, split) != split:
            raise ConfigError(f"{path}, line {number}: {name} is in two splits")
    return found


def _batches(folder: Path) -> dict[str, str]:
    found: dict[str, str] = {}
    for path in manifest.lists(folder):
        if path.stem != manifest.LEFT_OUT:
            with path.open(newline="") as handle:
                found |= {row["scan"]: path.stem for row in csv.DictReader(handle, delimiter="\t")}
    return found


def text(splits: Mapping[str, Any], weights: Mapping[str, float], seed: int) -> str:
    """Return what ``splits.tsv`` is to hold."""
    head = (
        rule(weights, seed),
        "# Nobody in this table is moved; who joins later is added. Edit it to move someone.",
        "\t".join(_COLUMNS),
    )
    rows = (f"{name}\t{split}" for name, split in sorted(splits.items()))
    return "\n".join([*head, *rows]) + "\n"
