"""Settings of the statistics and their limits."""

import pytest

from refacebench.statistics.settings import Settings


def test_settings_from_config_and_their_limits():
    config = {
        "seed": 4,
        "statistics": {"bootstrap": 500, "alpha": 0.01},
        "thresholds": {"volume_change_pct": 3},
    }
    assert Settings.from_config(config) == Settings(seed=4, n_boot=500, alpha=0.01, threshold_pct=3)
    with pytest.raises(ValueError, match=r"statistics\.alpha"):
        Settings(alpha=5)
    with pytest.raises(ValueError, match="margin"):
        Settings(equivalence_margin_pct=0)
