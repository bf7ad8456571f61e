"""Which T1w scan of a session counts where the user wants one: the first that can be used.

A data set lists scans by their names, and only when they are opened does it show which
ones can be used.  So all are checked, and the choice is made from the rows that come out.
Pure functions of manifests.
"""

from __future__ import annotations

import pandas as pd

from refacebench.vocabulary import EXCLUDED, OK


def matter(table: pd.DataFrame) -> bool:
    """Tell whether in any session the choice is among several scans."""
    if "spare" in table and (table["spare"] != "").any():
        return True
    if "companions" not in table:
        return False
    usable = table[(table["status"] == OK) & (table["companions"] != "[]")]
    return bool(usable.duplicated(["participant", "session"]).any())


def leads(table: pd.DataFrame) -> list[str]:
    """Return the scan of each session that the others stand behind, in order.

    That is the first one that was not excluded, else the first one.  A scan that failed keeps
    its place: what failed may have passed at the next run, and the choice must not depend
    on it.
    """
    found = []
    for _, rows in table.groupby(["participant", "session"], sort=False):
        usable = rows[rows["status"] != EXCLUDED]
        found.append((rows if usable.empty else usable)["scan"].iloc[0])
    return found


def leave_out(table: pd.DataFrame) -> pd.DataFrame:
    """Exclude the scans of each session that are not wanted beside its first usable one.

    Parameters
    ----------
    table : pandas.DataFrame
        A manifest.  ``spare`` says why a scan is left out then, ``{}`` for the other's id;
        empty for a scan that stays in any case.
    """
    if "spare" not in table or not (table["spare"].fillna("") != "").any():
        return table
    table = table.copy()
    among = table[table["spare"].fillna("") != ""]
    for lead in leads(among):
        first = among[among["scan"] == lead].iloc[0]
        beside = (among["participant"] == first["participant"]) & (
            among["session"] == first["session"]
        )
        others = among.index[beside & (among["scan"] != lead) & (among["status"] == OK)]
        table.loc[others, "status"] = EXCLUDED
        table.loc[others, "reason"] = [why.format(lead) for why in table.loc[others, "spare"]]
    return table
