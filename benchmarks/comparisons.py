"""Do the comparisons of methods keep their promises?  Errors of tests, coverage of intervals.

    python benchmarks/comparisons.py                      # one table, minutes
    python benchmarks/comparisons.py --repeats 200 --people 13 --only pairs shift

Every repeat draws made-up participants whose truth is known and asks the library.  Prints one
row a question, setting and number of participants: the share of repeats in which it holds
(``share``), what it should be (``wanted``), its Monte Carlo error, and the share of repeats in
which the library gave no answer at all (``none``).

``friedman``  error: a difference between methods that do not differ; power: one method is
              worse by a standard deviation
``pairs``     error: any pair, Holm-corrected; ``failures``: methods fail alike, failures counted;
              power: a method that is worse by two standard deviations against one other;
              joint intervals: all of them hold
``mcnemar``   error of McNemar's exact test where both methods flag alike
``shift``     coverage of the Hodges-Lehmann interval, by the shape of the differences
``limits``    coverage of the intervals of bias and limits of agreement
``icc``       coverage of the interval of ICC(A,1), by the true ICC and bias
``slope``     error of the test of a bias that grows with the volume
``groups``    error and power of the test between subgroups (three groups, one of them small);
              ``chi2``: the test that would be made without permutations, for comparison
``mixed``     coverage of the mixed model's intervals, by the spread of the methods (30 people at
              most, a quarter of the repeats); ``model``: those without the sandwich, for comparison

Reads and writes nothing unless told (``--out``).
"""

import argparse
import time
import warnings

import numpy as np
import pandas as pd
from scipy import stats

from refacebench.statistics import agreement, mixed, posthoc, subgroups
from refacebench.statistics.mcnemar import mcnemar
from refacebench.statistics.shifts import shift

LEVEL, ALPHA = 0.95, 0.05
#: Differences of median (and centre of symmetry) 0 with a spread of about 1.
SHAPES = {
    "normal": lambda rng, n: rng.normal(size=n),
    "heavy": lambda rng, n: rng.standard_t(3, n) / np.sqrt(3),
    "flat": lambda rng, n: rng.uniform(-1.7, 1.7, n),
}
METHODS = (4, 6)


def people(rng, n: int, methods: int, effect: float = 0.0) -> pd.DataFrame:
    """Return sizes of changes: of a person, and of each method; the first one is worse."""
    values = rng.normal(size=(n, 1)) + rng.normal(size=(n, methods))
    values[:, 0] += effect
    return pd.DataFrame(np.exp(0.5 * values), columns=[f"m{i}" for i in range(methods)])


def of_friedman(rng, n):
    """Error and power of Friedman's test."""
    for methods in METHODS:
        for name, effect, wanted in (("error", 0.0, ALPHA), ("power", 1.0, np.nan)):
            p = posthoc.friedman(people(rng, n, methods, effect)).p
            yield f"{name}, {methods} methods", wanted, p < ALPHA


def of_pairs(rng, n):
    """Error and power of the pairs after Holm's correction, without and with failures."""
    for methods in METHODS:
        table = posthoc.pairwise(people(rng, n, methods))
        yield f"error, {methods} methods", ALPHA, (table["p_holm"] < ALPHA).any()
        inside = (table["low_joint"] <= 0) & (table["high_joint"] >= 0)
        known = table["low_joint"].notna().all()
        yield f"joint intervals, {methods} methods", LEVEL, inside.all() if known else np.nan
    lost = people(rng, n, METHODS[0])
    counted = posthoc.pairwise(lost.mask(rng.uniform(size=lost.shape) < 0.15))
    holds = (counted["p_all_holm"] < ALPHA).any()
    yield f"error, {METHODS[0]} methods, failures", ALPHA, holds
    table = posthoc.pairwise(people(rng, n, METHODS[0], 2.0))
    found = table.loc[table["first"] == "m0", "p_holm"] < ALPHA
    yield f"power, {METHODS[0]} methods, one pair", np.nan, found.iloc[0]


def of_mcnemar(rng, n):
    """Error of McNemar's test, by how often methods flag."""
    for share in (0.1, 0.3, 0.5):
        person = rng.normal(size=n)
        one, other = (person + rng.normal(size=n) > stats.norm.isf(share, scale=np.sqrt(2))
                      for _ in range(2))  # fmt: skip
        yield f"error, {share:g} flagged", ALPHA, mcnemar(one, other).p < ALPHA


def of_shift(rng, n):
    """Coverage of the Hodges-Lehmann interval."""
    for name, draw in SHAPES.items():
        _, low, high = shift(draw(rng, n), LEVEL)
        yield name, LEVEL, low <= 0 <= high if np.isfinite(low) else np.nan
    # Sizes of changes are skewed, their differences between two alike methods are not.
    sizes = np.abs(rng.normal(size=(2, n)) + rng.normal(size=n))
    _, low, high = shift(sizes[0] - sizes[1], LEVEL)
    yield "differences of sizes", LEVEL, low <= 0 <= high


def of_limits(rng, n):
    """Coverage of the intervals of bias and limits of agreement."""
    z = stats.norm.isf(0.025)
    for name in ("normal", "heavy"):
        draw = SHAPES[name](rng, n)
        true = stats.t.isf(0.025, 3) / np.sqrt(3) if name == "heavy" else z
        found = agreement.limits(draw, LEVEL)
        yield f"bias, {name}", LEVEL, found["bias_low"] <= 0 <= found["bias_high"]
        yield f"upper limit, {name}", LEVEL, found["upper_low"] <= true <= found["upper_high"]
        # Bland & Altman's approximation of 1999, for comparison.
        error = found["sd"] * np.sqrt(1 / n + z**2 / (2 * (n - 1)))
        half = stats.t.isf(0.025, n - 1) * error
        near = abs(found["upper"] - true) <= half
        yield f"upper limit, {name}, approximate", LEVEL, near


def of_icc(rng, n):
    """Coverage of the interval of ICC(A,1): a fixed bias between original and variant."""
    for true_noise, bias in ((0.1, 0.0), (0.1, 0.1), (0.1, 0.3), (0.5, 0.0), (0.5, 0.5)):
        person = rng.normal(size=(n, 1))
        values = person + true_noise * rng.normal(size=(n, 2)) + np.array([0.0, bias])
        # The variance of a fixed bias: its square over 2, as of k = 2 values of variance 1.
        true = 1 / (1 + true_noise**2 + bias**2 / 2)
        _, low, high = agreement.icc_a1(values, LEVEL)
        yield f"icc {true:.3f}, bias {bias:g} sd", LEVEL, low <= true <= high


def of_slope(rng, n):
    """Error of the test of a proportional bias."""
    person = rng.normal(size=n)
    first, second = person + 0.1 * rng.normal(size=(2, n))
    found = agreement.proportional(first, second)
    yield "error", ALPHA, found["slope_p"] < ALPHA


def of_groups(rng, n):
    """Error and power of the interaction test."""
    sizes = [max(2, n // 6), (n - max(2, n // 6)) // 2]
    groups = np.repeat(["a", "b", "c"], [*sizes, n - sum(sizes)])
    for name, draw in (("normal", SHAPES["normal"]), ("heavy", SHAPES["heavy"])):
        values = draw(rng, n)
        _, p = subgroups.interaction(values, groups, seed=1, draws=1999)
        yield f"error, {name}", ALPHA, p < ALPHA
        parts = [values[groups == name] for name in "abc"]
        yield f"error, {name}, chi2", ALPHA, stats.kruskal(*parts).pvalue < ALPHA
    values = rng.normal(size=n) + 1.5 * (groups == "c")
    yield "power, 1.5 sd", np.nan, subgroups.interaction(values, groups, 1, 1999)[1] < ALPHA


def of_mixed(rng, n):
    """Coverage of the mixed model's intervals."""
    for name, spread in (("alike", (1, 1, 1, 1)), ("unlike", (0.5, 1, 2, 4))):
        table = cohort(rng, n, spread)
        found = mixed.fit(table, LEVEL)
        rows = found.estimates
        for variant in ("m0", "m3"):
            if rows.empty:
                yield f"{name}, {variant}", LEVEL, np.nan
                continue
            row = rows.loc[variant]
            yield f"{name}, {variant}", LEVEL, row["low"] <= 0 <= row["high"]
            yield f"{name}, {variant}, model", LEVEL, abs(row["estimate"]) <= _half(found, n)


def _half(found, n: int) -> float:
    """Return half the model's own interval of a method's mean, in balanced data."""
    error = np.sqrt((found.sd_participant**2 + found.sd_residual**2) / n)
    return stats.norm.isf((1 - LEVEL) / 2) * error


def cohort(rng, n: int, spread) -> pd.DataFrame:
    """Return changes of people at two sites; site and person shift all methods alike."""
    site = np.arange(n) % 2
    person = rng.normal(size=n)
    return pd.DataFrame(
        [
            {"participant": f"p{i:03d}", "site": f"s{site[i]}", "variant": f"m{k}",
             "value": person[i] + width * rng.normal() + (site[i] - 0.5) * 0.5}
            for i in range(n)
            for k, width in enumerate(spread)
        ]
    )  # fmt: skip


QUESTIONS = {
    "friedman": of_friedman,
    "pairs": of_pairs,
    "mcnemar": of_mcnemar,
    "shift": of_shift,
    "limits": of_limits,
    "icc": of_icc,
    "slope": of_slope,
    "groups": of_groups,
    "mixed": of_mixed,
}
#: Slow questions have a share of the repeats, and so many people at most.
FEWER, MOST_PEOPLE = {"mixed": 0.25}, {"mixed": 30}


def table(numbers, repeats: int, seed: int, only=tuple(QUESTIONS)) -> pd.DataFrame:
    """Return the table that the module's docstring describes."""
    rows = []
    for place, (question, ask) in enumerate(QUESTIONS.items()):
        if question not in only:
            continue
        for n in (n for n in numbers if n <= MOST_PEOPLE.get(question, n)):
            rng = np.random.default_rng([seed, place, n])  # parts give what the whole gives
            times = max(1, int(repeats * FEWER.get(question, 1)))
            found = [answer for _ in range(times) for answer in ask(rng, n)]
            answers = pd.DataFrame(found, columns=["setting", "wanted", "holds"])
            for setting, mine in answers.groupby("setting", sort=False):
                holds = mine["holds"].astype(float)
                share, known = holds.mean(), holds.notna().sum()
                wanted = mine["wanted"].iloc[0]
                near = wanted if np.isfinite(wanted) else share
                rows.append(
                    {
                        "question": question,
                        "setting": setting,
                        "people": n,
                        "share": share,
                        "wanted": wanted,
                        "monte_carlo": np.sqrt(near * (1 - near) / max(known, 1)),
                        "none": holds.isna().mean(),
                    }
                )
    return pd.DataFrame(rows)


def main():
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--people", type=int, nargs="+", default=[10, 13, 30, 100])
    parser.add_argument("--only", nargs="+", choices=QUESTIONS, default=list(QUESTIONS))
    parser.add_argument("--repeats", type=int, default=400)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", help="write the table as TSV, too")
    given = parser.parse_args()
    start = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = table(given.people, given.repeats, given.seed, given.only)
    if given.out:
        found.to_csv(given.out, sep="\t", index=False)
    print(found.to_string(index=False, float_format=lambda v: f"{v:.3f}", na_rep="-"))
    print(f"\nrepeats {given.repeats} (mixed {int(given.repeats * FEWER['mixed'])}); "
          f"seconds of CPU {time.process_time() - start:.0f}")  # fmt: skip


if __name__ == "__main__":
    main()
