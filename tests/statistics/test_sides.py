"""Left and right volumes of scans whose header does not settle the sides."""

import numpy as np
import pandas as pd
import pytest

from refacebench.statistics import sides

MEASURED = pd.DataFrame(
    {
        "scan": ["a", "b", "c", "d"],
        "orientation_unknown": [0, 1, 0, np.nan],
        "sides_disagree": [0, 0, 1, np.nan],
        "vol_thalamus_left": [7.0, 7.1, 7.2, 7.3],
        "vol_thalamus_right": [6.0, 6.1, 6.2, 6.3],
        "vol_brainstem": [20.0, 21.0, 22.0, 23.0],
    }
)


def test_the_sides_of_unsettled_scans_are_left_out_and_nothing_else():
    found = sides.held(MEASURED, "exclude")
    for name in ("vol_thalamus_left", "vol_thalamus_right"):
        assert found[name].isna().tolist() == [False, True, True, False]
        assert found[name][0] == MEASURED[name][0]
    assert found["vol_brainstem"].tolist() == MEASURED["vol_brainstem"].tolist()
    assert MEASURED["vol_thalamus_left"].notna().all()  # the table that was given stays


def test_trust_leaves_all_as_it_is():
    pd.testing.assert_frame_equal(sides.held(MEASURED, "trust"), MEASURED)


@pytest.mark.parametrize("policy", sides.POLICIES)
def test_a_table_without_those_columns_is_left_alone(policy):
    plain = MEASURED[["scan", "vol_thalamus_left"]]
    pd.testing.assert_frame_equal(sides.held(plain, policy), plain)
