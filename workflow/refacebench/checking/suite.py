"""Run the checks of a kind of methods, one after the other."""

from __future__ import annotations

import contextlib
import io
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from refacebench.checking import (
    attackers,
    brainage,
    datasets,
    declaration,
    defacers,
    refacers,
    segmenters,
)
from refacebench.checking.bench import Bench, Broken, NotChecked
from refacebench.run.methods import Chosen

PASS, FAIL, SKIP = "PASS", "FAIL", "SKIP"
_KINDS: dict[str, Any] = {
    "attackers": attackers,
    "brainage": brainage,
    "datasets": datasets,
    "defacers": defacers,
    "refacers": refacers,
    "segmenters": segmenters,
}


@dataclass(frozen=True)
class Finding:
    """What came of one check.

    Attributes
    ----------
    status : str
        :data:`PASS`, :data:`FAIL` or :data:`SKIP`.
    what : str
        What the check makes sure of.
    why : str
        Why it failed or was not done; empty for a check that passed.
    """

    status: str
    what: str
    why: str = ""

    def __str__(self) -> str:
        """Return the line that a reader sees."""
        return f"{self.status}  {self.what}" + (f": {self.why}" if self.why else "")


def checks(kind: str) -> list[Callable[[Bench], None]]:
    """Return the checks of a kind of methods, in order."""
    return [*declaration.CHECKS, *_KINDS[kind].CHECKS]


def bench(chosen: Chosen, folder: Path) -> Bench:
    """Return the bench for a method; data are made when a check asks for them."""
    return _KINDS[chosen.kind].Bench(chosen, Path(folder))


def run(chosen: Chosen, folder: Path) -> Iterator[Finding]:
    """Run all checks on a method, one after the other.

    Parameters
    ----------
    chosen : Chosen
    folder : Path
        For what the checks write.

    Yields
    ------
    Finding
    """
    place = bench(chosen, folder)
    for check in checks(chosen.kind):
        yield once(check, place)


def once(check: Callable[[Bench], None], place: Bench) -> Finding:
    """Run one check; whatever the method raises is a finding.  What it prints is dropped."""
    what = sentence(check)
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            check(place)
    except NotChecked as reason:
        return Finding(SKIP, what, str(reason))
    except Broken as reason:
        return Finding(FAIL, what, str(reason))
    except Exception as error:
        return Finding(FAIL, what, told(error))
    return Finding(PASS, what)


def sentence(check: Callable) -> str:
    """Return what a check makes sure of."""
    return (check.__doc__ or check.__name__).strip().splitlines()[0].rstrip(".")


def told(error: Exception) -> str:
    """Return an exception of a method in one line, with the place in the method's file."""
    own = [
        at
        for at in traceback.extract_tb(error.__traceback__)
        if "/refacebench/checking/" not in at.filename and "site-packages" not in at.filename
    ]
    place = f" ({own[-1].filename}, line {own[-1].lineno})" if own else ""
    said = " ".join(str(error).split()) or "no message"
    return f"{type(error).__name__}: {said}{place}"
