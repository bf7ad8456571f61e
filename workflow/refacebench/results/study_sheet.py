"""All slices of one participant that similarity is measured on: a figure a refaced variant."""

from __future__ import annotations

from refacebench.results import missing, words
from refacebench.results.result import STUDY, Figure, Result, View
from refacebench.results.study import HEADING


def caption(view: View, which: str) -> str:
    """Return the caption of the sheet of one refaced variant."""
    defacer, _, refacer = which.partition("+")
    shown = (
        "Faces are shown because the data set's faces are public."
        if view.public
        else "The data set's faces are private: outside the brain only a flat, heavily smoothed "
        "silhouette is shown, in all rows alike."
    )
    return words.join(
        f"The sagittal slices of one participant of the test split on which similarity is "
        f"measured, from left to right, nose to the right: the original, after {defacer}, and "
        f"refaced by {refacer or 'a model'}. One grey scale. {shown}",
        missing.images(view, variants=(defacer, which) if which else None),
    )


RESULT = Result(
    "study_sheet",
    job=STUDY,
    source="study_items",
    heading=HEADING,
    order=15,
    figures=[
        Figure(
            "study_sheet",
            "Rows of sagittal slices of one participant: original, defaced, refaced.",
            caption=caption,
            heads=True,
            title="All slices of one participant",
        )
    ],
)
