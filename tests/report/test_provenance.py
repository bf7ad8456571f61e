"""Where results come from: said, hashed, and without a word about this machine or its people."""

import json
import subprocess

import pytest

from reading import Page, context
from refacebench import files
from refacebench.report import provenance
from refacebench.report.page import build
from refacebench.run import scales, settings
from running import ROOT

SCHEMA = files.read_yaml(ROOT / "workflow/schemas/config.schema.yaml")
SECRET = "qwibbleton"
#: Names and folders wherever a config has room for a text.
CONFIG = {
    "seed": 7,
    "results": f"runs/{SECRET}",
    "splits": {"train": 0, "test": 1},
    "datasets": {
        "mine": {
            "type": "bids",
            "path": f"/data/{SECRET}",
            "faces": "private",
            "only_participants": [SECRET, 12],
            "rescan_sessions": ["ses-2"],
            "select": {"acquisition": "mprage"},
        }
    },
    "defacers": {
        "quickshear": {"buffer_mm": 10},
        "afni_refacer": {"mode": "reface_plus"},
        "tool": {
            "command": [f"/opt/{SECRET}/tool", "{input}", "{output}"],
            "environment": {"TOKEN": SECRET},
            "files": {"atlas": f"{SECRET} atlas.nii"},
            "license": f"{SECRET}.txt",
            "container": f"docker:{SECRET}",
            "notes": f"of {SECRET}",
        },
    },
    "segmenters": {"deepbet_atlas": {}},
    "statistics": {"equivalence_margin": "fixed", "equivalence_margin_source": "a protocol"},
    "privacy": {"measure": "rank1", "kit": {"answers": f"{SECRET}/answers"}},
}


@pytest.fixture(scope="module")
def asked():
    return provenance.shown(CONFIG, provenance.words_of(CONFIG, SCHEMA))


def test_a_config_is_shown_without_names_and_folders(asked):
    assert SECRET not in json.dumps(asked)
    assert asked["seed"] == 7
    assert asked["splits"] == CONFIG["splits"]
    assert asked["datasets"]["mine"]["type"] == "bids"
    assert asked["datasets"]["mine"]["path"] == provenance.LEFT_OUT
    assert asked["datasets"]["mine"]["only_participants"] == provenance.LEFT_OUT
    assert asked["datasets"]["mine"]["rescan_sessions"] == ["ses-2"]
    assert asked["datasets"]["mine"]["select"] == {"acquisition": "mprage"}
    assert asked["defacers"]["quickshear"] == {"buffer_mm": 10}
    assert asked["defacers"]["afni_refacer"] == {"mode": "reface_plus"}
    assert asked["statistics"] == CONFIG["statistics"]
    assert asked["privacy"]["measure"] == "rank1"
    assert set(asked["defacers"]["tool"]) == set(CONFIG["defacers"]["tool"]), "no key is missing"


@pytest.mark.parametrize("scale", ["full", "weekend"])
def test_the_size_of_the_run_is_shown(scale):
    sized = scales.scaled({**CONFIG, "scale": scale, "scales": {"weekend": {"seed": 8}}})
    found = provenance.shown(sized, provenance.words_of(sized, SCHEMA))
    assert (found["scale"], SECRET in json.dumps(found)) == (scale, False)


def test_no_default_is_left_out():
    everything = settings.filled({"datasets": {"d": {"type": "demo"}}, "study": {}}, SCHEMA)
    shown = provenance.shown(everything, provenance.words_of(everything, SCHEMA))
    assert shown == everything


def test_the_hash_is_that_of_the_config_that_is_shown(asked):
    found = provenance.card({"config": asked}, [], [])
    text = json.dumps(found["config"], sort_keys=True, separators=(",", ":")).encode()
    program = subprocess.run(["sha256sum"], input=text, capture_output=True, check=True)
    assert found["config_sha256"] == program.stdout.split()[0].decode()
    other = provenance.card({"config": {**asked, "seed": 8}}, [], [])
    assert other["config_sha256"] != found["config_sha256"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["/home/jane/bin/snakemake", "--cores", "4"], "snakemake --cores 4"),
        (["snakemake", "-n", "kit"], "snakemake -n kit"),
        (["/x/__main__.py", "--config", "retry=true"], "snakemake --config retry=true"),
        (["snakemake", "--configfile", "/d/jane.yaml"], "snakemake --configfile CONFIGFILE"),
        (["snakemake", "--configfile=jane.yaml"], "snakemake --configfile=CONFIGFILE"),
        (["snakemake", "--default-resources", "slurm_account=jane"],
         "snakemake --default-resources slurm_account=SLURM_ACCOUNT"),
        (["snakemake", "--configfile", str(ROOT / "config/bids.yaml")],
         "snakemake --configfile config/bids.yaml"),
        (["snakemake", "--configfile", "jane.yaml", "-s", "x/y", "--rerun-triggers", "mtime"],
         "snakemake --configfile CONFIGFILE -s SNAKEFILE --rerun-triggers mtime"),
        (["snakemake", "--cores", "4", "jane"], "snakemake --cores 4 TARGET"),
        (["snakemake", "--forcerun", "reface", "jane"], "snakemake --forcerun reface TARGET"),
        (["snakemake", "--nolock", "jane"], "snakemake --nolock TARGET"),
        ([], "snakemake"),
    ],
)  # fmt: skip
def test_a_command_is_shown_without_names_and_folders(given, said, monkeypatch):
    monkeypatch.chdir(ROOT)
    assert provenance.command(given, ROOT) == said


def git(folder, *words):
    who = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *who, "-C", str(folder), *words], check=True, capture_output=True)


def test_commit_and_changes_of_a_checkout(tmp_path):
    home = tmp_path / "home"
    (home / "inside").mkdir(parents=True)
    assert provenance.commit(home) == {"commit": None, "changed": None}
    git(home, "init")
    (home / "a.txt").write_text("one")
    git(home, "add", ".")
    git(home, "commit", "-m", "first")
    raw = (home / ".git/HEAD").read_text().split()[1]
    expected = (home / ".git" / raw).read_text().strip()
    assert provenance.commit(home) == {"commit": expected, "changed": False}
    (home / "results").mkdir()
    (home / "results/x").write_text("not of the checkout")
    assert provenance.commit(home)["changed"] is False
    (home / "a.txt").write_text("two")
    assert provenance.commit(home) == {"commit": expected, "changed": True}
    assert provenance.commit(home / "inside") == {"commit": None, "changed": None}, "another's"


def test_the_version_of_a_data_set_is_what_its_own_files_say(tmp_path):
    assert provenance.data_version(tmp_path) == {}
    described = {"Name": SECRET, "BIDSVersion": "1.8.0", "DatasetDOI": "doi:10.18112/ds1.v2"}
    (tmp_path / "dataset_description.json").write_text(json.dumps(described))
    (tmp_path / "CHANGES").write_text("1.0.2 2024-02-01\n  - b\n\n1.0.0 2023-01-01\n  - a\n")
    found = provenance.data_version(tmp_path)
    assert found == {
        "BIDSVersion": "1.8.0", "DatasetDOI": "doi:10.18112/ds1.v2", "version": "1.0.2"
    }  # fmt: skip
    (tmp_path / "dataset_description.json").write_text('["broken"')
    assert provenance.data_version(tmp_path) == {"version": "1.0.2"}


def test_the_card_has_the_entries_that_are_documented_and_the_page_shows_them(asked, tables):
    given = context(tables)
    started = {
        "date": "2031-05-04T03:02:01Z",
        "command": "snakemake --cores 4",
        "commit": {"commit": "abc123", "changed": True},
        "config": {"datasets": {"demo": {"type": "demo"}}, "seed": 41},
        "data": {"demo": {"version": "1.0.2"}},
    }
    card = provenance.card(
        started, given["datasets"], given["datasets"][0]["methods"], ["deface/demo/old"]
    )
    assert list(card) == list(provenance.FIELDS)
    n = tables["flow"]["scan"].nunique()
    assert card["datasets"]["demo"]["scans"] == n
    assert card["packages"]["numpy"]
    page = Page(build({**given, "card": card}))
    for text in (
        "2031-05-04T03:02:01Z", "snakemake --cores 4", "abc123, with changes that are not",
        card["config_sha256"], "type demo; version 1.0.2", "quickshear 1.2.0", f"{n} scans of",
        "deface/demo/old", "seed: 41",
    ):  # fmt: skip
        assert text in page.words, text


def test_what_a_run_noted_is_read_and_missing_notes_are_said_to_be(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bids").mkdir()
    (tmp_path / "bids/CHANGES").write_text("2.0.0 2030-01-01\n")
    assert provenance.read() == {}
    empty = provenance.card(provenance.read(), [], [])
    assert ["Run started", "not recorded"] in provenance.rows(empty)
    started = ({"seed": 1}, ["snakemake", "-c", "2"], ROOT)
    provenance.note_start(*started, {"mine": "bids"}, {"mine": "3", "grown": "4"})
    found = provenance.read()
    assert found["command"] == "snakemake -c 2"
    assert found["config"] == {"seed": 1}
    assert found["data"] == {"mine": {"method": "3", "version": "2.0.0"}, "grown": {"method": "4"}}
    assert str(tmp_path) not in json.dumps(found)


def test_nothing_of_the_day_stands_outside_the_section(asked, tables):
    """The same tables give the same page on every day, but for the section itself."""
    given = context(tables)
    pages = []
    for day in ("2031-05-04T03:02:01Z", "2032-06-05T04:03:02Z"):
        card = provenance.card({"date": day, "config": asked}, given["datasets"], [])
        pages.append(build({**given, "card": card}).split('<h2 id="provenance"'))
    assert pages[0][0] == pages[1][0]
    assert pages[0][1] != pages[1][1]
