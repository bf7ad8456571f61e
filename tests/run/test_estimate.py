"""What a run is said to take, before it starts."""

import re
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import yaml

from planning import SCHEMA, planned, scans
from refacebench import __main__ as program
from refacebench import files
from refacebench.run import estimate, settings
from refacebench.run.graph import Run
from running import ROOT, bids


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Return the run of a config: people with one scan of 10 x 10 x 10 thousand voxels each."""
    monkeypatch.chdir(tmp_path)

    def make(people=4, edge=100, **changes):
        defacers = {"defacers": {"quickshear": {}, "mask_face": {}}}
        return planned(tmp_path, scans(tmp_path, people, edge), **{**defacers, **changes})

    return make


@pytest.fixture
def costs(monkeypatch):
    """Round costs, so that sums can be made by hand."""
    nothing = estimate.Cost(0, 0, 0, 0, start=0)
    monkeypatch.setattr(estimate, "COSTS", dict.fromkeys(estimate.COSTS, nothing))
    monkeypatch.setattr(estimate, "END_S", 0.0)
    monkeypatch.setattr(estimate, "END_PER_VARIANT_S", 0.0)
    return estimate.COSTS


def test_hours_memory_and_disk_are_sums_over_scans_and_variants(run, costs):
    # 4 scans of 1 million voxels in 3 variants, a batch each scan: 12 jobs of 10 + 20 x 1 seconds.
    costs["segment"] = estimate.Cost(10, 20, 500, 250, 100, start=0)
    found = estimate.estimate(run(batch_size=1), cores=2)
    assert found.hours == pytest.approx(12 * 30 / 2 / 3600)
    assert found.memory_gb == pytest.approx(2 * 0.75)
    assert found.disk_gb == pytest.approx(12 * 0.1)
    assert (found.scans, found.variants) == (4, 3)


def test_cores_beyond_the_number_of_jobs_do_nothing(run, costs):
    costs["segment"] = estimate.Cost(10, 0, 500, 0, start=0)
    one_batch = run()
    slow, fast = (estimate.estimate(one_batch, cores) for cores in (3, 100))
    assert slow.hours == fast.hours == pytest.approx(4 * 10 / 3600)
    assert fast.memory_gb == pytest.approx(3 * 0.5), "three jobs at a time at most"


def test_what_is_done_is_not_counted(run, costs):
    costs["segment"], costs["measure"] = (
        estimate.Cost(seconds, 0, 0, 0, start=0) for seconds in (10, 1)
    )
    whole = run(batch_size=1)
    found = estimate.estimate(whole, 1, {"segment": 0.25, "page": 1.0})
    assert found.hours == pytest.approx(0.25 * 12 * 10 / 3600)
    assert estimate.told(found, remaining=True).startswith("What is left of this run")


def test_what_was_never_measured_is_named(run):
    planned = run(
        splits={"train": 1, "validation": 1, "test": 1},
        refacers={"pix2pix25d": {"defacers": ["mask_face"]}},
    )
    found = estimate.estimate(planned, 1)
    assert found.left_out == ["the training of mask_face+pix2pix25d"]
    assert estimate.told(found).endswith("Not counted: the training of mask_face+pix2pix25d.")
    # A training that is done need not be named: the run knows, or the model lies there.
    assert estimate.estimate(planned, 1, {"train": 0.0, "page": 1.0}).left_out == []
    assert estimate.estimate(planned, 1, {"train": 1.0}).left_out == found.left_out
    (card,) = map(Path, planned.cards())
    card.parent.mkdir(parents=True)
    card.write_text("{}")
    assert estimate.estimate(planned, 1).left_out == []


def test_voxels_are_those_of_the_headers(run, tmp_path):
    assert estimate.megavoxels(run(edge=50), "mine") == pytest.approx(0.125)
    for path in tmp_path.rglob("*.nii.gz"):
        path.write_bytes(b"no image")
    again = Run.load(settings.load(tmp_path / "mine.yaml", SCHEMA), look=True)
    assert estimate.megavoxels(again, "mine") == estimate.TYPICAL_MVOX


def test_an_external_program_and_an_attack_cost_something(run, tmp_path):
    plain = estimate.estimate(run(), 1).stage_hours
    attacked = estimate.estimate(run(attackers={"surface": {}}), 1).stage_hours
    assert set(attacked) - set(plain) == {"render", "enrol", "attack"}
    command = {"command": ["cp", "{input}", "{output}"], "version": "1"}
    other = estimate.estimate(run(defacers={"mine": command, "quickshear": {}}), 1).stage_hours
    assert other["deface"] > plain["deface"]


def test_images_of_other_contrasts_are_counted_as_often_as_they_are_there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = {**scans(tmp_path, people=4), "carry": ["T2w", "FLAIR"]}
    folders = sorted((tmp_path / "bids4").glob("sub-*/anat"))
    for folder, contrasts in zip(folders, (["T2w"], ["T2w", "FLAIR"], ["FLAIR"], []), strict=True):
        for contrast in contrasts:
            (folder / f"{folder.parent.name}_{contrast}.nii.gz").write_bytes(b"not opened")
    asked = {
        "defacers": {"null": {}, "quickshear": {}, "skull_strip": {}},
        # Brains are looked for in T1w scans alone: head_shape is asked about no other contrast.
        "attackers": {"surface": {}, "head_shape": {}},
        "batch_size": 3,
    }
    run = planned(tmp_path, data, **asked)
    done = {}
    for part in estimate.work(run, "mine"):
        jobs, images = done.get(part.stage, (0, 0))
        done[part.stage] = jobs + part.jobs, images + part.scans
    # Four images of two batches; two defacers carry their masks, and the control carries none.
    assert done["align"] == (2, 4)
    assert done["carry"] == (4, 8)
    without = {}
    for part in estimate.work(planned(tmp_path, {**data, "carry": []}, **asked), "mine"):
        jobs, images = without.get(part.stage, (0, 0))
        without[part.stage] = jobs + part.jobs, images + part.scans
    assert not {"align", "carry"} & set(without)
    # Of each contrast the two defacers' images and those that have their face.
    assert done["render"] == (without["render"][0] + 2 * 3 * 2, without["render"][1] + 3 * 4)
    assert done["attack"] == (without["attack"][0] + 2 * 3, without["attack"][1] + 3 * 4)
    assert estimate.estimate(run, 1).left_out == []


def test_the_command_prints_it_and_writes_nothing(run, tmp_path, capsys):
    run()
    before = sorted(tmp_path.rglob("*"))
    assert program.main(["estimate", "mine.yaml", "--cores", "2"]) == 0
    said = capsys.readouterr().out
    assert "This run will take about" in said
    assert "on 2 cores" in said
    assert "segment" in said
    assert sorted(tmp_path.rglob("*")) == before


def test_the_readme_says_what_the_command_prints(tmp_path, monkeypatch):
    """Its table of the shipped config, with and without `limit`, for scans of a common size."""
    monkeypatch.chdir(tmp_path)
    rows = re.findall(
        r"^\| (\d+), .* \| (.*) \| (.*) \| (.*) \|$", (ROOT / "README.md").read_text(), re.M
    )
    assert "| scans of 256 x 256 x 256 voxels, 1 mm |" in (ROOT / "README.md").read_text()
    nib.save(nib.Nifti1Image(np.zeros((256, 256, 256), np.uint8), np.eye(4)), "head.nii.gz")
    config = files.read_yaml(ROOT / "config/bids.yaml")
    mine = config["datasets"]["mine"]
    mine["path"] = bids(tmp_path / "bids", participants=100)["path"]
    for path in Path("bids").rglob("*.nii.gz"):
        shutil.copy("head.nii.gz", path)
    for people, *said in rows:
        (tmp_path / "c.yaml").write_text(yaml.safe_dump(config))
        run = Run.load(settings.load("c.yaml", SCHEMA), look=True)
        mine.pop("limit", None)  # of the second row
        on = {cores: estimate.told(estimate.estimate(run, cores)) for cores in (8, 2)}
        numbers = {
            c: re.search(r"about (.*) on .*, (.*) of memory and (.*) of d", on[c]) for c in on
        }
        assert said == [
            f"{numbers[8][1]} on 8 cores, {numbers[2][1]} on 2 cores",
            f"{numbers[8][2]} with 8 jobs at a time, {numbers[2][2]} with 2",
            numbers[8][3],
        ]
        assert f"({people} scans compared" in on[8]
    assert [people for people, *_ in rows] == ["20", "100"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [", "mine.yaml, line 1 is not valid YAML"),
        ("1", "holds no keys"),
        ("datasets: {mine: {type: bids, path: nowhere}}", "nowhere"),
        ("datasets: {mine: {type: bids, path: x}}\nseeds: 1", "unknown key 'seeds'"),
    ],
)
def test_a_wrong_config_is_one_sentence(tmp_path, monkeypatch, capsys, text, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.yaml").write_text(text)
    assert program.main(["estimate", "mine.yaml"]) == 2
    assert said in capsys.readouterr().err


def test_defaults_are_those_that_snakemake_fills_in(tmp_path):
    from snakemake.utils import validate

    for path in sorted((ROOT / "config").rglob("*.yaml")):
        given = files.read_yaml(path)
        theirs = files.read_yaml(path)
        validate(theirs, str(ROOT / "workflow/schemas/config.schema.yaml"))
        assert settings.filled(given, SCHEMA) == theirs, path.name
