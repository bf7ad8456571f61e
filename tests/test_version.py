"""Card, derivatives and page name the checkout's version, installed or not."""

import json
import tomllib
from pathlib import Path

import refacebench
from refacebench import bids
from refacebench.training import pairs

ROOT = Path(__file__).parents[1]


def test_all_outputs_name_the_version_of_the_checkout(tmp_path):
    with open(ROOT / "pyproject.toml", "rb") as handle:
        version = tomllib.load(handle)["project"]["version"]
    assert refacebench.__version__ == version
    bids.describe(tmp_path, "a")
    described = json.loads((tmp_path / "dataset_description.json").read_text())
    assert described["GeneratedBy"][0]["Version"] == version
    identity = dict.fromkeys(("method", "statement", "criterion", "version"), "")
    device = type("Device", (), {"type": "cpu"})
    card = pairs.card(identity, {}, {}, 1, device, "single")
    assert card["versions"]["refacebench"] == version
    assert f"version: {version}\n" in (ROOT / "CITATION.cff").read_text()


def test_another_projects_file_is_not_read(tmp_path):
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "other"\nversion = "9.9"\n')
    assert refacebench._version(tmp_path) != "9.9"
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "refacebench"\nversion = "9.9"\n')
    assert refacebench._version(tmp_path) == "9.9"
