"""The rows' contract: what a stage reads, some stage before it has said that it adds."""

import importlib
import pkgutil
from fnmatch import fnmatchcase

import pytest

from refacebench import manifest, stages

FOUND = {
    module.name: importlib.import_module(f"refacebench.stages.{module.name}").STAGE
    for module in pkgutil.iter_modules(stages.__path__)
}


def before(stage):
    """Return the columns that a row may have when it comes to a stage."""
    known = {**manifest.MEANINGS, **manifest.LISTED}
    for name in stage.follows:
        known |= before(FOUND[name]) | FOUND[name].columns()
    return known | stage.given


@pytest.mark.parametrize("name", FOUND)
def test_every_column_that_a_stage_reads_was_added_before_it(name):
    stage = FOUND[name]
    assert stage.name == name
    known = before(stage)
    assert [column for column in stage.reads if column not in known] == []
    for pattern in stage.may_read:
        assert any(fnmatchcase(column, pattern) for column in known), pattern


@pytest.mark.parametrize("name", FOUND)
def test_every_column_says_what_it_is_in_a_line(name):
    for column, meaning in FOUND[name].columns().items():
        assert meaning.strip(), column
        assert len(meaning) < 90, column
        assert "\n" not in meaning, column
