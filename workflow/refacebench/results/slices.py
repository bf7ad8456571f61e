"""Example slices of one participant of the test split, all variants side by side: a figure."""

from __future__ import annotations

from refacebench.results.result import Figure, Heading, Result, View


def caption(view: View, which: str) -> str:
    """Return the caption of the example slices."""
    if view.public:
        return (
            "Mid-sagittal and eye-level slices of one participant of the test split in every "
            "variant, one grey scale; the left of the image is the left of the participant. "
            "Shown unblurred because the data set's faces are public."
        )
    return (
        "Mid-sagittal and eye-level slices of one participant of the test split in every variant. "
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
            "Sagittal and axial example slices, one pair a variant.",
            caption=caption,
            heads=True,
        )
    ],
)
