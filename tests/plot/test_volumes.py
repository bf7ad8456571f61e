"""Figures of volumes show what the table says."""

import numpy as np
import pytest

from refacebench.plot import volumes
from refacebench.statistics.criteria import Criteria
from refacebench.vocabulary import GLOBALS, REGIONS

SETTINGS = Criteria(n_boot=50)


def test_volume_map_has_every_cell_with_its_star_and_frame(cohort, look):
    table = cohort[1]["volumes"]
    table = table.assign(p_holm=np.where(table["region"] == "brainstem", 0.01, 0.5))
    table = table.assign(equivalent=np.where(table["region"] == "frontal", 1.0, 0.0))
    axes = volumes.draw(table, look).axes[0]
    n = table["variant"].nunique()
    texts = [t.get_text() for t in axes.texts]
    assert len(texts) == n * len((*GLOBALS, *REGIONS))
    assert sum(t.endswith("*") for t in texts) == n
    assert sum(p.get_facecolor()[3] == 0 for p in axes.patches) == n


def test_volume_map_colours_follow_the_sign(cohort, look):
    table = cohort[1]["volumes"].copy()
    table["median_change_pct"] = np.where(table["region"] == "tiv", 3.0, -3.0)
    table["equivalent"] = 0.0
    colours = [p.get_facecolor() for p in volumes.draw(table, look).axes[0].patches]
    red, blue = colours[0], colours[1]
    assert red[0] > red[2]
    assert blue[2] > blue[0]


@pytest.mark.parametrize(
    ("value", "text"),
    [(-0.04, "0"), (0.05, "+0.1"), (-9.94, "-9.9"), (9.96, "+10"), (-43.2, "-43")],
)
def test_cells_are_short_signed_numbers(value, text):
    assert volumes._signed(value) == text


def test_a_change_that_is_shown_is_not_called_zero(cohort, look):
    table = cohort[1]["volumes"].assign(median_change_pct=-0.03, p_holm=0.001)
    texts = {text.get_text() for text in volumes.draw(table, look).axes[0].texts}
    assert texts == {"<0.1*"}
    texts = {text.get_text() for text in volumes.draw(table.assign(p_holm=1.0), look).axes[0].texts}
    assert texts == {"0"}


def test_only_significant_changes_are_filled(cohort, look):
    table = cohort[1]["volumes"]
    table = table.assign(p_holm=np.where(table["variant"] == "pydeface", 0.001, 0.8))
    axes = volumes.draw_globals(table, look).axes[0]
    faces = {
        float(line.get_xdata()[0]): line.get_markerfacecolor()
        for line in axes.lines
        if line.get_marker() in ("o", "D")
    }
    tiv = table[table["region"] == "tiv"].set_index("variant")["median_change_pct"]
    assert faces[tiv["pydeface"]] == look.colour("pydeface")
    assert faces[tiv["quickshear"]] == faces[tiv["null"]] == "white"


def test_the_band_is_the_margin_of_the_table(cohort, look):
    table = cohort[1]["volumes"].assign(margin_pct=1.25)
    band = volumes.draw_globals(table, look).axes[0].patches[0]
    assert (band.get_x(), band.get_width()) == (-1.25, 2.5)
