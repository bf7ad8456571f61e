"""How often attackers name the person: one attacker, variant and setting at a time.

Pure functions of :class:`~refacebench.statistics.comparisons.Comparisons`; what a trial is:
:mod:`~refacebench.statistics.trials`.

**Intervals** are over the participants as queries; the gallery stays as it is.  Rates and
the area under the top-alpha curve have the bounds of
:func:`~refacebench.statistics.intervals.bounded_mean`, which are Clopper-Pearson's for plain
hits; the ROC's numbers those of :func:`~refacebench.statistics.roc.interval`.

**No score.**  A query that could not be compared says nothing about what would
have been recognised: it is no success of the method that hid the face.
``*_completers``, all tests, the choice from the other side, rankings (``area``,
ROC) and the worst case (:mod:`~refacebench.statistics.worst`) are of those that
could be compared.  ``rank1``, ``rank_k`` and ``choice`` are of all, those without
a score not named: what was named of all that was tried, and no lower bound of
what is recognisable.  A face that was not *detected* may still have a score (of a
fixed crop) and is no failure; ``rank1_detected`` is of the detected alone.

**Galleries.**  ``choice``, ``choice_reverse`` and ``rank1_matched`` are among people of the same
site, sex and age band as far as there are any (:mod:`~refacebench.statistics.galleries`); all
else, and ``choice_unmatched``, is among everybody.  ``site_sex_*`` are the rates of a control
that knows site and sex alone, on the same queries: it joins no family and no worst case.

**Tests**: :mod:`~refacebench.statistics.attack_tests`; identities are swapped within what
``swapped_within`` names.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from refacebench.statistics import galleries, paired
from refacebench.statistics.attack_tests import family_of, primary, secondary, trial_chances
from refacebench.statistics.chance import critical, detectable
from refacebench.statistics.comparisons import Comparisons
from refacebench.statistics.criteria import Criteria
from refacebench.statistics.curves import points
from refacebench.statistics.galleries import Likeness, matched_choice, narrowed, nearest
from refacebench.statistics.intervals import (
    bounded_mean,
    quantiles,
    share,
)
from refacebench.statistics.protocol import Protocol
from refacebench.statistics.roc import (
    OF_PAIRS,
    equal_error_rate,
    interval,
    of_resplits,
    resampled,
    roc_area,
    true_accepts,
)
from refacebench.statistics.swaps import critical_rate, null_rates, shuffled_rates
from refacebench.statistics.trials import (
    Trials,
    by_person,
    by_resplit,
    choice,
    percentile,
    trials,
    within,
)
from refacebench.vocabulary import OTHER_SESSION, SETTINGS

#: Rates of a choice: the bounds of a mean, and none where no gallery is large enough.
CHOICES = ("choice", "choice_unmatched")
#: What the control knows that stands beside every attack.
SITE_AND_SEX = Protocol(match=("site", "sex"))


@dataclass(frozen=True)
class Evaluation:
    """What one attacker did to one variant in one setting.

    Attributes
    ----------
    row : dict
        Its row of the table ``privacy``.
    persons : dict of str to pandas.Series
        ``choice`` and ``rank1`` of each participant, NaN for those without a score;
        ``choice`` is empty where no gallery is large enough.
    shuffled : dict of str to numpy.ndarray
        The rates of both where people swap identities (:func:`shuffled_rates`).
    curves : pandas.DataFrame
        Its rows of the table ``privacy_curves``.
    chances : numpy.ndarray
        Chance of the test trial of each participant with a score.
    null : numpy.ndarray
        The primary measure's rates where people swap identities, for its test.
    """

    row: dict
    persons: dict = field(default_factory=dict)
    shuffled: dict = field(default_factory=dict)
    curves: pd.DataFrame | None = None
    chances: np.ndarray = field(default_factory=lambda: np.empty(0))
    null: np.ndarray = field(default_factory=lambda: np.empty(0))


def evaluate_all(
    found: Iterable[Comparisons],
    protocol: Protocol,
    criteria: Criteria,
    floors: Collection[str] = (),
    people: pd.DataFrame | None = None,
) -> list[Evaluation]:
    """Return the results of all scores in both settings, with the corrected tests.

    ``found`` is gone through once, so that not all scores need be held together.  ``floors``
    names the attackers that look at no face; ``people`` has the participants' attributes
    (:func:`~refacebench.statistics.galleries.people_of`).
    """
    results = [
        evaluate(s, setting, protocol, criteria, people) for s in found for setting in SETTINGS
    ]
    results.sort(key=lambda result: SETTINGS.index(result.row["setting"]))
    families: dict[tuple[str, str], list[Evaluation]] = {}
    for result in results:
        result.row["family"] = family_of(result.row, floors)
        families.setdefault((result.row["setting"], result.row["family"]), []).append(result)
    for family in families.values():
        _correct(family, criteria)
    return results


def _correct(family: list[Evaluation], criteria: Criteria) -> None:
    """Add what depends on the number of tests in a family."""
    for name in ("p", "p_area"):
        corrected = paired.correct([r.row.get(name, np.nan) for r in family], "holm")
        for result, value in zip(family, corrected, strict=True):
            result.row[f"{name}_holm"] = float(value)
    size = sum(np.isfinite(r.row.get("p", np.nan)) for r in family)
    level = criteria.alpha / max(size, 1)
    for result in family:
        row = result.row
        row["family_size"] = size
        row["rank1_critical"] = critical(result.chances, level)
        row["rank1_detectable"] = detectable(result.chances, level, criteria.power)
        if row.get("measure", "rank1") == "rank1":
            row["detectable"] = row["rank1_detectable"]
        else:
            one_pick = np.full(result.persons["choice"].notna().sum(), row["choice_chance"])
            row["detectable"] = detectable(one_pick, level, criteria.power)
        row["critical"] = critical_rate(result.null, level) if len(result.null) else np.nan


def evaluate(
    scores: Comparisons,
    setting: str,
    protocol: Protocol,
    criteria: Criteria,
    people: pd.DataFrame | None = None,
) -> Evaluation:
    """Return everything that one attacker did to one variant in one setting."""
    t = trials(scores, setting)
    identity = {
        "variant": scores.variant,
        "attacker": scores.attacker,
        "version": str(scores.meta.get("version", "")),
        "trained_on": _plain(scores.meta.get("trained_on", "")),
        "setting": setting,
        "k": protocol.rank_k,
        "n_options": protocol.options,
        "false_accept": protocol.false_accept,
        "n_resplits": scores.resplits,
        **_queries(scores, t),
    }
    undetected = _undetected(scores, t, criteria) if len(t) else {}
    if not t.scored.any():
        # No rate at all: "not one was identified" would be a claim about an attack that never was.
        row = {**identity, **undetected, "n_completers": 0, "note": _why_none(scores, t, setting)}
        return Evaluation(row, {"rank1": pd.Series(np.nan, index=np.unique(t.participant))})
    like = _likeness(scores, people, protocol)
    row, persons = _rates(t, like, protocol, criteria)
    row |= _reverse_choice(scores, setting, protocol, criteria, people)
    row |= _galleries(t, like, _likeness(scores, people, SITE_AND_SEX), protocol.options)
    if people is None:  # nobody was asked about
        row["matched_on"] = ""
    row |= _rankings(t, protocol, criteria)
    row |= secondary(t)
    strata, row["swapped_within"] = galleries.strata(like)
    chances = trial_chances(t)
    curves = points(t, identity, protocol, criteria)
    worth = {
        "rank1": lambda u: within(u, 1),
        "choice": lambda u: matched_choice(narrowed(u, like), protocol.options),
    }
    measure = protocol.measure if len(persons[protocol.measure]) else "rank1"
    null = null_rates(t, worth[measure], criteria.seed, strata=strata)
    row |= primary(measure, persons[measure], row, null, protocol, criteria)
    return Evaluation(
        {**identity, **undetected, **row, "note": ""},
        persons,
        shuffled_rates(t, worth, criteria, strata),
        curves,
        chances,
        null,
    )


def _likeness(scores: Comparisons, people: pd.DataFrame | None, protocol: Protocol) -> Likeness:
    """Return who is like whom in the gallery, in the order of the trials' columns."""
    names = np.unique(scores.gallery["participant"].to_numpy(dtype=str))
    return galleries.likeness(people, names, protocol)


def _plain(value) -> str:
    return value if isinstance(value, str) else "" if value is None else str(value)


def _why_none(scores: Comparisons, t: Trials, setting: str) -> str:
    unavailable = _plain(scores.meta.get("unavailable", ""))
    if unavailable:
        return unavailable
    if len(t):
        reasons = scores.query["reason"].iloc[np.unique(t.query)].fillna("")
        given = reasons[reasons != ""]
        return given.mode().iloc[0] if len(given) else "no query could be compared"
    if not len(scores.query):
        return "no query"
    if setting == OTHER_SESSION:
        return "no participant has a query and an original of another session"
    return "no query has its own original in the gallery"


def _queries(scores: Comparisons, t: Trials) -> dict:
    used = np.unique(t.query)
    scored = np.unique(t.query[t.scored])
    return {
        "n": len(np.unique(t.participant)),
        "n_queries": len(used),
        "n_failed": len(used) - len(scored),
        "n_no_match": len(scores.query) - len(used),
        "n_gallery": float(np.median(t.size)) if len(t) else np.nan,
    }


def _undetected(scores: Comparisons, t: Trials, criteria: Criteria) -> dict:
    used = scores.query.iloc[np.unique(t.query)]
    missing = ~used["detected"].to_numpy(dtype=bool)
    value, low, high = share(missing, used["participant"], criteria.level)
    return {
        "n_undetected": int(missing.sum()),
        "undetected_share": value,
        "undetected_low": low,
        "undetected_high": high,
    }


def _all(values: np.ndarray, t: Trials) -> np.ndarray:
    """Return the values with 0 where there is no score: not identified."""
    return np.where(t.scored, values, 0.0)


def _rates(t: Trials, like: Likeness, protocol, criteria) -> tuple[dict, dict]:
    """Return rates of identification and each completer's, for the worst case."""
    levels = narrowed(t, like)
    values = {
        "rank1": within(t, 1),
        "rank1_matched": within(nearest(levels), 1),
        "rank_k": within(t, protocol.rank_k),
        "choice": matched_choice(levels, protocol.options),
        "choice_unmatched": choice(t, protocol.options),
    }
    completers = {name: by_person(found, t, t.scored) for name, found in values.items()}
    everybody = {name: by_person(_all(found, t), t) for name, found in values.items()}
    for name in CHOICES:
        if not len(completers[name]):
            everybody[name] = completers[name]
    row = {
        "n_completers": len(completers["rank1"]),
        "chance": by_person(1.0 / t.size, t, t.scored).mean(),
        "chance_k": by_person(np.minimum(protocol.rank_k / t.size, 1.0), t, t.scored).mean(),
        "choice_chance": 1.0 / protocol.options,
        "rank1_detected": _mean(by_person(values["rank1"], t, t.scored & t.detected)),
    }
    for name in values:
        for label, persons in ((name, everybody), (f"{name}_completers", completers)):
            row[label] = _mean(persons[name])
            row[f"{label}_low"], row[f"{label}_high"] = rate_interval(persons[name], criteria)
    for name in ("rank1", "choice"):
        band = _band(_all(values[name], t), t, criteria)
        row[f"{name}_band_low"], row[f"{name}_band_high"] = band
    people = everybody["rank1"].index
    return row, {
        name: found.reindex(people) if len(found) else found
        for name, found in completers.items()
        if name in ("rank1", "choice")
    }


def _galleries(t: Trials, like: Likeness, known: Likeness, options: int) -> dict:
    """Return how well galleries could be matched, and what ``known`` alone gives away."""
    levels = narrowed(t, like)
    alone = galleries.control_values(t, like, known, options)
    return {
        **galleries.matched_on(t, levels, like, options),
        **{f"site_sex_{n}": _mean(by_person(v, t, t.scored)) for n, v in alone.items()},
        "rank1_matched_chance": _mean(by_person(1.0 / nearest(levels).size, t, t.scored)),
        "p_rank1_matched": secondary(nearest(levels))["p_rank1"],
    }


def rate_interval(values: pd.Series, criteria: Criteria) -> tuple[float, float]:
    """Return the interval of a mean of participants' values between 0 and 1."""
    return bounded_mean(values, level=criteria.level, seed=criteria.seed)


def _reverse_choice(scores, setting, protocol: Protocol, criteria: Criteria, people) -> dict:
    """Return the question of CP-GAN: one original, ``options`` de-identified scans of a method.

    A match without a score is left out.
    """
    turned = scores.reversed()
    t = trials(turned, setting)
    levels = narrowed(t, _likeness(turned, people, protocol))
    row = {}
    for name, found in (
        ("choice_reverse", matched_choice(levels, protocol.options)),
        ("choice_reverse_unmatched", choice(t, protocol.options)),
    ):
        values = by_person(found, t, t.scored)
        row[name] = _mean(values)
        row[f"{name}_low"], row[f"{name}_high"] = rate_interval(values, criteria)
    return row


def _mean(values: pd.Series) -> float:
    return float(values.mean()) if len(values) else np.nan


def _band(values, t: Trials, criteria: Criteria, keep=None) -> tuple[float, float]:
    """Return the range over resplits; NaN without resplits."""
    found = by_resplit(values, t, keep)
    return quantiles(found, criteria.level) if len(found) > 1 else (np.nan, np.nan)


def _rankings(t: Trials, protocol: Protocol, criteria: Criteria) -> dict:
    """Return the area under the top-alpha curve and the ROC's numbers, of completers."""
    place = 1.0 - percentile(t)
    persons = by_person(place, t, t.scored)
    low, high = rate_interval(persons, criteria)
    band = _band(place, t, criteria, t.scored)
    ranks = by_person(t.less + t.tied / 2 + 1, t, t.scored)
    return {
        "median_rank": float(ranks.median()) if len(ranks) else np.nan,
        "area": _mean(persons),
        "area_low": low,
        "area_high": high,
        "area_band_low": band[0],
        "area_band_high": band[1],
        **_roc_numbers(t, protocol, criteria),
    }


def _roc_numbers(t: Trials, protocol: Protocol, criteria: Criteria) -> dict:
    """Return ROC area, equal error rate and verification rate.

    Distances of different resplits come from different models and are never
    pooled: with resplits the numbers are means over them, without a bootstrap.
    """
    curves = of_resplits(t)
    row: dict[str, float] = {"n_impostor": curves[0].n_pairs}
    statistics = _roc_statistics(protocol)
    for name, statistic in statistics.items():
        values = np.array([statistic(*roc.path())[0] for roc in curves])
        row[name] = float(values.mean())
        if len(curves) > 1:
            row[f"{name}_band_low"], row[f"{name}_band_high"] = quantiles(values, criteria.level)
    if len(curves) == 1 and len(curves[0].people) > 1:
        replicates = resampled(curves[0], statistics.values(), criteria)
        for name, values in zip(statistics, replicates, strict=True):
            people = len(curves[0].people) * (1.0 if name == "verified" else OF_PAIRS)
            ends = interval(row[name], values, people, criteria.level)
            row[f"{name}_low"], row[f"{name}_high"] = ends
    if row["n_impostor"] * protocol.false_accept < 1:
        # Not one false accept fits below the level: the threshold would be a guess.
        row |= dict.fromkeys([n for n in row if n.startswith("verified")], np.nan)
    return row


def _roc_statistics(protocol: Protocol) -> dict:
    return {
        "roc_area": roc_area,
        "eer": equal_error_rate,
        "verified": lambda f, t: true_accepts(f, t, protocol.false_accept),
    }
