"""Does the surface attack name the same people when most comparisons are coarse?  A count.

    python benchmarks/shortlist.py --results results          # of a finished demo; about 15 minutes
    python benchmarks/shortlist.py --results results --people 200 --queries 8      # a minute

Enlarges the cohort of a run: every person is a mixture of three originals' frontal depth maps and a
smooth field of 1.2 mm, every session that person moved by half a millimetre and half a degree with
noise of 0.25 mm.  A variant does to a scan what it did to one of the run's, drawn at random: it
moves the surface as far, and has a surface where that one has.  So many ``queries`` are compared
with everybody, exactly, and as :mod:`refacebench.attackers._shortlist` does it for some values of
``best``.  One row a variant and ``best``:

``exact``          mean share of the gallery that was compared exactly
``rank1``, ``rank1_full``      share of the queries that are named, here and with all exact
``cmc_worst``      largest difference of the two match characteristics at ranks 1 to ``best``
``choice``, ``choice_full``    mean rate of the choice among five
``choice_worst``   largest difference of a query's own rate
``reverse``, ``reverse_full``  the choice among five scans of the variant, for each original
``missed``         exact distances among a query's ``best`` smallest that were not compared exactly
``faster``         CPU time with all exact over that with a shortlist

Prints the time of a pair as well.  Reads the run's renderings, writes nothing.
"""

import argparse
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import ndimage

from refacebench.attackers import _shortlist, surface
from refacebench.statistics.comparisons import Comparisons
from refacebench.statistics.trials import choice, trials, within

OPTIONS = surface.METHOD.defaults
VARIANTS = ("original", "mri_reface", "mask_face", "pydeface", "quickshear")


def depths(folder: Path) -> dict[str, np.ndarray]:
    """Return the frontal depth maps of a variant, by scan."""
    return {
        path.stem: np.load(path)["depth"][0].astype(np.float32)
        for path in sorted((folder / "views").glob("*.npz"))
    }


def moved(rng, depth: np.ndarray, pixel: float) -> np.ndarray:
    """Return another session of a face."""
    known = np.isfinite(depth)
    shift = rng.normal(0, 0.5, 2) / pixel
    value = ndimage.shift(np.where(known, depth, 0).astype(float), shift, order=1)
    weight = ndimage.shift(known.astype(float), shift, order=1)
    face = np.where(weight > 0.5, value / np.maximum(weight, 1e-6), np.nan)
    place = (np.arange(len(depth)) - len(depth) / 2) * pixel
    tilt = np.deg2rad(rng.normal(0, 0.5, 2))
    plane = rng.normal(0, 0.5) + tilt[0] * place[:, None] + tilt[1] * place[None]
    return (face + plane + field(rng, depth.shape, 2, 0.25)).astype(np.float32)


def field(rng, shape, width: float, spread: float) -> np.ndarray:
    """Return a smooth random field."""
    found = ndimage.gaussian_filter(rng.normal(size=shape), width)
    return found * spread / found.std()


def person(rng, faces: np.ndarray) -> np.ndarray:
    """Return the face of somebody new."""
    some = faces[rng.choice(len(faces), 3, replace=False)]
    weight = (rng.dirichlet([1, 1, 1]) * 1.4 - 0.4 / 3)[:, None, None] * np.isfinite(some)
    mixed = (weight * np.nan_to_num(some)).sum(axis=0) / weight.sum(axis=0)
    mixed = np.where(weight.sum(axis=0) > 0.5, mixed, np.nan)
    return (mixed + field(rng, mixed.shape, 8, 1.2)).astype(np.float32)


def changed(rng, depth: np.ndarray, before: dict, after: dict) -> np.ndarray:
    """Do to a face what a variant did to one of the run's."""
    scan = sorted(set(before) & set(after))[rng.integers(len(set(before) & set(after)))]
    moved_by = after[scan] - before[scan]
    return np.where(np.isfinite(moved_by), depth + moved_by, after[scan]).astype(np.float32)


def comparisons(distance: np.ndarray, queries: np.ndarray) -> Comparisons:
    """Return distances as an attack's."""
    table = lambda places, session: pd.DataFrame(  # noqa: E731
        {
            "scan": [f"p{n:05d}_{session}" for n in places],
            "participant": [f"p{n:05d}" for n in places],
            "session": session,
        }
    )
    asked = table(queries, "ses-2").assign(detected=True, reason="")
    return Comparisons("surface", "v", distance, asked, table(range(distance.shape[1]), "ses-1"))


def rates(scores: Comparisons, best: int) -> dict[str, np.ndarray]:
    """Return what the match's rank is worth to each query."""
    t, turned = trials(scores, "other_session"), trials(scores.reversed(), "other_session")
    return {
        "cmc": np.stack([within(t, k).mean() for k in range(1, best + 1)]),
        "choice": choice(t, 5),
        "reverse": choice(turned, 5),
    }


def row(full: np.ndarray, rough: np.ndarray, queries: np.ndarray, best: int, cost) -> dict:
    """Compare a shortlist with all exact."""
    own = np.zeros(full.shape, bool)
    own[np.arange(len(queries)), queries] = True
    looked = []

    def coarse(wanted: np.ndarray) -> np.ndarray:
        looked.append(wanted.mean())
        return np.where(wanted, rough, np.nan)

    found, done = _shortlist.distances(
        lambda wanted: np.where(wanted, full, np.nan),
        coarse,
        own,
        best,
        np.random.default_rng(3),
    )
    smallest = np.argsort(full, axis=1, kind="stable")[:, :best]
    here, true = rates(comparisons(found, queries), best), rates(comparisons(full, queries), best)
    exact_s, coarse_s = cost
    return {
        "exact": done.mean(),
        "rank1": here["cmc"][0],
        "rank1_full": true["cmc"][0],
        "cmc_worst": np.abs(here["cmc"] - true["cmc"]).max(),
        "choice": here["choice"].mean(),
        "choice_full": true["choice"].mean(),
        "choice_worst": np.abs(here["choice"] - true["choice"]).max(),
        "reverse": here["reverse"].mean(),
        "reverse_full": true["reverse"].mean(),
        "missed": int((~np.take_along_axis(done, smallest, axis=1)).sum()),
        "faster": exact_s / (sum(looked) * coarse_s + done.mean() * exact_s),
    }


def main():
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--results", default="results", type=Path)
    parser.add_argument("--dataset", default="demo")
    parser.add_argument("--people", type=int, default=600)
    parser.add_argument("--queries", type=int, default=30)
    parser.add_argument("--best", type=int, nargs="+", default=[5, 10, 50])
    parser.add_argument("--variants", nargs="+", default=list(VARIANTS))
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    warnings.simplefilter("ignore", RuntimeWarning)
    folder = given.results / "render" / given.dataset
    before = depths(folder / "original")
    any_scan = next((folder / "original" / "views").glob("*.npz"))
    pixel = float(np.load(any_scan)["pixel_mm"])
    faces = np.stack(list(before.values()))
    streams = [np.random.default_rng([given.seed, n]) for n in range(given.people)]
    people = [person(rng, faces) for rng in streams]
    gallery = np.stack([moved(r, face, pixel) for r, face in zip(streams, people, strict=True)])
    rng = np.random.default_rng(given.seed)
    queries = np.sort(rng.choice(given.people, given.queries, replace=False))
    everybody = np.ones((len(queries), len(gallery)), bool)
    rows = []
    for variant in given.variants:
        asked = np.stack([moved(rng, people[n], pixel) for n in queries])
        if variant != "original":
            after = depths(folder / variant)
            asked = np.stack([changed(rng, face, before, after) for face in asked])
        found, cost = [], []
        for options in (OPTIONS, {**OPTIONS, **surface.COARSE}):
            start = time.process_time()
            found.append(surface._compared(asked, gallery, everybody, pixel, options))
            cost.append((time.process_time() - start) / everybody.size)
        print(f"{variant}: {cost[0] * 1e3:.2f} ms a pair, coarse {cost[1] * 1e3:.2f}", flush=True)
        for best in given.best:
            rows.append({"variant": variant, "best": best, **row(*found, queries, best, cost)})
    print(pd.DataFrame(rows).round(4).to_markdown(index=False))


if __name__ == "__main__":
    main()
