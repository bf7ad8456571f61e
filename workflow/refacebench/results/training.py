"""How refacing models were trained: curves of losses, and slices over the epochs; figures."""

from __future__ import annotations

from refacebench.results.result import Figure, Heading, Result, View


def caption_curves(view: View, name: str) -> str:
    """Return the caption of training curves."""
    which = f" of {name}" if name else ""
    return (
        f"Training{which}: losses after each epoch of a network, or each round of a statistical "
        "model. Dashed: the one that is used, and whether it is the best on the validation split "
        "or, as some methods always take that, the last. No scan of the test split took part."
    )


def caption_samples(view: View, name: str) -> str:
    """Return the caption of validation slices over the epochs of a training."""
    which = f" of {name}" if name else ""
    return (
        f"Training{which}: one slice of a validation scan in each row, as it was defaced, as the "
        "model refaced it after a few epochs, and in the original. Not every slice goes through "
        "the middle of the head."
    )


RESULT = Result(
    "training",
    heading=Heading("training", "Training of refacing models", order=800),
    order=800,
    figures=[
        Figure(
            "curves",
            "Training and validation losses by epoch or round.",
            caption=caption_curves,
            title="Losses during training",
        ),
        Figure(
            "samples",
            "Validation slices: defaced, refaced at a few epochs, original.",
            caption=caption_samples,
            heads=True,
            title="Slices during training",
        ),
    ],
)
