"""A head made of ellipsoids, in any orientation, and a defacer run on it; for tests."""

from pathlib import Path

import nibabel as nib
import numpy as np

from refacebench.contracts import Defacer, PreparedScan
from refacebench.image import nifti
from refacebench.image.nifti import Volume
from refacebench.stages.deface import apply

ORIENTATIONS = ("RAS", "LPS", "LIA", "ASR", "SPL")


TYPES = {
    "int16_slope": (np.int16, 0.5, 3.0),
    "uint8": (np.uint8, None, None),
    "float32": (np.float32, None, None),
    "float_nan": (np.float32, None, None),
}


def phantom(spacing=(4.0, 4.0, 5.0)):
    """A head in template mm: ellipsoid with a nose, a brain inside, noisy air; RAS+ axes."""
    size = np.ceil(np.array([190, 250, 250]) / spacing).astype(int)
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = [-95, -115, -145]
    i, j, k = np.meshgrid(*(np.arange(n) for n in size), indexing="ij")
    x, y, z = (affine[a, a] * g + affine[a, 3] for a, g in enumerate((i, j, k)))
    head = (x / 76) ** 2 + ((y + 2) / 98) ** 2 + ((z + 30) / 112) ** 2 < 1
    head |= (np.abs(x) < 14) & (y > 60) & (y < 116) & (z > -78) & (z < -40)
    brain = ((x + 5) / 62) ** 2 + ((y + 3) / 80) ** 2 + ((z - 8) / 58) ** 2 < 1
    rng = np.random.default_rng(0)
    data = rng.uniform(2, 8, size=tuple(size))
    data[head] = 90 + rng.normal(0, 4, head.sum())
    data[brain] = 140 + rng.normal(0, 10, brain.sum())
    return Volume(data.astype(np.float32), affine), brain, head | brain


def coordinates(n=56, mm=4.0):
    """Millimetres of a cube's voxels from its middle, shape (3, n, n, n)."""
    return mm * (np.indices((n, n, n)) - (n - 1) / 2)


def head_like(n=56, mm=4.0, seed=0):
    """An ellipsoid of 2.3 litres with skin, skull, grey, white and fluid; air below 4."""
    x, y, z = coordinates(n, mm)
    rng = np.random.default_rng(seed)
    radius = np.sqrt((x / 75) ** 2 + (y / 90) ** 2 + (z / 82) ** 2)
    layers = [(1.0, 150), (0.93, 20), (0.86, 30), (0.82, 80), (0.6, 110), (0.25, 25)]
    data = np.zeros(x.shape)
    for edge, value in layers:
        data[radius < edge] = value
    return (data + np.abs(rng.normal(0, 2, x.shape))).astype(np.float32)


def oriented(volume, codes):
    return nifti.reorient(volume, codes)


def make_scan(folder, codes="RAS", kind="int16_slope", brain=None):
    """Write the phantom in an orientation and a data type; return the prepared scan."""
    volume, own_brain, head = phantom()
    brain = own_brain if brain is None else brain
    volume, brain, head = (
        oriented(volume, codes),
        oriented(volume.with_data(brain), codes).data,
        oriented(volume.with_data(head), codes).data,
    )
    dtype, slope, inter = TYPES[kind]
    values = volume.data.copy()
    image = nib.Nifti1Image(np.zeros(values.shape, dtype), volume.affine)
    header = image.header
    header.set_data_dtype(dtype)
    header.set_xyzt_units("mm", "sec")
    header["descrip"], header["aux_file"] = b"Jane Doe 1970", b"secret"
    header["db_name"], header["intent_name"] = b"clinic", b"visit"
    header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"born in Nowhere"))
    stored = values if slope is None else (values - inter) / slope
    if kind == "float_nan":
        stored[0, 0, 0] = np.nan
    raw = nifti.cast(stored, np.dtype(dtype))
    path = Path(folder) / f"{codes}_{kind}.nii"
    image = nib.Nifti1Image(raw, volume.affine, header)
    image.header.set_slope_inter(slope, inter)
    nib.save(image, path)
    if slope is not None:  # nibabel would scale integers anew: put in the numbers themselves
        bytes_ = bytearray(path.read_bytes())
        offset = int(nib.load(path).dataobj.offset)
        header = nib.load(path).header.copy()
        header["scl_slope"], header["scl_inter"], header["vox_offset"] = slope, inter, offset
        bytes_[:348] = header.binaryblock
        bytes_[offset:] = raw.tobytes(order="F")
        path.write_bytes(bytes_)
    mask_path = Path(folder) / f"{codes}_brain.nii"
    nifti.write(volume.with_data(brain), mask_path)
    read = nifti.read(path)
    return PreparedScan(read, brain, head, np.eye(4), path, mask_path, seed=3)


def run(scan, module, folder, **options):
    image, mask = Path(folder) / "out_T1w.nii.gz", Path(folder) / "out_mask.nii.gz"
    method = module if isinstance(module, Defacer) else module.METHOD
    facts = apply(scan, method, {**method.defaults, **options}, image, mask)
    return facts, image, nifti.read_mask(mask)
