"""A small part of benchmarks/comparisons.py, seed fixed: do tests and intervals hold?"""

from pathlib import Path

import numpy as np
import pytest

from loading import load

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
REPEATS = 150
#: Three standard errors of a share of 5 % in so many repeats.
SLACK = 3 * np.sqrt(0.05 * 0.95 / REPEATS)


@pytest.fixture(scope="module")
def simulated():
    module = load(ROOT / "benchmarks/comparisons.py")
    asked = ("friedman", "mcnemar", "shift", "limits", "icc", "slope", "groups")
    return module.table([10, 13], REPEATS, 1, asked)


def test_errors_are_what_they_should_be(simulated):
    errors = simulated[simulated["setting"].str.startswith("error")]
    assert len(errors) == 2 * (2 + 3 + 1 + 4)
    assert (errors["share"] <= 0.05 + SLACK).all(), errors


def test_intervals_hold_where_their_assumptions_do(simulated):
    intervals = simulated[simulated["wanted"] == 0.95]
    # Limits of agreement ask for normal differences; the approximation stands for comparison.
    kept = ~intervals["setting"].str.contains("limit, heavy|approximate")
    # A fixed bias is no draw of a rater.
    kept &= ~intervals["setting"].str.contains("bias 0.[35]")
    assert kept.sum() == 2 * (4 + 3 + 3)
    assert (intervals[kept]["share"] >= 0.95 - SLACK).all(), intervals
    assert (intervals["none"] == 0).all()


def test_differences_are_found(simulated):
    power = simulated[simulated["setting"].str.startswith("power")]
    assert (power["share"] > 0.15).all(), power
