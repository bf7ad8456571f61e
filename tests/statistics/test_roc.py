"""Receiver operating characteristics: against scikit-learn and by hand."""

import numpy as np
import pytest

from attacks import (
    PROTOCOL,
    SETTINGS,
    by_rank,
    make,
    scans,
)
from refacebench.statistics.attacks import evaluate
from refacebench.statistics.roc import Roc, equal_error_rate, roc_area, true_accepts
from refacebench.statistics.trials import trials
from refacebench.vocabulary import OTHER_SESSION, SAME_SCAN


def one(found, setting=OTHER_SESSION, protocol=PROTOCOL, criteria=SETTINGS):
    return evaluate(found, setting, protocol, criteria)


@pytest.mark.parametrize("levels", [1000, 4])
def test_roc_is_sklearns(levels):
    from sklearn.metrics import roc_auc_score, roc_curve

    rng = np.random.default_rng(3)
    n = 12
    distance = rng.integers(0, levels, (n, n)).astype(float)
    distance[np.diag_indices(n)] *= 0.6
    roc = Roc(trials(make(distance, scans(n, 1)), SAME_SCAN))
    match = np.eye(n, dtype=bool).ravel()
    expected = roc_auc_score(match, -distance.ravel())
    false, true = roc.path()
    assert roc_area(false, true)[0] == pytest.approx(expected)
    fa, ta, _ = roc_curve(match, -distance.ravel(), drop_intermediate=False)
    for level in (0.01, 0.05, 0.2, 0.7):
        at = true_accepts(false, true, level)[0]
        last = np.flatnonzero(fa <= level + 1e-12)[-1]
        step = (level - fa[last]) / (fa[last + 1] - fa[last])
        # Between two corners of matches sklearn has corners of false accepts: flat, as here.
        expected = ta[last] + step * (ta[last + 1] - ta[last])
        assert at == pytest.approx(expected)
    # The equal error rate lies where sklearn's curve crosses the falling diagonal.
    eer = equal_error_rate(false, true)[0]
    assert eer == pytest.approx(np.interp(0, fa + ta - 1, fa))


def test_equal_error_rate_by_hand():
    # Matches 1, 3; others 2, 4 each: accepting up to 2.x: one false of two, one miss of two.
    distance = [[1.0, 2], [4, 3]]
    roc = Roc(trials(make(distance, scans(2, 1)), SAME_SCAN))
    assert equal_error_rate(*roc.path())[0] == pytest.approx(0.5)
    assert roc_area(*roc.path())[0] == pytest.approx(0.75)
    perfect = Roc(trials(make([[0.0, 1], [1, 0]], scans(2, 1)), SAME_SCAN))
    assert equal_error_rate(*perfect.path())[0] == 0
    assert true_accepts(*perfect.path(), 0.01)[0] == 1


def test_no_verification_rate_where_no_false_accept_fits():
    assert np.isnan(one(by_rank([1] * 6, 6)).row["verified"])
    assert one(by_rank([1] * 12, 12)).row["verified"] == 1
