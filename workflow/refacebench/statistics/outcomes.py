"""What methods are compared by: a value a scan and variant, and which way is good.

Tables in, series out.  Every outcome is read from the pairs of
:func:`refacebench.statistics.cohort.pairs`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from refacebench.statistics.cohort import by_participant, has_reference, measure
from refacebench.vocabulary import GLOBALS, REGIONS, SKULL_STRIP, UNDEFACED, split_variant

Values = Callable[[pd.DataFrame], pd.Series]
_SHORT = {"tiv": "TIV", "gm": "grey matter", "wm": "white matter", "csf": "CSF",
          "vcsf": "ventricular CSF"}  # fmt: skip


@dataclass(frozen=True)
class Outcome:
    """A value a scan.

    Attributes
    ----------
    name, label : str
        In tables; on the page, with the unit.
    values : callable
        Takes pairs and returns a value a scan: NaN where the variant failed, and where the
        original has no such value.
    possible : callable
        Takes pairs and tells of which scans there would be a value if nothing had failed.
    digits : int
        Decimals on the page.
    low_is_good : bool
    of_image : bool
        Whether no segmenter touches it: read from the pairs of images
        (:func:`refacebench.statistics.cohort.images`).
    """

    name: str
    label: str
    values: Values
    possible: Values
    digits: int = 2
    low_is_good: bool = True
    of_image: bool = False


def is_control(variant: str) -> bool:
    """Tell whether a variant stands for no method that could be chosen.

    >>> is_control("null"), is_control("skull_strip"), is_control("pydeface+pix2pix25d")
    (True, True, False)
    """
    return variant in UNDEFACED or split_variant(variant)[0] == SKULL_STRIP


def change_pct(table: pd.DataFrame, structure: str) -> pd.Series:
    """Return the change of a volume in percent of the original; NaN where there is none."""
    if f"ref_vol_{structure}" not in table:
        return pd.Series(np.nan, index=table.index)
    original = table[f"ref_vol_{structure}"].to_numpy(float)
    original = np.where(has_reference(table, structure), original, np.nan)
    new = measure(table, f"vol_{structure}").to_numpy()
    return pd.Series((new - original) / original * 100, index=table.index)


def _has(structure: str) -> Values:
    def possible(table: pd.DataFrame) -> pd.Series:
        return has_reference(table, structure) & (f"ref_vol_{structure}" in table)

    return possible


def _everywhere(table: pd.DataFrame) -> pd.Series:
    return pd.Series(True, index=table.index)


def volume(structure: str, absolute: bool = False) -> Outcome:
    """Return the change of a volume in percent of the original, or its size."""

    def values(table: pd.DataFrame) -> pd.Series:
        change = change_pct(table, structure)
        return change.abs() if absolute else change

    name = _SHORT.get(structure, structure.replace("_", " "))
    label = f"|change| of {name} (%)" if absolute else f"Change of {name} (%)"
    return Outcome(structure, label, values, _has(structure))


def age_shift(absolute: bool = False) -> Outcome:
    """Return the shift of predicted brain age in years, before any correction, or its size."""

    def values(table: pd.DataFrame) -> pd.Series:
        if "ref_brainage_raw" not in table:
            return pd.Series(np.nan, index=table.index)
        shift = measure(table, "brainage_raw") - table["ref_brainage_raw"]
        return shift.abs() if absolute else shift

    def possible(table: pd.DataFrame) -> pd.Series:
        known = table.get("ref_brainage_raw", pd.Series(np.nan, index=table.index))
        return known.notna()

    label = "|shift| of brain age (years)" if absolute else "Shift of brain age (years)"
    return Outcome("age_shift", label, values, possible)


def overlap(kind: str, structure: str) -> Outcome:
    """Return Dice or IoU of a structure with the original's."""
    name = f"{kind}_{structure}"
    return Outcome(
        name,
        f"{'Dice' if kind == 'dice' else 'IoU'} of {_SHORT.get(structure, structure)}",
        lambda table: measure(table, name).where(has_reference(table, structure)),
        lambda table: has_reference(table, structure) & (name in table),
        digits=4,
        low_is_good=False,
    )


def similarity(name: str, label: str) -> Outcome:
    """Return a measure of similarity to the original image."""
    return Outcome(
        name,
        label,
        lambda table: measure(table, name),
        lambda table: _everywhere(table) & (name in table),
        3,
        low_is_good=False,
        of_image=True,
    )


def _sizes(table: pd.DataFrame, names: tuple[str, ...]) -> pd.DataFrame:
    return pd.DataFrame({name: change_pct(table, name).abs() for name in names})


#: The largest change of any volume of a scan, regions and whole-brain volumes alike.
WORST = Outcome(
    "largest_change",
    "Largest |change| of any volume (%)",
    lambda table: _sizes(table, (*GLOBALS, *REGIONS)).max(axis=1),
    _everywhere,
)
#: The mean size of the changes of a scan's regions.
REGIONAL = Outcome(
    "regional_change",
    "Mean |change| of 17 regions (%)",
    lambda table: _sizes(table, REGIONS).mean(axis=1),
    _everywhere,
)


@dataclass(frozen=True)
class Participants:
    """An outcome of every participant under several variants; rows are participants.

    Attributes
    ----------
    values : pandas.DataFrame
        The mean over the sessions that went through; NaN where none did.
    failed : pandas.DataFrame of bool
        Whether any session of the participant failed.
    """

    values: pd.DataFrame
    failed: pd.DataFrame

    @property
    def without_failed(self) -> pd.DataFrame:
        """The values, NaN for whoever has a failed session."""
        return self.values.mask(self.failed)


def participants(tables: Mapping[str, pd.DataFrame], outcome: Outcome) -> Participants:
    """Return an outcome of every participant who could have one, a column per variant.

    Parameters
    ----------
    tables : mapping of str to pandas.DataFrame
        The pairs of each variant.
    """
    values, failed = {}, {}
    for variant, table in tables.items():
        mine = table[outcome.possible(table).to_numpy(bool)]
        found, persons = outcome.values(mine), mine["participant"].astype(str)
        values[variant] = by_participant(found, persons)
        failed[variant] = by_participant(found.isna().astype(float), persons)
    people = sorted({name for column in failed.values() for name in column.index})
    lost = pd.DataFrame(failed, index=people)
    return Participants(pd.DataFrame(values, index=people), lost.fillna(1.0).astype(bool))
