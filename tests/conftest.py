"""Fixtures that several modules of tests share."""

import os
from pathlib import Path

# As in a job. Threads that wait for each other double the time of tests that run side by side.
# Numpy and torch read this when they are loaded.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Hundreds of programs are started by tests; without compiled modules each compiles the package.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

import pytest

from refacebench import environment


@pytest.fixture(scope="session")
def shared():
    """Find real heads, label maps and odd folders that are no part of the repository.

    They lie in a folder `shared` beside or above it, or where REFACEBENCH_TEST_DATA says. A
    test that asks for what is not there is skipped.
    """
    given = os.environ.get("REFACEBENCH_TEST_DATA")
    above = [folder / "shared" for folder in Path(__file__).resolve().parents[2:]]
    folder = Path(given) if given else next(filter(Path.is_dir, above), above[0])

    def find(path):
        if not (folder / path).exists():
            pytest.skip(
                f"needs {path}, which is no part of the repository and not in {folder}: "
                "REFACEBENCH_TEST_DATA names its folder"
            )
        return folder / path

    return find


@pytest.fixture(autouse=True)
def nothing_hidden():
    """Forget hidden values after each test: they live in this process's environment."""
    yield
    for name in [name for name in os.environ if name.startswith(environment.PREFIX)]:
        del os.environ[name]


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    """Training pairs: five balls."""
    from balls import write_pair

    folder = tmp_path_factory.mktemp("balls")
    return [write_pair(folder, number) for number in range(5)]
