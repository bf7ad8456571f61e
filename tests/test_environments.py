"""The conda environments and requirements.txt name the same versions."""

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
NAMES = ("requirements.txt", "requirements-data.txt", "requirements-faces.txt")


def pins(text):
    return dict(re.findall(r"^([A-Za-z0-9_.-]+)==([^\s;#]+)", text, re.M))


def installed():
    makefile = dict(re.findall(r"(torch)==([\d.]+)", (ROOT / "Makefile").read_text()))
    texts = [(ROOT / name).read_text() for name in NAMES]
    return {k.lower(): v for found in map(pins, texts) for k, v in found.items()} | makefile


@pytest.mark.parametrize("path", sorted((ROOT / "envs").glob("*.yaml")), ids=lambda p: p.stem)
def test_conda_environments_pin_the_tested_versions(path):
    wanted = yaml.safe_load(path.read_text())["dependencies"][-1]["pip"]
    named = {k.lower(): v for k, v in pins("\n".join(wanted)).items()}
    assert len(named) == len(wanted)
    assert named.items() <= installed().items()


def test_post_deploy_scripts_pin_the_tested_versions():
    for script in (ROOT / "envs").glob("*.post-deploy.sh"):
        named = dict(re.findall(r"([a-z_]+)==([\d.]+)", script.read_text()))
        assert named
        assert named.items() <= installed().items()


def test_every_requirement_is_pinned():
    for name in (*NAMES, "requirements-test.txt"):
        lines = [
            line.split("#")[0].strip()
            for line in (ROOT / name).read_text().splitlines()
            if line.split("#")[0].strip()
        ]
        assert all(re.fullmatch(r"[A-Za-z0-9_.-]+==[^\s]+( ;.*)?", line) for line in lines), name
