"""Is the worst case of several attacks honest?  Attacks that know nothing, and some that know.

    python benchmarks/worst_case.py                       # one table, minutes
    python benchmarks/worst_case.py --repeats 100 --people 13 --routes 2 10

Every repeat draws distances between the queries and the gallery of so many people, for so
many routes (attacks), and asks the library for the worst case.  ``correlation`` is that of the
distances of any two routes.  ``known``: how many routes recognise people (their own
distance lies 1.5 standard deviations nearer); the others guess.  Routes that know are drawn
for the smallest and the largest number of routes.  Prints one row a setting and measure:

``error_test``      share of repeats in which the test says that a route is above chance (p < 0.05)
``error_interval``  share in which the interval lies wholly above chance
``error_before``    the same for a percentile bootstrap of the largest rate, for comparison
``covered``         share in which the interval holds the true worst case
``bias``            mean of the estimate less the true worst case
``bias_largest``    mean of the largest observed rate less the true worst case
``error_rank``      share in which one of two methods, with half of the routes each, is said to
                    be safer than the other, in either direction; it should not be where
                    neither is

The first three are errors only where no route knows anything; both kinds of numbers stand in one
table because the same intervals must do both.  The true worst case is the largest mean of any route
over very many people with galleries of this size.  ``monte_carlo`` is the standard error
of a share of 5 % with so many repeats.  Reads and writes nothing unless told (``--out``).
"""

import argparse
import time
from dataclasses import replace

import numpy as np
import pandas as pd

from refacebench.statistics import front, intervals, worst
from refacebench.statistics.criteria import Criteria
from refacebench.statistics.swaps import shuffled_rates
from refacebench.statistics.trials import Trials, choice, within

OPTIONS = 5
#: What a trial is worth, by measure.
WORTH = {"rank1": lambda t: within(t, 1), "choice": lambda t: choice(t, OPTIONS)}
#: By how many standard deviations the own face is nearer, for a route that knows people.
NEARER = 1.5
#: People of whom the true means are taken.
MANY = 20_000


def distances(rng, n: int, routes: int, known: int, correlation: float) -> np.ndarray:
    """Return distances, shape (routes, n queries, n gallery); person i's own is on the diagonal."""
    shared, own = rng.normal(size=(n, n)), rng.normal(size=(routes, n, n))
    found = np.sqrt(correlation) * shared + np.sqrt(1 - correlation) * own
    found[:known, np.arange(n), np.arange(n)] -= NEARER
    return found


def trials_of(matrix: np.ndarray) -> Trials:
    """Return the trials of one route: everybody once against everybody."""
    n = len(matrix)
    match, rows = np.diagonal(matrix).copy(), np.arange(n)
    others = matrix.copy()
    others[rows, rows] = np.nan
    yes = np.ones(n, dtype=bool)
    less = (others < match[:, None]).sum(axis=1)
    return Trials(
        resplit=np.zeros(n, dtype=int),
        query=rows,
        participant=np.array([f"p{i:04d}" for i in rows]),
        scored=yes,
        detected=yes,
        less=less,
        tied=np.zeros(n, dtype=int),
        size=np.full(n, n),
        match=match,
        own=rows,
        others=others,
    )


def truth(n: int, known: int, measure: str, rng) -> float:
    """Return the true worst case in galleries of n people."""
    if not known:
        return chance(n, measure)
    nearer = np.concatenate(
        [
            (rng.normal(size=(1000, n - 1)) < rng.normal(-NEARER, 1, (1000, 1))).sum(axis=1)
            for _ in range(MANY // 1000)
        ]
    )
    zeros = np.zeros(len(nearer), dtype=int)
    t = Trials(**dict.fromkeys(Trials.__dataclass_fields__, zeros))
    t = replace(t, less=nearer, size=zeros + n)
    return float(WORTH[measure](t).mean())


def chance(n: int, measure: str) -> float:
    """Return what ignorance reaches."""
    return 1 / n if measure == "rank1" else 1 / OPTIONS


def before(table: pd.DataFrame, criteria: Criteria) -> float:
    """Return the lower end of a percentile bootstrap of the largest rate."""
    counts = intervals.resample_counts(len(table), criteria.n_boot, criteria.seed)
    largest = (counts @ table.to_numpy() / len(table)).max(axis=1)
    return float(np.quantile(largest, (1 - criteria.level) / 2))


def once(rng, n, routes, known, correlation, truths, criteria) -> list[dict]:
    """Return what the library says of one draw, one entry a measure."""
    trials = [trials_of(matrix) for matrix in distances(rng, n, routes, known, correlation)]
    shuffled = None
    if not known:
        shuffled = [shuffled_rates(t, WORTH, criteria) for t in trials]
    rows = []
    for measure, value in WORTH.items():
        table = pd.DataFrame({k: value(t) for k, t in enumerate(trials)})
        rates, level = table.mean().to_numpy(), chance(n, measure)
        chances = np.full(routes, level)
        low, high = worst.interval(table, chances, criteria)
        estimate = worst.picked_elsewhere(table, chances, criteria)
        row = {
            "covered": low <= truths[measure] <= high,
            "bias": estimate - truths[measure],
            "bias_largest": rates.max() - truths[measure],
        }
        if not known:
            draws = np.column_stack([s[measure] for s in shuffled])
            row["error_test"] = worst.any_above_chance(rates, draws) < criteria.alpha
            row["error_interval"] = low > level
            row["error_before"] = before(table, criteria) > level
        if known in (0, routes):
            half = [table.iloc[:, ::2] - level, table.iloc[:, 1::2] - level]
            p_values = [front.less_identified(*pair) for pair in (half, half[::-1])]
            # Holm's correction of two.
            row["error_rank"] = 2 * min(p_values) < criteria.alpha
        rows.append({"measure": measure, **row})
    return rows


def table(people, routes, repeats: int, seed: int) -> pd.DataFrame:
    """Return the table that the module's docstring describes."""
    rows = []
    for n in people:
        for number in routes:
            knowing = {0, 1, number} if number in (min(routes), max(routes)) else {0}
            for known in sorted(knowing):
                for correlation in (0.0, 0.9):
                    rows += _rows(n, number, known, correlation, repeats, seed)
    return pd.DataFrame(rows)


def _rows(n, routes, known, correlation, repeats, seed) -> list[dict]:
    rng = np.random.default_rng([seed, n, routes, known, int(10 * correlation)])
    criteria = Criteria(n_boot=500, seed=seed)
    truths = {measure: truth(n, known, measure, rng) for measure in WORTH}
    found = [
        row
        for _ in range(repeats)
        for row in once(rng, n, routes, known, correlation, truths, criteria)
    ]
    names = ["error_test", "error_interval", "error_before", "covered", "bias", "bias_largest"]
    means = pd.DataFrame(found).reindex(columns=["measure", *names, "error_rank"])
    means = means.astype(dict.fromkeys([*names, "error_rank"], float))
    means = means.groupby("measure", sort=False).mean()
    case = {"people": n, "routes": routes, "known": known, "correlation": correlation}
    return [{**case, "measure": measure, **row} for measure, row in means.iterrows()]


def main():
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--people", type=int, nargs="+", default=[10, 13, 30, 100])
    parser.add_argument("--routes", type=int, nargs="+", default=[2, 4, 6, 10])
    parser.add_argument("--repeats", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", help="write the table as TSV, too")
    given = parser.parse_args()
    start = time.process_time()
    found = table(given.people, given.routes, given.repeats, given.seed)
    if given.out:
        found.to_csv(given.out, sep="\t", index=False)
    text = found.to_string(index=False, float_format=lambda v: f"{v:.3f}", na_rep="-")
    print(text)
    error = np.sqrt(0.05 * 0.95 / given.repeats)
    print(f"\nrepeats {given.repeats}; monte_carlo {error:.3f}; seconds of CPU "
          f"{time.process_time() - start:.0f}")  # fmt: skip


if __name__ == "__main__":
    main()
