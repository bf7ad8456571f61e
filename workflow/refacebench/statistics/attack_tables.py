"""How tables of attacks are read: which setting counts, what an attack beats, what is ranked."""

from __future__ import annotations

import pandas as pd

from refacebench.vocabulary import (
    CONTRAST,
    PICTURE_CONTROLS,
    SKULL_STRIP,
    UNDEFACED,
    split_contrast,
    split_variant,
)

#: Routes beside the names of models: the variant as it is; its new face taken off.
DIRECT, TAKEN_OFF = "direct", "taken_off"
#: The settings as a reader meets them, the one that counts first.
SETTING_WORDS = {"other_session": "other session", "same_scan": "same scan (easier)"}


def settings(table: pd.DataFrame) -> list[str]:
    """Return the settings in which anybody was scored, the one that counts first."""
    rate = next((name for name in ("rank1", "choice", "identification") if name in table), None)
    scored = table[table[rate].notna()] if rate else table
    return [s for s in SETTING_WORDS if s in set(scored["setting"])]


def main_setting(table: pd.DataFrame) -> str:
    """Return the setting that figures show: another session where anybody has one."""
    there = set(table["setting"])
    return next(iter([*settings(table), *(s for s in SETTING_WORDS if s in there), *SETTING_WORDS]))


def main_rows(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of that setting (:func:`main_setting`)."""
    return table[table["setting"] == main_setting(table)]


def attackers(table: pd.DataFrame) -> list[str]:
    """Return the attackers in order of appearance."""
    return list(dict.fromkeys(table["attacker"].dropna()))


def is_control(variant: str) -> bool:
    """Tell whether a variant stands for no method: its tests are no part of the methods' family.

    >>> [is_control(v) for v in ("null", "skull_strip@T2w", "pydeface", "pydeface+m")]
    [True, True, False, False]
    """
    defacer = split_variant(split_contrast(variant)[0])[0]
    return defacer in (*UNDEFACED, *PICTURE_CONTROLS, SKULL_STRIP)


def is_landmark(variant: str) -> bool:
    """Tell whether a variant is a control and no candidate."""
    return variant in (*UNDEFACED, *PICTURE_CONTROLS)


def with_contrasts(privacy: pd.DataFrame, contrasts: pd.DataFrame | None) -> pd.DataFrame:
    """Return the table ``privacy`` and, below it, the attacks on images of other contrasts.

    Their variants are named ``pydeface@T2w``.
    """
    if contrasts is None or contrasts.empty:
        return privacy
    names = contrasts["variant"].astype(str) + CONTRAST + contrasts["contrast"].astype(str)
    return pd.concat([privacy, contrasts.assign(variant=names)], ignore_index=True)


def attacked_by(variant: str, route: str) -> str:
    """Return what is attacked where a route leads to a variant.

    >>> [attacked_by("a+m", route) for route in ("direct", "k", "taken_off", "@T2w")]
    ['a+m', 'a+k', 'a', 'a@T2w']
    """
    if route == DIRECT:
        return variant
    defacer = split_variant(variant)[0]
    if route.startswith(CONTRAST):
        return f"{defacer}{route}"
    return defacer if route == TAKEN_OFF else f"{defacer}+{route}"


def is_beaten(row) -> bool:
    """Tell whether an attack on a method is shown to do better than chance."""
    return not is_landmark(row["variant"]) and row["beaten"] == 1


def is_unranked(table: pd.DataFrame) -> bool:
    """Tell whether nothing separates the methods of one setting and segmenter: all have rank 1."""
    ranks = table["rank"].dropna()
    return len(ranks) > 1 and bool((ranks == 1).all())
