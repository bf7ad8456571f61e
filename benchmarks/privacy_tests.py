"""Whether the statements on privacy hold where the truth is known.

    python benchmarks/privacy_tests.py                    # all tables, minutes
    python benchmarks/privacy_tests.py level --repeats 200 --people 13

Five tables:

``level``      the test against chance: share of p < 0.05 for attacks that know nothing
``apart``      the same for the choice by other means than the library's, with ten times the repeats
``within``     the one-sided bound: share of "less than 5 points above chance" where the truth is 5
               points above chance (an error), and where it is chance (power)
``gaps``       gaps between two methods: coverage of the interval, errors of the test, power
``detectable`` how often the rates that are printed as detectable are found

**How attacks are drawn.**  ``independent``: all distances are independent.  ``hubs``: some people
of the gallery are near to everybody.  ``pairs``: the attacker names everybody once (a matching),
which a test that takes people as independent does not allow for.  ``tied``: it sees nothing.
``shift``: the own face is nearer by a constant.  ``known``: a share of the people is recognised
for certain, the others are guessed.  ``hits``: one pick a person, right or wrong.

Reads and writes nothing unless told (``--out``, a folder for TSV files).
"""

import argparse
import time
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.optimize import brentq
from scipy.special import comb
from scipy.stats import norm

from refacebench.statistics import worst
from refacebench.statistics.attack_tests import secondary
from refacebench.statistics.chance import detectable
from refacebench.statistics.criteria import Criteria
from refacebench.statistics.gaps import Reached, worst_gap
from refacebench.statistics.swaps import null_rates, tail
from refacebench.statistics.trials import Trials, choice, within

OPTIONS, MARGIN, ALPHA = 5, 0.05, 0.05
WORTH = {"rank1": lambda t: within(t, 1), "choice": lambda t: choice(t, OPTIONS)}
CRITERIA = Criteria(n_boot=200, seed=1)


def trials_of(matrix: np.ndarray) -> Trials:
    """Return the trials of one attack: everybody once against everybody, own on the diagonal."""
    n, rows = len(matrix), np.arange(len(matrix))
    match, others = np.diagonal(matrix).copy(), matrix.copy()
    others[rows, rows] = np.nan
    yes = np.ones(n, dtype=bool)
    return Trials(
        resplit=np.zeros(n, dtype=int), query=rows,
        participant=np.array([f"p{i:04d}" for i in rows]), scored=yes, detected=yes,
        less=(others < match[:, None]).sum(axis=1), tied=(others == match[:, None]).sum(axis=1),
        size=np.full(n, n), match=match, own=rows, others=others,
    )  # fmt: skip


def ignorant(rng, kind: str, n: int) -> np.ndarray:
    """Return the distances of an attack that knows nothing."""
    noise = rng.normal(size=(n, n))
    if kind == "hubs":
        return noise * 0.3 + rng.normal(size=n)
    if kind == "pairs":
        noise[np.arange(n), rng.permutation(n)] = -9
    if kind == "tied":
        return np.zeros((n, n))
    return noise


def level(people, repeats: int, seed: int) -> pd.DataFrame:
    """Return how often attacks that know nothing are called above chance."""
    rows = []
    for n in people:
        for kind in ("independent", "hubs", "pairs", "tied"):
            rng = np.random.default_rng([seed, n, len(kind)])
            found = {"choice": 0.0, "rank1": 0.0, "rank1_independent": 0.0}
            for _ in range(repeats):
                t = trials_of(ignorant(rng, kind, n))
                for name, value in WORTH.items():
                    p = tail(float(value(t).mean()), null_rates(t, value, seed, 1000))
                    found[name] += (p < ALPHA) / repeats
                found["rank1_independent"] += (secondary(t)["p_rank1"] < ALPHA) / repeats
            rows.append({"people": n, "attack": kind, **found})
    return pd.DataFrame(rows)


def apart(people, repeats: int, seed: int) -> pd.DataFrame:
    """Return the same for the choice, by plain permutations and not by the library."""
    rows = []
    for n in people:
        worth = value_of(np.arange(1, n + 1), n, "choice")
        for kind in ("independent", "hubs", "pairs"):
            rng, found = np.random.default_rng([seed, n, len(kind)]), 0
            for _ in range(10 * repeats):
                table = worth[ignorant(rng, kind, n).argsort(axis=1).argsort(axis=1)]
                swaps = rng.permuted(np.tile(np.arange(n), (199, 1)), axis=1)
                draws = table[np.arange(n), swaps].mean(axis=1)
                reached = (draws >= np.diagonal(table).mean() - 1e-9).sum()
                found += (1 + reached) / 200 <= ALPHA
            rows.append({"people": n, "attack": kind, "choice": found / (10 * repeats)})
    return pd.DataFrame(rows)


def value_of(rank: np.ndarray, n: int, measure: str) -> np.ndarray:
    """Return what ranks from 1 in galleries of n people are worth."""
    if measure == "rank1":
        return (rank == 1).astype(float)
    return comb(n - rank, OPTIONS - 1) / comb(n - 1, OPTIONS - 1)


def chance_of(n: int, measure: str) -> float:
    """Return what ignorance reaches."""
    return 1 / n if measure == "rank1" else 1 / OPTIONS


def drawn(rng, kind: str, n: int, measure: str, above: float, routes: int, repeats: int):
    """Return the values of people, shape (repeats, n, routes), of a true rate above chance."""
    shape, chance = (repeats, n, routes), chance_of(n, measure)
    if kind == "hits":
        return (rng.uniform(size=shape) < chance + above).astype(float)
    if kind == "known":
        share = above / (1 - chance)
        rank = rng.integers(1, n + 1, shape)
        return value_of(np.where(rng.uniform(size=shape) < share, 1, rank), n, measure)
    # The rank of the own face, nearer by a constant, among n - 1 others.
    own = rng.normal(-nearer(n, measure, above), 1, shape)
    return value_of(1 + rng.binomial(n - 1, norm.cdf(own)), n, measure)


def nearer(n: int, measure: str, above: float) -> float:
    """Return by how many standard deviations the own face is nearer, for a rate above chance."""
    x = np.linspace(-6, 6, 2001)
    # Among the others of a choice, or of the whole gallery, none is nearer.
    k = OPTIONS - 1 if measure == "choice" else n - 1

    def rate(shift):
        weight = norm.pdf(x + shift)
        return (weight * norm.sf(x) ** k).sum() / weight.sum() - chance_of(n, measure) - above

    return brentq(rate, -1e-9, 6) if above > 0 else 0.0


def at_most(values: np.ndarray, chance: float) -> float:
    """Return the library's bound above chance of a table of people by routes."""
    table = pd.DataFrame(values)
    return worst.above_chance(table, np.full(values.shape[1], chance), CRITERIA)


def bounds(people, repeats: int, seed: int) -> pd.DataFrame:
    """Return how often "within the margin" is said, at the margin and at chance."""
    rows = []
    for n in people:
        for measure in WORTH:
            for kind in ("hits", "known", "shift"):
                if kind == "hits" and measure == "choice" and n < OPTIONS:
                    continue
                for routes in (1, 4):
                    row = {"people": n, "measure": measure, "attack": kind, "routes": routes}
                    for name, above in (("error", MARGIN), ("power", 0.0)):
                        rng = np.random.default_rng([seed, n, routes, len(kind), len(measure)])
                        values = drawn(rng, kind, n, measure, above, routes, repeats)
                        if name == "error" and routes > 1:
                            # One route lies at the margin, the others guess: the hardest case.
                            values[..., 1:] = drawn(rng, kind, n, measure, 0.0, routes - 1, repeats)
                        chance = chance_of(n, measure)
                        row[name] = np.mean([at_most(v, chance) < MARGIN for v in values])
                    rows.append(row)
    return pd.DataFrame(rows)


def gap_table(people, repeats: int, seed: int) -> pd.DataFrame:
    """Return coverage, errors and power of gaps between two methods."""
    rows = []
    for n in people:
        for kinds in (("hits", "hits"), ("shift", "shift"), ("tied", "hits"), ("tied", "shift")):
            for routes in (1, 3):
                for gap in (0.0, 0.25):
                    rng = np.random.default_rng([seed, n, routes, int(100 * gap), len(kinds[0])])
                    rows.append(
                        {"people": n, "less": kinds[0], "more": kinds[1], "routes": routes,
                         "gap": gap, **_gaps(rng, n, kinds, routes, gap, repeats)}
                    )  # fmt: skip
    return pd.DataFrame(rows)


def _gaps(rng, n, kinds, routes, gap, repeats) -> dict:
    """Return the shares of one setting; all routes of a method are as bad as each other."""
    values = [
        np.full((repeats, n, routes), 1 / OPTIONS)
        if kind == "tied"
        else drawn(rng, kind, n, "choice", above, routes, repeats)
        for kind, above in zip(kinds, (0.0, gap), strict=True)
    ]
    chances = np.full(routes, 1 / OPTIONS)
    found = [
        worst_gap(*(Reached(pd.DataFrame(v), chances) for v in pair), CRITERIA)
        for pair in zip(*values[::-1], strict=True)
    ]
    return {
        "covered": np.mean([f.low <= gap <= f.high for f in found]),
        "said": np.mean([f.p < ALPHA for f in found]),
        "bias": np.mean([f.gap - gap for f in found]),
        "width": np.mean([f.high - f.low for f in found]),
    }


def power_table(people, repeats: int, seed: int) -> pd.DataFrame:
    """Return how often the rates that are called detectable are found by the exact tests."""
    rows = []
    for n in people:
        for size in (1, 10):
            alpha = ALPHA / size
            for measure, value in WORTH.items():
                chance = chance_of(n, measure)
                rate = detectable(np.full(n, chance), alpha, 0.8)
                if not np.isfinite(rate):
                    continue
                rng = np.random.default_rng([seed, n, size, len(measure)])
                share, found = (rate - chance) / (1 - chance), []
                for _ in range(repeats):
                    matrix = rng.normal(size=(n, n))
                    known = rng.uniform(size=n) < share
                    matrix[known, known.nonzero()[0]] = -9
                    t = trials_of(matrix)
                    null = null_rates(t, value, seed, 2000)
                    found.append(tail(float(value(t).mean()), null) < alpha)
                rows.append({"people": n, "tests": size, "measure": measure, "detectable": rate,
                             "found": np.mean(found)})  # fmt: skip
    return pd.DataFrame(rows)


TABLES = {
    "level": level,
    "apart": apart,
    "within": bounds,
    "gaps": gap_table,
    "detectable": power_table,
}
#: People of each table, unless others are asked for.
PEOPLE = {
    "level": (10, 13, 30, 100),
    "apart": (10, 13, 30, 100),
    "within": (10, 13, 30, 60, 100, 200),
    "gaps": (10, 13, 30, 100),
    "detectable": (10, 13, 30, 100),
}


def main():
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tables", nargs="*", metavar="TABLE", help=f"of {', '.join(TABLES)} (all)")
    parser.add_argument("--people", type=int, nargs="+")
    parser.add_argument("--repeats", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, help="a folder for the tables as TSV, too")
    given = parser.parse_args()
    for name in given.tables or TABLES:
        start = time.process_time()
        found = TABLES[name](given.people or PEOPLE[name], given.repeats, given.seed)
        if given.out:
            given.out.mkdir(parents=True, exist_ok=True)
            found.to_csv(given.out / f"{name}.tsv", sep="\t", index=False)
        error = np.sqrt(0.05 * 0.95 / given.repeats)
        print(f"{name} ({given.repeats} repeats, standard error of 5 %: {100 * error:.1f} %, "
              f"{time.process_time() - start:.0f} s of CPU)")  # fmt: skip
        print(found.to_string(index=False, float_format=lambda v: f"{v:.3f}"), "\n", flush=True)


if __name__ == "__main__":
    main()
