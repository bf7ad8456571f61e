"""Cohen's kappa: an independent library, the textbook, and simulated coverage."""

import numpy as np
import pytest

from refacebench.statistics import kappa

WORDS = np.array(["ok", "face left", "brain cut", "redo"])


def raters(rng, n, skill):
    """Two raters who see the truth with a skill and else guess, mostly ok."""
    shares = (0.8, 0.12, 0.05, 0.03)
    true = rng.choice(4, n, p=shares)
    return [WORDS[np.where(rng.uniform(size=n) < skill, true, rng.choice(4, n, p=shares))]
            for _ in range(2)]  # fmt: skip


@pytest.mark.parametrize("seed", range(4))
def test_the_same_as_an_independent_library(seed):
    sklearn_metrics = pytest.importorskip("sklearn.metrics")
    inter_rater = pytest.importorskip("statsmodels.stats.inter_rater")
    n = 300
    one, other = raters(np.random.default_rng(seed), n, 0.8)
    found = kappa.cohen(one, other, np.arange(n))
    assert found.kappa == pytest.approx(sklearn_metrics.cohen_kappa_score(one, other))
    counts = np.array([[np.sum((one == a) & (other == b)) for b in WORDS] for a in WORDS])
    theirs = inter_rater.cohens_kappa(counts)
    assert found.kappa == pytest.approx(theirs.kappa)
    assert found.agreement == pytest.approx(np.trace(counts) / n)
    # With so many scans of as many people the interval is nearly that of the large sample.
    assert found.low <= theirs.kappa_low + 0.01
    assert found.low == pytest.approx(theirs.kappa_low, abs=0.06)
    assert found.high == pytest.approx(theirs.kappa_upp, abs=0.06)


def test_a_table_from_the_textbook():
    # Two raters, 50 proposals: 20 yes by both, 15 no by both, 5 and 10 apart: kappa 0.4.
    one = ["y"] * 25 + ["n"] * 25
    other = ["y"] * 20 + ["n"] * 5 + ["y"] * 10 + ["n"] * 15
    found = kappa.cohen(one, other, range(50))
    assert found.agreement == pytest.approx(0.7)
    assert found.kappa == pytest.approx(0.4)


def test_full_agreement_is_no_proof():
    found = kappa.cohen(["ok"] * 8 + ["redo"] * 2, ["ok"] * 8 + ["redo"] * 2, range(10))
    assert (found.agreement, found.kappa, found.high) == (1.0, 1.0, 1.0)
    assert found.low < 0.2, "ten scans say little"


def test_without_anything_to_disagree_on_there_is_no_kappa():
    found = kappa.cohen(["ok"] * 5, ["ok"] * 5, range(5))
    assert found.agreement == 1.0
    assert np.isnan([found.kappa, found.low, found.high]).all()
    assert np.isnan(kappa.cohen([], [], []).kappa)
    assert np.isnan(kappa.cohen(["ok", "redo"], ["ok", "ok"], ["a", "a"]).low)


def test_repeated_scans_of_a_person_are_one_person():
    one, other = raters(np.random.default_rng(3), 60, 0.7)
    alone = kappa.cohen(one, other, range(60))
    copied = kappa.cohen(np.tile(one, 5), np.tile(other, 5), np.tile(np.arange(60), 5))
    assert copied[1:] == pytest.approx(alone[1:])
    careless = kappa.cohen(np.tile(one, 5), np.tile(other, 5), range(300))
    assert careless.high - careless.low < 0.6 * (copied.high - copied.low)


@pytest.mark.parametrize(("n", "skill"), [(20, 0.8), (60, 0.6), (60, 0.95), (200, 0.9)])
def test_the_interval_holds_the_truth(n, skill):
    rng = np.random.default_rng(n)
    one, other = raters(rng, 200_000, skill)
    truth = kappa.cohen(one, other, range(200_000)).kappa
    held = 0
    for _ in range(400):
        found = kappa.cohen(*raters(rng, n, skill), range(n))
        # Raters who call everything ok have no kappa: nothing is claimed.
        held += np.isnan(found.low) or found.low <= truth <= found.high
    assert held / 400 >= 0.93, held
