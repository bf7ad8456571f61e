"""The part of the methods section on the checks of face and brain, and on attacks.

Pure: values in, text out.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from refacebench.metrics.verdict import thresholds
from refacebench.plot.numbers import percent
from refacebench.results import findings, privacy_galleries, sentences, words
from refacebench.results.words import listed
from refacebench.run.configuration import quality_thresholds
from refacebench.statistics.attack_tables import attackers as attacked_by
from refacebench.statistics.attack_tables import is_control
from refacebench.statistics.protocol import Protocol
from refacebench.vocabulary import BLACK, BLURRED, ORIGINAL, SKULL_STRIP


def checks(datasets: Sequence[Mapping[str, Any]], config: Mapping[str, Any]) -> str:
    """Return when a face counted as kept and a brain as lost, and where no check can tell."""
    judged = [d for d in datasets if (t := d["tables"].get("quality")) is not None and len(t)]
    if not judged:
        return ""
    limits = {
        name: f"{100 * value:g} %" for name, value in thresholds(quality_thresholds(config)).items()
    }
    ears = "ears were measured and did not count"
    if limits["ears_left"] != "100 %":
        ears = f"or more than {limits['ears_left']} of the surface of the ears"
    rim = thresholds(quality_thresholds(config))["brain_rim_mm"]
    return words.join(
        "Whether the face was removed and the brain kept was checked automatically. A scan kept "
        f"its face (Failure I) where more than {limits['face_left']} of the original face surface "
        f"was left, on average over nose, eyes and lower face ({ears}). Brain was lost (Failure "
        f"II) where more than {limits['brain_removed_share']} of the brain mask's volume was "
        f"removed or replaced below its outer {rim:g} mm, or more than "
        f"{limits['brain_rim_share']} in all.",
        *(_unseen(d, len(datasets) > 1) for d in judged),
        "Where there are true labels, scans that failed by them count in the verdict too."
        if any(len(d["tables"].get("verdict_agreement", ())) for d in judged)
        else "",
    )


def _unseen(dataset: Mapping[str, Any], named: bool) -> str:
    """Return on which methods the check of the brain cannot fail; empty for none."""
    tables = dataset["tables"]
    spared = [
        name
        for name in dict.fromkeys(tables["quality"]["variant"])
        if not is_control(name) and findings.finding(tables, name).spared
    ]
    if not spared:
        return ""
    where = f" in data set {dataset['name']}" if named else ""
    return (
        f"Loss of brain is {findings.NOT_TESTABLE} by this check on {listed(spared)}{where}, which "
        f"{'spares' if len(spared) == 1 else 'spare'} the very mask by which it judges."
    )


def attacks(dataset: Mapping[str, Any], config: Mapping[str, Any], named: bool) -> str:
    """Return which attacks were made, on what, and how they were tested."""
    tables = dataset["tables"]
    table = tables.get("privacy")
    of_which = f"In data set {dataset['name']}: " if named else ""
    if table is None or table.empty or not attacked_by(table):
        return f"{of_which}No attack was made: whether people can be recognised was not measured."
    protocol = Protocol.from_config(config)
    measure = (
        f"the choice of the right person among {protocol.options} pictures"
        if protocol.measure == "choice"
        else "rank-1 identification in the whole gallery"
    )
    return words.join(
        f"{of_which}The primary measure of attacks was {measure}. {_matched(tables, protocol)}",
        "Attackers knew each person by one original, from another session where there was one. The "
        "easier comparison with the very same scan stands beside it, and counts too: a method on "
        "which it does better than chance gets no 'go'.",
        "Whether an attack did better than chance was tested exactly, by exchanging the identities "
        f"of participants, {words.ATTACKS_CORRECTED}.",
        _controls(set(table["variant"])),
        "Per variant the strongest attack was reported, with an interval that "
        "allows for having picked it. An attack counted as near chance where it was shown to be "
        f"less than {protocol.margin_points:g} percentage points above it.",
        _other_contrasts(tables.get("privacy_contrasts")),
        sentences.unequal_attacks(tables, dict.fromkeys(table["variant"])),
    )  # fmt: skip


def _other_contrasts(table: pd.DataFrame | None) -> str:
    """Return that other images of a session were attacked too; empty where none were."""
    if table is None or table.empty:
        return ""
    contrasts = listed(list(table["contrast"].dropna().unique()))
    return (
        f"The {contrasts} images of a session lost the face by the T1w scan's mask. They were "
        "attacked too, and matched with T1w originals."
    )


#: What an attack on each of these shows.
_SHOWN = {
    ORIGINAL: (
        "the untouched originals (an attack that is not shown to recognise these better than "
        "chance proves nothing)"
    ),
    BLURRED: "blurred pictures (which show little more than the outline of the head)",
    BLACK: "black pictures (which it must not recognise)",
}


def _controls(attacked: Collection[str]) -> str:
    """Return what else was attacked, and what for."""
    shown = [text for name, text in _SHOWN.items() if name in attacked]
    return words.join(
        f"Each attack was also made on {listed(shown)}." if shown else "",
        f"Skull-stripped scans ({SKULL_STRIP}) show what the brain alone gives away."
        if SKULL_STRIP in attacked
        else "",
    )


def _matched(tables: Mapping[str, pd.DataFrame], protocol: Protocol) -> str:
    """Return what the people to choose from have in common, and what that leaves to see."""
    if not protocol.match:
        return "The other people to choose from were matched on nothing."
    band = {"age": f"age (in bands of {protocol.age_band_years:g} years)"}
    names = [band.get(name, name) for name in protocol.match]
    asked = f"The other people to choose from were matched on {listed(names)}"
    known = tables.get("privacy_galleries")
    told = [] if known is None or known.empty else list(known["matched_on"].dropna().unique())
    if not told:
        return f"{asked} where that was known of anybody; here it was of nobody."
    knows, rate = privacy_galleries.alone(known, protocol.measure)
    reached = (
        f" Someone who knows only {knows}, and has no image, picks the right person for "
        f"{percent(rate)} % of people."
        if np.isfinite(rate)
        else ""
    )
    return f"{asked} where there were enough alike; here, {words.matched(told[0])}.{reached}"
