"""Do the printed intervals hold, and is a detectable effect detected?  Before and after.

    python benchmarks/intervals.py                        # all tables, minutes
    python benchmarks/intervals.py --repeats 200 --people 13 --only means power

Draws samples of known shape and asks the library for the interval of each kind that a table
prints.  ``covered``: share of samples whose interval (95 %) holds the truth; ``width``: its mean
width in units of the truth's own scale; ``before``: the same for the percentile bootstrap
(shares: Wilson's interval) that stood there earlier.  ``reach``: the share of samples that show
anything of what the mean depends on; no interval without a known largest value can hold more
often.

``power``: the smallest detectable shift of a signed-rank test of ``n`` participants in a family of
``family`` tests, in standard deviations, and how often the test finds it (SciPy's p value, normal
differences); ``before`` is the paired t test's at 3/pi of the sample.  ``speed``: milliseconds of a
signed-rank test by numbers of participants and ways with zeros.

Reads and writes nothing unless told (``--out`` is a folder).
"""

import argparse
import time
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from refacebench.statistics import intervals, paired, roc
from refacebench.statistics.criteria import Criteria
from refacebench.statistics.trials import Trials

DRAWS = 500
MANY = 1_000_000


def zeros(share, rng, size, high):
    """Return values that are zero for a share of the people."""
    return np.where(rng.uniform(size=size) < share, 0.0, high)


#: Shapes of participants' values.
SHAPES = {
    "normal": lambda rng, size: rng.normal(0.3, 1, size),
    "t, 3 df": lambda rng, size: 0.3 + rng.standard_t(3, size),
    "Dice, 1 - lognormal 0.5": lambda rng, size: 1 - 0.05 * rng.lognormal(0, 0.5, size),
    "absolute normal": lambda rng, size: np.abs(rng.normal(0, 1, size)),
    "gamma 2": lambda rng, size: rng.gamma(2, 1, size),
    "exponential": lambda rng, size: rng.exponential(1, size),
    "minus exponential": lambda rng, size: -rng.exponential(1, size),
    "lognormal 0.7": lambda rng, size: rng.lognormal(0, 0.7, size),
    "lognormal 1": lambda rng, size: rng.lognormal(0, 1, size),
    "ties": lambda rng, size: np.round(rng.normal(0.3, 1, size)),
    "70 % zeros": lambda rng, size: zeros(0.7, rng, size, rng.normal(4, 1, size)),
    "80 % zeros": lambda rng, size: zeros(0.8, rng, size, rng.normal(4, 1, size)),
    "90 % zeros": lambda rng, size: zeros(0.9, rng, size, rng.normal(4, 1, size)),
}
#: Shapes whose mean hangs on what a sample may not show, with the share of such people.
RARE = {"70 % zeros": 0.3, "80 % zeros": 0.2, "90 % zeros": 0.1}
#: Shapes of differences for effect sizes.
EFFECTS = {
    "normal": lambda rng, size: rng.normal(0, 1, size),
    "normal + 0.5": lambda rng, size: rng.normal(0.5, 1, size),
    "normal + 1": lambda rng, size: rng.normal(1, 1, size),
    "normal + 2": lambda rng, size: rng.normal(2, 1, size),
    "t, 3 df, + 1.5": lambda rng, size: rng.standard_t(3, size) + 1.5,
    "lognormal - 0.5": lambda rng, size: rng.lognormal(0, 1, size) - 0.5,
    "3 - lognormal": lambda rng, size: 3 - rng.lognormal(0, 1, size),
    "ties": lambda rng, size: np.round(rng.normal(0.5, 1, size)),
    "70 % zeros": lambda rng, size: zeros(0.7, rng, size, rng.normal(1, 1, size)),
    "90 % zeros": lambda rng, size: zeros(0.9, rng, size, rng.normal(4, 1, size)),
    "20 % large falls": lambda rng, size: np.where(
        rng.uniform(size=size) < 0.2, -10, rng.exponential(1, size)
    ),
}
#: Shapes of rates: plain hits, and fractions as choices and ties give them.
RATES = {
    "hits, 2 %": lambda rng, size: rng.uniform(size=size) < 0.02,
    "hits, 8 %": lambda rng, size: rng.uniform(size=size) < 0.08,
    "hits, 50 %": lambda rng, size: rng.uniform(size=size) < 0.5,
    "hits, 95 %": lambda rng, size: rng.uniform(size=size) < 0.95,
    "choices, chance": lambda rng, size: rng.uniform(size=size) ** 4,
    "choices, half known": lambda rng, size: np.where(
        rng.uniform(size=size) < 0.5, 1.0, rng.uniform(size=size) ** 4
    ),
    "choices, 5 % known": lambda rng, size: np.where(rng.uniform(size=size) < 0.05, 1.0, 0.02),
    "places, chance": lambda rng, size: rng.uniform(size=size),
    "places, known": lambda rng, size: rng.beta(6, 1, size),
}


def resampled(values: np.ndarray, statistic=None) -> tuple[float, float]:
    """Return the percentile bootstrap that was printed before, of the mean unless told."""
    counts = intervals.resample_counts(len(values), DRAWS, 0)
    if statistic is None:
        return intervals.quantiles(counts @ values / len(values), 0.95)
    drawn = np.repeat(np.tile(values, (DRAWS, 1)), counts.ravel()).reshape(DRAWS, -1)
    return intervals.quantiles(statistic(drawn), 0.95)


def effects(drawn: np.ndarray) -> np.ndarray:
    """Return the rank-biserial correlation of each row."""
    drawn = np.round(drawn, paired.DECIMALS)
    ranks = stats.rankdata(np.abs(drawn), axis=1)
    return (ranks * np.sign(drawn)).sum(axis=1) / ranks.sum(axis=1)


def compare(draw, truth: float, n: int, repeats: int, rng, now, before) -> dict:
    """Return coverage and width of two kinds of intervals on the same samples."""
    found = {"covered": [], "width": [], "before": [], "width_before": []}
    for _ in range(repeats):
        values = np.asarray(draw(rng, n), dtype=float)
        for interval, covered, width in (
            (now, "covered", "width"),
            (before, "before", "width_before"),
        ):
            low, high = interval(values)
            found[covered].append(low <= truth <= high)
            found[width].append(high - low)
    return {name: float(np.mean(values)) for name, values in found.items()}


def means(people, repeats: int, seed: int) -> pd.DataFrame:
    """Return the table of means (Dice, similarity, brain age, distances)."""
    rows = []
    for n in people:
        for place, (shape, draw) in enumerate(SHAPES.items()):
            rng = np.random.default_rng([seed, n, place])
            truth = float(np.mean(draw(rng, MANY)))
            found = compare(draw, truth, n, repeats, rng, intervals.mean_interval, resampled)
            student = 2 * stats.t.isf(0.025, n - 1) * draw(rng, MANY).std() / np.sqrt(n)
            for name in ("width", "width_before"):
                found[name] /= student
            reach = 1 - (1 - RARE[shape]) ** n if shape in RARE else 1.0
            rows.append({"n": n, "values": shape, **found, "reach": reach})
    return pd.DataFrame(rows)


def medians(people, repeats: int, seed: int) -> pd.DataFrame:
    """Return the table of medians (changes of volumes)."""
    rows = []
    for n in people:
        for place, (shape, draw) in enumerate(SHAPES.items()):
            rng = np.random.default_rng([seed, n, place, 1])
            sample = draw(rng, MANY)
            old = lambda values: resampled(values, lambda drawn: np.median(drawn, axis=1))  # noqa: E731
            found = compare(
                draw, float(np.median(sample)), n, repeats, rng, intervals.exact_median, old
            )
            rows.append({"n": n, "values": shape, **found})
    return pd.DataFrame(rows)


def effect_sizes(people, repeats: int, seed: int) -> pd.DataFrame:
    """Return the table of rank-biserial correlations."""
    rows = []
    for n in people:
        for place, (shape, draw) in enumerate(EFFECTS.items()):
            rng = np.random.default_rng([seed, n, place, 2])
            pairs = draw(rng, (2, MANY)).sum(axis=0)
            truth = float(np.sign(np.round(pairs, paired.DECIMALS)).mean())
            old = lambda values: resampled(values, effects)  # noqa: E731
            found = compare(draw, truth, n, repeats, rng, paired.rank_biserial_interval, old)
            rows.append({"n": n, "differences": shape, "truth": truth, **found})
    return pd.DataFrame(rows)


def rates(people, repeats: int, seed: int) -> pd.DataFrame:
    """Return the table of rates of identification."""
    rows = []
    for n in people:
        for place, (shape, draw) in enumerate(RATES.items()):
            rng = np.random.default_rng([seed, n, place, 3])
            truth = float(np.mean(draw(rng, MANY)))
            found = compare(draw, truth, n, repeats, rng, intervals.bounded_mean, resampled)
            rows.append({"n": n, "rate": shape, "truth": truth, **found})
    return pd.DataFrame(rows)


def shares(people, repeats: int, seed: int) -> pd.DataFrame:
    """Return the table of shares of scans, with several sessions of a participant."""
    rows = []
    for n in people:
        for sessions in (1, 2):
            for alike in (0.0, 0.5, 1.0) if sessions > 1 else (0.0,):
                for truth in (0.05, 0.3):
                    rng = np.random.default_rng([seed, n, sessions, int(10 * alike), 4])
                    found = [_share(rng, n, sessions, alike, truth) for _ in range(repeats)]
                    case = {"n": n, "sessions": sessions, "alike": alike, "truth": truth}
                    rows.append({**case, **pd.DataFrame(found).mean()})
    return pd.DataFrame(rows)


def _share(rng, n: int, sessions: int, alike: float, truth: float) -> dict:
    """``alike``: how often a session shows its person's own flag, the correlation's root."""
    persons = np.repeat(np.arange(n), sessions)
    own = (rng.uniform(size=n) < truth)[persons]
    fresh = rng.uniform(size=len(persons)) < truth
    flags = np.where(rng.uniform(size=len(persons)) < np.sqrt(alike), own, fresh)
    _, low, high = intervals.share(flags, persons)
    scans = len(flags) / intervals.design_effect(flags, persons)
    old_low, old_high = intervals.wilson(flags.mean() * scans, scans)
    return {
        "covered": float(low <= truth <= high),
        "width": high - low,
        "before": float(old_low <= truth <= old_high),
        "width_before": old_high - old_low,
    }


def curves(people, repeats: int, seed: int) -> pd.DataFrame:
    """Return the table of what is read off the ROC: area, equal error rate, verification."""
    statistics = {
        "area": roc.roc_area,
        "equal error rate": roc.equal_error_rate,
        "verified at 5 %": lambda false, true: roc.true_accepts(false, true, 0.05),
    }
    rows = []
    for n in people:
        for nearer in (0.0, 1.5):
            rng = np.random.default_rng([seed, n, int(10 * nearer), 5])
            # The mean over samples is what a sample of this size estimates.
            points, ends = [], []
            for _ in range(max(1, repeats // 4)):
                curve = roc.Roc(_trials(rng, n, nearer))
                points.append([float(f(*curve.path())[0]) for f in statistics.values()])
                criteria = Criteria(n_boot=DRAWS, seed=0)
                ends.append(roc.resampled(curve, statistics.values(), criteria))
            truths = np.mean(points, axis=0)
            for place, name in enumerate(statistics):
                truth = truths[place]
                people = n * (1.0 if name.startswith("verified") else roc.OF_PAIRS)
                now = [
                    roc.interval(point[place], draws[place], people, 0.95)
                    for point, draws in zip(points, ends, strict=True)
                ]
                old = [intervals.quantiles(draws[place], 0.95) for draws in ends]
                rows.append(
                    {
                        "n": n,
                        "nearer": nearer,
                        "number": name,
                        "truth": truth,
                        **_summed(now, truth, "covered", "width"),
                        **_summed(old, truth, "before", "width_before"),
                    }
                )
    return pd.DataFrame(rows)


def _summed(ends, truth: float, covered: str, width: str) -> dict:
    low, high = np.array(ends).T
    return {
        covered: float(((low <= truth) & (truth <= high)).mean()),
        width: float((high - low).mean()),
    }


def _trials(rng, n: int, nearer: float) -> Trials:
    """Everybody once against everybody; the own distance lies ``nearer`` by so many deviations."""
    others = rng.normal(size=(n, n))
    rows = np.arange(n)
    match = others[rows, rows] - nearer
    others[rows, rows] = np.nan
    yes = np.ones(n, dtype=bool)
    return Trials(
        resplit=np.zeros(n, dtype=int),
        query=rows,
        participant=np.array([f"p{i:04d}" for i in rows]),
        scored=yes,
        detected=yes,
        less=(others < match[:, None]).sum(axis=1),
        tied=np.zeros(n, dtype=int),
        size=np.full(n, n),
        match=match,
        own=rows,
        others=others,
    )


def power(people, repeats: int, seed: int) -> pd.DataFrame:
    """Return the table of detectable shifts; ten times as many repeats, as they are cheap."""
    rows = []
    for n in (8, 10, 13, 20, 30, 50, 51, 60, 100, 200):
        for family in (1, 10, 23, 126, 200):
            alpha = 0.05 / family
            start = time.perf_counter()
            shift = paired.minimum_detectable(n, 1.0, alpha)
            row = {"n": n, "family": family, "shift": shift}
            row["milliseconds"] = 1000 * (time.perf_counter() - start)
            old = _shift_before(n, alpha)
            row["before"] = old
            for name, size in (("power", shift), ("power_before", old)):
                rng = np.random.default_rng([seed, n, family, 6])
                found = [
                    stats.wilcoxon(rng.normal(size, 1, (repeats, n)), axis=1).pvalue < alpha
                    for _ in range(10 if np.isfinite(size) else 0)
                ]
                row[name] = float(np.mean(found)) if found else np.nan
            rows.append(row)
    return pd.DataFrame(rows)


def _shift_before(n: int, alpha: float) -> float:
    """Return the shift that the paired t test detects with 80 % at 3/pi of the sample."""
    from scipy.optimize import brentq
    from statsmodels.stats.power import TTestPower

    if 2.0 ** (1 - n) > alpha:
        return np.inf
    gap = lambda size: (  # noqa: E731
        TTestPower().power(size, n * 3 / np.pi, alpha / 2, alternative="larger") - 0.8
    )
    upper = 1.0
    while gap(upper) < 0:
        upper *= 2
    return float(brentq(gap, 1e-9, upper))


def speed(people, repeats: int, seed: int) -> pd.DataFrame:
    """Return milliseconds of one signed-rank test, with ties and zeros and without."""
    rows = []
    for n in (8, 13, 14, 30, 50, 51, 100, 200):
        rng = np.random.default_rng([seed, n, 7])
        plain = rng.normal(0.3, 1, n)
        tied = np.round(plain)
        for method in ("pratt", "wilcox", "zsplit"):
            row = {"n": n, "zeros": method}
            for name, values in (("plain", plain), ("tied", tied)):
                start = time.perf_counter()
                for _ in range(20):
                    paired.wilcoxon(values, method)
                row[name] = 1000 * (time.perf_counter() - start) / 20
            rows.append({**row, "ratio": row["tied"] / row["plain"]})
    return pd.DataFrame(rows)


TABLES = {
    "means": means,
    "medians": medians,
    "effects": effect_sizes,
    "rates": rates,
    "shares": shares,
    "curves": curves,
    "power": power,
    "speed": speed,
}


def main():
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--people", type=int, nargs="+", default=[10, 13, 30, 100])
    parser.add_argument("--repeats", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", nargs="+", choices=TABLES, default=list(TABLES))
    parser.add_argument("--out", help="write each table as TSV into this folder, too")
    given = parser.parse_args()
    start = time.process_time()
    for name in given.only:
        found = TABLES[name](given.people, given.repeats, given.seed)
        if given.out:
            found.to_csv(Path(given.out) / f"{name}.tsv", sep="\t", index=False)
        text = found.to_string(index=False, float_format=lambda v: f"{v:.3f}", na_rep="-")
        print(f"{name}\n\n{text}\n", flush=True)
    error = np.sqrt(0.05 * 0.95 / given.repeats)
    print(f"repeats {given.repeats}; monte_carlo {error:.3f}; seconds of CPU "
          f"{time.process_time() - start:.0f}")  # fmt: skip


if __name__ == "__main__":
    main()
