"""Every method that comes with the project keeps its contract; methods are found, not listed."""

import sys

import pytest

from refacebench.checking import suite
from refacebench.contracts import KINDS
from refacebench.run import methods

pytestmark = pytest.mark.usefixtures("one_thread")

SLICES = {
    **{"size": 16, "voxel_mm": 16.0, "filters": 4, "batch": 4, "epochs": 1, "decay_epochs": 0},
    **{"steps_per_epoch": 3, "slices": "changed", "device": "cpu", "precision": "float32"},
}
#: Options that make a method small, or that it cannot run without.
SMALL = {
    "mri_reface": {"nonlinear": False},
    "pydeface": {"engine": "native"},
    "pix2pix25d": {**SLICES, "discriminator_layers": 2},
    "cyclegan2d": {**SLICES, "blocks": 1, "discriminator_filters": 4, "discriminator_layers": 1},
    "diffusion25d": {
        **{**SLICES, "filters": 16, "multipliers": [1, 1], "residual_blocks": 1},
        **{"sampling_steps": 3, "validation_steps": 2},
    },
    "cpgan3d": {
        **{"size": 16, "voxel_mm": 16.0, "filters": 4, "max_filters": 8, "epochs": 1},
        **{"steps_per_epoch": 3, "device": "cpu", "precision": "float32"},
    },
    "sfcn": {
        **{"voxel_mm": 12.0, "channels": [4, 4, 4], "epochs": 2, "decay_epochs": 0, "batch": 2},
        **{"folds": 2, "min_train": 3, "device": "cpu", "precision": "float32"},
    },
    "voxels": {"voxel_mm": 16.0, "folds": 2, "min_train": 3},
    "siamese": {"resplits": 2, "train_share": 0.6, "min_train": 3, "steps": 10, "pixels": 32},
    "face_recognition": {"views": 1, "detect_pixels": 0},
    "surface": {"rounds": 3},
}
#: A program that zeroes the lower front of a scan, as users write them.
PROGRAM = """import sys
import nibabel as nib
import numpy as np
image = nib.as_closest_canonical(nib.load(sys.argv[1]))
data = np.asanyarray(image.dataobj).copy()
data[:, int(data.shape[1] * 0.8):, :int(data.shape[2] * 0.5)] = 0
nib.save(nib.Nifti1Image(data, image.affine, image.header), sys.argv[2])
"""


#: A program that labels two halves of what is bright, as users write them.
LABELLER = """import sys
import nibabel as nib
import numpy as np
image = nib.load(sys.argv[1])
data = np.asanyarray(image.dataobj)
bright = data > 0.25 * data.max()
labels = np.where(bright, np.where(data > 0.5 * data.max(), 2, 3), 0).astype(np.uint8)
nib.save(nib.Nifti1Image(labels, image.affine), sys.argv[2])
"""


def entry(kind, name, folder):
    """The config entry that a method is checked with."""
    if (kind, name) == ("segmenters", "command"):
        (folder / "labeller.py").write_text(LABELLER)
        command = [sys.executable, str(folder / "labeller.py"), "{input}", "{output}"]
        return {"command": command, "labels": {"gm": 3, "wm": 2}}
    if name == "command":
        (folder / "corner.py").write_text(PROGRAM)
        return {"command": [sys.executable, str(folder / "corner.py"), "{input}", "{output}"]}
    if name == "bids":
        for scan in ("sub-01/anat/sub-01_T1w.nii", "sub-02/ses-1/anat/sub-02_ses-1_T1w.nii.gz"):
            (folder / scan).parent.mkdir(parents=True)
            (folder / scan).touch()
        (folder / "sub-03").mkdir()
        return {"type": "bids", "path": str(folder)}
    if name == "labelmaps":
        from refacebench.datasets import _paint

        (folder / "labels_classes_priors").mkdir()
        for file in _paint.PRIOR_FILES.values():
            (folder / "labels_classes_priors" / file).touch()
        for number in range(3):
            (folder / f"map_{number}.nii.gz").touch()
        return {"type": "labelmaps", "folder": str(folder)}
    return SMALL.get(name, {})


#: Benches by method: what one check has made, the next one uses.
BENCHES = {}
#: Methods whose checks take a minute.
SLOW = ("whole_head_atlas",)
CASES = [
    pytest.param(
        *(kind, name, check),
        id=f"{kind}-{name}-{check.__name__}",
        marks=[pytest.mark.slow] if name in SLOW else [],
    )
    for kind in KINDS
    for name in methods.available(kind)
    for check in suite.checks(kind)
]


@pytest.mark.parametrize(("kind", "name", "check"), CASES)
def test_a_method_keeps_its_contract(kind, name, check, tmp_path_factory):
    if (kind, name) not in BENCHES:
        folder = tmp_path_factory.mktemp(name)
        chosen = methods.choose(kind, name, entry(kind, name, folder))
        BENCHES[kind, name] = suite.bench(chosen, folder)
    found = suite.once(check, BENCHES[kind, name])
    if found.status == suite.SKIP:
        pytest.skip(found.why)
    assert found.status == suite.PASS, str(found)


def test_every_kind_has_a_method_and_checks():
    for kind in KINDS:
        assert methods.available(kind), kind
        assert len(suite.checks(kind)) > 5, kind
