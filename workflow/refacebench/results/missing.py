"""Which images are missing and why, for results that count images, as the table ``flow`` has it.

Sentences for captions, no result of its own.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import pandas as pd

from refacebench.results import words
from refacebench.results.result import View
from refacebench.statistics.cohort import compared
from refacebench.statistics.losses import of_scans, phrase
from refacebench.vocabulary import (
    EXCLUDED,
    FAILED,
    MEASURING,
    NOT_WRITTEN,
    ON_IMAGES,
    ORIGINAL,
    UNAVAILABLE,
)

_STOPPED = (EXCLUDED, FAILED, NOT_WRITTEN)
#: So many different losses are told in a caption.
_MOST = 5


def images(
    view: View, counted: Mapping[str, int] | None = None, variants: Collection[str] | None = None
) -> str:
    """Return how many images of each variant are missing, and at which stage they were lost.

    Empty where none is, or the scans' flow is not known.

    Parameters
    ----------
    view : View
    counted : mapping of str to int, optional
        The scans that each variant has a value of: further images could not be compared.
    variants : collection of str, optional
        Those that matter; all where it is left out.
    """
    rows = _compared(view, variants)
    if rows.empty:
        return ""
    gone = rows["status"].isin(_STOPPED) & ~rows["stage"].isin(ON_IMAGES)
    told: dict[str, list[str]] = {}
    asked = rows[(rows["variant"] != ORIGINAL) & (rows["status"] != UNAVAILABLE)]
    for variant, mine in asked.groupby("variant", sort=False):
        lost = mine[gone[mine.index]]
        parts = [phrase(lost, rows)] if len(lost) else []
        rest = len(mine) - len(lost) - counted.get(variant, 0) if counted else 0
        if rest > 0:
            parts.append(f"{words.plural(rest, 'image')} could not be compared")
        if parts:
            told.setdefault(", ".join(parts), []).append(variant)
    said = [f"for {words.listed(names)}: {why}" for why, names in told.items()]
    if len(said) > _MOST:
        said[_MOST:] = [f"{len(said) - _MOST} more in the table flow"]
    return words.join(f"Missing {'; '.join(said)}." if said else "", unsegmented(view, variants))


def unsegmented(view: View, variants: Collection[str] | None = None) -> str:
    """Say that images without a segmentation count, if there are any among the compared scans."""
    rows = _compared(view, variants)
    if rows.empty or not (rows["status"].isin(_STOPPED) & rows["stage"].isin(ON_IMAGES)).any():
        return ""
    return "Images whose brain could not be segmented count all the same."


def _compared(view: View, variants: Collection[str] | None) -> pd.DataFrame:
    """Return the compared scans' rows of the flow, from the preparation to the measures.

    Scans that the inventory left out were never there to be shown.
    """
    flow = view.tables.get("flow", pd.DataFrame())
    if flow.empty:
        return flow
    rows = compared(of_scans(flow), view.criteria)
    rows = rows[rows["stage"].isin(MEASURING[1:])]
    return rows if variants is None else rows[rows["variant"].isin(variants)]
