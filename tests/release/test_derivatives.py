"""Derivatives are BIDS: the released validator, ITK and pandas read them."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from refacebench import bids
from refacebench.head import matrices
from refacebench.image import nifti
from refacebench.image.nifti import Volume
from refacebench.metrics.brain import stripped
from refacebench.vocabulary import DSEG

MATRIX = np.array(
    [[0.9, -0.2, 0.05, 12.0], [0.15, 1.05, 0.1, -7.0], [0.0, -0.1, 0.95, 30.0], [0, 0, 0, 1]]
)


def test_itk_reads_the_transform_and_takes_points_back(tmp_path):
    """ITK maps points of the target to the moved image: the other way round than the matrix."""
    import ants

    path = tmp_path / "sub-1_from-T1w_to-template_mode-image_xfm.json"
    matrices.write_matrix(MATRIX, path)
    assert np.allclose(matrices.read_matrix(path), MATRIX)
    read = ants.read_transform(str(path.with_suffix(".txt")))
    scan = np.array([10.0, -20.0, 30.0])
    template = (MATRIX @ [*scan, 1])[:3]
    lps = np.array([-1, -1, 1])
    assert np.allclose(np.array(read.apply_to_point(tuple(template * lps))) * lps, scan, atol=1e-9)


def test_ants_moves_the_image_onto_the_template(tmp_path):
    """A bright voxel of the scan comes to lie where the matrix says."""
    import ants

    data = np.zeros((40, 40, 40), np.float32)
    data[12, 25, 18] = 1.0
    scan = Volume(data, np.diag([2.0, 2.0, 2.0, 1.0]))
    matrix = np.array([[0.0, -1, 0, 70], [1, 0, 0, -10], [0, 0, 1, 6], [0, 0, 0, 1.0]])
    path = tmp_path / "sub-1_from-T2w_to-T1w_mode-image_xfm.json"
    matrices.write_matrix(matrix, path)
    moved = ants.apply_transforms(
        fixed=nifti.to_ants(scan), moving=nifti.to_ants(scan),
        transformlist=[str(path.with_suffix(".txt"))], interpolator="nearestNeighbor",
    )  # fmt: skip
    there = np.argwhere(nifti.from_ants(moved).data > 0.5)
    expected = matrix @ [24, 50, 36, 1]
    assert np.allclose(there * 2.0, expected[:3])


def test_a_pose_that_is_no_transform_of_bids_gets_no_file_of_itk(tmp_path):
    matrices.write_matrix(MATRIX, tmp_path / "sub-1_pose.json")
    assert [path.name for path in tmp_path.iterdir()] == ["sub-1_pose.json"]


@pytest.mark.parametrize(("left", "said"), [(0, True), (9, False)])
def test_what_has_nothing_but_brain_is_stripped(left, said):
    head = np.zeros((12, 12, 12), bool)
    head[1:11, 1:11, 1:11] = True
    brain = np.zeros_like(head)
    brain[4:8, 4:8, 4:8] = True
    assert stripped(np.where(brain, 5, np.where(head, left, 0)), brain, head) is said


def test_the_validator_finds_no_error(tmp_path):
    """One variant's folder as the stages leave it: images, masks, labels, transforms."""
    root = tmp_path / "derivatives" / "demo" / "pydeface+pix2pix25d"
    bids.describe(root, "pydeface+pix2pix25d")
    bids.name_labels(root, "deepbetatlas", DSEG)
    ones = Volume(np.ones((6, 6, 6), np.float32), np.eye(4))
    images = [("T1w", "refaced"), ("mask", "changed"), ("dseg", "deepbetatlas")]
    for suffix, desc in images:
        path = bids.derivative(root, "sub-01_ses-1", suffix, desc)
        nifti.write(ones if suffix == "T1w" else ones.with_data(ones.data.astype(np.uint8)), path)
    image = bids.derivative(root, "sub-01_ses-1", "T1w", "refaced")
    source = bids.derivative(root.parent / "pydeface", "sub-01_ses-1", "T1w", "defaced")
    nifti.write(ones, source)
    bids.write_sidecar(
        image, [source], method="m", version="1", parameters={}, key="k", SkullStripped=False
    )
    matrices.write_matrix(
        MATRIX, image.with_name("sub-01_ses-1_from-T1w_to-template_mode-image_xfm.json")
    )
    found = subprocess.run(
        [str(Path(sys.executable).with_name("bids-validator-deno")), str(root), "--format", "json"],
        capture_output=True, text=True,
    )  # fmt: skip
    issues = json.loads(found.stdout)["issues"]["issues"]
    assert [issue for issue in issues if issue["severity"] == "error"] == []
    links = json.loads((root / "dataset_description.json").read_text())["DatasetLinks"]
    (source_uri,) = json.loads(bids.sidecar_path(image).read_text())["Sources"]
    _, name, within = source_uri.split(":")
    assert (root / links[name] / within).resolve() == source.resolve()


def test_a_table_names_every_label(tmp_path):
    bids.name_labels(tmp_path, "x", DSEG)
    table = pd.read_csv(tmp_path / "desc-x_dseg.tsv", sep="\t")
    assert dict(zip(table["name"], table["index"], strict=True)) == {"background": 0, **DSEG}
