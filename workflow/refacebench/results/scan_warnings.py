"""Scans that were used although something about their files is odd, one row per warning.

``orientation_unknown``: the header has neither an sform nor a qform.  ``sides_disagree``:
it has both, and one of them mirrors the other.  ``forms_disagree``: it has both, and they put a
corner of the image more than 2 mm apart.  ``values_missing``: voxels hold NaN or
infinity.  ``air_shifted``: air lies far from zero.  ``scans`` names them, ``consequence`` says
what was done.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from refacebench.reasons import one_line
from refacebench.results.result import FLOW, Heading, Printed, Result, View
from refacebench.statistics import sides
from refacebench.vocabulary import OK

#: Column of the inventory by warning; a scan has it where the column is not 0.
COLUMNS = {
    "orientation_unknown": "orientation_unknown",
    "sides_disagree": "sides_disagree",
    "forms_disagree": "forms_disagree",
    "values_missing": "missing_voxels",
    "air_shifted": "air_level",
}
_SIDES = {
    sides.EXCLUDE: "its volumes of the left and of the right side are left out (orientation: "
    "exclude)",
    sides.TRUST: "left and right are taken from it all the same (orientation: trust)",
}
_CONSEQUENCES = {
    "orientation_unknown": "the header does not say which side is left; {sides}",
    "sides_disagree": "sform and qform disagree on which side is left; {sides}",
    "forms_disagree": "sform and qform put the image at different places; the sform was used, and "
    "programs that read the qform saw another place",
    "values_missing": "voxels that hold no number (NaN or infinite) count as air",
    "air_shifted": "air lies far from zero; it counts as zero, and removed voxels get its value",
}


def of_scan(row: Mapping[str, Any]) -> list[str]:
    """Return the names of a scan's warnings, from its row of the inventory."""
    found = []
    for name, column in COLUMNS.items():
        value = pd.to_numeric(row.get(column, 0), errors="coerce")
        if pd.notna(value) and value != 0:
            found.append(name)
    return found


def compute(inventory: pd.DataFrame, policy: str) -> pd.DataFrame:
    """Return the warnings of the scans that passed the inventory."""
    scans: dict[str, list[str]] = {}
    used = inventory[inventory["status"] == OK] if "status" in inventory else inventory
    for row in used.sort_values("scan").to_dict("records"):
        for name in of_scan(row):
            scans.setdefault(name, []).append(str(row["scan"]))
    rows = [
        {
            "warning": name,
            "n_scans": len(scans[name]),
            "scans": one_line(", ".join(scans[name]), 2000),
            "consequence": _CONSEQUENCES[name].format(sides=_SIDES[policy]),
        }
        for name in COLUMNS
        if name in scans
    ]
    return RESULT.frame(rows)


def caption(view: View) -> str:
    """Return the caption of the table of warnings."""
    if view.rows("scan_warnings").empty:
        return "No scan that was used came with a warning."
    return (
        "Scans that were used although something about their files is odd. Front and back, top "
        "and bottom are checked by the anatomy; left and right cannot be, they depend on the "
        "header."
    )


def printed(view: View) -> Printed:
    """Return one row per warning."""
    rows = []
    for row in view.rows("scan_warnings").itertuples():
        names = row.scans.split(", ")
        shown = ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")
        rows.append([row.warning, str(row.n_scans), shown, row.consequence])
    return ["Warning", "Scans", "Which", "What it means"], rows


RESULT = Result(
    "scan_warnings",
    about=__doc__,
    empty="no scan that was used came with a warning",
    job=FLOW,
    columns="warning n_scans scans consequence",
    texts="warning scans consequence",
    compute=lambda given, _: compute(given.inventory, given.orientation),
    caption=caption,
    latex="warning n_scans consequence",
    heading=Heading(
        "scan-warnings",
        "Odd scans",
        "Which scans were used with a warning?",
        order=550,
    ),
    order=550,
    printed=printed,
)
