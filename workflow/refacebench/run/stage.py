"""What a stage is: its name, and the columns of a scan's row that it reads and adds.

Rows are the only thing that stages hand on to one another.  Each stage says which
columns it needs and which it adds, and :func:`refacebench.run.batch.run_batch` holds it to that.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from refacebench.manifest import MEANINGS
from refacebench.vocabulary import OK

#: Columns that a stage may set without a word: how it went.
OUTCOME = ("status", "stage", "reason")


class StageError(ValueError):
    """A stage's row lacks a column that it reads, or it adds other columns than it says."""


@dataclass(frozen=True)
class Stage:
    """A stage's side of the rows' contract.

    Attributes
    ----------
    name : str
        Also the folder of its manifests and the name of its rule.
    follows : tuple of str
        Stages whose manifests it reads; none for one that reads the batch lists.
    given : mapping of str to str
        Columns that all rows get before the work on them begins, with a line on each.
    reads : tuple of str
        Columns that each row must have.
    adds : mapping of str to str
        Columns that each finished scan's row has afterwards, with a line on each; among them
        those of other stages that it sets anew (``path`` of one that writes an image).
    may_read, may_add
        The same of columns that not all rows have.  A ``*`` stands for any letters.
    """

    name: str
    follows: tuple[str, ...] = ()
    given: Mapping[str, str] = field(default_factory=dict)
    reads: tuple[str, ...] = ()
    adds: Mapping[str, str] = field(default_factory=dict)
    may_read: tuple[str, ...] = ()
    may_add: Mapping[str, str] = field(default_factory=dict)

    def check_rows(self, columns: Iterable[str]) -> None:
        """Check that rows have all that is read.

        Raises
        ------
        StageError
            Names the columns that are missing.
        """
        missing = [name for name in self.reads if name not in set(columns)]
        if missing:
            raise StageError(f"stage {self.name}: its rows lack {', '.join(missing)}")

    def seen(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """Return what the stage may see of a row: what it declares, and the row's new key."""
        names = (*self.reads, *self.may_read, "key")
        return {name: row[name] for name in row if _is_among(name, names)}

    def check_result(self, result: Mapping[str, Any]) -> None:
        """Check what the work on a scan returned.

        Raises
        ------
        StageError
            Names columns that are missing or not declared.
        """
        known = (*self.adds, *self.may_add, *OUTCOME)
        strange = [name for name in result if not _is_among(name, known)]
        whole = result.get("status", OK) == OK
        missing = [name for name in self.adds if whole and name not in result]
        if strange:
            raise StageError(
                f"stage {self.name}: adds {', '.join(strange)}, which it does not declare"
            )
        if missing:
            raise StageError(f"stage {self.name}: did not add {', '.join(missing)}")

    def facts(self) -> dict[str, str]:
        """Return the columns that every stage leaves of itself, under its name."""
        return {
            f"{self.name}_seconds": "seconds that the stage took",
            f"{self.name}_peak_mb": "its peak memory, megabytes",
            f"{self.name}_engine": "native, or official where the released program ran",
            f"{self.name}_version": "version of the method or program that ran",
        }

    def columns(self) -> dict[str, str]:
        """Return all columns that a row has from the stage, with a line on each."""
        return {**MEANINGS, **self.given, **self.adds, **self.may_add, **self.facts()}


def _is_among(name: str, patterns: Iterable[str]) -> bool:
    return any(name == pattern or fnmatchcase(name, pattern) for pattern in patterns)
