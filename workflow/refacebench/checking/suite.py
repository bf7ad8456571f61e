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
    age_models,
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
#: The bench of each kind, and the checks that are its own.
_KINDS: dict[str, tuple[type[Bench], tuple[Callable[[Any], None], ...]]] = {
    "age_models": (age_models.AgeBench, age_models.CHECKS),
    "attackers": (attackers.AttackerBench, attackers.CHECKS),
    "brainage": (brainage.BrainAgeBench, brainage.CHECKS),
    "datasets": (datasets.DatasetBench, datasets.CHECKS),
    "defacers": (defacers.DefacerBench, defacers.CHECKS),
    "refacers": (refacers.RefacerBench, refacers.CHECKS),
    "segmenters": (segmenters.SegmenterBench, segmenters.CHECKS),
}


@dataclass(frozen=True)
class CheckResult:
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


def checks(kind: str) -> list[Callable[[Any], None]]:
    """Return the checks of a kind of methods, in order."""
    return [*declaration.CHECKS, *_KINDS[kind][1]]


def bench(chosen: Chosen, folder: Path) -> Bench:
    """Return the bench for a method; data are made when a check asks for them."""
    return _KINDS[chosen.kind][0](chosen, Path(folder))


def run(chosen: Chosen, folder: Path) -> Iterator[CheckResult]:
    """Run all checks on a method, one after the other.

    Parameters
    ----------
    chosen : Chosen
    folder : Path
        For what the checks write.

    Yields
    ------
    CheckResult
    """
    place = bench(chosen, folder)
    for check in checks(chosen.kind):
        yield once(check, place)


def once(check: Callable[[Any], None], place: Bench) -> CheckResult:
    """Run one check; whatever the method raises is a finding.  What it prints is dropped."""
    what = sentence(check)
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            check(place)
    except NotChecked as reason:
        return CheckResult(SKIP, what, str(reason))
    except Broken as reason:
        return CheckResult(FAIL, what, str(reason))
    except Exception as error:
        return CheckResult(FAIL, what, told(error))
    return CheckResult(PASS, what)


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
