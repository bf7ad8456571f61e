"""Whatever a scan is stored as, what a defacer leaves alone stays bit for bit, and the type stays.

Every defacer of ours runs once on a made-up head; what it wants changed is then written onto
the same head in every data type, byte order, scaling and version of the format.
"""

import itertools
from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest

from refacebench.checking import heads
from refacebench.contracts import Defaced, PreparedScan, ScanNotWritten
from refacebench.image import nifti
from refacebench.run import methods, sandbox
from refacebench.stages import deface

DTYPES = ("u1", "i1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8")
#: Slope and intercept: none, none that is a multiple of the other, zero out of the type's range.
SCALINGS = ((1.0, 0.0), (1.7, -50.0), (5.1, 12.0), (-2.5, 200.0))
STORED = list(itertools.product(DTYPES, "<>", SCALINGS, (nib.Nifti1Header, nib.Nifti2Header)))
#: A share of them is enough for one method.
SHARES = 7
#: Every third voxel of the made-up head will do.
SOME = (slice(None, None, 3),) * 3


#: One runs any program, the other needs weights that are not here.
LEFT_OUT = ("command", "deepdefacer")
#: These register or blend for half a minute.
LONG = ("afni_refacer", "mri_reface")
NAMES = [name for name in methods.available("defacers") if name not in LEFT_OUT]


@pytest.fixture(scope="module")
def head(tmp_path_factory):
    return heads.prepared(tmp_path_factory.mktemp("head"))


@pytest.fixture(scope="module")
def wanted(head):
    """What a defacer wants of the made-up head, on every third voxel; asked once."""
    asked = {}

    def of(name):
        if name not in asked:
            chosen = methods.choose("defacers", name, {})
            found = chosen.method.run(head, chosen.options)
            asked[name] = Defaced(np.asarray(found.values)[SOME], np.asarray(found.changed)[SOME])
        return asked[name]

    return of


def stored_scan(head, folder, dtype, order, scaling, kind):
    """Write the head's voxels as they are asked for, past nibabel's own writer."""
    slope, inter = scaling
    data = head.volume.data[SOME].astype(np.float64)
    numbers = nifti.cast((data - inter) / slope, np.dtype(dtype)).astype(np.dtype(order + dtype))
    header = kind(endianness=order)
    header.set_data_shape(data.shape)
    header.set_data_dtype(numbers.dtype)
    affine = head.volume.affine @ np.diag([3.0, 3.0, 3.0, 1.0])
    header.set_sform(affine, 1)
    header.set_qform(affine, 1)
    header["scl_slope"], header["scl_inter"] = slope, inter
    offset = 352 if kind is nib.Nifti1Header else 544
    header["vox_offset"] = offset
    header["magic"] = kind.single_magic
    content = header.binaryblock.ljust(offset, b"\0") + numbers.tobytes(order="F")
    path = folder / "scan.nii"
    path.write_bytes(content)
    return (
        PreparedScan(
            nifti.read(path), head.brain[SOME], head.head[SOME], np.eye(4), path, path, seed=1
        ),
        numbers,
    )


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=[pytest.mark.slow] if n in LONG else []) for n in NAMES],
)
def test_what_is_left_alone_stays_bit_for_bit(name, head, wanted, tmp_path):
    chosen = methods.choose("defacers", name, {})
    native = chosen.method.engine_of(chosen.options) == "native"
    result = wanted(name)
    assert result.changed.any()
    method = replace(chosen.method, run=lambda scan, options: result)
    margin = float(chosen.options.get("protect_margin_mm", 0.0))
    # Each takes its share of the ways to store a scan, together they take all.
    for dtype, order, scaling, kind in STORED[NAMES.index(name) % SHARES :: SHARES]:
        scan, before = stored_scan(head, tmp_path, dtype, order, scaling, kind)
        image, mask = tmp_path / "out.nii", tmp_path / "mask.nii"
        facts = deface.apply(scan, method, chosen.options, image, mask)
        written = nib.load(image)
        after = np.asanyarray(written.dataobj.get_unscaled())
        case = (name, dtype, order, scaling, kind.__name__)
        assert written.get_data_dtype() == before.dtype, case
        assert nifti.scaling(written) == pytest.approx(scaling), case
        keep = ~result.changed
        if native:
            keep |= deface.protect(scan, margin)
            assert facts["brain_changed"] == 0, case
        bits = f"u{before.dtype.itemsize}"
        same = before.astype(before.dtype.newbyteorder("=")).view(bits) == after.astype(
            before.dtype.newbyteorder("=")
        ).view(bits)
        assert same[keep].all(), case
        assert (nifti.read_mask(mask) == ~keep).all(), case


def test_a_failure_of_the_writer_is_none_of_the_method(head, wanted, tmp_path, monkeypatch):
    chosen = methods.choose("defacers", "skull_strip", {})
    method = replace(chosen.method, run=lambda scan, options: wanted("skull_strip"))
    scan, _ = stored_scan(head, tmp_path, "i2", "<", (1.0, 0.0), nib.Nifti1Header)

    def broken(*_, **__):
        raise TypeError("no such type")

    def work(row):
        return deface.apply(scan, method, chosen.options, tmp_path / "o.nii", tmp_path / "m.nii")

    monkeypatch.setattr(nifti, "write_changed", broken)
    with pytest.raises(ScanNotWritten, match="not the method's fault: no such type"):
        work({})
    result, _ = sandbox.in_process(work, {}, 60)
    assert result["status"] == "not_written"
    assert result[sandbox.AGAIN]
