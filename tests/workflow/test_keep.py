"""`keep: measures`: a run whose images are deleted says the same as one that keeps them."""

import shutil

import pytest

from running import TINY_REST, snakemake, tables

pytestmark = [pytest.mark.pipeline, pytest.mark.slow]

CONFIG = {
    "seed": 3,
    "splits": {"train": 0, "validation": 0, "test": 1},
    "datasets": {
        "tiny": {
            "type": "demo",
            "faces": "public",
            "participants": 5,
            "sessions": 1,
            "voxel_mm": 4.0,
            "blend_amplitude": 0,
        }
    },
    "defacers": {"quickshear": {}},
    **TINY_REST,
}
KEPT = {**CONFIG, "keep": "measures"}


def images(home):
    """Return the volumes of all variants."""
    found = (home / "results/derivatives/tiny").rglob("*.nii.gz")
    return [p for p in found if "original" not in p.parts]


def run(home, config, *arguments):
    done = snakemake(home, *arguments, config=config)
    assert done.returncode == 0, done.stderr[-4000:]
    return done


def test_images_go_and_come_back_where_they_are_needed_and_tables_are_the_same(tmp_path):
    whole, home = tmp_path / "all", tmp_path / "measures"
    whole.mkdir()
    run(whole, CONFIG)
    shutil.copytree(whole, home, symlinks=True)
    before = tables(home)
    run(home, KEPT)
    assert tables(home) == before
    # Three of five people are examples, each with five images of two variants.
    assert (len(images(whole)), len(images(home))) == (5 * 5 * 2, 3 * 5 * 2)
    assert not list((home / "results/render/tiny/quickshear/views").glob("*.npz"))
    assert len(list((home / "results/qc/tiny/quickshear/pictures").glob("*_face.jpg"))) == 5
    assert "Nothing to be done" in run(home, KEPT, "-n").stdout

    # Measures that look at all images again: the run asks, and makes two people's again.
    other = {"thresholds": {"face_left": 0.3}}
    asked = snakemake(home, config={**KEPT, **other})
    assert asked.returncode != 0
    assert "--config remake=true" in asked.stderr
    assert "deface 4, segment 4" in asked.stderr
    run(home, {**KEPT, **other}, "--config", "remake=true")
    assert len(images(home)) == len(images(whole))
    assert {p.relative_to(home): p.read_bytes() for p in images(home)} == {
        p.relative_to(whole): p.read_bytes() for p in images(whole)
    }
    run(home, {**KEPT, **other})
    run(whole, {**CONFIG, **other})
    assert tables(home) == tables(whole) != before
    assert len(images(home)) == 3 * 5 * 2
