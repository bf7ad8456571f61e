"""Card, derivatives, page and package name one version, that of the code that runs."""

import json
import os
import subprocess
import sys
import tomllib
import zipfile
from importlib import metadata
from pathlib import Path

import pytest

import refacebench
from refacebench import bids
from refacebench.training import pairs

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "workflow" / "refacebench"


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


def test_without_a_checkout_the_installed_version_counts(tmp_path, monkeypatch):
    monkeypatch.setattr(metadata, "version", {"refacebench": "1.2.3"}.__getitem__)
    assert refacebench._version(tmp_path) == "1.2.3"


def test_a_job_never_runs_another_checkouts_code(tmp_path):
    """As in a conda environment that was made for a checkout and is used by a second one."""
    command = [sys.executable, "-c", "import refacebench"]
    environment = {**os.environ, "PYTHONPATH": str(PACKAGE.parent)}
    own = subprocess.run(command, env={**environment, "REFACEBENCH_CHECKOUT": str(ROOT)})
    assert own.returncode == 0
    other = subprocess.run(
        command,
        env={**environment, "REFACEBENCH_CHECKOUT": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert other.returncode != 0
    assert f"The workflow in {tmp_path} found the package of {ROOT}" in other.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """A wheel of a copy of the package: a build leaves folders where it is made."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        (source / name).write_bytes((ROOT / name).read_bytes())
    for path in files():
        target = source / "workflow" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((PACKAGE.parent / path).read_bytes())
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
        + ["--no-index", "--wheel-dir", str(out), str(source)],
        check=True,
    )
    return zipfile.ZipFile(next(out.glob("*.whl")))


def files():
    """All files of the package, as they are named in a wheel."""
    return {
        path.relative_to(PACKAGE.parent).as_posix()
        for path in PACKAGE.rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }


def test_the_installed_package_holds_every_file(wheel):
    held = {name for name in wheel.namelist() if name.startswith("refacebench/")}
    assert held == files()
    assert {Path(name).suffix for name in held} >= {".py", ".yaml", ".html", ".tsv"}


def test_the_installed_package_brings_the_command(wheel):
    points = next(name for name in wheel.namelist() if name.endswith("/entry_points.txt"))
    assert "refacebench = refacebench.__main__:main" in wheel.read(points).decode()
