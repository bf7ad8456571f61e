"""Which scans are compared with which: pairs of an original and its variant.

Pure functions.  The denominators of all tables are decided here: the scans of
the compared splits whose original was measured.  A variant without a row for
such a scan, or with a row that is not ``ok``, has failed on it.

What no segmenter touches (similarity, what is left of the face) counts images instead
(:func:`images`): the scans whose original was prepared; a variant has failed where it has no image.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from refacebench.statistics.criteria import Criteria
from refacebench.vocabulary import NOT_WRITTEN, OK, ON_IMAGES, UNAVAILABLE, split_variant

RESCAN, FOLLOWUP = "rescan", "followup"
#: Columns that a pair takes from its original.
_IDENTITY = ["participant", "scan", "site", "age", "sex"]
#: Column of :func:`images`.
_IMAGED = "imaged"


def variants_of(measurements: pd.DataFrame, variants: Sequence[str] | None = None) -> list[str]:
    """Return the variants in the order of every table, the original first.

    ``variants`` fixes the order and may name variants that have no row at all;
    without it the order is: original, null, then as they appear.
    """
    found = list(variants) if variants is not None else list(pd.unique(measurements["variant"]))
    first = [name for name in ("original", "null") if name in found]
    return first + [name for name in found if name not in first]


def segmenters_of(measurements: pd.DataFrame) -> list[str]:
    """Return the segmenters in order of appearance."""
    return [name for name in pd.unique(measurements["segmenter"].fillna("")) if name != ""]


def assemble(parts: Iterable[tuple[str, str, pd.DataFrame]]) -> pd.DataFrame:
    """Return the measurement table from the measure manifests.

    A row that failed before the variant was made passes through the manifests
    unchanged and still says ``original``; what a row belongs to is therefore
    taken from the manifest's place, not from the row.

    Parameters
    ----------
    parts : iterable of (segmenter, variant, manifest)
    """
    tables = [
        _with_method(table.assign(segmenter=segmenter, variant=variant), variant)
        for segmenter, variant, table in parts
    ]
    if not tables:
        raise ValueError("no measure manifests were given")
    return pd.concat(tables, ignore_index=True)


def _with_method(table: pd.DataFrame, variant: str) -> pd.DataFrame:
    """Say which engine and version made the variant: the last stage that touched the image."""
    stage = "reface" if split_variant(variant)[1] else "deface"
    made = {f"defacer_{name}": f"{stage}_{name}" for name in ("engine", "version")}
    return table.assign(**{name: table[own] for name, own in made.items() if own in table})


def check(measurements: pd.DataFrame) -> None:
    """Check that the rows are those of one dataset and that none is listed twice.

    Raises
    ------
    ValueError
        Names what is wrong and the first scan of which it is.
    """
    needed = ["dataset", "participant", "scan", "variant", "segmenter", "status"]
    missing = [name for name in needed if name not in measurements]
    if missing:
        raise ValueError(f"the measurement table lacks the columns {', '.join(missing)}")
    datasets = sorted(set(measurements["dataset"]))
    if len(datasets) > 1:
        raise ValueError(f"tables are made per dataset; got {', '.join(datasets)}")
    # A scan that failed before segmentation passes through every segmenter's
    # manifest without a segmenter; such rows may repeat.
    named = measurements[measurements["segmenter"].fillna("") != ""]
    twice = named.duplicated(["scan", "variant", "segmenter"])
    if twice.any():
        row = named[twice].iloc[0]
        raise ValueError(
            f"scan {row['scan']} has more than one row for variant {row['variant']}, "
            f"segmenter {row['segmenter']}: was a measure manifest read twice?"
        )


def compared(measurements: pd.DataFrame, criteria: Criteria) -> pd.DataFrame:
    """Return the rows of the compared splits, without rescans and follow-ups."""
    split = measurements["split"].fillna("") if "split" in measurements else ""
    inside = pd.Series(split, index=measurements.index).isin(("", *criteria.splits))
    return measurements[inside & ~_has_role(measurements, RESCAN, FOLLOWUP)]


def _has_role(table: pd.DataFrame, *roles: str) -> pd.Series:
    if "role" not in table:
        return pd.Series(False, index=table.index)
    return table["role"].isin(roles)


def references(measurements: pd.DataFrame, segmenter: str, criteria: Criteria) -> pd.DataFrame:
    """Return the originals that variants are compared with, sorted by scan.

    The measured ones; of :func:`images` those that there are.
    """
    rows = compared(measurements, criteria)
    rows = rows[(rows["variant"] == "original") & (rows["segmenter"] == segmenter)]
    return rows[_counts(rows)].sort_values("scan", kind="stable").reset_index(drop=True)


def pairs(
    measurements: pd.DataFrame, segmenter: str, variant: str, criteria: Criteria
) -> pd.DataFrame:
    """Return one row per compared scan: the variant's measures beside the original's.

    Parameters
    ----------
    measurements : pandas.DataFrame
        The measurement table; or :func:`images` or :func:`once` of it, for measures that no
        segmenter touches.

    Returns
    -------
    pandas.DataFrame
        The variant's columns, with ``participant``, ``scan``, ``site``,
        ``age`` and ``sex`` of the original; the original's volumes, other brought measures
        and predicted ages as floats ``ref_<name>``; ``ok``, False where the variant failed: it
        was not measured, or of images, there is none.
    """
    original = references(measurements, segmenter, criteria)
    measures = [name for name in original if name.startswith(("vol_", "value_", "brainage"))]
    reference = original[[c for c in _IDENTITY if c in original] + measures].copy()
    for name in measures:
        reference[name] = pd.to_numeric(reference[name], errors="coerce").astype(float)
    reference = reference.rename(columns={name: f"ref_{name}" for name in measures})
    own = measurements[
        (measurements["variant"] == variant) & (measurements["segmenter"] == segmenter)
    ].drop(columns=[c for c in _IDENTITY if c != "scan"], errors="ignore")
    table = reference.merge(own, on="scan", how="left", validate="one_to_one")
    table["ok"] = _counts(table)
    # A program that is not there did not fail: no scan of such a variant is in a denominator;
    # nor did a method whose result we could not write.
    missing = table["status"].isin((UNAVAILABLE, NOT_WRITTEN)) & ~table["ok"]
    return table[~missing].reset_index(drop=True)


def _counts(table: pd.DataFrame) -> pd.Series:
    """Tell which rows count: those of images where they are marked, else those that are ok."""
    if _IMAGED in table:
        return table[_IMAGED].eq(True)  # missing where a variant has no row
    return table["status"] == OK


def measure(table: pd.DataFrame, name: str) -> pd.Series:
    """Return a measure of pairs as floats, NaN where the variant failed or has none."""
    if name not in table:
        return pd.Series(np.nan, index=table.index)
    given = table[name]
    if given.dtype != float:
        given = pd.to_numeric(given, errors="coerce")
    values = given.to_numpy(dtype=float)
    known = table["ok"].to_numpy(dtype=bool) & np.isfinite(values)
    return pd.Series(np.where(known, values, np.nan), index=table.index, name=name)


def by_participant(values: pd.Series, participants: pd.Series) -> pd.Series:
    """Return each participant's mean over sessions, sorted; NaN sessions are left out."""
    numbers = values.to_numpy(dtype=float)
    known = np.isfinite(numbers)
    names, place = np.unique(participants.to_numpy(dtype=str)[known], return_inverse=True)
    sums = np.bincount(place, weights=numbers[known], minlength=len(names))
    counts = np.bincount(place, minlength=len(names))
    return pd.Series(sums / counts, index=names)


def rescan_pairs(measurements: pd.DataFrame, segmenter: str, splits=None) -> pd.DataFrame:
    """Return all pairs of an original and a declared rescan of the same participant.

    A rescan has ``role`` rescan or, where its session is measured too, the session that
    it repeats in ``rescan_of``.  A later session is none by itself: years may lie between
    the two, and what a brain loses in them is no noise of the measurement.

    Parameters
    ----------
    splits : sequence of str, optional
        Only participants of these splits (and those without one).

    Returns
    -------
    pandas.DataFrame
        ``participant`` and, for each numeric column, ``<name>_1`` and ``<name>_2``.
    """
    rows = measurements[
        (measurements["variant"] == "original")
        & (measurements["segmenter"] == segmenter)
        & (measurements["status"] == OK)
    ]
    if splits is not None and "split" in rows:
        rows = rows[rows["split"].fillna("").isin(("", *splits))]
    names = [name for name in rows if name.startswith(("vol_", "truth_vol_", "brainage"))]
    rows = rows.assign(**{name: pd.to_numeric(rows[name], errors="coerce") for name in names})
    repeats = rows.get("rescan_of", pd.Series("", index=rows.index)).fillna("").astype(str)
    again = (repeats != "") | _has_role(rows, RESCAN)
    first = ~again & ~_has_role(rows, FOLLOWUP)
    columns = ["participant", "scan", *names]
    both = rows[first][[name for name in (*columns, "session") if name in rows]].merge(
        rows[again][columns].assign(repeats=repeats[again]),
        on="participant",
        suffixes=("_1", "_2"),
    )
    if "session" in both:
        both = both[(both["repeats"] == "") | (both["repeats"] == both["session"])]
    both = both.drop(columns=["repeats", "session"], errors="ignore")
    return both.sort_values(["scan_1", "scan_2"], kind="stable").reset_index(drop=True)


def each(measurements, criteria, variants):
    """Yield segmenter, variant and pairs, in the order of the tables."""
    for segmenter in segmenters_of(measurements):
        for variant in variants:
            yield segmenter, variant, pairs(measurements, segmenter, variant, criteria)


def has_reference(table: pd.DataFrame, structure: str) -> pd.Series:
    """Tell for which pairs the original has the structure at all (Dice is undefined else)."""
    name = f"ref_vol_{structure}"
    if name not in table:
        return pd.Series(True, index=table.index)
    return table[name] > 0


def has_image(table: pd.DataFrame) -> pd.Series:
    """Tell which rows have an image, whether or not a segmenter could do with it.

    A scan that was excluded before, or that a method failed on, stopped at an earlier stage; of
    measures that were brought there is no image.
    """
    found = table["status"] == OK
    if "stage" in table:
        later = table["stage"].isin(ON_IMAGES) & (table["status"] != UNAVAILABLE)
        if "path" in table:
            later &= table["path"].fillna("") != ""
        found |= later
    return found


def images(measurements: pd.DataFrame) -> pd.DataFrame:
    """Return the rows marked so that every image counts, for measures that no segmenter touches."""
    return measurements.assign(**{_IMAGED: has_image(measurements)})


def once(measurements: pd.DataFrame) -> pd.DataFrame:
    """Keep one row per scan and variant for measures that no segmenter touches.

    One that is ok before one of an image that was judged, and that before any other.
    """
    table = images(measurements)
    judged = table["quality"].fillna("") != "" if "quality" in table else table[_IMAGED]
    order = np.lexsort((~judged, ~table[_IMAGED], table["status"] != OK))
    return table.iloc[order].drop_duplicates(["scan", "variant"]).assign(segmenter="any")
