"""Scans that entered and left each stage, for each variant.

render, enrol and attack
begin with the variant's image again, and a scan that any attacker lost is
lost.  Companions of a scan are counted in ``carried``.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from refacebench.plot.numbers import NO_VALUE
from refacebench.results import words
from refacebench.results.flow import total
from refacebench.results.result import FLOW, Printed, Result, View
from refacebench.vocabulary import (
    ATTACKING,
    EXCLUDED,
    FAILED,
    MEASURING,
    MISSING,
    NOT_USED,
    NOT_WRITTEN,
    OK,
    STAGES,
    UNAVAILABLE,
    split_variant,
)


def compute(table: pd.DataFrame, stages: Sequence[str] = MEASURING) -> pd.DataFrame:
    """Return how many scans entered and left each stage, for each variant.

    ``n_in = n_ok + n_excluded + n_failed + n_unavailable``; of ``n_ok``, the
    ``n_not_used`` (those that had done their part among them) and ``n_missing``
    do not enter the next stage.

    Parameters
    ----------
    table : pandas.DataFrame
        One row per scan and variant.
    stages : sequence of str
        Those of the table, in their order.
    """
    rows = []
    for variant, scans in table.groupby("variant", sort=False):
        place = scans["stage"].map(stages.index)
        last = int(place.max())
        for stage in [s for s in stages[: last + 1] if _applies(s, variant)]:
            number = stages.index(stage)
            here = scans[place == number]["status"].replace(NOT_WRITTEN, FAILED).value_counts()
            done = here.get(OK, 0) if number < last else 0
            entered = int((place >= number).sum())
            ends = (EXCLUDED, FAILED, UNAVAILABLE)
            stopped = {f"n_{name}": int(here.get(name, 0)) for name in ends}
            rows.append(
                {
                    "variant": variant,
                    "stage": stage,
                    "n_in": entered,
                    "n_ok": entered - sum(stopped.values()),
                    **stopped,
                    "n_not_used": int(here.get(NOT_USED, 0) + done),
                    "n_missing": int(here.get(MISSING, 0)),
                }
            )
    return RESULT.frame(rows)


def of_both_ways(
    measured: pd.DataFrame, branch: pd.DataFrame | None, stages: Sequence[str] = MEASURING
) -> pd.DataFrame:
    """Return the counts on the way to the measures and, where there is one, to the attacks."""
    counts = [compute(measured, stages)]
    if branch is not None:
        counts.append(compute(branch, ATTACKING))
    return pd.concat(counts, ignore_index=True)


def _applies(stage: str, variant: str) -> bool:
    """Tell whether a variant goes through a stage at all."""
    if stage == "deface":
        return variant != "original"
    return stage != "reface" or split_variant(variant)[1] is not None


def caption(view: View) -> str:
    """Return the caption of the numbers of scans in each stage."""
    return words.join(
        f"Scans that entered and left each stage, for each variant: {total(view.tables)}",
        "render, enrol and attack begin with the variant's image, beside segment and measure; "
        "what any attacker lost counts there as lost."
        if set(view.rows("flow_counts").get("stage", ())) & set(ATTACKING)
        else "",
    )


def page_caption(view: View) -> str:
    """Return the caption of the numbers on the page, where there is less room."""
    attacked = set(view.rows("flow_counts")["stage"]) & set(ATTACKING)
    return words.join(
        "Scans that came out of each stage, of those that went in. All methods share the "
        "preparation; after it, training and validation scans and later sessions drop out on "
        "purpose where a method has no use for them.",
        "Rendering, enrolment and attack begin with a variant's image again, beside segmentation "
        "and measures; a scan counts as lost there if any attacker lost it."
        if attacked
        else "",
    )


def printed(view: View) -> Printed:
    """Return the number of scans that came out of each stage, one row per variant."""
    counts, look = view.rows("flow_counts"), view.look
    stages = list(dict.fromkeys(counts["stage"]))
    stages = [s for s in STAGES if s in stages] + [s for s in stages if s not in STAGES]
    rows = []
    for variant in look.sort(counts["variant"]):
        mine = counts[counts["variant"] == variant].set_index("stage")
        cells = [
            f"{int(mine.loc[s, 'n_ok'])}/{int(mine.loc[s, 'n_in'])}"
            if s in mine.index
            else NO_VALUE
            for s in stages
        ]
        rows.append([look.label(variant), *cells])
    return ["Variant", *[s.capitalize() for s in stages]], rows


RESULT = Result(
    "flow_counts",
    about=__doc__,
    job=FLOW,
    columns="variant stage n_in n_ok n_excluded n_failed n_unavailable n_not_used n_missing",
    compute=lambda given, _: of_both_ways(given.measured, given.branch, given.stages),
    caption=caption,
    order=20,
    printed=printed,
)
