"""How values and intervals are printed."""

import numpy as np
import pandas as pd
import pytest

from refacebench.plot.numbers import with_ends
from refacebench.results.cells import with_interval


@pytest.mark.parametrize("digits", [0, 1, 2, 3])
@pytest.mark.parametrize("sign", [1, -1])
def test_an_interval_that_excludes_zero_has_no_end_that_reads_zero(digits, sign):
    rng = np.random.default_rng(digits)
    for low, high in 10.0 ** rng.uniform(-6, 2, (200, 2)):
        ends = sorted((sign * low, sign * (low + high)))
        told = with_ends(sum(ends) / 2, *ends, digits, signed=True)
        assert all(float(text) * sign > 0 for text in told), told
        assert len({len(text.partition(".")[2]) for text in told}) == 1, "as many digits each"


def test_an_interval_that_holds_zero_keeps_its_digits_and_one_without_ends_too():
    assert with_ends(0.143, -0.0412, 0.279, 1) == ("0.1", "0.0", "0.3")
    assert with_ends(0.1, 0.0, 0.2, 1) == ("0.1", "0.0", "0.2")
    assert with_ends(0.143, np.nan, None, 2) == ("0.14", "–", "–")


def test_cells_print_intervals_so_but_shares_in_whole_percent():
    row = pd.Series({"a": 0.143, "low": 0.0042, "high": 0.2791})
    assert with_interval(row, "a", "low", "high", 2, True) == "+0.143 [+0.004, +0.279]"
    assert with_interval(row, "a", "low", "high", 0, scale=100) == "14 [0, 28]"
