"""The workflow's graph: which jobs a config asks for, and what a wrong config says."""

import re

import pytest
import yaml

from running import ROOT, bids, job_counts, snakemake


def test_the_demo_config_asks_for_every_stage(tmp_path):
    counts = job_counts(snakemake(tmp_path, "-n"))
    demo = yaml.safe_load((ROOT / "config" / "config.yaml").read_text())
    (refacer,) = demo["refacers"].values()
    refaced = len(refacer["defacers"])
    variants = 1 + len(demo["defacers"]) + refaced
    # 28 people, 12/3/13, two sessions of which one is measured, batches of 14; later
    # sessions of the train and validation split are in the plan but nothing uses them.
    assert counts["grow"] == 1 + 1 + 1 + 1
    assert counts["inventory"] == counts["grow"]
    assert counts["prepare"] == 1 + 1 + 1
    assert counts["base"] == 1
    # Train and validation are defaced only where a model is trained.
    assert counts["deface"] == len(demo["defacers"]) + 2 * refaced
    assert counts["train"] == refaced
    assert counts["reface"] == refaced
    # Every variant of the test split, its rescan, and the train split's originals.
    assert counts["segment"] == variants + 1 + 1
    assert counts["measure"] == variants


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, {"inventory": 1, "prepare": 1, "deface": 1, "segment": 2, "measure": 2}),
        ({"batch_size": 4}, {"inventory": 3, "prepare": 3, "deface": 3, "segment": 6}),
        ({"defacers": {"quickshear": {}, "mask_face": {}}}, {"deface": 2, "segment": 3}),
        (
            {"defacers": {"quickshear": {}, "other": {"method": "quickshear", "buffer": 5}}},
            {"deface": 2},
        ),
    ],
)
def test_jobs_per_rule(tmp_path, changes, expected):
    config = {
        "datasets": {"mine": bids(tmp_path / "bids")},
        "splits": {"train": 0, "validation": 0, "test": 1},
        "defacers": {"quickshear": {}},
        "batch_size": 50,
        **changes,
    }
    counts = job_counts(snakemake(tmp_path, "-n", config=config))
    assert {name: counts.get(name) for name in expected} == expected
    assert "train" not in counts
    assert "grow" not in counts


def test_age_models_are_trained_on_originals_and_asked_about_every_variant(tmp_path):
    config = {
        "datasets": {
            "mine": {
                **bids(tmp_path / "bids", sessions=("1", "2")),
                "sessions_measured": 1,
                "rescan_sessions": ["ses-2"],
            }
        },
        "splits": {"train": 1, "validation": 1, "test": 1},
        "defacers": {"quickshear": {}, "mask_face": {}},
        "age_models": {"sfcn": {}, "face": {"method": "voxels", "input": "face"}},
    }
    counts = job_counts(snakemake(tmp_path, "-n", config=config))
    assert counts["train_age"] == 2
    # Three variants and the rescan, by two models.
    assert counts["age"] == 2 * (3 + 1)
    # The same images, and the originals of the train and the validation split.
    assert counts["segment"] == 3 + 1 + 2
    config["splits"] = {"train": 1, "validation": 0, "test": 1}
    refused = snakemake(tmp_path, "-n", config=config)
    said = refused.stdout + refused.stderr
    assert "validation must have a weight above 0, for face, sfcn" in said


def test_datasets_multiply(tmp_path):
    config = {
        "datasets": {
            "one": bids(tmp_path / "one"),
            "two": {
                **bids(tmp_path / "two", sessions=("1", "2")),
                "sessions_measured": 1,
                "rescan_sessions": ["ses-2"],
            },
        },
        "splits": {"train": 1, "validation": 1, "test": 1},
        "defacers": {"quickshear": {}, "mask_face": {}},
        "refacers": {"pix2pix25d": {"defacers": ["mask_face"]}},
    }
    counts = job_counts(snakemake(tmp_path, "-n", config=config))
    assert counts["train"] == counts["reface"] == 2
    assert counts["deface"] == 2 * (2 + 2)
    # Per dataset 4 variants and the train split's originals; the test split of the second
    # has rescans.
    assert counts["segment"] == 2 * (4 + 1) + 1
    assert counts["inventory"] == 3 + 4


def test_with_attackers_skull_stripping_is_a_control_listed_or_not(tmp_path):
    """It is defaced, segmented and attacked, and no refacer is set on it."""
    config = {
        "datasets": {"mine": bids(tmp_path / "bids")},
        "splits": {"train": 1, "validation": 1, "test": 1},
        "defacers": {"mask_face": {}},
        "refacers": {"pix2pix25d": {}, "raw": {"model": "pix2pix25d", "composite": False}},
    }
    without = job_counts(snakemake(tmp_path, "-n", config=config))
    config["attackers"] = {"surface": {}}
    counts = job_counts(snakemake(tmp_path, "-n", config=config))
    added = {name: counts[name] - without[name] for name in ("deface", "train", "measure")}
    assert added == {"deface": 1, "train": 0, "measure": 1}
    # original, mask_face, its two refaced variants, skull_strip, and the two pictures.
    assert counts["attack"] == 5 + 2
    config["defacers"]["skull_strip"] = None
    config["refacers"]["pix2pix25d"] = {"defacers": ["mask_face"]}
    assert job_counts(snakemake(tmp_path, "-n", config=config)) == counts


def test_memory_grows_with_the_scans_of_a_training_and_with_each_attempt(tmp_path):
    def asked(participants, attempt=1):
        config = {
            "datasets": {"mine": bids(tmp_path / str(participants), participants)},
            "splits": {"train": 8, "validation": 1, "test": 1},
            "defacers": {"mask_face": {}},
            "refacers": {"pix2pix25d": {}},
        }
        run = snakemake(tmp_path, "-n", "--attempt", str(attempt), config=config)
        assert run.returncode == 0, run.stderr
        jobs = re.findall(r"^rule (\w+):.*?mem_mb=(\d+)", run.stdout, re.M | re.S)
        return {name: int(mb) for name, mb in jobs}

    few, many = asked(10), asked(20)
    # pix2pix25d at its defaults: two times 220 slices of 256 x 256 pixels of 5 bytes a scan.
    assert few["train"] == round(8000 + 9 * 2 * 220 * 256**2 * 5 / 1e6)
    assert many["train"] - few["train"] == pytest.approx(9 * 2 * 220 * 256**2 * 5 / 1e6, abs=1)
    assert few["deface"] == many["deface"]
    assert asked(10, attempt=2) == {name: 2 * mb for name, mb in few.items()}


def test_companions_are_aligned_once_and_carried_for_each_defacer(tmp_path):
    mine = bids(tmp_path / "bids", participants=4)
    for i in range(4):
        (tmp_path / "bids" / f"sub-{i:02d}" / "anat" / f"sub-{i:02d}_T2w.nii.gz").write_bytes(b"")
    config = {
        "datasets": {"mine": mine},
        "splits": {"train": 0, "validation": 0, "test": 1},
        "defacers": {"null": {}, "quickshear": {}, "mask_face": {}},
    }
    counts = job_counts(snakemake(tmp_path, "-n", config=config))
    assert "align" not in counts
    assert "carry" not in counts
    config["datasets"] = {"mine": {**mine, "carry": ["T2w"]}}
    counts = job_counts(snakemake(tmp_path, "-n", config=config))
    # One batch; the null control's noise is not carried.  No scan or variant is added.
    assert (counts["align"], counts["carry"]) == (1, 2)
    assert (counts["prepare"], counts["deface"], counts["measure"]) == (1, 3, 4)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sede": 3}, "sede"),
        ({"seed": "one"}, "seed"),
        ({"defacers": {"nosuch": {}}}, "no method 'nosuch'"),
        ({"defacers": {"quickshear": {"bufer": 1}}}, "unknown option 'bufer'"),
        ({"datasets": {"mine": {"type": "bids", "path": "/no/such"}}}, "/no/such"),
        ({"datasets": {}}, "datasets: it is empty"),
        ({"defacers": {}}, "defacers: none is named"),
    ],
)
def test_a_broken_config_ends_at_once_with_one_sentence(tmp_path, changes, message):
    config = {"datasets": {"mine": bids(tmp_path / "bids")}, "defacers": {"null": {}}, **changes}
    run = snakemake(tmp_path, "-n", config=config)
    assert run.returncode != 0
    said = run.stdout + run.stderr
    assert message in said
    assert "Traceback" not in said
    assert not (tmp_path / "results" / "tables").exists()


def test_an_own_config_is_not_merged_with_the_demo(tmp_path):
    config = {"datasets": {"mine": bids(tmp_path / "bids")}, "defacers": {"mask_face": {}}}
    run = snakemake(tmp_path, "-n", config=config)
    assert run.returncode == 0, run.stderr
    # Where the checkout lies is no part of what is asked.
    assert "demo" not in run.stdout.replace(str(ROOT), "")


@pytest.mark.parametrize("more", [[], ["--config", "seed=3"]])
def test_a_config_without_data_is_refused_and_does_not_become_the_demo(tmp_path, more):
    run = snakemake(tmp_path, "-n", *more, config={"defacers": {"pydeface": {}}})
    assert run.returncode != 0
    assert (
        f"the key 'datasets' is missing; name your data there, as `refacebench config bids` "
        f"does ({tmp_path}/config.yaml)" in run.stderr + run.stdout
    )
    assert "extended" not in run.stderr + run.stdout


def test_keys_on_the_command_line_alone_change_the_demo(tmp_path):
    demo = job_counts(snakemake(tmp_path, "-n"))
    changed = job_counts(snakemake(tmp_path, "-n", "--config", "refacers={}"))
    assert demo["grow"] == changed["grow"]
    assert demo["measure"] == changed["measure"]
    data = f"datasets={{mine: {{type: bids, path: {bids(tmp_path / 'bids')['path']}}}}}"
    own = snakemake(tmp_path, "-n", "--config", data, "defacers={mask_face: {}}")
    assert "grow" not in job_counts(own), "data sets there are a config of their own"


def test_the_config_for_own_folders_compares_everybody_and_trains_nothing(tmp_path):
    config = yaml.safe_load((ROOT / "config" / "bids.yaml").read_text())
    config["datasets"]["mine"]["path"] = bids(tmp_path / "b", 5, ("1", "2"))["path"]
    counts = job_counts(snakemake(tmp_path, "-n", config=config))
    assert "train" not in counts
    # One batch of ten scans: no other split and no other role.
    assert (counts["inventory"], counts["prepare"]) == (1, 1)
    variants = 1 + len(config["defacers"])
    assert counts["measure"] == variants
    assert counts["enrol"] == 2
    assert counts["attack"] == 2 * (variants + 2)
