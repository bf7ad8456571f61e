"""Take over measures that other software made: manifests of the measure stage, without an image.

Stands in the place of all stages from the inventory to :mod:`refacebench.stages.measure`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd

from refacebench import manifest, reasons
from refacebench.run.stage import Stage
from refacebench.vocabulary import BROUGHT, FAILED, OK, ORIGINAL, UNAVAILABLE

#: Raise it when a manifest changes for the same tables.
VERSION = "1"

STAGE = Stage(
    "bring",
    adds={"segmenter": "the program that made the measures"},
    may_add={
        "vol_*": "volume of a structure of ours, ml",
        "value_*": "any other measure, under its own name and in its own unit",
    },
)


def run_batch(
    scans: pd.DataFrame,
    measures: pd.DataFrame,
    segmenters: Sequence[str],
    variants: Sequence[str],
    outputs: Iterable[str | Path],
    version: str = VERSION,
) -> None:
    """Write a manifest of each program and variant.

    Parameters
    ----------
    scans : pandas.DataFrame
        The batch list.
    measures : pandas.DataFrame
        Of :attr:`refacebench.contracts.Dataset.measures`.
    segmenters, variants : sequence of str
        All of the run.
    outputs : iterable of path
        The manifests, for each program all variants.
    """
    paths = iter(outputs)
    names = measures.loc[measures["name"] != "", ["segmenter", "name"]].drop_duplicates()
    for segmenter in segmenters:
        columns = list(names.loc[names["segmenter"] == segmenter, "name"])
        for variant in variants:
            mine = measures[(measures["segmenter"] == segmenter)]
            mine = mine[mine["variant"] == variant]
            # What is missing failed elsewhere: no job of this run is to be tried again for it.
            manifest.write(rows_of(scans, mine, segmenter, variant, columns, version), next(paths))


def rows_of(
    scans: pd.DataFrame,
    measures: pd.DataFrame,
    segmenter: str,
    variant: str,
    columns: Sequence[str],
    version: str = VERSION,
) -> pd.DataFrame:
    """Return the manifest of one program and variant: a row per scan, measures or reason.

    A scan of which a variant has no measures failed there.  Where a variant has not one measure
    by the program, it was not measured by it: its scans are ``unavailable``, and no failures.
    """
    known = measures[measures["name"] != ""].drop_duplicates(["scan", "name"])
    wide = known.pivot(index="scan", columns="name", values="value").reindex(columns=columns)
    said = measures[measures["reason"] != ""].drop_duplicates("scan")
    why = dict(zip(said["scan"], said["reason"], strict=True))
    table = scans.reindex(columns=manifest.COLUMNS + _listed(scans), fill_value="").copy()
    table["variant"], table["stage"], table["segmenter"] = variant, "measure", segmenter
    table["method"], table["version"], table["engine"] = segmenter, version, BROUGHT
    table["path"] = ""  # no image of it is known
    table["seconds"] = table["peak_mb"] = float("nan")
    for row in table.index:
        scan = table.loc[row, "scan"]
        if table.loc[row, "status"] != OK or scan in wide.index:
            continue
        what = "the original" if variant == ORIGINAL else variant
        gone = measures.empty and variant != ORIGINAL
        table.loc[row, "status"] = UNAVAILABLE if gone else FAILED
        lacks = f"no measures of {what} by {segmenter}"
        reason = reasons.clean(why.get(scan, f"{lacks} in the tables"))
        table.loc[row, "reason"] = f"unavailable: {lacks}" if gone else reason
    # As text with all digits: small differences of large numbers are what it is about.
    values = wide.reindex(table["scan"].to_numpy()).set_axis(table.index)
    values = values.map(lambda value: "" if pd.isna(value) else f"{value:.15g}")
    return pd.concat([table, values], axis=1)


def _listed(scans: pd.DataFrame) -> list[str]:
    return [name for name in manifest.LISTED if name in scans]
