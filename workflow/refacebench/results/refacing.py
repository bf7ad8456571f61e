"""What putting a face back does to the measures: each refaced variant against its defacer.

``difference`` is the Hodges-Lehmann shift of refaced minus defaced with its exact interval: of
sizes of changes in percent of the original for volumes, of Dice, and of the size of the shift of
brain age in years; ``smaller`` is 1 where the refaced variant is shown to be nearer to the
original, -1 where farther, 0 where neither is shown.  ``p`` is of the paired signed-rank test on
participants, ``p_holm`` corrected within ``family``: ``regions`` = 17 regions and TIV x refaced
variants, ``globals`` = the other whole-brain volumes, each other measure x refaced variants.
``detectable`` is the difference that would have been found with the wanted power at alpha /
``family_size`` (``inf``: none, however large).  ``differs_defaced`` and ``differs_refaced`` say
whether the volume differs from the original's (table ``volumes``).

``flagged_*`` count participants whose first common scan changed by more than the threshold (of
``any``: in grey matter, white matter, CSF or TIV), ``only_*`` those who are so in one of the two
alone; ``p_mcnemar`` is McNemar's exact test of these, corrected within the same families.  In
``*_all`` a failed scan counts as changed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from refacebench.plot.numbers import NO_VALUE, number, p_value
from refacebench.results import words
from refacebench.results.cells import by_variant, with_interval
from refacebench.results.method_pairs import HEADING
from refacebench.results.result import STATISTICS, Printed, Result, View
from refacebench.results.volume_tests import CHANGED, FAMILIES, changed_scans
from refacebench.statistics import outcomes, paired
from refacebench.statistics.cohort import by_participant, pairs, segmenters_of
from refacebench.statistics.criteria import Criteria
from refacebench.statistics.mcnemar import mcnemar
from refacebench.statistics.outcomes import Outcome
from refacebench.statistics.shifts import shift
from refacebench.statistics.summaries import median, spread
from refacebench.vocabulary import REGIONS, split_variant

ANY = "any"
OTHERS = (
    outcomes.overlap("dice", "brain"),
    outcomes.overlap("iou", "brain"),
    outcomes.age_shift(absolute=True),
)
_FLAGS = ("n_flags", "flagged_defaced", "flagged_refaced", "only_defaced", "only_refaced")


def compute(
    measurements: pd.DataFrame,
    criteria: Criteria,
    variants: Sequence[str],
    volumes: pd.DataFrame,
) -> pd.DataFrame:
    """Return each refaced variant against its defacer, measure by measure.

    Parameters
    ----------
    volumes : pandas.DataFrame
        The table ``volumes``.
    """
    rows: list[dict[str, Any]] = []
    for segmenter in segmenters_of(measurements):
        for variant in variants:
            defacer, refacer = split_variant(variant)
            if not refacer:
                continue
            defaced, refaced = (
                pairs(measurements, segmenter, v, criteria) for v in (defacer, variant)
            )
            if defaced.empty or refaced.empty:
                continue  # a program that is not on this machine
            names = {"variant": variant, "defacer": defacer, "segmenter": segmenter}
            tests = _differs(volumes, segmenter, (defacer, variant), criteria)
            rows += [{**names, **row} for row in _rows(defaced, refaced, tests, criteria)]
    return _with_families(RESULT.frame(rows), criteria)


def _rows(
    defaced: pd.DataFrame, refaced: pd.DataFrame, tests: pd.DataFrame, criteria: Criteria
) -> list[dict[str, Any]]:
    """Return the rows of one refaced variant; the corrections follow."""
    rows = []
    for name, family in FAMILIES.items():
        outcome = outcomes.volume(name, absolute=True)
        flags = _over(outcome, criteria)
        rows.append(
            {
                "measure": name,
                "family": family,
                **_difference(defaced, refaced, outcome, criteria),
                **tests.loc[name].to_dict(),
                **_flags(defaced, refaced, flags),
            }
        )
    rows += [
        {
            "measure": outcome.name,
            "family": outcome.name,
            **_difference(defaced, refaced, outcome, criteria),
        }
        for outcome in OTHERS
    ]
    changed = _flags(defaced, refaced, lambda table: changed_scans(table, criteria))
    return [*rows, {"measure": ANY, "family": ANY, **changed}]


def _differs(
    volumes: pd.DataFrame, segmenter: str, both: tuple[str, str], criteria: Criteria
) -> pd.DataFrame:
    """Return which volumes differ from the original's before and after, by the table of volumes."""
    columns = {}
    for name, variant in zip(("differs_defaced", "differs_refaced"), both, strict=True):
        mine = volumes[(volumes["segmenter"] == segmenter) & (volumes["variant"] == variant)]
        p = mine.set_index("region")["p_holm"].reindex(list(FAMILIES))
        columns[name] = (p < criteria.alpha).astype(float).where(p.notna())
    return pd.DataFrame(columns)


def _difference(
    defaced: pd.DataFrame, refaced: pd.DataFrame, outcome: Outcome, criteria: Criteria
) -> dict[str, Any]:
    """Return by how much the two differ, over the scans that went through in both."""
    persons = defaced["participant"]
    known = outcome.possible(defaced).to_numpy(bool)
    # The rows are those of the same originals in the same order.
    old, new = (outcome.values(table).where(known) for table in (defaced, refaced))
    shared = old.notna() & new.notna()
    before, after = (by_participant(v[shared], persons[shared]) for v in (old, new))
    difference, low, high = shift(after - before, criteria.level)
    nearer = paired.rank_biserial(after - before) * (-1 if outcome.low_is_good else 1)
    return {
        "n": len(before),
        "n_scans": int(shared.sum()),
        "n_failed": int((known & ~shared).sum()),
        "median_defaced": median(before),
        "median_refaced": median(after),
        "difference": difference,
        "low": low,
        "high": high,
        "sd": spread(after - before),
        "p": paired.wilcoxon(after - before, criteria.zero_method)[1],
        "smaller": np.sign(nearer),
    }


def _over(outcome: Outcome, criteria: Criteria) -> Callable[[pd.DataFrame], pd.Series]:
    """Return a function that flags scans: 1, 0, NaN for failed ones."""

    def flags(table: pd.DataFrame) -> pd.Series:
        values = outcome.values(table)
        return (values > criteria.threshold_pct).astype(float).where(values.notna())

    return flags


def _flags(
    defaced: pd.DataFrame,
    refaced: pd.DataFrame,
    flags: Callable[[pd.DataFrame], pd.Series],
) -> dict[str, Any]:
    """Return McNemar's test of one scan a participant, of completers and with failures."""
    both = pd.DataFrame(
        {
            "participant": defaced["participant"],
            "defaced": flags(defaced).to_numpy(),
            "refaced": flags(refaced).to_numpy(),
        }
    )
    found: dict[str, Any] = {}
    if both[["defaced", "refaced"]].isna().all(axis=None):
        return found
    counted = both.assign(defaced=both["defaced"].fillna(1), refaced=both["refaced"].fillna(1))
    for end, table in (("", both.dropna()), ("_all", counted)):
        first = table.drop_duplicates("participant")
        test = mcnemar(first["defaced"], first["refaced"])
        counts = (test.n, test.both + test.only_first, test.both + test.only_second,
                  test.only_first, test.only_second)  # fmt: skip
        found |= {f"{name}{end}": value for name, value in zip(_FLAGS, counts, strict=True)}
        found[f"p_mcnemar{end}"] = test.p
    return found


def _with_families(table: pd.DataFrame, criteria: Criteria) -> pd.DataFrame:
    """Correct within the families, and say what is shown."""
    for _, family in table.groupby(["segmenter", "family"], sort=False):
        where = family.index
        size = int(family["p"].notna().sum())
        table.loc[where, "family_size"] = size
        table.loc[where, "detectable"] = [
            np.nan
            if np.isnan(sd)
            else paired.minimum_detectable(
                int(n), sd, criteria.alpha / max(size, 1), criteria.power
            )
            for n, sd in zip(family["n"], family["sd"].astype(float), strict=True)
        ]
        for name in ("p", "p_mcnemar", "p_mcnemar_all"):
            table.loc[where, f"{name}_holm"] = paired.correct(family[name], "holm")
    p = table["p_holm"].astype(float)
    shown = table["smaller"].astype(float).where(p < criteria.alpha, 0.0)
    table["smaller"] = shown.where(p.notna())
    return table


def caption(view: View) -> str:
    """Return the caption of defaced against refaced."""
    table, criteria = view.rows("refacing"), view.criteria
    sizes = table.groupby("family")["family_size"].max() if len(table) else pd.Series(dtype=float)
    tests = f" ({int(sizes['regions'])} tests)" if sizes.get("regions", 0) > 0 else ""
    return words.join(
        f"Each refaced variant against its own defacer{view.by}, on the same participants. "
        "Volumes by the size of their change from the original: nearer means a smaller one, by "
        "paired signed-rank tests, Holm-corrected over 17 regions and TIV x refaced "
        f"variants{tests}; every other measure over the refaced variants alone, so that less may "
        "be shown where all pairs of methods are tested together. Regions that differ from the "
        "original are those of the table volumes. "
        f"Changed: {CHANGED} by more than {criteria.threshold_pct:g} % in a participant's first "
        "scan on which both worked; p: McNemar's exact test, Holm-corrected over the refaced "
        "variants; in the table also with failed scans as changed.",
        words.cohort(table),
        _detectable(table, criteria),
        f"Differences are Hodges-Lehmann shifts with exact {100 * criteria.level:g} % intervals, "
        "not adjusted for many comparisons.",
    )


def _detectable(table: pd.DataFrame, criteria: Criteria) -> str:
    """Return what difference in a region could have been found."""
    regions = table[table["measure"].isin(REGIONS)] if len(table) else table
    known = regions["detectable"].dropna() if len(regions) else regions
    if not len(known):
        return ""
    size = float(known.median())
    said = f"{number(size, 2)} % of the original" if np.isfinite(size) else "none, however large"
    return (
        f"Difference in a region that would be found with {100 * criteria.power:g} % power at "
        f"level {criteria.alpha:g} / tests (median): {said}."
    )


def printed(view: View) -> Printed:
    """Return one row per refaced variant."""
    table, alpha = view.rows("refacing"), view.criteria.alpha
    columns = ["Refaced variant", "n", f"Regions of {len(REGIONS)} that differ from the original",
               "Regions nearer (farther) than defaced",
               "Changed participants: defaced, refaced (in one alone)", "p (McNemar)",
               "Dice of brain: difference", "|shift| of brain age: difference (years)"]  # fmt: skip
    rows = []
    for label, mine in by_variant(table, view.look):
        by = mine.set_index("measure")
        regions = by[by.index.isin(REGIONS)]
        if ANY not in by.index:
            continue
        rows.append(
            [
                label,
                f"{int(by['n'].max())}",
                _counted(regions, ("differs_defaced", "differs_refaced"), "defaced {}, refaced {}"),
                _nearer(regions, alpha),
                *_changed(by.loc[ANY]),
                _signed(by, "dice_brain", 4),
                _signed(by, "age_shift", 2),
            ]
        )
    return (columns, rows) if rows else ([], [])


def _counted(regions: pd.DataFrame, names: Sequence[str], text: str) -> str:
    if regions[list(names)].isna().all(axis=None):
        return NO_VALUE
    return text.format(*(int(regions[name].sum()) for name in names))


def _nearer(regions: pd.DataFrame, alpha: float) -> str:
    if not regions["p_holm"].notna().any():
        return NO_VALUE
    return f"{int((regions['smaller'] > 0).sum())} ({int((regions['smaller'] < 0).sum())})"


def _changed(row: pd.Series) -> list[str]:
    if not row["n_flags"] > 0:
        return [NO_VALUE, NO_VALUE]
    before, after, only_before, only_after = (int(row[name]) for name in _FLAGS[1:])
    return [
        f"{before}, {after} of {int(row['n_flags'])} ({only_before}, {only_after})",
        p_value(row["p_mcnemar_holm"]),
    ]


def _signed(by: pd.DataFrame, name: str, digits: int) -> str:
    row = by.loc[name]
    text = with_interval(row, "difference", "low", "high", digits, True)
    return text if text == NO_VALUE else f"{text}, p {p_value(row['p_holm'])}"


RESULT = Result(
    "refacing",
    about=__doc__,
    empty="nothing was refaced",
    job=STATISTICS,
    reads="vol_* dice_*",
    columns="""
        variant defacer segmenter measure family n n_scans n_failed
        median_defaced median_refaced difference low high sd detectable p p_holm smaller family_size
        differs_defaced differs_refaced
        n_flags flagged_defaced flagged_refaced only_defaced only_refaced p_mcnemar p_mcnemar_holm
        n_flags_all flagged_defaced_all flagged_refaced_all only_defaced_all only_refaced_all
        p_mcnemar_all p_mcnemar_all_holm
    """,
    texts="defacer",
    compute=lambda given, made: compute(
        given.measurements, given.criteria, given.variants, made["volumes"]
    ),
    needs=("volumes",),
    caption=caption,
    latex="""
        variant measure n n_failed difference low high p_holm differs_defaced differs_refaced
        only_defaced only_refaced p_mcnemar_holm
    """,
    heading=HEADING,
    order=626,
    printed=printed,
)
