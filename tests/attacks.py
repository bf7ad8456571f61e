"""Made-up attacks with known answers, for tests."""

import numpy as np
import pandas as pd

from refacebench.results import catalogue, privacy_warnings
from refacebench.statistics.attacks import evaluate_all
from refacebench.statistics.comparisons import Comparisons
from refacebench.statistics.criteria import Criteria
from refacebench.statistics.protocol import Protocol

SETTINGS = Criteria(n_boot=300, seed=2)


PROTOCOL = Protocol()


def scans(n, sessions=2):
    return pd.DataFrame(
        [
            {"scan": f"p{i:02d}s{s}", "participant": f"p{i:02d}", "session": f"s{s}"}
            for i in range(n)
            for s in range(sessions)
        ]
    )


def make(distance, query, gallery=None, variant="a", attacker="x", detected=True, **more):
    gallery = query if gallery is None else gallery
    query = query.assign(detected=detected, reason="")
    return Comparisons(attacker, variant, np.asarray(distance, dtype=float), query, gallery, **more)


def by_rank(ranks, n_gallery, variant="a", attacker="x"):
    """Return scores of n participants, one session against another, with these ranks."""
    gallery = scans(n_gallery, 1).assign(session="later").assign(scan=lambda t: t["scan"] + "b")
    query = scans(n_gallery, 1).iloc[: len(ranks)].reset_index(drop=True)
    distance = np.empty((len(ranks), n_gallery))
    for i, rank in enumerate(ranks):
        others = [k for k in range(1, n_gallery + 1) if k != rank]
        distance[i] = np.insert(np.array(others, dtype=float), i, rank)
    return make(distance, query, gallery, variant, attacker)


def resplit_scores(variant="a", n=12, count=6, seed=0, black=False):
    rng = np.random.default_rng(seed)
    query = scans(n)
    person = query["participant"].factorize()[0]
    distance = np.full((count, 2 * n, 2 * n), np.nan)
    inside = np.zeros((count, 2 * n), dtype=bool)
    for number in range(count):
        part = np.isin(person, rng.choice(n, 6, replace=False))
        values = rng.uniform(1, 2, (2 * n, 2 * n)) - 0.6 * (person[:, None] == person)
        values = np.ones_like(values) if black else values
        distance[number][np.ix_(part, part)] = values[np.ix_(part, part)]
        inside[number] = part
    return make(distance, query, variant=variant, resplit=inside)


def controlled(original=(1,) * 13, black=None, attacker="x"):
    sight = by_rank(original, 13, "original", attacker)
    if black is None:
        dark = Comparisons(attacker, "black", np.full((13, 13), 0.5), sight.query, sight.gallery)
    else:
        dark = by_rank(black, 13, "black", attacker)
    blurred = by_rank([5] * 13, 13, "blurred", attacker)
    return [sight, blurred, dark, by_rank([6] * 13, 13, "skull_strip", attacker)]


def rates_table(evaluations):
    """Return the table ``privacy`` without what is missing of the participants planned."""
    return catalogue.find("privacy").frame([e.row for e in evaluations])


def kinds(found):
    results = evaluate_all(found, PROTOCOL, SETTINGS)
    return privacy_warnings.compute(results, PROTOCOL, SETTINGS)
