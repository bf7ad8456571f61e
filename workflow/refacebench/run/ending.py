"""What a run says at its end, and whether it counts as failed.

Prints to the terminal; takes the mark of a finished run away where too many scans failed.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from pathlib import Path

from refacebench.run import failures, place

#: The mark of a finished run.
FINISHED = "results/finished.txt"
SUMMARY = "results/summary.txt"


def print_failures(outputs: Iterable[tuple[failures.Place, str]]) -> list[failures.Failed]:
    """Say where scans failed in this run and earlier ones, and what to do; return them."""
    found = failures.collect(outputs)
    if found:
        print(failures.summary(found), file=sys.stderr)
    return found


def _from_the_start(text: str) -> str:
    """Return the summary with the report's path as it is where the run was started."""
    folder = place.here()
    return (
        re.sub(r"^Report: (?=results/)", f"Report: {folder}/", text, flags=re.M) if folder else text
    )


#: What a run that only downloaded ends with.
FETCHED = "Downloaded: {}. Nothing else was run yet: the same command once more runs the study."


def finish(outputs: Iterable[tuple[failures.Place, str]], allowed: float) -> bool:
    """Say what came out, and tell whether no more scans failed than are allowed."""
    summary = Path(SUMMARY)
    if summary.is_file():
        print(_from_the_start(summary.read_text()), file=sys.stderr)
    if failures.within(print_failures(outputs), allowed):
        return True
    # Else a second run would find nothing to do and end well.
    Path(FINISHED).unlink(missing_ok=True)
    print(
        "The run counts as failed, whatever else was made. What share of the scans may fail is "
        "set by allow_failures in the config.",
        file=sys.stderr,
    )
    return False
