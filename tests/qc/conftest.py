"""The page for quality control of a made-up cohort."""

import pytest

from qc_cohort import Made


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return Made(tmp_path_factory.mktemp("qc"))
