"""What the checks of all kinds share: the bench, and how a check ends."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from refacebench.run.methods import Chosen

#: Errors that tell a reader nothing: the method has not looked at what it was given.
UNCLEAR = (
    AttributeError,
    AssertionError,
    IndexError,
    KeyError,
    NameError,
    TypeError,
    ZeroDivisionError,
)
#: A message that is shorter than this explains nothing.
LEAST_WORDS = 8


class Broken(Exception):
    """A method does not keep its contract; the message says how."""


class NotChecked(Exception):
    """A check cannot be done here; the message says why."""


@dataclass
class Bench:
    """A method and what it is checked with.

    Attributes
    ----------
    chosen : Chosen
        The method with its options.
    folder : Path
        For files.
    """

    chosen: Chosen
    folder: Path

    @property
    def method(self) -> Any:
        """What the file declares."""
        return self.chosen.method

    @property
    def options(self) -> dict[str, Any]:
        """The options, a copy: a method may write into them."""
        return dict(self.chosen.options)


def expect(holds: object, why: str) -> None:
    """Go on if something holds.

    Raises
    ------
    Broken
        If not.
    """
    if not holds:
        raise Broken(why)


def untouched(before: dict[str, np.ndarray], after: dict[str, np.ndarray]) -> None:
    """Check that arrays are what they were, bit for bit."""
    for name, array in before.items():
        expect(array.tobytes() == after[name].tobytes(), f"it wrote into {name}; work on a copy")


@contextlib.contextmanager
def clear_error() -> Iterator[None]:
    """Let a method refuse what it is given, but only with a sentence that helps."""
    try:
        yield
    except UNCLEAR as error:
        raise Broken(
            f"{type(error).__name__} ({error}) does not say what is wrong with the scan; raise "
            "ValueError with one clear sentence"
        ) from error
    except Broken:
        raise
    except Exception as error:
        expect(
            len(str(error)) >= LEAST_WORDS,
            f"{type(error).__name__} has no message; say in one sentence what is wrong",
        )
