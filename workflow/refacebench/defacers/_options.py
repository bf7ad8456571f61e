"""Options that several defacers have, so that they mean the same everywhere."""

from __future__ import annotations

from refacebench.contracts import Option
from refacebench.head import region

PROTECT_MARGIN = Option(
    0.0, "This much around the brain is left alone as well.", unit="mm", least=0
)
ON_MISSING = Option(
    "stop",
    "Whether a run stops at its start where the program or its files are missing, or skips this "
    "defacer and shows it as unavailable.",
    choices=("stop", "skip"),
)


def upper(default: str, more: tuple[str, ...] = ()) -> Option:
    """Return the option for the level up to which the face is taken."""
    return Option(
        default,
        "How far up the face is taken: below the eyes, with the eyes, or with the brow"
        + (", or as the method does by itself (own)." if more else "."),
        choices=(*more, *region.LEVELS),
    )


def ears(default: bool, what: str = "Whether the ears are taken as well.") -> Option:
    """Return the option for the ears."""
    return Option(default, what)
