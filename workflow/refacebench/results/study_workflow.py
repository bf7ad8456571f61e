"""The way of a scan through this study, drawn from what ran: a figure."""

from __future__ import annotations

from typing import Any

from refacebench.plot import flowchart
from refacebench.results.result import STUDY, Figure, Result, View
from refacebench.results.study import HEADING
from refacebench.vocabulary import split_variant


def caption(view: View) -> str:
    """Return the caption of the workflow."""
    return (
        "The way of each scan through this study. Originals, defaced and refaced scans are "
        "measured in the same way; each is compared with its own original."
    )


def draw(view: View) -> Any:
    """Draw the methods of the run from left to right."""
    variants = [v for v in view.look.order if v not in ("original", "blurred", "black")]
    defacers = [v for v in variants if "+" not in v and v != "null"]
    refacers = dict.fromkeys(str(split_variant(v)[1]) for v in variants if "+" in v)
    volumes = view.tables.get("volumes")
    segmenters = list(dict.fromkeys(volumes["segmenter"])) if volumes is not None else []
    privacy = view.tables.get("privacy")
    attackers = list(dict.fromkeys(privacy["attacker"])) if privacy is not None else []
    return flowchart.draw(
        [
            ("Original scans", []),
            ("Face removed or replaced by", defacers),
            ("Face put back by", list(refacers)),
            ("Segmented from scratch by", segmenters),
            ("Compared with the original", ["volumes", "overlap", "similarity"]),
        ],
        below=("Attacked by", attackers, 2),
        skips=[(0, 3), (1, 3)],
    )


RESULT = Result(
    "study_workflow",
    job=STUDY,
    source="study_items",
    caption=caption,
    heading=HEADING,
    order=3,
    figures=[
        Figure(
            "study_workflow",
            "Boxes and arrows: from original scans through defacers, refacing models and "
            "segmenters to the comparison.",
            draw,
            title="Workflow",
        )
    ],
)
