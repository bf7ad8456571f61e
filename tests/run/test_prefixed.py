"""A run as the module of another workflow."""

import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from snakemake.iocontainers import Namedlist

from refacebench.run import prefixed
from running import ROOT, TINY_REST, bids, job_counts, snakemake


def test_a_job_works_inside_the_prefix(tmp_path, monkeypatch):
    (tmp_path / "pre" / "fix").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(prefixed.VARIABLE, str(tmp_path / "pre/fix"))
    many = Namedlist(toclone=["pre/fix/results/a", "pre/fix/results/b", "/x/c"])
    many._set_name("both", 0, end=2)
    many._set_name("one", 2)
    given = SimpleNamespace(
        input=many,
        output=Namedlist(toclone=["pre/fix/results/out"]),
        log=Namedlist(toclone=["pre/fix/results/log"]),
        params=Namedlist(fromdict={"base": "pre/fix/results/a", "seed": 1}),
        wildcards={},
        resources={},
        threads=1,
    )
    seen = prefixed.job(given)
    assert Path.cwd() == tmp_path / "pre/fix"
    assert list(seen.input) == ["results/a", "results/b", "/x/c"]
    assert list(seen.input.both) == ["results/a", "results/b"]
    assert (seen.input.one, seen.output[0], seen.log[0]) == ("/x/c", "results/out", "results/log")
    assert (seen.params.base, seen.params.seed, seen.threads) == ("results/a", 1, 1)


def test_without_a_prefix_nothing_changes(monkeypatch):
    monkeypatch.delenv(prefixed.VARIABLE, raising=False)
    given = object()
    assert prefixed.job(given) is given


def test_inside_comes_back_after_a_failure(tmp_path):
    before = os.getcwd()
    seen = []

    def work():
        with prefixed.inside(str(tmp_path)):
            seen.append(os.getcwd())
            raise ValueError("x")

    with pytest.raises(ValueError, match="x"):
        work()
    assert (seen, os.getcwd()) == ([str(tmp_path)], before)
    with prefixed.inside(str(tmp_path / "nowhere")):
        assert os.listdir() == []
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize(
    "path", sorted((ROOT / "workflow/scripts").glob("*.py")), ids=lambda p: p.stem
)
def test_every_script_works_there(path):
    assert re.search(r"^    main\(prefixed\.job\(snakemake\)\)$", path.read_text(), re.M)


def using(folder, prefix, *arguments):
    """Run a workflow that uses this one as a module, as the documentation says."""
    text = (ROOT / "docs/data.md").read_text()
    (block,) = re.findall(r"^```python\n(module.*?)^```$", text, re.M | re.S)
    block = block.replace("/path/to/refacing-benchmark", str(ROOT)).replace(
        '"refacing"\n', f'"{prefix}"\n', 1
    )
    own = "\n\nrule mine:\n    default_target: True\n    input: rules.refacing_all.input\n"
    (folder / "Snakefile").write_text(f'configfile: "own.yaml"\n\n{block}{own}')
    return subprocess.run(
        [sys.executable, "-m", "snakemake", "--directory", str(folder), "--cores", "1", *arguments],
        capture_output=True, text=True, cwd=folder,
    )  # fmt: skip


def test_a_dry_run_as_a_module_plans_below_the_prefix(tmp_path):
    config = {
        "datasets": {"d": bids(tmp_path / "data", participants=2)},
        "defacers": {"mask_face": {}},
    }
    config["splits"] = {"train": 0, "validation": 0, "test": 1}
    (tmp_path / "own.yaml").write_text(yaml.safe_dump({"refacing": config}))
    before = sorted(p for p in tmp_path.iterdir() if p.name != "Snakefile")
    found = job_counts(using(tmp_path, "refacing", "-n"))
    own = job_counts(snakemake(tmp_path, "-n", config=config))
    assert {k.removeprefix("refacing_"): v for k, v in found.items() if k != "mine"} == {
        k: v for k, v in own.items() if k != "all"
    }
    made = {p.name for p in tmp_path.iterdir()} - {p.name for p in before}
    assert made <= {"Snakefile", ".snakemake", "config.yaml"}


@pytest.mark.slow
def test_a_run_as_a_module_ends_with_its_report_below_the_prefix(tmp_path):
    demo = {"type": "demo", "faces": "public", "participants": 2, "voxel_mm": 4.0, "sessions": 1}
    config = {
        "datasets": {"d": demo},
        "defacers": {"mask_face": {}},
        "splits": {"train": 0, "validation": 0, "test": 1},
        "allow_failures": 0.99,
        **TINY_REST,
    }
    (tmp_path / "own.yaml").write_text(yaml.safe_dump({"refacing": config}))
    done = using(tmp_path, "refacing")
    assert done.returncode == 0, done.stderr[-3000:]
    assert (tmp_path / "refacing/results/report.html").is_file()
    assert not (tmp_path / "results").exists()
    assert "Dataset d" in done.stderr
