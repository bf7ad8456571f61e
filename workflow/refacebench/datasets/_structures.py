"""Which measures of other software are volumes of this project's structures.

The table ``measure_names.tsv`` says so: a structure is the sum of its parts, and a part is the
first of its names that is there.  What is no structure, or only a part of one, keeps its own name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

import pandas as pd

from refacebench.vocabulary import GLOBALS, REGIONS

NAMES = Path(__file__).with_name("measure_names.tsv")
STRUCTURES = (*GLOBALS, *REGIONS)
#: What one unit is in millilitres, by its name in small letters.
UNITS = {
    **dict.fromkeys(("mm3", "mm^3", "mm³", "ul", "µl"), 0.001),
    **dict.fromkeys(("ml", "cm3", "cm^3", "cm³", "cc"), 1.0),
    **dict.fromkeys(("l", "dm3"), 1000.0),
}
#: Structure, then part, then the names it may have with their units in ml.
_Table = dict[str, dict[str, list[tuple[str, float]]]]


@lru_cache(maxsize=8)
def table(software: str) -> _Table:
    """Return what makes up each structure in the names of a program, in small letters."""
    rows = pd.read_csv(NAMES, sep="\t", dtype={"ml": float}, keep_default_na=False)
    found: _Table = {}
    for row in rows[rows["software"] == software].itertuples():
        parts = found.setdefault(str(row.structure), {})
        parts.setdefault(str(row.part), []).append((str(row.name).lower(), float(row.ml)))
    return found


def split(
    values: Mapping[str, float], software: str, units: Mapping[str, str], default: str = "ml"
) -> dict[str, float]:
    """Return measures under the names of the measurement table.

    Parameters
    ----------
    values : mapping of str to float
        By the program's own names.
    units : mapping of str to str
        Of those whose unit is told.
    default : str
        Unit of volumes that bear the names of our structures and tell none.

    Returns
    -------
    dict of str to float
        ``vol_<structure>`` in ml, ``value_<own name>`` in the program's unit.

    >>> split({"CSF": 1200.0, "Brain-Stem": 20000.0}, "freesurfer", {})
    {'vol_brainstem': 20.0, 'value_CSF': 1200.0}
    """
    found: dict[str, float] = {}
    low = {name.lower(): name for name in values}
    used: set[str] = set()
    for structure, parts in table(software).items():
        chosen = [
            next(((low[n], ml) for n, ml in names if n in low), None) for names in parts.values()
        ]
        if all(part is not None for part in chosen):
            known = [part for part in chosen if part is not None]
            found[f"vol_{structure}"] = sum(values[name] * ml for name, ml in known)
            if len(known) == 1:
                used.add(known[0][0])
    ours = not table(software)  # FreeSurfer's CSF is another structure than ours
    for name, value in values.items():
        structure = name.lower()
        if ours and structure in STRUCTURES and f"vol_{structure}" not in found:
            unit = units.get(name, default).lower()
            if unit in UNITS:
                found[f"vol_{structure}"] = value * UNITS[unit]
                continue
        if name not in used:
            found[f"value_{own_name(name)}"] = value
    return found


def own_name(name: str) -> str:
    """Return a measure's name as a column may have it.

    >>> own_name("3rd-Ventricle"), own_name("left cerebral cortex")
    ('3rd-Ventricle', 'left_cerebral_cortex')
    """
    return re.sub(r"[^\w.+%-]+", "_", name.strip()).strip("_")
