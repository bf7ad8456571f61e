"""Left and right where a scan's header does not settle them: which volumes cannot be used.

The prepare stage registers each head, so that front and back, top and bottom are known from
the anatomy whatever a header says.  Left and right are not: a head and its mirror image
register equally well (``docs/validation/sides.md``).  They hang on the header alone, on whether it
turns the voxels or mirrors them.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

#: What the config's ``orientation`` may say.
TRUST, EXCLUDE = POLICIES = ("trust", "exclude")
#: Columns of the inventory that are 1 where left and right are not settled.
UNSETTLED = ("orientation_unknown", "sides_disagree")


def unsettled(table: pd.DataFrame) -> pd.Series:
    """Tell for each row whether the scan's header does not settle left and right.

    >>> unsettled(pd.DataFrame({"orientation_unknown": [0, 1, None]})).tolist()
    [False, True, False]
    """
    found = pd.Series(False, index=table.index)
    for name in UNSETTLED:
        if name in table:
            found |= pd.to_numeric(table[name], errors="coerce").fillna(0) == 1
    return found


def held(table: pd.DataFrame, policy: str) -> pd.DataFrame:
    """Return measurements without the volumes of one side where left and right are not settled.

    Parameters
    ----------
    table : pandas.DataFrame
        One row per scan, variant and segmenter.
    policy : str
        ``trust`` leaves all as it is.
    """
    where = unsettled(table)
    if policy == TRUST or not where.any():
        return table
    table = table.copy()
    for name in table:
        if name.startswith("vol_") and name.endswith(("_left", "_right")):
            table[name] = pd.to_numeric(table[name], errors="coerce").mask(where, np.nan)
    return table
