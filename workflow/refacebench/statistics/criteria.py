"""The numbers that decide what a test says; all are config keys and printed in captions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Criteria:
    """Thresholds, levels and seeds of the statistics.

    Attributes
    ----------
    alpha : float
        Significance level of a family after correction.
    level : float
        Coverage of every interval.
    n_boot, seed : int
        Bootstrap resamples (of participants) and the seed of their drawing.
    threshold_pct : float
        A volume that changes by more than this counts as changed.
    equivalence_margin : str
        ``rescan``: the mean scan-rescan difference of each volume, where there are enough rescans;
        ``fixed``: ``equivalence_margin_pct``.
    equivalence_margin_pct : float
        Margin of the equivalence tests where that of the rescans is not used, and beside it.
    equivalence_margin_source : str
        Where that number comes from, in words; printed where the margin is named.
    largest_acceptable_change_pct : float
        No margin is larger than this.
    min_rescans : int
        Participants with a rescan below which the margin comes from the config.
    part_left : float
        A part of the face of which more than this share is left counts as left.
    power : float
        Power of the minimum detectable effect.
    zero_method : str
        What the signed-rank test does with participants without any change:
        ``pratt`` ranks them and then leaves them out, ``wilcox`` drops them
        first, ``zsplit`` gives half to each side.
    age_bands : tuple of float
        Ages in years at which the subgroups by age are cut.
    splits : tuple of str
        Splits whose scans are compared.  Scans without a split always are.
    """

    alpha: float = 0.05
    level: float = 0.95
    n_boot: int = 2000
    seed: int = 0
    threshold_pct: float = 5.0
    equivalence_margin: str = "rescan"
    equivalence_margin_pct: float = 2.0
    equivalence_margin_source: str = ""
    largest_acceptable_change_pct: float = 2.0
    min_rescans: int = 5
    part_left: float = 0.25
    power: float = 0.8
    zero_method: str = "pratt"
    age_bands: tuple[float, ...] = (50.0, 65.0)
    splits: tuple[str, ...] = ("test",)

    @classmethod
    def from_config(cls, config: Mapping) -> Criteria:
        """Return the criteria of a workflow's config (its ``statistics`` and ``thresholds``)."""
        given = dict(config.get("statistics") or {})
        if "bootstrap" in given:
            given["n_boot"] = given.pop("bootstrap")
        limits = config.get("thresholds") or {}
        if "volume_change_pct" in limits:
            given["threshold_pct"] = limits["volume_change_pct"]
        if "face_left" in limits:
            given["part_left"] = limits["face_left"]
        return cls(seed=config.get("seed", 0), **given)

    def __post_init__(self):
        """Check the ranges, so that a slip in the config is found before hours of work.

        Raises
        ------
        ValueError
            Names the key and its value.
        """
        for name in ("alpha", "level", "power"):
            if not 0 < getattr(self, name) < 1:
                raise ValueError(f"statistics.{name} must lie between 0 and 1")
        for name in ("n_boot", "min_rescans"):
            if getattr(self, name) < 1:
                raise ValueError(f"statistics.{name} must be at least 1")
        positive = ("threshold_pct", "equivalence_margin_pct", "largest_acceptable_change_pct")
        for name in positive:
            if getattr(self, name) <= 0:
                raise ValueError(f"statistics.{name} must be positive")
        if self.equivalence_margin not in ("rescan", "fixed"):
            raise ValueError(
                f"statistics.equivalence_margin: unknown '{self.equivalence_margin}'; "
                "write rescan or fixed"
            )
        if self.zero_method not in ("pratt", "wilcox", "zsplit"):
            raise ValueError(f"statistics.zero_method: unknown '{self.zero_method}'")
        object.__setattr__(self, "splits", tuple(self.splits))
        object.__setattr__(self, "age_bands", tuple(sorted(set(map(float, self.age_bands)))))
