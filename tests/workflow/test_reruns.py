"""After a finished run a change of the config runs again what depends on it, and nothing else."""

import pytest

from reruns import (
    ATTACKS,
    CONFIG,
    EVERYTHING,
    FIGURES,
    FLOW,
    MEASURES,
    PAGE,
    TABLES,
    counted,
    touch,
)
from running import bids


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Return the folder of a run whose files are all there and empty, and its config.

    Snakemake notes the parameters of what it touches, as if it had made it.
    """
    home = tmp_path_factory.mktemp("finished")
    config = {"datasets": {"mine": bids(home / "bids", 12)}, **CONFIG}
    touch(home, config)
    return home, config


def test_nothing_changed_and_nothing_runs(finished):
    home, config = finished
    assert counted(home, config) == {}


def test_what_no_result_depends_on_makes_nothing_run_again(finished):
    """How jobs are run, and what is made when it is asked for; each alone, so all at once."""
    home, config = finished
    changes = {
        "scan_timeout_s": 100,
        "batch_size": 3,  # of those who join
        "gpus_per_training": 1,
        "training_threads": 1,
        "attack_threads": 2,
        "privacy": {"kit": {"questions": 80}},
    }
    assert counted(home, {**config, **changes}) == {}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        # All lists of scans change.
        ({"seed": 2}, EVERYTHING),
        # One defacer: its variant, from the image to what two attackers say of it.
        (
            {"defacers": {"quickshear": {"buffer": 5}, "mask_face": {}}},
            {"deface": 2, "segment": 2, "measure": 2, "render": 2, "attack": 2}
            | (TABLES | {"slices": 1} | PAGE),
        ),
        # One model: its training and the same.
        (
            {"refacers": {"pix2pix25d": {"defacers": ["mask_face"], "epochs": 3}}},
            {"train": 1, "reface": 2, "segment": 2, "measure": 2, "render": 2, "attack": 2}
            | (TABLES | {"slices": 1, "curves": 1} | PAGE),
        ),
        # One attacker: its gallery and all its attacks, and no measurement.
        (
            {"attackers": {"surface": {"rounds": 4}, "head_shape": {}}},
            {"enrol": 1, "attack": 7} | FLOW | ATTACKS | PAGE,
        ),
        # All pictures, and no segmentation.
        (
            {"rendering": {"pixels": 64}},
            {"render": 10, "enrol": 2, "attack": 13} | FLOW | ATTACKS | PAGE,
        ),
        # All measures, and no image.
        ({"thresholds": {"face_left": 0.3}}, {"measure": 10} | TABLES | PAGE),
        # Tables: the attacks' hold volumes too, so that they and the figures follow.
        ({"brain_age": {"min_train": 30}}, {"brain_age": 1} | MEASURES | ATTACKS | FIGURES | PAGE),
        ({"statistics": {"bootstrap": 300}}, MEASURES | ATTACKS | FIGURES | PAGE),
        ({"privacy": {"rank_k": 3}}, ATTACKS | PAGE),
        # A verdict stands in a figure of attacks.
        ({"decision": {"failures_pct": 10}}, ATTACKS | PAGE),
        # Four variants in two batches of the test split, mask_face in four more that a model
        # learnt from: their images go, after pictures for quality control. No measurement.
        ({"keep": "segmentations"}, {"qc_pictures": 8, "tidy": 12, "all": 1}),
        ({"keep": "measures"}, {"qc_pictures": 8, "tidy": 12, "tidy_views": 4, "all": 1}),
        # No pictures, and the run's end once more, which deletes the faces.
        (
            {"keep": "measures", "keep_faces": False},
            {"tidy": 12, "tidy_views": 4, "finished": 1, "all": 1},
        ),
    ],
    ids=lambda value: "+".join(value),
)
def test_a_change_runs_what_depends_on_it_and_nothing_else(finished, changes, expected):
    home, config = finished
    assert counted(home, {**config, **changes}) == expected


def test_who_may_see_faces_is_a_matter_of_figures_alone(finished):
    home, config = finished
    mine = {**config["datasets"]["mine"], "faces": "public"}
    found = counted(home, {**config, "datasets": {"mine": mine}})
    assert found == {"slices": 1, "surfaces": 1, "curves": 1} | PAGE
