"""Which files are made from which, asked without Snakemake."""

import re

import pytest
import yaml

from refacebench import files
from refacebench.run import configuration, leftovers, reach, settings
from refacebench.run.graph import Run
from running import ROOT, bids


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Return the run of a config: nine people, three sessions each, the second a rescan."""
    monkeypatch.chdir(tmp_path)
    folder = bids(tmp_path / "bids", participants=9, sessions=("1", "2", "3"))
    sessions = {"sessions_measured": 1, "rescan_sessions": ["ses-2"]}

    def make(**changes):
        config = {
            "seed": 1,
            "batch_size": 2,
            "splits": {"train": 1, "validation": 1, "test": 1},
            "datasets": {"mine": {**folder, "faces": "private", **sessions}},
            "defacers": {"null": {}, "quickshear": {}, "mask_face": {}},
            "refacers": {},
            "segmenters": {"deepbet_atlas": {}},
            **changes,
        }
        config["refacers"] = configuration.refacers(config)
        return Run.load(configuration.with_controls(config), look=True)

    return make


def test_batches_are_chosen_by_split_and_role(run):
    found = run().batches("mine")
    assert len(found) == len(set(found))
    # Three people a split, so three scans of each role: a batch of two and one of one.
    assert run().batches("mine", "test", "rescan") == ["test-rescan-000", "test-rescan-001"]
    assert run().batches("mine", role="followup") == [
        f"{split}-followup-00{n}" for split in ("test", "train", "validation") for n in (0, 1)
    ]
    assert all(re.fullmatch(run().wildcards()["batch"], batch) for batch in found)


def test_a_data_set_has_the_programs_that_measured_it_and_no_others(tmp_path, monkeypatch):
    """Where another one of the run has other programs, none of its scans lacks measures for it."""
    monkeypatch.chdir(tmp_path)
    for name in ("one", "two"):
        volume = "Left-Hippocampus" if name == "one" else "hippocampus_left"
        rows = [f"sub-{n}\t{v}\t{4000 + n}" for n in range(3) for v in ("original", name)]
        text = "\n".join([f"scan\tvariant\t{volume}", *rows])
        (tmp_path / f"{name}.tsv").write_text(text + "\n")
    (tmp_path / "c.yaml").write_text(
        "datasets:\n"
        "  one: {type: measures, files: one.tsv, software: freesurfer}\n"
        "  two: {type: measures, files: two.tsv, unit: mm3}\n"
    )
    schema = files.read_yaml(ROOT / "workflow/schemas/config.schema.yaml")
    run = Run.load(settings.load("c.yaml", schema), look=True)
    assert run.segmenters == ["freesurfer", "table"]
    for name, program in (("one", "freesurfer"), ("two", "table")):
        assert run.segmenters_of(name) == [program]
        read = [*run.measurements(name), *run.segmentations(name)]
        assert {path.split("/")[3] for path in read} == {program}


def test_every_variant_comes_from_the_stage_that_made_it(run):
    asked = run().variant_manifest
    measured, rescan = "test-measured-000", "test-rescan-000"
    assert asked("mine", "original", measured) == "results/prepare/mine/test-measured-000.tsv"
    assert asked("mine", "original", rescan) == "results/inventory/mine/test-rescan-000.tsv"
    assert asked("mine", "null", measured) == "results/deface/mine/null/test-measured-000.tsv"
    assert asked("mine", "a+m", measured) == "results/reface/mine/a+m/test-measured-000.tsv"


def test_a_model_of_another_entry_is_applied_and_not_trained_again(run):
    found = run(
        refacers={
            "m": {"method": "pix2pix25d", "defacers": ["mask_face"]},
            "raw": {"model": "m", "composite": False},
        }
    )
    assert found.trainings == ["mask_face+m"]
    assert found.card("mine", "mask_face", "raw") == "results/train/mine/mask_face+m/card.json"
    assert {path.split("/")[3] for path in found.refacing_manifests("mine")} == {"mask_face"}
    figures = found.figure_files(["volumes"], ["privacy"])
    assert figures == [
        f"results/figures/mine/{name}.png"
        for name in ("volumes", "curves-mask_face+m", "samples-mask_face+m")
    ]


def test_a_further_defacer_of_a_refacer_and_the_faces_policy_are_no_methods_business(run):
    """What is in an entry that a rule takes makes its jobs run again."""
    refacer = {"method": "pix2pix25d", "defacers": ["mask_face"]}
    one = run(refacers={"m": refacer})
    two = run(refacers={"m": {**refacer, "defacers": ["mask_face", "quickshear"]}})
    assert one.entry("refacers", "m") == two.entry("refacers", "m") == {"method": "pix2pix25d"}
    assert set(one.entry("datasets", "mine")) == {"type", "path"}


def test_attackers_look_at_all_originals_and_at_the_measured_scans_of_a_variant(run):
    found = run(attackers={"surface": {}, "head_shape": {}})
    assert found.attacked("surface") == [*found.variants, "blurred", "black"]
    assert "skull_strip" in found.variants
    roles = lambda paths: {re.search(r"test-(\w+)-", path)[1] for path in paths}  # noqa: E731
    assert roles(found.renderings("mine")) == {"measured", "rescan", "followup"}
    assert roles(found.renderings("mine", "null")) == {"measured"}
    # The pictures of a control are made from the original's.
    assert found.renderings("mine", "black") == found.renderings("mine", "original")
    assert found.renderings("mine", "black")[0].startswith("results/render/mine/original/")
    # One of the two wants brain masks, never of a picture, and is a floor.
    assert found.brains("mine", "surface") == found.brains("mine", "head_shape", "black") == []
    expected = [p.replace("render/mine", "segment/mine/deepbet_atlas") for p in
                found.renderings("mine", "null")]  # fmt: skip
    assert found.brains("mine", "head_shape", "null") == expected
    assert found.floors() == ["head_shape"]
    assert len(found.attack_files("mine")) == len(found.attack_manifests("mine"))
    assert found.attack_training("mine", "surface", "null") == []


def test_an_attacker_that_is_trained_gets_both_sides_of_the_train_split(run):
    found = run(attackers={"siamese": {"source": "train"}})
    paths = found.attack_training("mine", "siamese", "quickshear")
    assert {path.split("/")[3] for path in paths} == {"original", "quickshear"}
    assert all("/train-measured-" in path for path in paths)
    control = found.attack_training("mine", "siamese", "blurred")
    assert control == found.attack_training("mine", "siamese", "original")


def test_scans_are_checked_or_on_a_list_and_never_both(run):
    for attackers in ({}, {"surface": {}}):
        found = run(attackers=attackers)
        batches = {
            kind: {path.split("/")[-1] for path in paths}
            for kind, paths in (
                ("checked", found.checked_scans("mine")),
                ("listed", found.unused_lists("mine")),
            )
        }
        assert batches["checked"].isdisjoint(batches["listed"])
        assert len(found.batches("mine")) == sum(map(len, batches.values()))
        # Later sessions of the test split are looked at by attackers alone.
        assert ("test-followup-000.tsv" in batches["checked"]) == bool(attackers)


def test_companions_are_carried_where_the_config_says_so_but_not_noise(run):
    assert run().carry_manifests("mine") == []
    found = run()
    found.config["datasets"]["mine"]["carry"] = ["T2w"]
    assert found.carried_by("mine") == ["quickshear", "quickshear", "mask_face", "mask_face"]
    assert found.carry_manifests("mine") == [
        f"results/carry/mine/{defacer}/test-measured-00{n}.tsv"
        for defacer in ("quickshear", "mask_face")
        for n in (0, 1)
    ]


def test_raters_see_public_faces_alone(run, capsys):
    found = run()
    with pytest.raises(configuration.ConfigError, match="no dataset of this config has"):
        found.kit_pages()
    found.config["datasets"]["mine"]["faces"] = "public"
    assert found.kit_pages() == ["results/kit/mine/page/index.html"]
    shown = found.kit_renderings("mine", ["original", "null"])
    assert sum("/original/" in path for path in shown) == 6
    assert sum("/null/" in path for path in shown) == 2


def test_what_is_missing_here_is_listed_and_not_run(run):
    gone = {"command": ["no_such_tool", "{input}", "{output}"], "on_missing": "skip"}
    found = run(defacers={"gone": gone, "quickshear": {}})
    assert found.listed == ["original", "gone", "quickshear"]
    assert found.variants == ["original", "quickshear"]
    assert "no_such_tool" in found.unavailable["gone"]


def test_a_job_reads_what_the_main_process_decided(run, monkeypatch):
    found = run()
    found.write_plan()
    again = Run.load(found.config, look=False)
    assert again.programs == found.programs
    assert again.batches("mine") == found.batches("mine")
    batch = found.batches("mine")[0]
    assert again.digest("mine", batch) == found.digest("mine", batch)


def test_companions_are_attacked_by_all_who_look_at_surfaces(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = bids(tmp_path / "bids", participants=3, sessions=("1",))
    config = {
        "datasets": {"mine": {**folder, "carry": ["T2w", "FLAIR"]}, "other": folder},
        "defacers": {"null": {}, "quickshear": {}},
        "attackers": {"surface": {}, "face_recognition": {}, "head_shape": {}, "siamese": {}},
        "splits": {"train": 1, "validation": 1, "test": 1},
    }
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(config))
    schema = files.read_yaml(ROOT / "workflow/schemas/config.schema.yaml")
    run = Run.load(settings.load("c.yaml", schema), look=True)
    shown = [
        f"{v}@{c}" for c in ("T2w", "FLAIR") for v in ("original", "quickshear", "skull_strip")
    ]
    assert run.other_contrasts("mine") == shown
    assert run.other_contrasts("other") == []
    attackers = ("face_recognition", "siamese", "surface")
    wanted = [f"results/attack/mine/{a}/{name}.npz" for a in attackers for name in shown]
    assert run.contrast_attacks("mine") == wanted
    assert not set(wanted) & set(run.attack_files("mine"))
    batch = run.batches("mine", "test", "measured")[0]
    assert run.variant_manifest("mine", "original@T2w", batch) == f"results/align/mine/{batch}.tsv"
    carried = f"results/carry/mine/quickshear/{batch}.tsv"
    assert run.variant_manifest("mine", "quickshear@FLAIR", batch) == carried
    assert run.renderings("mine", "quickshear@T2w") == [
        f"results/render/mine/quickshear@T2w/{batch}.tsv"
    ]
    for name in shown:
        assert all(re.fullmatch(run.wildcards()[kind], name) for kind in ("shown", "target"))
        assert not re.fullmatch(run.wildcards()["variant"], name)
    assert leftovers.Names.of(run).has("shown", "mine", "quickshear@T2w")
    assert leftovers.Names.of(run).has("target", "mine", "quickshear@T2w.npz")
    # By three attackers (head_shape looks at no face), on other contrasts where all have them.
    assert reach.attacks_on_methods(run) == [3]
    del config["datasets"]["other"]
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(config))
    alone = Run.load(settings.load("c.yaml", schema), look=True)
    assert reach.attacks_on_methods(alone) == [3 + 3 * 2]
