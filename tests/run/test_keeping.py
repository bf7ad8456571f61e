"""What is deleted of a variant, when, and what is asked for when it is needed again."""

import json
import re
from pathlib import Path

import pandas as pd
import pytest

from refacebench import files, manifest
from refacebench.run import configuration, dropped, keeping, records
from refacebench.run.graph import Run
from refacebench.run.keeping import Job, Keeping
from refacebench.run.mistakes import ConfigError
from running import ROOT, bids

BATCH = "test-measured-000"


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Return the run of a config: nine people, three of them compared, in one batch a split."""
    monkeypatch.chdir(tmp_path)
    folder = bids(tmp_path / "bids", participants=9)

    def make(**changes):
        config = {
            "seed": 1,
            "batch_size": 50,
            "splits": {"train": 1, "validation": 1, "test": 1},
            "datasets": {"mine": {**folder, "faces": "private"}},
            "defacers": {"null": {}, "quickshear": {}, "mask_face": {}},
            "refacers": {"m": {"method": "pix2pix25d", "defacers": ["mask_face"]}},
            "segmenters": {"deepbet_atlas": {}, "whole_head_atlas": {}},
            "attackers": {"surface": {}},
            **changes,
        }
        config["refacers"] = configuration.refacers(config)
        return Run.load(configuration.with_controls(config), look=True)

    return make


def deleted(made, columns=("path",), scans=("sub-1", "sub-2")):
    """Make a stage's records of some scans, with files, and delete these."""
    _, stage, _, *names, _ = made.split("/")
    for scan in scans:
        result = {"status": "ok"}
        for column in columns:
            path = f"results/derivatives/mine/{names[-1]}/{scan}_{stage}_{column}.nii.gz"
            files.write_text(f"{stage} {column} {scan}", path)
            result[column] = path
        record = Path(made).with_suffix("") / f"{scan}.json"
        files.write_text(json.dumps({"key": "k", "result": result}), record)
    assert dropped.drop(made, columns) == len(columns) * len(scans)


def test_images_wait_for_all_that_looks_at_them(run):
    kept = Keeping(run(), "measures", pictures=True)
    found = kept.before("mine", "mask_face", BATCH)
    assert sorted(path.split("/")[1] for path in found) == [
        *("measure", "measure", "qc", "reface", "render", "segment", "segment")
    ]
    assert f"results/reface/mine/mask_face+m/{BATCH}.tsv" in found
    # The train split's wait for the model, and nothing else looks at them.
    assert kept.before("mine", "mask_face", "train-measured-000") == [
        "results/train/mine/mask_face+m/card.json"
    ]
    assert kept.before("mine", "quickshear", "train-measured-000") == []
    # The null control is not among the pictures for quality control.
    assert not any("/qc/" in path for path in kept.before("mine", "null", BATCH))
    without = Keeping(run(), "measures", pictures=False)
    assert not any("/qc/" in path for path in without.before("mine", "mask_face", BATCH))


def test_what_was_made_of_originals_and_of_everything_with_all_is_never_deleted(run):
    assert Keeping(run(), "all", True).outputs() == []
    marks = Keeping(run(), "measures", True).outputs()
    assert len(marks) == len(set(marks))
    assert not any("/original/" in mark or "/original.txt" in mark for mark in marks)
    # Five variants (skull_strip is the attacks' control), and both batches of the training.
    assert sum(mark.startswith("results/tidy/") for mark in marks) == 5 + 2
    assert sum(mark.startswith("results/tidy_views/") for mark in marks) == 5
    some = Keeping(run(), "segmentations", True).outputs()
    assert {mark.split("/")[1] for mark in some} == {"tidy"}


def test_a_brain_mask_stays_until_attackers_that_want_it_have_seen_it(run):
    segmented = f"results/segment/mine/deepbet_atlas/mask_face/{BATCH}.tsv"
    other = f"results/segment/mine/whole_head_atlas/mask_face/{BATCH}.tsv"
    alone = Keeping(run(), "measures", True).images("mine", "mask_face", BATCH)
    assert alone[segmented] == alone[other] == list(keeping.SEGMENTED)
    wanting = Keeping(run(attackers={"head_shape": {}}), "measures", True)
    found = wanting.images("mine", "mask_face", BATCH)
    assert found[segmented] == ["seg_path", "regions_path"]
    assert found[other] == list(keeping.SEGMENTED)
    assert wanting.views("mine", "mask_face")[segmented] == ["brainseg_path"]


def job(rule, out, anew=False, inputs=(), **wildcards):
    return Job(rule, {"dataset": "mine", "batch": BATCH, **wildcards}, inputs, [out], anew)


def test_a_new_segmenter_wants_the_images_of_its_scans_and_what_they_are_made_from(run):
    kept = Keeping(run(), "measures", True)
    refaced = f"results/reface/mine/mask_face+m/{BATCH}.tsv"
    defaced = f"results/deface/mine/mask_face/{BATCH}.tsv"
    deleted(refaced)
    deleted(defaced, ("path", "changed_path"))
    new = f"results/segment/mine/whole_head_atlas/mask_face+m/{BATCH}.tsv"
    due = [job("segment", new, segmenter="whole_head_atlas", variant="mask_face+m")]
    both = {refaced: ["sub-1", "sub-2"], defaced: ["sub-1", "sub-2"]}
    assert kept.wanted(due) == both
    # Who has been through it does not need the image.
    files.write_text("{}", Path(new).with_suffix("") / "sub-1.json")
    assert kept.wanted(due) == {refaced: ["sub-2"], defaced: ["sub-2"]}
    # Another version of the method works on everyone.
    assert kept.wanted([due[0]._replace(anew=True)]) == both
    # Jobs that read tables alone want nothing.
    assert kept.wanted([job("statistics", "results/tables/mine/volumes.tsv")]) == {}


def test_measures_want_the_segmentation_too_and_an_attack_all_its_views(run):
    kept = Keeping(run(), "measures", True)
    defaced = f"results/deface/mine/null/{BATCH}.tsv"
    segmented = f"results/segment/mine/deepbet_atlas/null/{BATCH}.tsv"
    deleted(defaced)
    deleted(segmented, keeping.SEGMENTED)
    out = f"results/measure/mine/deepbet_atlas/null/{BATCH}.tsv"
    due = job("measure", out, segmenter="deepbet_atlas", variant="null")
    assert kept.wanted([due]).keys() == {defaced, segmented}
    rendered = f"results/render/mine/null/{BATCH}.tsv"
    attack = job("attack", "results/attack/mine/surface/null.npz", inputs=[rendered], target="null")
    assert kept.wanted([attack]) == {}
    deleted(rendered, ["views_path"])
    assert kept.wanted([attack]).keys() == {defaced, rendered}
    blurred = attack._replace(wildcards={"dataset": "mine", "target": "blurred"})
    assert kept.wanted([blurred]) == {}


def test_a_run_stops_and_asks_and_with_remake_makes_just_that_again(run):
    defaced = f"results/deface/mine/null/{BATCH}.tsv"
    deleted(defaced)
    new = f"results/render/mine/null/{BATCH}.tsv"
    due = [job("render", new, shown="null")]
    with pytest.raises(ConfigError, match="of null .*deface 2.*--config remake=true"):
        Keeping(run(), "measures", True).check(due)
    assert dropped.wanted(defaced) == {"sub-1", "sub-2"}
    before = run().attempt(defaced)
    again = run()
    kept = Keeping(again, "measures", True)
    assert kept.remade(True) == [defaced]
    # The parameter by which Snakemake sees that the job is to be done.
    assert again.attempt(defaced) != before
    kept.check([job("deface", defaced, defacer="null")])
    assert dropped.wanted(defaced) == {"sub-1", "sub-2"}
    kept.end()
    assert dropped.wanted(defaced) == frozenset()
    assert Keeping(run(), "measures", True).remade(True) == []


def test_the_jobs_are_asked_by_the_wildcards_that_their_rules_have(run):
    """An image that a job opens is found whatever the rule calls the variant."""
    kept = Keeping(run(), "segmentations", True)
    defaced = f"results/deface/mine/null/{BATCH}.tsv"
    deleted(defaced)
    rules = {"segment": "segment", "render": "render", "qc_pictures": "qc", "carry": "carry"}
    for rule, file in rules.items():
        text = (ROOT / f"workflow/rules/{file}.smk").read_text()
        outputs = text.split(f"rule {rule}:")[1].split("output:")[1].split("log:")[0]
        (called,) = {"variant", "shown", "defacer"} & set(re.findall(r"{+(\w+)}+", outputs))
        due = job(rule, f"results/{file}/mine/new/{BATCH}.tsv", **{called: "null"})
        assert kept.wanted([due]) == {defaced: ["sub-1", "sub-2"]}, rule


def test_a_variant_can_be_made_again_by_its_name(run):
    kept = Keeping(run(), "segmentations", True)
    with pytest.raises(ConfigError, match="no variant 'nul'.*null"):
        kept.remade("nul")
    with pytest.raises(ConfigError, match="no image of 'null' was deleted"):
        kept.remade("null")
    deleted(f"results/deface/mine/null/{BATCH}.tsv")
    assert kept.remade("null") == [f"results/deface/mine/null/{BATCH}.tsv"]


def test_scans_that_are_to_be_tried_again_keep_their_images(run, tmp_path):
    out = tmp_path / "results/segment/mine/s/null/b.tsv"
    out.parent.mkdir(parents=True)
    manifest.note_failures(out, {"sub-1": "no memory"}, {"sub-2": "no head"}, 3)
    lost = pd.DataFrame({"scan": ["sub-1", "sub-2", "sub-3"], "status": ["failed", "failed", "ok"]})
    manifest.write(lost, out)
    (out.with_suffix("") / "x").parent.mkdir()
    for scan in ("sub-2", "sub-3"):
        files.write_text("{}", records.place(out, scan))
    assert keeping.unfinished([str(out), "card.json"]) == {"sub-1"}
    # No record of the measures, which are asked for again with the batch: the image stays.
    measures = tmp_path / "results/measure/mine/s/null/b.tsv"
    measures.parent.mkdir(parents=True)
    manifest.write(lost, measures)
    assert keeping.unfinished([str(out), str(measures)]) == {"sub-1", "sub-2"}
