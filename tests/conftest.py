"""Fixtures that several modules of tests share."""

import os

import pytest

from refacebench import environment


@pytest.fixture(autouse=True)
def nothing_hidden():
    """Forget hidden values after each test: they live in this process's environment."""
    yield
    for name in [name for name in os.environ if name.startswith(environment.PREFIX)]:
        del os.environ[name]


@pytest.fixture(scope="module")
def one_thread():
    """As in a job; two threads that wait for each other are far slower on a busy machine."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    """Training pairs: five balls."""
    from balls import write_pair

    folder = tmp_path_factory.mktemp("balls")
    return [write_pair(folder, number) for number in range(5)]
