"""Studies: planned at both sizes from trees of small files, and one of them run as a whole."""

import html
import re

import pytest
import yaml

from refacebench.results import catalogue
from running import ROOT, bids, job_counts, snakemake

FOLDER = ROOT / "config/studies"


def study(folder, name, *arguments, scale="full"):
    """Run a shipped study as a user does, in a folder that has its data."""
    given = ("--configfile", str(FOLDER / f"{name}.yaml"), "--config", f"scale={scale}")
    return snakemake(folder, *given, *arguments, directory=False)


def touch(folder, *paths):
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(b"not opened")


def data(folder):
    """Make the data of all studies in their own layouts: files that nobody opens."""
    bids(folder / "data/study", participants=12, sessions=("1", "2"))
    numbers = range(10, 22)
    scan = "OAS300{0}_MR_d0129/anat1/sub-OAS300{0}_ses-d0129_T1w.nii.gz"
    touch(folder / "data/OASIS3", *(scan.format(n) for n in numbers))
    ages = "".join(f"OAS300{n},X{n},60,,1\n" for n in numbers)
    (folder / "data/OASIS3/OASIS3_demographics.csv").write_text(
        "OASISID,Subject_accession,AgeatEntry,AgeatDeath,GENDER\n" + ages
    )
    scan = "002_S_00{0}/MPRAGE/2006-04-18_08_20_30.0/I451{0}/a_I451{0}.nii"
    touch(folder / "data/ADNI", *(scan.format(n) for n in numbers))
    visits = "".join(f"{n},002_S_00{n},bl,2,2006-04-18,CN,70,Male,NL\n" for n in numbers)
    (folder / "data/ADNI/TADPOLE_D1_D2.csv").write_text(
        "RID,PTID,VISCODE,SITE,EXAMDATE,DX_bl,AGE,PTGENDER,DX\n" + visits
    )
    rows = "".join(f"{n}\t{d}\t1.{n}\n" for n in numbers for d in (0, 1))
    (folder / "data/provins2025").mkdir()
    (folder / "data/provins2025/S2_Data.csv").write_text("sub\tdefaced\tcjv\n" + rows)
    rows = "".join(
        f"{n}\trater_0{r}\t{d}\t2.{n}\n" for n in numbers for r in (1, 2) for d in (0, 1)
    )
    (folder / "data/provins2025/S1_Data.tsv").write_text(
        "subject\trater_id\tdefaced\trating\n" + rows
    )
    return folder


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return data(tmp_path_factory.mktemp("studies"))


#: How many models are trained, attacks evaluated and studies written, at both sizes.
PLANNED = {
    "huelnhagen2020": {"train": 1, "study": 1, "sheet": 1},  # its slices, in a paper's width
    "vandergoten2021": {"train": 2, "privacy": 2, "study": 2},
    "schwarz2023": {"train": 0, "privacy": 1, "study": 1},
    "provins2025": {"bring": 2, "study": 2, "prepare": 0},
}


@pytest.mark.pipeline
@pytest.mark.parametrize("scale", ["full", "demo"])
@pytest.mark.parametrize("name", PLANNED)
def test_a_study_is_the_same_at_both_sizes(home, name, scale):
    jobs = job_counts(study(home, name, "-n", scale=scale))
    assert {job: jobs.get(job, 0) for job in PLANNED[name]} == PLANNED[name]


@pytest.mark.pipeline
def test_a_study_of_data_that_are_not_there_says_what_it_takes(home, tmp_path):
    """IXI is downloaded first, at its own size; the tables of a paper must be saved by hand."""
    assert set(job_counts(study(tmp_path, "abramian2019", "-n"))) == {"fetch", "all"}
    jobs = job_counts(study(tmp_path, "abramian2019", "-n", scale="demo"))
    assert (jobs["train"], jobs["sheet"], jobs["study"]) == (4, 1, 1)
    refused = study(tmp_path, "provins2025", "-n")
    assert refused.returncode != 0
    lines = (refused.stdout + refused.stderr).splitlines()
    said = [line for line in lines if "is missing. Save" in line]
    # Each of the two data sets names its own file, and where to get it.
    for dataset, file in (("metrics", "S2_Data.csv"), ("ratings", "S1_Data.tsv")):
        (mine,) = (line for line in said if f"datasets.{dataset}: files:" in line)
        assert f"{file} is missing. Save S1_Data.tsv, S2_Data.csv and S7_Data.tsv of the" in mine
        assert "https://github.com/TheAxonLab/defacing-and-qc-analysis" in mine
    assert len(said) == 2


@pytest.mark.pipeline
def test_a_whole_study_of_made_up_tables_compares_nothing(tmp_path):
    run = study(tmp_path, "provins2025", scale="demo")
    assert run.returncode == 0, run.stderr[-3000:]
    home = tmp_path / "runs/provins2025-demo/results"
    table = catalogue.read(home / "tables/ratings/study.tsv")
    asked = yaml.safe_load((FOLDER / "provins2025.yaml").read_text())["study"]
    assert len(table) == 10
    assert table["ours"].notna().all()
    assert table["published"].notna().all()
    assert table["difference"].isna().all()
    for dataset in ("metrics", "ratings"):
        flow = catalogue.read(home / f"tables/{dataset}/flow.tsv")
        assert list(flow["status"][flow["stage"] == "measure"]) == ["ok"] * 80
    page = (home / "report.html").read_text()
    said = html.unescape(re.sub(r"<[^>]+>", " ", page))
    assert "reproduc" not in re.sub("reproducible evaluation", "", said)
    for item in asked["items"]:
        assert f'<th scope="row">{item["item"]}</th>' in page
    # The items' links lead somewhere on the page.
    links = set(re.findall(r'href="#(d1-[\w-]+)">Measures made elsewhere', page))
    assert links == {"d1-other-measures"}
    assert 'id="d1-other-measures"' in page
    methods = (home / "methods.md").read_text()
    assert (
        "study of Provins et al. (2025) [@provins2025; @ixi; @pydeface2019; @esteban2017]"
        in methods
    )
    assert "crossed random intercepts" in methods
    for figure in ("other_measures", "rater_agreement"):
        assert (home / f"study/ratings/{figure}.pdf").read_bytes().startswith(b"%PDF")
        drawn = (home / f"study/ratings/{figure}.svg").read_text()
        width = float(re.search(r'width="([\d.]+)pt"', drawn)[1]) * 25.4 / 72
        assert 150 <= width <= 200  # cropped to what is drawn; 190 mm were asked for
    # Nothing is left to do.
    assert "Nothing to be done" in study(tmp_path, "provins2025", scale="demo").stderr
    # A job that is stopped while it makes its outputs anew leaves none: all of them are missed.
    for job, lost in (
        ("page", "report.html"),
        ("page", "run.json"),
        ("study", "tables/ratings/study.tsv"),
        ("bring", "measure/ratings/table/pydeface/test-measured-000.tsv"),
    ):
        before = (home / lost).read_bytes()
        (home / lost).unlink()
        assert job in job_counts(study(tmp_path, "provins2025", "-n", scale="demo")), lost
        (home / lost).write_bytes(before)
