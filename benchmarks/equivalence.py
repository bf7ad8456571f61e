"""How often do the equivalence tests of volumes err?  What does it take for them to pass?  Tables.

    python benchmarks/equivalence.py                           # four tables, minutes
    python benchmarks/equivalence.py --repeats 200 --people 13 --rescans 5 13

Every repeat draws the percent changes of so many people and the absolute scan-rescan differences
of so many others, and asks the library whether the changes lie within the true mean
difference.  Shapes of both: ``normal``; ``heavy`` (Student's t with 3 degrees of freedom);
``skewed`` (exponential); ``very_skewed`` (log-normal).  The *true margin* is the mean absolute
difference of the shape.  ``spread`` is the standard deviation of the changes over that of
the differences (of the normal shape; a factor for the others).

1. Errors of one test: the changes' median lies exactly at the true margin, above (``side`` +1)
   or below (-1).  ``error``: share of repeats in which the test says equivalent (p < 0.05);
   ``before``: the same of two one-sided signed-rank tests within the rescans' mean, as it was.
   ``people_are``: others than the rescanned ones; ``shared``, the same, whose first scan is
   in both differences; ``worst``, the same, who change less the larger their difference.
2. The same with a fixed margin, known without rescans; also with the pseudo-median or the mean
   of skewed changes at the margin instead of the median.
3. Errors of a family: 18 regions x variants, all of them exactly at their true margins, Holm;
   the variants share the regions' rescans.  ``any_error``: share of repeats with any error.
4. Power where the true change is 0: share of tests that say equivalent, alone and at
   the first step of Holm's correction over 126 tests (18 regions x 7 variants).  ``fixed``:
   within a fixed margin of the same size.

Reads and writes nothing unless told (``--out``, a folder).
"""

import argparse
import time
from pathlib import Path

import numpy as np
import pandas as pd

from refacebench.statistics import paired
from refacebench.statistics.margin import Rescans, lower_bound, within

ALPHA = 0.05
REGIONS = 18
#: How each shape is drawn, its median at 0, and its mean absolute value.
SHAPES = {
    "normal": (lambda rng, size: rng.normal(size=size), np.sqrt(2 / np.pi)),
    "heavy": (lambda rng, size: rng.standard_t(3, size=size), 2 * np.sqrt(3) / np.pi),
    "skewed": (lambda rng, size: rng.exponential(size=size) - np.log(2), np.log(2)),
    "very_skewed": (lambda rng, size: rng.lognormal(size=size) - 1, 1.1255),
}
#: Pseudo-median (median of a mean of two) and mean of the skewed shapes, their median being 0.
LOCATIONS = {
    "skewed": {"median": 0.0, "pseudo-median": 0.8392 - np.log(2), "mean": 1 - np.log(2)},
    "very_skewed": {"median": 0.0, "pseudo-median": 0.2213, "mean": np.exp(0.5) - 1},
}
SPREADS = (0.1, 1.0)
FAMILY = 126
FAMILY_SIZES = (13, 30)


def changes_of(rng, shape: str, people: int, signed: np.ndarray, people_are: str) -> np.ndarray:
    """Return changes about 0 of people whose rescans may be those of ``signed``."""
    changes = SHAPES[shape][0](rng, people)
    number = min(people, len(signed))
    if people_are == "shared":  # half of the variance of a difference is the first scan's noise
        changes[:number] = (changes[:number] - signed[:number]) / np.sqrt(2)
    elif people_are == "worst":
        order = np.argsort(np.argsort(-np.abs(signed[:number])))
        changes[:number] = np.sort(changes[:number])[order]
    return changes


def accepts(changes, bound: float, alpha: float) -> bool:
    """Tell whether the changes lie within a bound; what a p value below alpha amounts to."""
    return within(changes, bound) <= alpha


def errors_of_one(people, rescans, repeats: int, seed: int) -> pd.DataFrame:
    """Return the first table."""
    rows = []
    for shape, (draw, _) in SHAPES.items():
        for r in rescans:
            rng = np.random.default_rng([seed, list(SHAPES).index(shape), r])
            signed = [draw(rng, r) for _ in range(repeats)]
            bounds = [lower_bound(np.abs(s), ALPHA) for s in signed]
            for n in people:
                for people_are in ("others", "shared", "worst"):
                    if people_are == "shared" and shape not in ("normal", "heavy"):
                        continue  # the sum of two skewed ones has another median
                    drawn = [changes_of(rng, shape, n, s, people_are) for s in signed]
                    case = {"shape": shape, "people": n, "rescans": r, "people_are": people_are}
                    rows += [{**case, **row} for row in _errors(shape, drawn, signed, bounds)]
    return pd.DataFrame(rows)


def _errors(shape, drawn, signed, bounds) -> list[dict]:
    rows, true = [], SHAPES[shape][1]
    for spread in SPREADS:
        for side in (1, -1):
            moved = [side * true + spread * changes for changes in drawn]
            error = np.mean([accepts(m, b, ALPHA) for m, b in zip(moved, bounds, strict=True)])
            means = [np.abs(s).mean() for s in signed]
            before = np.mean(
                [paired.tost(m, mean) < ALPHA for m, mean in zip(moved, means, strict=True)]
            )
            rows.append({"spread": spread, "side": side, "error": error, "before": before})
    return rows


def errors_fixed(people, repeats: int, seed: int) -> pd.DataFrame:
    """Return the second table."""
    rows = []
    for shape, (draw, true) in SHAPES.items():
        for location, at in LOCATIONS.get(shape, {"median": 0.0}).items():
            for n in people:
                rng = np.random.default_rng([seed, 2, n, len(location)])
                for side in (1, -1):
                    drawn = [side * true + draw(rng, n) - at for _ in range(repeats)]
                    error = np.mean([within(c, true) <= ALPHA for c in drawn])
                    before = np.mean([paired.tost(c, true) <= ALPHA for c in drawn])
                    rows.append(
                        {"shape": shape, "at_margin": location, "people": n, "side": side,
                         "error": error, "signed_ranks_alone": before}
                    )  # fmt: skip
    return pd.DataFrame(rows)


def errors_of_family(sizes, repeats: int, seed: int) -> pd.DataFrame:
    """Return the third table; as many rescans as people."""
    rows = []
    for shape in ("normal", "skewed"):
        for n in sizes:
            for variants in (1, 5):
                rng = np.random.default_rng([seed, 3, n, variants])
                found = [_family(rng, shape, n, n, variants, 0.1) for _ in range(repeats)]
                case = {"shape": shape, "people": n, "rescans": n, "variants": variants}
                rows.append({**case, "spread": 0.1, "any_error": np.mean(found)})
    return pd.DataFrame(rows)


def _family(rng, shape, n, r, variants, spread) -> bool:
    draw, true = SHAPES[shape]
    p_values = []
    for _ in range(REGIONS):
        yardstick = Rescans(np.abs(draw(rng, r)))
        p_values += [yardstick.p_value(true + spread * draw(rng, n)) for _ in range(variants)]
    return bool((paired.correct(p_values, "holm") < ALPHA).any())


def power(people, rescans, repeats: int, seed: int) -> pd.DataFrame:
    """Return the fourth table."""
    rows = []
    draw, true = SHAPES["normal"]
    levels = {"alone": ALPHA, "corrected": ALPHA / FAMILY}
    for r in rescans:
        rng = np.random.default_rng([seed, 4, r])
        drawn = [np.abs(draw(rng, r)) for _ in range(repeats)]
        bounds = {name: [lower_bound(d, a) for d in drawn] for name, a in levels.items()}
        for n in people:
            for spread in (0.1, 0.25, 0.5, 1.0):
                row = {"people": n, "rescans": r, "spread": spread}
                changes = [spread * draw(rng, n) for _ in range(repeats)]
                for name, alpha in levels.items():
                    pairs = zip(changes, bounds[name], strict=True)
                    row[name] = np.mean([accepts(c, b, alpha) for c, b in pairs])
                    row[f"fixed_{name}"] = np.mean([accepts(c, true, alpha) for c in changes])
                rows.append(row)
    return pd.DataFrame(rows)


def summary(table: pd.DataFrame, by: list[str], names: list[str]) -> pd.DataFrame:
    """Return mean and largest of some columns, by others."""
    found = table.groupby(by, sort=False)[names].agg(["mean", "max"])
    found.columns = [f"{name}_{what}" for name, what in found.columns]
    return found.reset_index()


def main():
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    sizes = [5, 13, 30, 100, 200]
    parser.add_argument("--people", type=int, nargs="+", default=sizes)
    parser.add_argument("--rescans", type=int, nargs="+", default=sizes)
    parser.add_argument("--repeats", type=int, default=200)
    parser.add_argument("--family-repeats", type=int, help="of the third table; half if left out")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, help="write the tables as TSV into this folder, too")
    given = parser.parse_args()
    start = time.process_time()
    repeats, seed = given.repeats, given.seed
    families = given.family_repeats or max(repeats // 2, 10)
    found = {
        "one": errors_of_one(given.people, given.rescans, repeats, seed),
        "fixed": errors_fixed(given.people, repeats, seed),
        "family": errors_of_family(FAMILY_SIZES, families, seed),
        "power": power(given.people, given.rescans, repeats, seed),
    }
    if given.out:
        given.out.mkdir(parents=True, exist_ok=True)
        for name, table in found.items():
            table.to_csv(given.out / f"{name}.tsv", sep="\t", index=False)
    shown = {
        "1. one test, by shape and sizes": summary(
            found["one"], ["shape", "people", "rescans"], ["error", "before"]
        ),
        "1. one test, by whose rescans": summary(
            found["one"], ["shape", "people_are", "spread"], ["error", "before"]
        ),
        "2. fixed margin": found["fixed"],
        "3. families": found["family"],
        "4. power": found["power"],
    }
    for title, table in shown.items():
        text = table.to_string(index=False, float_format=lambda v: f"{v:.3f}")
        print(f"{title}\n{text}\n")
    error = [np.sqrt(0.05 * 0.95 / number) for number in (repeats, families)]
    print(f"repeats {repeats} (families {families}); monte_carlo {error[0]:.3f} ({error[1]:.3f}); "
          f"seconds of CPU {time.process_time() - start:.0f}")  # fmt: skip


if __name__ == "__main__":
    main()
