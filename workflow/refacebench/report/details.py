"""What the row of a method in the table of verdicts opens: its attacks, volumes and failures.

Pure functions: result tables in, tables of text out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from refacebench.plot.numbers import NO_VALUE, chance, number, p_value, percent, with_ends
from refacebench.plot.privacy_utility import CORRECTED
from refacebench.plot.volumes import region_label
from refacebench.report.blocks import Table
from refacebench.results import findings, sentences, verdict_table, words
from refacebench.results.flow import LOST
from refacebench.results.result import View
from refacebench.results.words import plural
from refacebench.statistics.attack_tables import (
    SETTING_WORDS,
    TAKEN_OFF,
    attacked_by,
    with_contrasts,
)
from refacebench.statistics.losses import of_scans
from refacebench.vocabulary import SAME_SCAN, SKULL_STRIP, split_contrast, split_variant

#: Volumes and reasons of a method that are shown, and all volumes that are shown to change.
MOST = 6


@dataclass(frozen=True)
class Details:
    """What is known of one method.

    Attributes
    ----------
    groups : list of (str, list of str)
        What is known of it, how sure that is and what is not known: sentences, under headings.
    facts : list of (str, str)
        What else there is to know, by name.
    tables : list of Table
        Attacks, volumes, failures; without those of which there is nothing to say.
    """

    groups: list[tuple[str, list[str]]]
    facts: list[tuple[str, str]]
    tables: list[Table]


def of(view: View, variant: str, methods: Mapping[str, Mapping[str, Any]]) -> Details:
    """Return the details of one method.

    Parameters
    ----------
    methods : mapping
        By the name of a defacer or refacer: ``engine`` and ``licence``.
    """
    found = findings.finding(view.tables, variant, view.criteria.alpha)
    made = (attacks(view, variant), volumes(view, variant), failures(view, variant))
    return Details(
        sentences.told(found).groups,
        verdict_table.facts(view, variant, methods, view.criteria.alpha),
        [table for table in made if table],
    )


def attacks(view: View, variant: str) -> Table | None:
    """Return every attack on a method, those that first put a face back included."""
    table = view.rows("privacy")
    if table.empty:
        return None
    table = with_contrasts(table, view.rows("privacy_contrasts"))
    rows, reached = [], {}
    for how, name in _routes(variant, table):
        for _, row in table[table["variant"] == name].iterrows():
            measure = str(row["measure"])
            rate, low, high = (
                row.get(f"{measure}_completers{end}") for end in ("", "_low", "_high")
            )
            if rate is None or not np.isfinite(rate):
                continue
            by_chance = row["choice_chance"] if measure == "choice" else row["chance"]
            beats = row["p_holm"] < view.criteria.alpha
            reached[str(row["attacker"]), how, row["setting"]] = float(rate)
            rows.append(
                [
                    str(row["attacker"]),
                    how,
                    SETTING_WORDS.get(row["setting"], str(row["setting"])),
                    f"{percent(rate)} % [{percent(low)}, {percent(high)}]",
                    f"{chance(by_chance)} %",
                    f"{'yes' if beats else 'not shown'} ({_p(row['p_holm'])})",
                ]
            )
    columns = [
        "Attacker",
        "Image attacked",
        "Compared with",
        "Right",
        "Chance",
        "Better than chance",
    ]
    caption = (
        "Attacks: how often each is right, by itself (two-sided intervals). Better than chance: "
        f"exact test, its p {words.ATTACKS_CORRECTED}. Where an interval and the test disagree, "
        "the test decides. The verdict's rate of the strongest attack is "
        f"{CORRECTED} as well."
    )
    if any(reached.get((who, how, SAME_SCAN), 1.0) < r for (who, how, _), r in reached.items()):
        caption += (
            " The same scan is the easier comparison; with few people it may come out lower by "
            "chance, as here."
        )
    return Table(caption, columns, rows) if rows else None


def _p(value: float) -> str:
    text = p_value(value)
    return f"p {text}" if text.startswith("<") else f"p = {text}"


def _routes(variant: str, table: pd.DataFrame) -> Iterator[tuple[str, str]]:
    """Yield how an attacker may come to a variant's face, and what is then attacked."""
    defacer, refacer = split_variant(variant)
    yield "the image as it is", variant
    if refacer:
        yield "after the new face was taken off", attacked_by(variant, TAKEN_OFF)
    for name in dict.fromkeys(table["variant"]):
        shown, contrast = split_contrast(name)
        if contrast and shown == defacer:
            yield f"the {contrast} image that is shared with it", name
            continue
        own, model = split_variant(name)
        if model and own == defacer and name != variant:
            yield f"after {model} put a face back", attacked_by(variant, model)


def volumes(view: View, variant: str) -> Table | None:
    """Return the volumes that a method is shown to change, then its largest other changes.

    By the first segmenter.
    """
    table = view.rows("volumes")
    if table.empty:
        return None
    table = table[table["segmenter"] == table["segmenter"].iloc[0]]
    table = table[(table["variant"] == variant) & table["median_change_pct"].notna()]
    size = table["median_change_pct"].abs().sort_values(ascending=False, kind="stable")
    ordered = table.loc[size.index]
    changed = (ordered["p_holm"] < view.criteria.alpha) | _beyond(ordered)
    others = ordered[~changed].head(max(0, MOST - int(changed.sum())))
    listed = pd.concat([ordered[changed], others])
    rows = [
        [
            region_label(str(row["region"])),
            "{} % [{}, {}]".format(
                *with_ends(row["median_change_pct"], row["low"], row["high"], 2, True)
            ),
            f"{number(row['margin_pct'], 2)} %" if np.isfinite(row["margin_pct"]) else NO_VALUE,
            _shown(row, view.criteria.alpha),
        ]
        for _, row in listed.iterrows()
    ]
    caption = (
        f"{_which(int(changed.sum()), len(others), len(table))}: median change (two-sided "
        "interval), the margin of equivalence, and what the tests show. These intervals are for "
        "one volume alone; 'shown' allows for the number of tests and is stricter. The figure of "
        "attacks and volumes has wider intervals for the same changes, because it picks the "
        "largest of all volumes. Undecided: shown neither to stay within the margin nor to leave "
        "it."
    )
    caption = words.join(caption, _larger_though_lost(view, variant, table))
    return Table(caption, ["Volume", "Change", "Margin", "Shown"], rows) if rows else None


def _beyond(row: Any) -> Any:
    """Tell of a volume, or of each in a table, whether it is shown to leave its margin."""
    return (row["low_joint"] > row["margin_pct"]) | (row["high_joint"] < -row["margin_pct"])


def _which(changed: int, others: int, measured: int) -> str:
    """Return which volumes are listed.

    >>> _which(3, 3, 23)
    'All 3 volumes of 23 that are shown to change, then the 3 that change most of the others'
    """
    if not changed:
        return f"No volume of {measured} is shown to change; the {others} that change most"
    first = f"The only volume of {measured} that is shown to change" if changed == 1 else (
        f"All {changed} volumes of {measured} that are shown to change")  # fmt: skip
    if not others:
        return first
    then = "the one that changes" if others == 1 else f"the {others} that change"
    return f"{first}, then {then} most of the others"


def _larger_though_lost(view: View, variant: str, table: pd.DataFrame) -> str:
    """Return why tissue can be measured as larger where brain was lost; empty where it is not."""
    truth = findings.check_of(view.tables, variant, "failure_2")
    lost = truth is not None and truth.found + truth.missed > 0
    tissue = table[table["region"].isin(("brain", "gm", "wm"))]
    grown = tissue.loc[tissue["low"] > 0, "region"]
    if grown.empty or not (lost or split_variant(variant)[0] == SKULL_STRIP):
        return ""
    named = words.listed([region_label(str(region)) for region in grown])
    return (
        f"That {named} came out larger does not mean that no brain was lost: the segmenter is made "
        "for whole heads, and where skull and fluid around the brain are gone it takes other "
        "voxels for tissue. The changes say how far a later user's measurements would be off."
    )


def _shown(row: pd.Series, alpha: float) -> str:
    """Return what is shown of a volume, each in one group only."""
    changed = row["p_holm"] < alpha
    if _beyond(row):
        return "changed by more than the margin"
    if row["equivalent"] == 1:
        return "within the margin" + (", though changed" if changed else "")
    return "changed, by how much is undecided" if changed else "undecided"


def failures(view: View, variant: str) -> Table | None:
    """Return the scans that were lost in a method, by stage and reason."""
    table = view.rows("flow")
    if table.empty:
        return None
    lost = table[(table["variant"] == variant) & table["status"].isin(LOST)]
    if lost.empty:
        return None
    lost = lost.assign(reason=lost["reason"].fillna(""))
    counts = lost.groupby(["stage", "status", "reason"], sort=False)["scan"].nunique()
    counts = counts.sort_values(ascending=False, kind="stable")
    rows = [
        [str(stage), str(status), str(n), str(reason)]
        for (stage, status, reason), n in counts.head(MOST).items()
    ]
    left = len(counts) - len(rows)
    more = f" {plural(left, 'more reason')} in the table flow." if left else ""
    n = lost["scan"].nunique()
    what = "scan" if len(of_scans(lost)) == len(lost) else "image"
    caption = f"{plural(n, what)} {'was' if n == 1 else 'were'} lost, by stage and reason.{more}"
    return Table(caption, ["Stage", "Status", f"{what.capitalize()}s", "Reason"], rows)
