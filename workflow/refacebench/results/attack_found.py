"""The strongest attack on a method: what it reached, as values and in words.

Pure functions: result tables in, values and text out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from refacebench.plot.numbers import chance, percent
from refacebench.plot.privacy_utility import CORRECTED
from refacebench.statistics.attack_tables import (
    DIRECT,
    TAKEN_OFF,
    attacked_by,
    main_rows,
    main_setting,
    with_contrasts,
)
from refacebench.vocabulary import CONTRAST, SAME_SCAN

Tables = Mapping[str, pd.DataFrame]


@dataclass(frozen=True)
class Attack:
    """The worst attack on a variant, of the table ``tradeoff``.

    ``rate`` is what it was observed to reach, as in the table ``privacy``; ``corrected`` allows
    for its having been picked as the worst of several, and ``low`` to ``high`` is the interval
    of that.  ``unseen``: scans in which the attacker found no face, of those that it compared.
    ``own``: the interval of ``rate`` by itself, as the table ``privacy`` has it.
    ``setting``: what it had to compare with; ``attacks``: so many were tried on the variant, of
    which it is the worst, on ``people``.
    """

    attacker: str
    route: str
    measure: str
    rate: float
    corrected: float
    low: float
    high: float
    chance: float
    beaten: float
    above: float
    margin: float
    within: float
    unseen: tuple[int, int] = (0, 0)
    own: tuple[float, float] = (np.nan, np.nan)
    setting: str = ""
    attacks: int = 1
    people: int = 0

    @property
    def beats(self) -> bool:
        """Whether it does better than chance, by the exact test."""
        return self.beaten == 1

    @property
    def disagreement(self) -> str:
        """Which of its two intervals is at odds with the test, and the other one; empty if none."""
        both = {"its own interval": self.own, "the corrected interval": (self.low, self.high)}
        told: dict[bool, list[str]] = {True: [], False: []}
        for name, (low, high) in both.items():
            if np.isfinite(low):
                above = low > self.chance
                where = "lies above" if above else "includes"
                ends = f"{name} ({percent(low)} to {percent(high)} %)"
                told[above == self.beats].append(f"{ends} {where} chance")
        if not told[False]:
            return ""
        agreeing = f", while {told[True][0]}" if told[True] else ""
        return f"{' and '.join(told[False])}{agreeing}"

    @property
    def other_side(self) -> str:
        """How far above chance the worst attack may be; empty where that is not known."""
        if not np.isfinite(self.above):
            return ""
        points = 100 * max(self.above, 0.0)
        if self.within == 1:
            return f"all are shown to be less than {self.margin:g} points above it"
        return (
            f"but up to {points:.0f} points above it cannot be ruled out (one-sided bound; less "
            f"than {self.margin:g} is asked for)"
        )

    @property
    def interval(self) -> str:
        """The rate with its interval and chance; both rates where they differ as printed."""
        ends = f"{percent(self.low)} to {percent(self.high)} %"
        by_chance = f"chance {chance(self.chance)} %"
        if percent(self.corrected) == percent(self.rate):
            return f"{percent(self.rate)} % ({ends}, {by_chance})"
        corrected = f"{CORRECTED}: {percent(self.corrected)} %"
        return f"{percent(self.rate)} % ({by_chance}; {corrected}, {ends})"

    @property
    def short(self) -> str:
        """The same for a cell: as observed, then corrected with the interval of that."""
        ends = f"[{percent(self.low)}, {percent(self.high)}]"
        if percent(self.corrected) == percent(self.rate):
            return f"{percent(self.rate)}\u00a0% {ends}"
        corrected = f"{percent(self.corrected)}\u00a0% {ends}"
        return f"{percent(self.rate)}\u00a0% observed; {corrected} corrected"

    @property
    def does(self) -> str:
        """What the rate counts."""
        if self.measure == "rank1":
            return "names the person"
        return f"picks the right one of {round(1 / self.chance)} people"

    @property
    def way(self) -> str:
        """How the attack came to the face."""
        if self.route == DIRECT:
            return "on the image as it is"
        if self.route == TAKEN_OFF:
            return "after the new face was taken off"
        if self.route.startswith(CONTRAST):
            return f"on the {self.route.removeprefix(CONTRAST)} image that is shared with it"
        return f"after {self.route} put a face back"


def worst_attacks(tables: Tables) -> dict[str, Attack]:
    """Return the worst attack on each variant in the setting that counts."""
    table = tables.get("tradeoff")
    if table is None or table.empty:
        return {}
    return _attacks(main_rows(table), tables)


def _attacks(table: pd.DataFrame, tables: Tables) -> dict[str, Attack]:
    """Return the attacks of one setting's rows of the table ``tradeoff``, by variant."""
    table = table.drop_duplicates("variant").dropna(subset=["identification"])
    columns = ("worst_attacker", "worst_route", "measure", "worst_rate", "identification",
               "low", "high", "chance")  # fmt: skip
    verdicts = ("beaten", "above_chance_at_most", "margin_points", "within_margin")
    return {
        row["variant"]: _by_itself(
            replace(
                Attack(*(row[c] for c in (*columns, *verdicts))),
                setting=str(row["setting"]),
                attacks=max(1, count(row, "n_routes")),
                people=count(row, "n_completers"),
            ),
            row,
            tables,
        )
        for _, row in table.iterrows()
    }


def _by_itself(attack: Attack, row: pd.Series, tables: Tables) -> Attack:
    """Return an attack with what the table of single attacks has of it: interval, unseen faces."""
    privacy = tables.get("privacy")
    if privacy is None or privacy.empty or "n_undetected" not in privacy:
        return attack
    privacy = with_contrasts(privacy, tables.get("privacy_contrasts"))
    attacked = attacked_by(row["variant"], row["worst_route"])
    mine = privacy[
        (privacy["attacker"] == row["worst_attacker"]) & (privacy["variant"] == attacked)
    ]
    mine = mine[mine["setting"] == row["setting"]]
    if mine.empty:
        return attack
    single = mine.iloc[0]
    low, high = (
        single.get(f"{attack.measure}_completers_{end}", np.nan) for end in ("low", "high")
    )
    return replace(
        attack,
        unseen=(count(single, "n_undetected"), count(single, "n_queries")),
        own=(float(low), float(high)),
    )


def on_the_same_scan(tables: Tables, variant: str) -> Attack | None:
    """Return the worst attack on the very same scan, where another setting counts."""
    table = tables.get("tradeoff")
    if table is None or table.empty or main_setting(table) == SAME_SCAN:
        return None
    return _attacks(table[table["setting"] == SAME_SCAN], tables).get(variant)


def count(row: pd.Series, name: str) -> int:
    """Return a cell as a number of things; 0 where there is none."""
    value = row.get(name, np.nan)
    return int(value) if pd.notna(value) else 0
