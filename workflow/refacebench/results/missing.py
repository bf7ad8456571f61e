"""Which images are missing and why, for results that count images: said of the table ``flow``.

No table of its own: a sentence for captions.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

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
    flow = view.tables.get("flow")
    if flow is None or flow.empty:
        return ""
    rows = compared(of_scans(flow), view.criteria)
    # Scans that the inventory left out were never there to be shown.
    rows = rows[rows["stage"].isin(MEASURING[1:])]
    if variants is not None:
        rows = rows[rows["variant"].isin(variants)]
    stopped, on_image = rows["status"].isin(_STOPPED), rows["stage"].isin(ON_IMAGES)
    gone = stopped & ~on_image
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
    said = "; ".join(f"of {words.listed(names)}: {why}" for why, names in told.items())
    return words.join(
        f"Missing {said}." if said else "",
        "Images whose brain could not be segmented count all the same."
        if (stopped & on_image).any()
        else "",
    )
