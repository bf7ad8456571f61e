"""Fixtures of the tests of results."""

import pytest

from drawing import cohort, look  # noqa: F401
from factories import make_tables, measurements
from rating import key, saved  # noqa: F401
from reading import SETTINGS


@pytest.fixture(scope="module")
def tables():
    """The tables that captions are made from."""
    return make_tables(measurements(), SETTINGS)
