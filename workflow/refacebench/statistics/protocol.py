"""What is asked of the attackers: how many pictures to choose from, which rates, which points."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

#: What people can be matched on, and are unless the config says otherwise.
MATCHED = ("site", "sex", "age")


@dataclass(frozen=True)
class Protocol:
    """What is asked of the attackers; config keys below ``privacy``.

    Attributes
    ----------
    options : int
        Pictures to choose from, the match among them.
    rank_k : int
        The k of rank-k.
    false_accept : float
        Share of false accepts at which verification is measured.
    measure : str
        The primary measure, which has the tests, the stars and the verdicts, and of which the
        worst case is taken: ``choice`` does not depend on the gallery's size, ``rank1`` does.
    margin_points : float
        An attack that is less than so many percentage points above chance counts as no better
        than chance.
    most_ranks : int
        Ranks up to which the cumulative match characteristic is written.
    match : tuple of str
        What people are matched on, that which is dropped last first; empty for nothing
        (:mod:`~refacebench.statistics.galleries`).
    age_band_years : float
        Width of the age bands, the first of which begins at 0.
    """

    options: int = 5
    rank_k: int = 5
    false_accept: float = 0.01
    measure: str = "choice"
    margin_points: float = 5.0
    most_ranks: int = 50
    match: tuple[str, ...] = MATCHED
    age_band_years: float = 10.0

    @classmethod
    def from_config(cls, config: Mapping) -> Protocol:
        """Return the protocol of a workflow's config."""
        given = {k: v for k, v in (config.get("privacy") or {}).items() if k != "kit"}
        return cls(**given)

    def __post_init__(self):
        """Check the ranges.

        Raises
        ------
        ValueError
            Names the key.
        """
        for name, least in (("options", 2), ("rank_k", 2), ("most_ranks", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"privacy.{name} must be at least {least}")
        if not 0 < self.false_accept < 1:
            raise ValueError("privacy.false_accept must lie between 0 and 1")
        if self.measure not in ("choice", "rank1"):
            raise ValueError(f"privacy.measure: unknown '{self.measure}' (choice or rank1)")
        if not 0 < self.margin_points < 100:
            raise ValueError("privacy.margin_points must lie between 0 and 100")
        if not self.age_band_years > 0:
            raise ValueError("privacy.age_band_years must be positive")
        for name in self.match:
            if name not in MATCHED:
                raise ValueError(f"privacy.match: unknown '{name}' (known: {', '.join(MATCHED)})")
        object.__setattr__(self, "match", tuple(dict.fromkeys(self.match)))
