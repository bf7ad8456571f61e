"""Every method that comes with the project keeps its contract; methods are found, not listed."""

import sys

import pytest

from refacebench.checking import suite
from refacebench.contracts import KINDS
from refacebench.run import methods

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
    "prior3d": {"voxel_mm": 4.0, "rounds": 1, "mirror": False},
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


#: Files of known studies.
STUDIES = {
    "ixi": {
        "IXI002-Guys-0828-T1.nii.gz": "image",
        "IXI012-HH-1211-T1.nii.gz": "image",
        "IXI.csv": "IXI_ID,SEX_ID,AGE\n2,2,35.8\n13,1,46.7\n",
    },
    "oasis3": {
        "OAS30001_MR_d0129/anat1/NIFTI/sub-OAS30001_ses-d0129_T1w.nii.gz": "image",
        "OAS30001_MR_d0757/anat1/NIFTI/sub-OAS30001_ses-d0757_T2w.nii.gz": "image",
        "OASIS3_demographics.csv": "OASISID,AgeatEntry,GENDER\nOAS30001,65.1,2\n",
    },
    "adni": {
        "002_S_0295/MPRAGE/2006-04-18_08_20_30.0/I45108/x_I45108.nii": "image",
        "002_S_0295/MPRAGE/2006-11-02_08_20_30.0/I50000/x.dcm": "image",
        "TADPOLE_D1_D2.csv": "RID,PTID,VISCODE,EXAMDATE,AGE,PTGENDER,DX\n"
        "295,002_S_0295,bl,2006-04-18,84.8,Male,NL\n",
    },
    "kirby21": {
        "KKI2009-01-MPRAGE.nii": "image",
        "KKI2009-25-MPRAGE.nii": "",
        "KKI2009-ALL.csv": "Subject ID,Visit ID,Age,Sex\n849,1,25,M\n849,25,25,M\n",
    },
}


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
    if kind == "datasets" and name in STUDIES:
        for path, content in STUDIES[name].items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(content)
        return {"type": name, "path": str(folder)}
    if name == "measures":
        rows = ["participant\tvariant\tage\ttiv\tthickness"]
        rows += [f"{n}\t{v}\t40\t150{n}\t2.{n}" for n in range(3) for v in ("original", "a")]
        (folder / "measures.tsv").write_text("\n".join([*rows, "9\ta\t40\t1500\t2.5"]) + "\n")
        return {"type": "measures", "files": str(folder / "measures.tsv")}
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
#: Methods whose checks take half a minute and more.
SLOW = ("whole_head_atlas", "prior3d")
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
