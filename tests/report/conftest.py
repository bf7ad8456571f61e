"""Tables that the tests of the page share."""

import pytest

from factories import make_tables, measurements
from reading import SETTINGS


@pytest.fixture(scope="session")
def tables():
    return make_tables(measurements(), SETTINGS)
