"""Orientation, data types and headers survive; known values by hand."""

import gzip

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refacebench.image import nifti

CODES = ["RAS", "LIA", "ASL", "PIR", "LPS"]


def volume(codes="RAS", shape=(5, 6, 7), spacing=(1.0, 1.5, 2.0)):
    data = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    ras = nifti.Volume(data, np.diag([*spacing, 1.0]))
    return nifti.reorient(ras, codes)


@pytest.mark.parametrize("codes", CODES)
def test_reorient_there_and_back_is_identical(codes):
    start = volume(codes)
    back = nifti.reorient_like(nifti.reorient(start, "RAS"), start)
    assert np.array_equal(back.data, start.data)
    assert np.array_equal(back.affine, start.affine)


@pytest.mark.parametrize("codes", CODES)
def test_reorient_keeps_each_value_at_its_place_in_millimetres(codes):
    ras, other = volume("RAS"), volume(codes)
    index = np.array([1, 2, 3, 1])
    place = ras.affine @ index
    found = np.rint(np.linalg.solve(other.affine, place)).astype(int)[:3]
    assert other.data[tuple(found)] == ras.data[1, 2, 3]


def test_voxel_volume_and_spacing_do_not_depend_on_axis_order():
    assert volume("RAS").voxel_ml == pytest.approx(0.003)
    assert volume("ASL").voxel_ml == pytest.approx(0.003)
    assert sorted(volume("ASL").spacing) == [1.0, 1.5, 2.0]


def test_ants_round_trip_keeps_place_and_values():
    start = volume("LIA")
    back = nifti.from_ants(nifti.to_ants(start))
    assert np.array_equal(back.data, start.data)
    assert np.allclose(back.affine, start.affine)


def test_resample_on_a_reoriented_grid_gives_the_same_values():
    start, other = volume("RAS"), volume("ASL")
    moved = nifti.resample(start, other, order=1)
    assert np.allclose(moved.data, other.data, atol=1e-3)


def test_grid_covers_the_same_box():
    start = volume("RAS", shape=(4, 4, 4), spacing=(1.0, 1.0, 1.0))
    coarse = nifti.grid(start.shape, start.affine, 2.0)
    assert coarse.shape == (2, 2, 2)
    # The centre of the first 2 mm voxel lies between the first two 1 mm voxels.
    assert np.allclose(coarse.affine[:3, 3], 0.5)


@pytest.mark.parametrize(
    ("dtype", "slope", "inter"),
    [(np.int16, 1.0, 0.0), (np.int16, 0.25, -3.0), (np.uint8, 2.0, 0.0), (np.float32, 1.0, 0.0)],
)
def test_write_changed_touches_only_the_mask_and_keeps_type_and_scaling(
    tmp_path, dtype, slope, inter
):
    rng = np.random.default_rng(0)
    stored = rng.integers(0, 200, (6, 5, 4)).astype(dtype)
    source = tmp_path / "a.nii.gz"
    header = nib.Nifti1Header()
    header.set_data_dtype(dtype)
    header["descrip"] = b"Doe^Jane 1970"
    image = nib.Nifti1Image(stored, np.diag([2.0, 2, 3, 1]), header)
    nifti._save_stored(stored, image.header, slope, inter, source)

    changed = np.zeros(stored.shape, bool)
    changed[:2] = True
    values = nifti.read(source).data + 10 * slope
    truly = nifti.write_changed(source, values, changed, tmp_path / "b.nii.gz")

    before, after = nib.load(source), nib.load(tmp_path / "b.nii.gz")
    old, new = before.dataobj.get_unscaled(), after.dataobj.get_unscaled()
    assert after.get_data_dtype() == np.dtype(dtype)
    assert (after.dataobj.slope, after.dataobj.inter) == (slope, inter)
    assert np.array_equal(after.affine, before.affine)
    assert np.array_equal(new[~changed], old[~changed])
    assert np.allclose(new[changed], old[changed] + 10)
    assert np.array_equal(truly, changed)
    assert after.header["descrip"] == b""


def test_write_changed_clips_to_the_type(tmp_path):
    source = tmp_path / "a.nii.gz"
    nifti.write(nifti.Volume(np.zeros((2, 2, 2), np.uint8), np.eye(4)), source)
    everything = np.ones((2, 2, 2), bool)
    nifti.write_changed(source, np.full((2, 2, 2), 999.0), everything, tmp_path / "b.nii.gz")
    assert np.asanyarray(nib.load(tmp_path / "b.nii.gz").dataobj).max() == 255


def test_header_extensions_are_cleared():
    header = nib.Nifti1Header()
    header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"patient name"))
    assert len(nifti.clean_header(header).extensions) == 0


@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(("sform", "qform"), [(1, 0), (0, 1), (2, 3), (0, 0)])
def test_a_header_keeps_the_grid_and_no_other_byte(tmp_path, kind, order, sform, qform):
    """All bytes of the header are set to letters but those of grid and numbers."""
    affine = np.array([[0, -2, 0, 5], [3, 0, 0, -7], [0, 0, 1.5, 9], [0, 0, 0, 1.0]])
    data = np.arange(24, dtype=f"{order}i2").reshape(2, 3, 4)
    image = kind(data, affine, kind.header_class(endianness=order))
    image.set_sform(affine, code=sform)
    image.set_qform(affine, code=qform)
    image.set_data_dtype(data.dtype)
    content = bytearray(image.to_bytes())
    fields = image.header.template_dtype.fields
    used = {"sizeof_hdr", "magic", "eol_check", "vox_offset", "scl_slope", "scl_inter"}
    used |= {*nifti.KEPT_FIELDS, *(n for c in nifti.PLACES for n in (c, *nifti.PLACES[c]))}
    for code, names in nifti.PLACES.items():
        used -= set() if image.header[code] else set(names)
    for name, (form, offset, *_) in fields.items():
        start = offset + (4 * form.base.itemsize if name == "pixdim" else 0)
        if name not in used or name == "pixdim":
            content[start : offset + form.itemsize] = b"X" * (offset + form.itemsize - start)
    source, written = tmp_path / "a.nii", tmp_path / "b.nii"
    source.write_bytes(bytes(content))
    nifti.write_changed(source, data, data > 50, written)
    before, after = nib.load(source), nib.load(written)
    assert b"XXX" not in written.read_bytes()
    # NIfTI-2 has double precision, what is written has single.
    exact = kind is nib.Nifti1Image
    assert np.allclose(before.affine, after.affine, rtol=0, atol=0 if exact else 1e-6)
    assert np.array_equal(before.dataobj.get_unscaled(), after.dataobj.get_unscaled())
    assert after.header.get_data_dtype() == before.header.get_data_dtype()
    for code in nifti.PLACES:
        assert after.header[code] == before.header[code]


def test_written_files_are_identical_byte_for_byte(tmp_path):
    for name in ("a", "b"):
        nifti.write(volume(), tmp_path / name / "x.nii.gz")
    first, second = ((tmp_path / n / "x.nii.gz").read_bytes() for n in ("a", "b"))
    assert gzip.decompress(first) == gzip.decompress(second)
    assert first == second


def test_four_dimensional_image_is_refused(tmp_path):
    nib.save(nib.Nifti1Image(np.zeros((2, 2, 2, 3)), np.eye(4)), tmp_path / "f.nii.gz")
    with pytest.raises(ValueError, match="4-D"):
        nifti.read(tmp_path / "f.nii.gz")


@settings(max_examples=50, deadline=None)
@given(st.floats(-1e6, 1e6), st.sampled_from([np.uint8, np.int16, np.uint16]))
def test_cast_never_wraps_around(value, dtype):
    limits = np.iinfo(dtype)
    cast = int(nifti.cast(np.array([value]), dtype)[0])
    assert cast == int(np.clip(np.rint(value), limits.min, limits.max))
