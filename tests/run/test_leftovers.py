"""What earlier configs have left is named, and nothing of it is counted."""

import pytest

from refacebench.results.costs import compute
from refacebench.run.leftovers import LAYOUT, Names, find

NAMES = Names(
    {
        "dataset": ["mine"],
        "segmenter": ["s"],
        "attacker": ["surface"],
        "age_model": [],
        "variant": ["original", "quickshear", "quickshear+m"],
        "target": ["original", "quickshear", "quickshear+m", "black"],
        "table": ["volumes", "costs"],
        "figure": ["volumes"],
    },
    {"mine": ["test-measured-000"]},
)
OWN = [
    "tables/mine/volumes.tsv", "tables/mine/volumes.tex", "tables/costs.tsv",
    "figures/mine/volumes.png", "figures/mine/volumes.svg",
    "deface/mine/quickshear/test-measured-000.tsv",
    "deface/mine/quickshear/test-measured-000/key.json",
    "segment/mine/s/original/test-measured-000.tsv", "segment/mine/s/shared/model.npz",
    "render/mine/original/views/a.npz", "attack/mine/surface/black.npz",
    "derivatives/mine/quickshear+m/sub-1/anat/x.nii.gz", "derivatives/README",
    "enrol/mine/surface.tsv", "logs/old/a.log", "plan/old/x.tsv", "deface/mine/.part-1-x.tsv",
]  # fmt: skip
OLD = [
    "tables/other", "tables/mine/gone.tsv", "figures/mine/volumes-s2.png",
    "deface/mine/pydeface", "deface/mine/quickshear/test-measured-001.tsv",
    "segment/mine/s2", "derivatives/mine/pydeface", "attack/mine/faces",
    "attack/mine/surface/pydeface.npz", "train/mine/pydeface+m", "cohort/other",
]  # fmt: skip


@pytest.fixture
def home(tmp_path):
    for name in [*OWN, *OLD]:
        path = tmp_path / name
        if "." not in path.name and path.name != "README":
            path = path / "inside.tsv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    return tmp_path


def test_what_is_not_of_this_config_is_named_and_nothing_else(home):
    assert find(NAMES, home) == sorted(OLD)


def test_nothing_is_named_where_there_are_no_results(tmp_path):
    assert find(NAMES, tmp_path / "results") == []


def test_every_stage_with_results_is_known():
    """A rule that writes to a folder that is not listed would leave files that nobody names."""
    import re

    from running import SNAKEFILE

    written = set()
    for path in (SNAKEFILE.parent / "rules").glob("*.smk"):
        written |= set(re.findall(r'"results/(\w+)/\{', path.read_text()))
    assert written - {"logs", "benchmarks", "scratch", "plan"} - set(LAYOUT) == set()


def test_costs_of_an_earlier_config_are_not_counted(tmp_path):
    head = "s\tmax_rss\n"
    for name, seconds in (
        ("deface/mine/quickshear/test-measured-000", 2),
        ("deface/mine/pydeface/test-measured-000", 40),
        ("deface/other/quickshear/test-measured-000", 300),
        ("statistics/mine", 5),
        ("statistics/other", 6000),
    ):
        path = tmp_path / f"{name}.tsv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{head}{seconds}\t10\n")
    table = compute(tmp_path, NAMES.knows).set_index(["stage", "dataset"])["total_s"]
    assert dict(table) == {("deface", "mine"): 2, ("statistics", "mine"): 5}
    assert compute(tmp_path)["total_s"].sum() == 6347
