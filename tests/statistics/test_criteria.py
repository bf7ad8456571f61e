"""Criteria of the statistics and their limits."""

import pytest

from refacebench.statistics.criteria import Criteria


def test_settings_from_config_and_their_limits():
    config = {
        "seed": 4,
        "statistics": {"bootstrap": 500, "alpha": 0.01},
        "thresholds": {"volume_change_pct": 3},
    }
    assert Criteria.from_config(config) == Criteria(seed=4, n_boot=500, alpha=0.01, threshold_pct=3)
    with pytest.raises(ValueError, match=r"statistics\.alpha"):
        Criteria(alpha=5)
    with pytest.raises(ValueError, match="margin"):
        Criteria(equivalence_margin_pct=0)
    with pytest.raises(ValueError, match="write rescan or fixed"):
        Criteria(equivalence_margin="rescans")
    with pytest.raises(ValueError, match="largest_acceptable_change_pct"):
        Criteria(largest_acceptable_change_pct=-1)
