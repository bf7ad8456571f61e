"""Example slices of one participant of the test split, all variants side by side: a figure."""

from __future__ import annotations

from refacebench.results import missing, words
from refacebench.results.result import Figure, Heading, Result, View


def caption(view: View, which: str) -> str:
    """Return the caption of the example slices."""
    return words.join(_shown(view), missing.images(view))


def _shown(view: View) -> str:
    if view.public:
        return (
            "One participant of the test split in every variant: a mid-sagittal, a coronal and an "
            "eye-level axial slice, and the surface of the head, seen a little from the side. One "
            "grey scale. In the slices the left of the image (L) is the left of the participant, "
            "and P and A are the back and the front. Faces are shown "
            "because the data set's faces are public."
        )
    return (
        "Mid-sagittal, coronal and eye-level axial slices of one participant of the test split "
        "in every variant; the left of the image (L) is the left of the participant. "
        "The data set's faces are private: outside the brain only a flat, heavily smoothed "
        "silhouette is shown, for the original and every variant alike."
    )


RESULT = Result(
    "slices",
    heading=Heading("slices", "Example slices", order=500),
    order=500,
    figures=[
        Figure(
            "slices",
            "Example slices in three planes, with a picture of the face where it may be shown, for "
            "every variant.",
            caption=caption,
            heads=True,
            title="Slices and faces",
        )
    ],
)
