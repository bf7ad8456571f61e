"""Measures that were made elsewhere go through the whole workflow, without any image job."""

import html
import re

import numpy as np
import pandas as pd
import pytest

from refacebench.results import catalogue
from running import bids, job_counts, snakemake

#: What a page must not speak of where no image was opened.
NOT_RUN = ("Dice", "face surface", "brain mask", "No brain age", "skull", "Failure I", "deepbet",
           "segmentations", "ANTs", "kept their face", "re-implementation")  # fmt: skip


def config(**dataset):
    return {"datasets": {"mine": {"type": "measures", **dataset}}}


def text_of(page):
    """Return what a page says of the run.

    Without the glossary, which explains words, used or not, and the list of installed packages.
    """
    unsaid = r'<(style|script).*?</\1>|<section aria-labelledby="glossary".*|<[^>]+>'
    return html.unescape(re.sub(unsaid, " ", page.read_text(), flags=re.S))


@pytest.fixture
def table(tmp_path):
    """Sixteen people, two variants: one adds 10 and more to the left hippocampus' 4000 mm3."""
    rng = np.random.default_rng(4)
    rows = ["scan\tage\tvariant\thippocampus_left\ttiv\tthickness"]
    for number in range(16):
        size, head, thick = rng.normal([4000, 1.5e6, 2.5], [300, 1e5, 0.1])
        for variant, more in (("original", 0), ("a", 10), ("b", 0)):
            if (number, variant) != (3, "b"):
                mine = (
                    f"{size + more * (1 + number / 50):.3f}\t{head:.0f}\t{thick - more / 1000:.5f}"
                )
                rows.append(f"sub-{number:02d}\t{20 + 3 * number}\t{variant}\t{mine}")
    (tmp_path / "t.tsv").write_text("\n".join([*rows, "sub-99\t30\ta\t4000\t1500000\t2"]) + "\n")
    return tmp_path


def test_measures_need_no_job_on_images(table):
    run = snakemake(table, "-n", config=config(files="t.tsv", unit="mm3"))
    assert job_counts(run) == {
        **dict.fromkeys(("bring", "statistics", "flow", "brain_age", "figures"), 1),
        **dict.fromkeys(("costs", "page", "finished", "all"), 1),
    }


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"defacers": {"quickshear": {}}}, "leave out defacers"),
        ({"attackers": {"surface": {}}}, "leave out attackers"),
        ({"files": "none.tsv"}, "there is no none.tsv"),
        ({"other": "bids"}, "put them into two configs"),
    ],
)
def test_what_cannot_go_together_is_said_before_anything_runs(table, changes, words):
    asked = config(files=changes.pop("files", "t.tsv"), unit="mm3")
    if changes.pop("other", None):
        asked["datasets"]["images"] = bids(table / "bids", 2)
    run = snakemake(table, "-n", config={**asked, **changes})
    assert run.returncode != 0
    said = run.stdout + run.stderr
    assert words in said
    assert "Traceback" not in said


@pytest.mark.pipeline
def test_a_table_becomes_statistics_figures_and_a_page(table):
    asked = config(files="t.tsv", unit="mm3")
    run = snakemake(table, config=asked)
    assert run.returncode == 0, run.stderr[-3000:]
    tables = table / "results/tables/mine"
    volumes = catalogue.read(tables / "volumes.tsv").set_index(["variant", "region"])
    mine = volumes.loc["a", "hippocampus_left"]
    assert mine["n"] == 16
    assert mine["rank_biserial"] == 1.0
    assert mine["p"] == pytest.approx(2 / 2**16, rel=1e-5)
    assert volumes.loc[("b", "hippocampus_left"), ["n", "n_failed"]].tolist() == [15, 1]
    assert volumes.loc[("a", "gm"), "n"] == 0
    other = catalogue.read(tables / "other_measures.tsv").set_index(["variant", "measure"])
    assert other.loc[("a", "thickness"), "bias"] == pytest.approx(-0.01, rel=1e-4)
    assert other.loc[("b", "thickness"), ["bias", "p"]].tolist() == [0.0, 1.0]
    flow = catalogue.read(tables / "flow.tsv")
    lost = flow[flow["status"].isin(["failed", "excluded"])].set_index(["scan", "variant"])
    assert lost.loc[("sub-03", "b"), "reason"] == "no measures of b by table in the tables"
    assert "no measures of the original" in lost.loc[("sub-99", "a"), "reason"]
    for name in ("quality", "overlap", "similarity", "face_parts", "runtime", "brainage"):
        assert catalogue.read(tables / f"{name}.tsv").empty, name
    page = table / "results/report.html"
    said = text_of(page) + (table / "results/summary.txt").read_text()
    for words in NOT_RUN:
        assert words not in said, words
    assert "No image was opened" in said
    assert "no image was opened" in (table / "results/methods.md").read_text()
    # Another value: only what comes of it is made again.
    changed = (table / "t.tsv").read_text().replace("sub-99\t30\ta\t4000", "sub-99\t30\ta\t4001")
    (table / "t.tsv").write_text(changed)
    assert job_counts(snakemake(table, "-n", config=asked))["bring"] == 1
    (table / "t.tsv").write_text(changed.replace("4001", "4000"))


@pytest.mark.pipeline
def test_published_limits_of_agreement_come_out_of_a_run(tmp_path, shared):
    """MRIQC's metrics of 579 people, PyDeface (Provins et al. 2025, data S2 and S7)."""
    folder = shared("data/provins2025")
    asked = config(
        files=str(folder / "S2_Data.csv"),
        columns={"participant": "sub", "variant": "defaced"},
        variants={"0": "original", "1": "pydeface"},
    )
    run = snakemake(tmp_path, config=asked)
    assert run.returncode == 0, run.stderr[-3000:]
    ours = catalogue.read(tmp_path / "results/tables/mine/other_measures.tsv").set_index("measure")
    published = pd.read_csv(folder / "S7_Data.tsv", sep="\t", index_col="metric")
    assert len(published) == 58
    ours = ours.loc[published.index]
    assert (ours["n"] == published["n"]).all()
    assert (ours["n"] == 579).all()
    spread = ours["sd"].to_numpy()
    # They subtract the other way round; tables have six digits.
    bias = -ours["bias"].to_numpy()
    assert (np.abs(bias - published["bias"]) <= 6e-6 * np.abs(bias) + 1e-12 * spread).all()
    # They divide by n, ours by n - 1, and take 1.96 for the normal quantile.
    half = (ours["upper"] - ours["lower"]).to_numpy() / 2
    theirs = half * np.sqrt(578 / 579) * 1.96 / 1.959963985
    for end, sign in (("loa_lower", -1), ("loa_upper", 1)):
        off = np.abs(bias + sign * theirs - published[end].to_numpy())
        assert (off <= 2e-5 * half).all(), end
