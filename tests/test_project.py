"""Releases, automatic checks and the examples in CONTRIBUTING.md."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from loading import load
from refacebench.contracts import KINDS
from refacebench.run import methods

ROOT = Path(__file__).parents[1]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


# Releases ------------------------------------------------------------------------------------

tag = load(ROOT / ".ci" / "tag.py")


def release(folder, version="1.2.3", cited="1.2.3", changes="[1.2.3] - 2026-01-31"):
    (folder / "pyproject.toml").write_text(f'[project]\nversion = "{version}"\n')
    (folder / "CITATION.cff").write_text(f"title: a\nversion: {cited}\n")
    (folder / "CHANGELOG.md").write_text(f"# Changelog\n\n## [Unreleased]\n\n## {changes}\n")
    return folder


def test_a_version_that_everything_agrees_on_can_be_tagged(tmp_path):
    assert tag.faults(release(tmp_path), "", ["v1.2.2"]) == []
    assert tag.faults(release(tmp_path), "v1.2.3", ["v1.2.3"]) == []


@pytest.mark.parametrize(
    ("given", "name", "tags", "said"),
    [
        ({"cited": "1.2.2"}, "", [], "CITATION.cff: write version: 1.2.3"),
        ({"changes": "[1.2.2] - 2026-01-31"}, "", [], "CHANGELOG.md: there is no section"),
        ({"changes": "[1.2.3]"}, "", [], "CHANGELOG.md: there is no section '## [1.2.3] - "),
        ({}, "v1.2.4", [], "the tag is v1.2.4, and pyproject.toml says version 1.2.3"),
        ({}, "", ["v1.2.3"], "v1.2.3 is tagged already"),
    ],
)
def test_what_disagrees_is_said(tmp_path, given, name, tags, said):
    (found,) = tag.faults(release(tmp_path, **given), name, tags)
    assert found.startswith(said)


def test_the_changelog_keeps_its_form():
    text = (ROOT / "CHANGELOG.md").read_text()
    heads = re.findall(r"^## (.*)$", text, re.M)
    assert heads[0] == "[Unreleased]"
    assert all(re.fullmatch(r"\[\d+\.\d+\.\d+\]( - \d{4}-\d\d-\d\d)?", head) for head in heads[1:])
    kinds = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
    assert set(re.findall(r"^### (.*)$", text, re.M)) <= kinds


# Automatic checks ----------------------------------------------------------------------------


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda p: p.stem)
def test_workflows_call_make_and_pin_their_actions(path):
    jobs = yaml.safe_load(path.read_text())["jobs"]
    steps = [step for job in jobs.values() for step in job.get("steps", [])]
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    for step in steps:
        if "run" in step:
            command, target, *_ = step["run"].split()
            assert (command, target in targets) == ("make", True), step["run"]
        else:
            assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", step["uses"]), step["uses"]


def test_the_tests_run_on_all_supported_versions_of_python():
    matrix = yaml.safe_load((ROOT / ".github/workflows/test.yml").read_text())["jobs"]["test"]
    assert matrix["strategy"]["matrix"]["python"] == ["3.11", "3.12"]


def test_hooks_have_the_versions_of_the_tests():
    pinned = dict(re.findall(r"^(ruff|snakefmt)==(.+)$", read("requirements-test.txt"), re.M))
    hooks = yaml.safe_load(read(".pre-commit-config.yaml"))["repos"]
    revs = {repo["repo"].rsplit("/", 1)[-1]: repo.get("rev") for repo in hooks}
    assert revs["ruff-pre-commit"] == f"v{pinned['ruff']}"
    assert revs["snakefmt"] == f"v{pinned['snakefmt']}"


def read(name):
    return (ROOT / name).read_text()


def test_results_and_images_of_heads_cannot_be_committed():
    hooks = [h for repo in yaml.safe_load(read(".pre-commit-config.yaml"))["repos"]
             for h in repo["hooks"]]  # fmt: skip
    (refused,) = [re.compile(h["files"]) for h in hooks if h["id"] == "no-results"]
    for name in ("results/report.html", "a/sub-01_T1w.nii.gz", "x.nii", "a.mgz", "b.npz"):
        assert refused.search(name), name
    for name in ("workflow/refacebench/results/quality.py", "docs/verdicts.png"):
        assert not refused.search(name), name


# The examples in CONTRIBUTING.md -------------------------------------------------------------

EXAMPLES = re.findall(r"^```python\n(.*?)^```$", read("CONTRIBUTING.md"), re.M | re.S)


def examples(word):
    return [text for text in EXAMPLES if f"= {word}(" in text]


@pytest.mark.parametrize("kind", KINDS)
def test_the_example_of_each_kind_keeps_its_contract(kind, tmp_path):
    suite = pytest.importorskip("refacebench.checking.suite")
    (text,) = examples(KINDS[kind].__name__)
    path = tmp_path / f"my_{kind}.py"
    path.write_text(text)
    entry = {"file": str(path)}
    if kind == "datasets":
        entry["table"] = str(tmp_path / "scans.tsv")
        Path(entry["table"]).write_text("participant\tpath\tage\tsex\nsub-1\ta.nii\t30\tF\n")
    found = list(suite.run(methods.choose(kind, "mine", entry), tmp_path))
    assert [str(f) for f in found if f.status == suite.FAIL] == []
    assert any(f.status == suite.PASS for f in found)


def test_the_examples_are_formatted(tmp_path):
    for number, text in enumerate(EXAMPLES):
        (tmp_path / f"example_{number}.py").write_text(text)
    ruff = [sys.executable, "-m", "ruff"]
    config = ["--config", str(ROOT / "pyproject.toml")]
    for command in (["format", "--check"], ["check", "--ignore", "D,B905"]):
        done = subprocess.run(
            [*ruff, *command, *config, str(tmp_path)], capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_every_validation_has_a_line_in_their_index():
    folder = ROOT / "docs" / "validation"
    index = (folder / "README.md").read_text()
    listed = re.findall(r"^\| `([a-z_]+\.md)` \|", index, re.MULTILINE)
    assert sorted(listed) == sorted({p.name for p in folder.glob("*.md")} - {"README.md"})
