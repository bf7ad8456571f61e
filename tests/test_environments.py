"""Conda environments, requirements and pyproject.toml name the same packages."""

import ast
import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).parents[1]
NAMES = ("requirements.txt", "requirements-data.txt", "requirements-faces.txt")
EVERY = (*NAMES, "requirements-test.txt", "requirements-docs.txt", "requirements-reference.txt")
ENVIRONMENTS = sorted((ROOT / "envs").glob("*.yaml"))
SCRIPTS = sorted((ROOT / "envs").glob("*.post-deploy.sh"))
# Of requirements-faces.txt: without it one attacker says what is missing.
OPTIONAL = {"dlib"}
#: Names of packages that conda-forge calls otherwise.
FROM_CONDA = {"pytorch": "torch"}


def pins(text):
    return dict(re.findall(r"^([A-Za-z0-9_.-]+)==([^\s;#]+)", text, re.M))


def installed():
    makefile = dict(re.findall(r"(torch)==([\d.]+)", (ROOT / "Makefile").read_text()))
    texts = [(ROOT / name).read_text() for name in NAMES]
    return {k.lower(): v for found in map(pins, texts) for k, v in found.items()} | makefile


@pytest.mark.parametrize("path", ENVIRONMENTS, ids=lambda p: p.stem)
def test_conda_environments_pin_the_tested_versions(path):
    *conda, last = yaml.safe_load(path.read_text())["dependencies"]
    assert set(conda) >= {"python=3.11", "pip"}
    pinned = dict(each.split("=") for each in conda if each not in ("python=3.11", "pip"))
    named = {FROM_CONDA.get(name, name): version for name, version in pinned.items()}
    by_pip = {k.lower(): v for k, v in pins("\n".join(last["pip"])).items()}
    assert len(by_pip) == len(last["pip"])
    assert not named.keys() & by_pip.keys()
    assert (named | by_pip).items() <= installed().items()


def test_post_deploy_scripts_pin_the_tested_versions():
    texts = [script.read_text() for script in SCRIPTS]
    named = dict(pair for text in texts for pair in re.findall(r"([a-z_]+)==([\d.]+)", text))
    assert named
    assert named.items() <= installed().items()


def deploy(script, folder, **environment):
    """Run a post-deploy script with a `pip` that only notes how it was called; return the notes."""
    (folder / "pip").write_text(f'#!/bin/sh\necho "$*" >> {folder}/calls\n')
    (folder / "pip").chmod(0o755)
    environment = {"PATH": f"{folder}:/usr/bin:/bin", **environment}
    done = subprocess.run(
        ["bash", script], cwd=folder, env=environment, capture_output=True, text=True
    )
    return done, (folder / "calls").read_text().splitlines() if done.returncode == 0 else []


@pytest.mark.parametrize("path", ENVIRONMENTS, ids=lambda p: p.stem)
def test_every_conda_environment_installs_the_package_of_the_checkout(path, tmp_path):
    """Snakemake runs the script in the folder of the run, which need not be the checkout."""
    script = path.with_suffix(".post-deploy.sh")
    done, calls = deploy(script, tmp_path, REFACEBENCH_CHECKOUT="/my checkout")
    assert done.returncode == 0, done.stderr
    assert calls[-1] == "install --no-deps --no-build-isolation --editable /my checkout"
    assert all(call.startswith("install --no-deps ") for call in calls)
    # Built with the setuptools of the environment, which must be new enough for pyproject.toml.
    pinned = pins("\n".join(yaml.safe_load(path.read_text())["dependencies"][-1]["pip"]))
    assert int(pinned["setuptools"].split(".")[0]) >= 77
    done, _ = deploy(script, tmp_path)
    assert done.returncode != 0
    assert "REFACEBENCH_CHECKOUT" in done.stderr


def test_the_packages_that_the_code_imports_are_declared_and_pinned():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = {plain(re.split("[<>=]", name)[0]) for name in project["dependencies"]}
    assert declared <= {plain(name) for name in installed()}
    homes = metadata.packages_distributions()
    for path in (ROOT / "workflow").rglob("*.py"):
        for name in third_party(path) - OPTIONAL:
            distributions = {plain(home) for home in homes.get(name, [name])}
            assert distributions & declared, f"{path.name} imports {name}: declare it"


def third_party(path):
    """The packages of others that a module imports anywhere."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found.update(alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found.add(node.module.split(".")[0])
    return found - sys.stdlib_module_names - {"refacebench"}


def plain(name):
    """A distribution's name as registries compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.mark.parametrize("python", ["3.11.0", "3.12.0"])
def test_every_pinned_package_installs_on_the_pythons_that_the_readme_names(python):
    """Some packages ask for a later third number: Debian 12 has Python 3.11.2."""
    found = 0
    for name in EVERY:
        for package in pins((ROOT / name).read_text()):
            try:
                asked = metadata.metadata(package).get("Requires-Python")
            except metadata.PackageNotFoundError:
                continue  # one for other machines, or optional
            found += 1
            assert not asked or SpecifierSet(asked).contains(python), (name, package, asked)
    assert found > 100


def test_every_requirement_is_pinned():
    for name in EVERY:
        lines = [
            line.split("#")[0].strip()
            for line in (ROOT / name).read_text().splitlines()
            if line.split("#")[0].strip()
        ]
        assert all(re.fullmatch(r"[A-Za-z0-9_.-]+==[^\s]+( ;.*)?", line) for line in lines), name


def copied(recipe):
    """Return what a container's recipe copies into /opt/refacebench."""
    text = (ROOT / "containers" / recipe).read_text().replace("\\\n", " ")
    if recipe == "Dockerfile":
        lines = re.findall(r"^COPY (.*) /opt/refacebench/?\S*$", text, re.M)
        return sorted(name for line in lines for name in line.split())
    section = text.split("%files")[1].split("%post")[0]
    pairs = [line.split() for line in section.splitlines() if line.strip()[:1] not in ("", "#")]
    assert all(to == f"/opt/refacebench/{name}" for name, to in pairs)
    return sorted(name for name, _ in pairs)


def shipped(folder):
    """Return the files of a folder that git keeps; in an unpacked archive, all that it holds."""
    if (ROOT / ".git").exists():
        listed = subprocess.run(
            ["git", "ls-files", folder], cwd=ROOT, capture_output=True, check=True
        )
        return listed.stdout.decode().split()
    return [str(p.relative_to(ROOT)) for p in (ROOT / folder).rglob("*") if p.is_file()]


def test_images_hold_what_is_shipped_and_nothing_of_the_users():
    """A checkout also holds a user's data, results and configs, none of which may be in one."""
    docker, apptainer = copied("Dockerfile"), copied("refacebench.def")
    assert docker == apptainer
    folders = {name for name in docker if (ROOT / name).is_dir()}
    assert folders == {"config/studies/demo", "envs", "workflow"}
    configs = [name for name in shipped("config") if Path(name).parent.name != "demo"]
    assert sorted(name for name in docker if name.startswith("config/")) == sorted(
        [*configs, "config/studies/demo"]
    )
    needed = re.findall(r"requirements[\w-]*\.txt", (ROOT / "Makefile").read_text())
    installed = {name for name in needed if not name.endswith(("test.txt", "docs.txt"))}
    assert installed - {"requirements-reference.txt"} <= set(docker)
