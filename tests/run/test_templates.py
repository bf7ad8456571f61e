"""The configs that users start from, and what stands in them as a comment."""

import re
from pathlib import Path

import pytest
import yaml

from refacebench import files
from refacebench.run import configuration, mistakes
from refacebench.statistics.criteria import Criteria
from refacebench.statistics.protocol import Protocol

ROOT = Path(__file__).resolve().parents[2]
TEMPLATES = sorted((ROOT / "config").glob("*.yaml"))
SCHEMA = files.read_yaml(ROOT / "workflow/schemas/config.schema.yaml")
#: Those of a user's own data, and the demo: what can be set is shown there.
STARTS = ("bids", "config", "defacers", "labelmaps")
BLOCKS = ("privacy", "statistics", "age_models")


def block(text, key):
    """Return a commented block as it reads without the comment marks; empty for none."""
    found = re.search(rf"^# {key}:\n((?:#   .*\n)+)", text, re.MULTILINE)
    return "" if found is None else re.sub(r"^# ", "", found.group(0), flags=re.MULTILINE)


def checked(config):
    """Check a config as the workflow does before anything runs."""
    assert not mistakes.against(config, SCHEMA)
    config = {"attackers": {}, "age_models": {}, "defacers": {}, **config}
    configuration.check(config)
    return Criteria.from_config(config), Protocol.from_config(config)


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.stem)
def test_templates_are_valid(path):
    checked(yaml.safe_load(path.read_text()))


@pytest.mark.parametrize("key", BLOCKS)
@pytest.mark.parametrize("name", STARTS)
def test_commented_blocks_are_valid_and_explained(name, key):
    text = (ROOT / "config" / f"{name}.yaml").read_text()
    lines = block(text, key)
    assert lines, f"config/{name}.yaml has no commented block {key}"
    assert all(" # " in line for line in lines.splitlines()[1:]), "each line says what it is"
    given = yaml.safe_load(lines)
    assert list(given) == [key]
    # What these need is said above them.
    more = {"splits": {"train": 60, "validation": 10, "test": 30}} if key == "age_models" else {}
    before, after = checked(yaml.safe_load(text)), checked(yaml.safe_load(text) | given | more)
    assert before == after, "what is shown are the defaults"
