"""The privacy-utility plane: the strongest attack on a variant, against the change in volumes.

The strongest over attackers and reconstructions (:mod:`~refacebench.statistics.routes`)
against the largest change of a volume, with the Pareto front.  Attackers that look at no face
are set apart: what they reach is drawn as a *floor*, because removing a face leaves skull and
brain as they are, and counting it would hide what defacing does achieve.  What "better beyond
uncertainty" means: :mod:`~refacebench.statistics.front`.

``identification`` is how often the strongest attack identifies ``n_completers``
participants, picked on some and judged on others; ``low`` and ``high`` hold the true worst case,
whatever the number of ``n_routes``, so that ``low`` above ``chance`` says that an attack beats
chance.  ``worst_attacker`` and ``worst_route`` name the attack that looks strongest and
``worst_rate`` is what it was observed to reach, as in the table ``privacy``: too high on
average.  ``p`` tests whether any route is above chance (:mod:`~refacebench.statistics.worst`),
for this variant alone.  ``p_holm`` is the smallest corrected p of its attacks, those of the table
``privacy``, corrected over all attacks of a ``family`` and setting; ``beaten`` is 1 where it is
below the level, so that stars and verdicts are the same.  ``above_chance_at_most`` is the one-sided
upper bound of the worst case less chance, ``within_margin`` 1 where that is less than
``margin_points`` for every route.
``n_failed`` counts participants without any score on the variant; ``identification_all``
counts them as identified.  ``volume_change_pct`` is the largest absolute median change over
all volumes, that of ``worst_volume``.  ``comparable`` is 0 where half or more failed; such a
variant has no ``rank``.  Variants that nothing separates share a ``rank``; ``pareto`` is 1 for
rank 1 where no attack beats the variant, not even with the very same scan, else 0, and missing for
controls.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from refacebench.plot.privacy_utility import CORRECTED, draw
from refacebench.plot.style import Look
from refacebench.results import decisions, sentences, words
from refacebench.results.privacy import HEADING
from refacebench.results.result import ATTACKS, Figure, Result, View
from refacebench.results.volume_tests import FAMILIES
from refacebench.statistics import front
from refacebench.statistics.attack_tables import is_control, is_unranked, main_rows, with_contrasts
from refacebench.statistics.attack_tests import CONTROLS, METHODS
from refacebench.statistics.attacks import Evaluation
from refacebench.statistics.criteria import Criteria
from refacebench.statistics.losses import passed_on
from refacebench.statistics.protocol import Protocol
from refacebench.statistics.routes import against, declared_measure, spread_of_chances, worst_case
from refacebench.vocabulary import (
    PICTURE_CONTROLS,
    SETTINGS,
    UNDEFACED,
    split_contrast,
    split_variant,
)

#: The variants that are no candidates: they stand in the plane as landmarks.
LANDMARKS = UNDEFACED
#: Columns of the floor, and what they are called in a worst case.
FLOOR = {
    "floor_attacker": "worst_attacker",
    "floor": "identification",
    "floor_low": "low",
    "floor_high": "high",
}
#: Failures at which a variant is no longer comparable, as a share of the participants or scans.
MOST_FAILED = 0.5


def compute(
    results: Sequence[Evaluation],
    volumes: pd.DataFrame,
    protocol: Protocol,
    criteria: Criteria,
    floors: Collection[str] = (),
) -> pd.DataFrame:
    """Return the table ``tradeoff``: one row per setting, segmenter and variant.

    ``floors`` names the attackers that look at no face.  Their worst case stands
    in the columns ``floor...``; it counts as the worst case itself only where
    nobody else attacks.

    ``rank`` is 1 (and ``pareto`` 1 unless an attack of any setting beats it) where no other
    variant of the same setting and segmenter is shown to be better in identification or volumes
    and looks no worse in the other (rates below chance count as chance); landmarks (original, null
    control) and variants that are not comparable do not compete.  Pairs with a control that does
    (skull stripping) are corrected apart.
    """
    measure = declared_measure(results, protocol)
    segmenters = list(dict.fromkeys(volumes["segmenter"])) or [""]
    rows, attacked, spread = [], {}, {}
    for setting in SETTINGS:
        mine = [r for r in results if r.row["setting"] == setting]
        variants = [
            v
            for v in dict.fromkeys(r.row["variant"] for r in mine)
            if v not in PICTURE_CONTROLS and not split_contrast(v)[1]
        ]
        apart = [r for r in mine if r.row["attacker"] in floors]
        faces = [r for r in mine if r.row["attacker"] not in floors] or apart
        cases = {v: worst_case(faces, v, measure, criteria) for v in variants}
        found = {v: row for v, row in cases.items() if row is not None}
        attacked[setting] = {v: against(faces, v, measure) for v in found}
        spread[setting] = spread_of_chances(faces, measure)
        for variant, row in found.items():
            floor = worst_case(apart, variant, measure, criteria) or {}
            for segmenter in segmenters:
                rows.append(
                    {
                        "variant": variant,
                        "setting": setting,
                        "segmenter": segmenter,
                        **row,
                        **_verdict(variant, row, protocol, criteria),
                        **{column: floor.get(name, np.nan) for column, name in FLOOR.items()},
                        **volume_change(volumes, segmenter, variant),
                    }
                )
    table = RESULT.frame(rows)
    table["comparable"] = _comparable(table)
    table[["rank", "pareto"]] = np.nan
    table.loc[table["comparable"] == 0, "pareto"] = 0.0
    beaten = set(table.loc[table["beaten"] == 1, "variant"])
    for (setting, _), group in table.groupby(["setting", "segmenter"], sort=False):
        rivals = group[group["comparable"] == 1]
        rivals = rivals[rivals["volume_change_pct"].notna()]
        ranks = _ranks(rivals, attacked[setting], spread[setting], criteria)
        table.loc[rivals.index, "rank"] = ranks.astype(float)
        on_front = (ranks == 1) & ~rivals["variant"].isin(beaten)
        table.loc[rivals.index, "pareto"] = on_front.astype(float)
    return table


def _verdict(
    variant: str, row: Mapping[str, Any], protocol: Protocol, criteria: Criteria
) -> dict[str, Any]:
    """Return whether an attack beats the variant, and whether all are within the margin."""
    p, above = row.get("p_holm", np.nan), row.get("above_chance_at_most", np.nan)
    return {
        "family": CONTROLS if is_control(variant) else METHODS,
        "margin_points": protocol.margin_points,
        "beaten": float(p < criteria.alpha) if np.isfinite(p) else np.nan,
        "within_margin": float(100 * above < protocol.margin_points)
        if np.isfinite(above)
        else np.nan,
    }


def _comparable(table: pd.DataFrame) -> pd.Series:
    """Return 1 for variants that compete, 0 where too many failed, NaN for landmarks."""
    few = table["n_failed"] >= MOST_FAILED * table["n"]
    few |= table["identification"].isna()
    # Where nothing is known of the volumes there is no place in the plane, but no fault either.
    few |= table["volume_failed_share"].fillna(0.0) >= MOST_FAILED
    found = (~few).astype(float)
    return found.mask(table["variant"].isin(LANDMARKS))


def _ranks(
    rivals: pd.DataFrame, attacked: Mapping[str, Any], spread: float, criteria: Criteria
) -> np.ndarray:
    """Return the rank of each rival; who failed counts as identified."""
    routes = {variant: attacked[variant] for variant in rivals["variant"]}
    # Below chance is luck and no better than chance.
    risk = (rivals["identification_all"] - rivals["chance"]).clip(lower=0.0)
    change = rivals["volume_change_pct"].to_numpy(dtype=float)
    # Being safer matters only where the volumes look no worse: no other pair need be tested.
    asked = change[:, None] <= change[None, :]
    better = [
        _safer(routes, asked, spread, criteria),
        front.nearer(rivals["volume_low"], rivals["volume_high"]),
    ]
    points = np.column_stack([risk, change])
    return front.layers(points, np.array(better))


def _safer(
    routes: Mapping[str, Any], asked: np.ndarray, spread: float, criteria: Criteria
) -> np.ndarray:
    """Return who is safer than whom; pairs with a control are a family of their own."""
    control = np.array([is_control(variant) for variant in routes], dtype=bool)
    apart = control[:, None] | control[None, :]
    families = [asked & ~apart, asked & apart]
    found = [front.safer(routes, f, criteria.alpha, spread, criteria.seed) for f in families]
    return found[0] | found[1]


def volume_change(volumes: pd.DataFrame, segmenter: str, variant: str) -> dict[str, Any]:
    """Return the change of the volume that changes most: the largest absolute median change.

    Over all volumes, whole-brain ones included.  The interval is honest about having picked
    the largest: at its lower end stands the largest of the volumes' lower ends where all
    of their intervals hold at once (``low_joint``, ``high_joint``), at its upper end the
    largest of their own upper ends, since the truly largest change lies below its own.  Noise alone
    makes a largest change above zero: the null control's says how large.
    """
    if variant == "original":
        return {
            "n_volumes": 0,
            "volume_change_pct": 0.0,
            "volume_low": 0.0,
            "volume_high": 0.0,
        }
    rows = volumes[
        (volumes["segmenter"] == segmenter)
        & (volumes["variant"] == variant)
        & volumes["region"].isin(FAMILIES)
    ]
    failures = _volume_failures(rows)
    rows = rows[rows["median_change_pct"].notna()]
    if rows.empty:
        return {"n_volumes": 0, **failures}
    change = rows["median_change_pct"].abs()
    joint = [f"{end}_joint" if f"{end}_joint" in rows else end for end in ("low", "high")]
    far = rows[["low", "high"]].abs().max(axis=1, skipna=False)
    known = bool(far.notna().all())
    return {
        "n_volumes": len(rows),
        "worst_volume": str(rows.loc[change.idxmax(), "region"]),
        "volume_change_pct": float(change.max()),
        "volume_low": float(_nearest(*(rows[name] for name in joint)).max()) if known else np.nan,
        "volume_high": float(far.max()) if known else np.nan,
        **failures,
    }


def _nearest(low: pd.Series, high: pd.Series) -> pd.Series:
    """Return the smallest absolute value between two ends; 0 where an end is not known."""
    return low.abs().where(low.abs() < high.abs(), high.abs()).where(low * high > 0, 0.0)


def _volume_failures(rows: pd.DataFrame) -> dict[str, Any]:
    """Return how many scans have no volumes, and their share where it can be told."""
    if rows.empty:
        return {}
    count = int(rows["n_failed"].max())
    if "n_scans" not in rows:
        return {"n_volume_failed": count}
    share = rows["n_failed"] / (rows["n_failed"] + rows["n_scans"])
    return {"n_volume_failed": count, "volume_failed_share": float(share.max())}


def caption(view: View) -> str:
    """Return the caption of the privacy-utility plane."""
    table = view.rows("tradeoff")
    measure = "picked from several" if (table["measure"] == "choice").all() else "named first"
    alpha, level = view.criteria.alpha, 100 * view.criteria.level
    unequal = sentences.unequal_attacks(view.tables, main_rows(table)["variant"].unique())
    met = " In brackets: how many attacks there were; more attacks find more." if unequal else ""
    return words.folded(
        "Which method protects people, and what does it cost? Left: how often the strongest "
        f"attack identified people ({measure}). {words.marks_of_settings(table)} It is good if the "
        "whole interval lies near the dashed line of chance. 'Beats chance': a test shows it. A "
        "method without these words is not shown to be safe: read how far right the interval "
        f"reaches.{met} Middle: the change of the volume that changes most{view.by}. Its interval "
        "allows for having picked it, and so may begin at 0 where a test of that volume alone "
        "shows a change. Right: the verdict.",
        f"The strongest attack has two rates: as observed (the mark), and {CORRECTED} (the small "
        "tick), since of several attacks that only guess one always looks good: what is observed "
        "is too high on average. For the corrected rate the attack is picked on some participants "
        "and judged on the others. With few participants it may be too low, even below chance. "
        "The interval is where the true rate of the strongest attack is likely to lie.",
        unequal,
        f"'Beats chance' is by an exact test at p < {alpha:g}, {words.ATTACKS_CORRECTED}. Where an "
        "interval and the test disagree, the test decides.",
        *_included(view),
        "Rates cover participants who could be attacked. The others are counted beside the row, "
        "and as identified where methods are compared; crossed out: half or more of them.",
        "Bold name: no attack beats the method, and no other is shown to be better in one and "
        "looks no worse in the other (Holm-corrected tests of the pairs, or intervals of the "
        "volumes that do not overlap). Original and null control do not compete.",
        unseparated(table),
        "Noise alone gives every variant a largest change above zero (grey: the null control's).",
        _floor(table),
        words.missing_people(table),
        f"Intervals ({level:g} %) allow for the number of attacks on a variant and for the number "
        "of volumes, not for the number of variants. So they are wider than those of single "
        "volumes, which other tables and figures have.",
    )


def _included(view: View) -> list[str]:
    """Return what counts as an attack beside those on the images as they are, where it was made."""
    refaced = view.rows("tradeoff")["variant"].map(lambda name: bool(split_variant(name)[1])).any()
    contrasts = len(view.rows("privacy_contrasts")) > 0
    made = ["those that put a face back first"] if refaced else []
    if contrasts:
        made.append("those on images of other contrasts that are shared along with a scan")
    told = [f"Attacks include {words.listed(made)}."] if made else []
    if refaced:
        told.append(
            "A refaced scan counts as no safer than its defaced one, since a new face can be "
            "taken off again (where the defacer blurs, that is an upper bound)."
        )
    return told


def front_words(table: pd.DataFrame, look: Look) -> list[str]:
    """Return sentences on the Pareto front of one segmenter, ``table`` by variant."""
    if is_unranked(table):
        return [
            "Attacks and changes in volumes taken together, no method is shown to be better than "
            "another with so few participants."
        ]
    others = look.sort(v for v in table.index if table.loc[v, "pareto"] == 1)
    first = look.sort(v for v in table.index if table.loc[v, "rank"] == 1)
    beaten = [v for v in first if table.loc[v, "pareto"] == 0]  # with whatever to compare with
    told = []
    if others:
        told.append(
            f"No other method is shown to be better than {' or '.join(others)} in attacks or in "
            "volumes without looking worse in the other of the two. That does not make "
            f"{'it' if len(others) == 1 else 'them'} the best."
        )
    if beaten:
        told.append(
            f"An attack beats {words.listed(beaten)}. That no other method is shown to be better "
            "may only mean that there are too few participants."
        )
    return told


def unseparated(table: pd.DataFrame) -> str:
    """Return a sentence where nothing separates the methods in the plane; else nothing."""
    if not len(table) or not is_unranked(main_rows(table)):
        return ""
    return (
        "By attacks and volumes these data do not separate the methods: none is shown to be better "
        "than another, and all share rank 1. Verdicts may differ all the same: they also count "
        "faces left, brain lost and marks far from the head."
    )


def _floor(table: pd.DataFrame) -> str:
    """Return what the line of the attackers is that look at no face; empty without one."""
    names = sorted(set(table["floor_attacker"].dropna()))
    if not names:
        return ""
    return (
        f"Floor: {', '.join(names)}, from skull and brain alone, never taken for the strongest "
        "attack; a defacer that keeps these cannot get below it."
    )


RESULT = Result(
    "tradeoff",
    about=__doc__,
    job=ATTACKS,
    columns="""
        variant setting segmenter n n_expected n_completers n_failed n_attackers n_routes
        worst_attacker worst_route measure identification low high chance
        identification_all worst_rate family p p_holm beaten
        above_chance_at_most margin_points within_margin
        floor_attacker floor floor_low floor_high
        n_volumes n_volume_failed volume_failed_share
        worst_volume volume_change_pct volume_low volume_high comparable rank pareto shortfall
    """,
    compute=lambda given, made: passed_on(
        compute(given.all_attacks, given.volumes, given.protocol, given.criteria, given.floors),
        with_contrasts(made["privacy"], made["privacy_contrasts"]),
    ),
    needs=("privacy", "privacy_contrasts"),
    caption=caption,
    latex="""
        variant setting n n_failed worst_attacker worst_route worst_rate identification low high
        chance p_holm above_chance_at_most floor
        worst_volume volume_change_pct volume_low volume_high rank
    """,
    heading=HEADING,
    order=100,
    figures=[
        Figure(
            "privacy_utility",
            "One row per method: how often the strongest attack identifies people, with chance "
            "as a line; the volume that changes most; the verdict.",
            lambda view: draw(view.rows("tradeoff"), view.look, verdicts=decisions.verdicts(view)),
            first_segmenter=True,
            title="Privacy, volumes and verdicts",
        )
    ],
)
