"""A cohort to draw, and what is read off a figure; for tests."""

import numpy as np
import pytest

from factories import make_tables, measurements
from refacebench.plot import style
from refacebench.statistics.criteria import Criteria

SETTINGS = Criteria(n_boot=50)


@pytest.fixture(scope="module")
def cohort():
    measures = measurements()
    rng = np.random.default_rng(3)
    for name in ("brainage_raw", "brainage"):
        measures[name] = measures["age"] + rng.normal(0, 3, len(measures))
    return measures, make_tables(measures, SETTINGS)


@pytest.fixture(scope="module")
def look(cohort):
    return style.look_of(cohort[1])


def marks(axes, marker):
    """Return the x values of large marks (not the points of single scans)."""
    return [
        float(line.get_xdata()[0])
        for line in axes.lines
        if line.get_marker() == marker and line.get_markersize() > 4 and len(line.get_xdata()) == 1
    ]


def row_labels(figure):
    return [text.get_text() for text in figure.axes[0].get_yticklabels()]
