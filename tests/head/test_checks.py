"""The checks of a scan, on files that are broken in one way each."""

from __future__ import annotations

import gzip
import hashlib
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from phantoms import coordinates, head_like
from refacebench.head import checks
from refacebench.head.checks import Unfit
from refacebench.image.nifti import Volume

MM = 4.0


def affine(mm=MM):
    return np.diag([mm, mm, mm, 1.0])


@pytest.fixture
def write(tmp_path):
    def save(data, matrix=None, name="sub-1_T1w.nii.gz", dtype=None):
        image = nib.Nifti1Image(np.asarray(data, dtype), affine() if matrix is None else matrix)
        nib.save(image, tmp_path / name)
        return tmp_path / name

    return save


def reason(path, limits=None):
    with pytest.raises(Unfit) as found:
        checks.check_scan(path, limits)
    message = str(found.value)
    assert message.startswith(Path(path).name + ": ")
    assert "\n" not in message
    return message


def test_a_good_scan_gives_its_facts(write):
    path = write(head_like(), dtype=np.int16)
    facts = checks.check_scan(path)
    assert facts["shape"] == "56x56x56"
    assert facts["spacing"] == "4x4x4"
    assert facts["axis_codes"] == "RAS"
    assert facts["dtype"] == "int16"
    ellipsoid = 4 / 3 * np.pi * 75 * 90 * 82 / 1000
    assert facts["head_ml"] == pytest.approx(ellipsoid, rel=0.05)
    assert facts["checksum"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert facts["orientation_unknown"] == facts["forms_disagree"] == 0


@pytest.mark.parametrize("name", ["sub-1_T1w.nii", "sub-1_T1w.nii.gz"])
def test_packed_or_not_and_a_last_axis_of_one(write, name):
    facts = checks.check_scan(write(head_like()[..., None], name=name))
    assert facts["shape"] == "56x56x56"
    assert facts["dtype"] == "float32"


def test_nifti_2_is_read(tmp_path):
    path = tmp_path / "sub-1_T1w.nii.gz"
    nib.save(nib.Nifti2Image(head_like(), affine()), path)
    assert checks.check_scan(path)["shape"] == "56x56x56"


def test_missing_empty_and_folder(tmp_path):
    assert "no such file" in reason(tmp_path / "sub-1_T1w.nii.gz")
    (tmp_path / "empty.nii").touch()
    assert "empty" in reason(tmp_path / "empty.nii")
    (tmp_path / "folder.nii").mkdir()
    assert "not a file" in reason(tmp_path / "folder.nii")


@pytest.mark.parametrize("share", [0.001, 0.5, 0.9999])
def test_truncated_gzip(write, share):
    path = write(head_like())
    content = path.read_bytes()
    path.write_bytes(content[: max(12, int(share * len(content)))])
    assert "truncated or damaged gzip" in reason(path)


def test_a_flipped_bit_in_a_gzip_is_noticed(write):
    path = write(head_like())
    content = bytearray(path.read_bytes())
    content[-8] ^= 1  # the stored check sum
    path.write_bytes(content)
    assert "damaged gzip" in reason(path)


def test_truncated_plain_file(write):
    path = write(head_like(), name="sub-1_T1w.nii")
    path.write_bytes(path.read_bytes()[:-1000])
    assert "cannot be read" in reason(path)


def test_names_that_lie_about_gzip(write, tmp_path):
    plain = write(head_like(), name="a_T1w.nii")
    lying = tmp_path / "b_T1w.nii.gz"
    lying.write_bytes(plain.read_bytes())
    assert "not a gzip file" in reason(lying)
    packed = tmp_path / "c_T1w.nii"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    assert "does not end in .gz" in reason(packed)


@pytest.mark.parametrize("content", [b"subject\tage\n" * 100, b"\0" * 400, bytes(range(256)) * 4])
def test_not_nifti(tmp_path, content):
    plain, packed = tmp_path / "a_T1w.nii", tmp_path / "a_T1w.nii.gz"
    plain.write_bytes(content)
    packed.write_bytes(gzip.compress(content))
    assert "not a NIfTI image" in reason(plain)
    assert "not a NIfTI image" in reason(packed)


def test_a_header_without_the_nifti_mark(write):
    path = write(head_like(), name="sub-1_T1w.nii")
    content = bytearray(path.read_bytes())
    content[344:348] = b"\0\0\0\0"
    path.write_bytes(content)
    assert "not a NIfTI image" in reason(path)


def test_number_of_axes(write):
    assert "4-D image with 2 volumes" in reason(write(np.stack([head_like(24)] * 2, axis=-1)))
    assert "not 3-D" in reason(write(head_like()[0]))
    assert "not 3-D" in reason(write(head_like()[:, :, :1]))


def test_colour_and_complex_images(write, tmp_path):
    assert "not intensities" in reason(write(head_like().astype(np.complex64)))
    colour = np.zeros((40, 40, 40), dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")])
    assert "not intensities" in reason(write(colour))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_no_numbers(write, value):
    """Air may lack them, as the border of a resampled field does; a head may not."""
    data = head_like()
    clean = checks.check_scan(write(data, name="sub-2_T1w.nii.gz"))
    data[3, 4, 5:7] = value
    data[:2] = value
    facts = checks.check_scan(write(data))
    assert facts["missing_voxels"] == 2 + 2 * 56 * 56
    assert facts["head_ml"] == pytest.approx(clean["head_ml"], rel=1e-3)
    data[26:30, 26:30, 26:30] = value
    assert "of the head's voxels are NaN or infinite (checks: missing_in_head)" in reason(
        write(data)
    )
    data[:] = value
    assert "all voxels are NaN or infinite" in reason(write(data))


def test_constant_images(write):
    assert "all voxels are zero" in reason(write(np.zeros((40, 40, 40), np.int16)))
    assert "all voxels are 7" in reason(write(np.full((40, 40, 40), 7, np.int16)))


def test_sizes(write):
    assert "voxels of 0.1 x 0.1 x 0.1 mm" in reason(write(head_like(), affine(0.1)))
    assert "voxels of 12 x 12 x 12 mm" in reason(write(head_like(), affine(12)))
    assert "only 10 voxels" in reason(write(head_like()[:, :, 20:30]))
    assert "field of view of 56 x 56 x 56 mm" in reason(write(head_like(), affine(1.0)))
    wide = np.zeros((140, 40, 40), np.float32)
    wide[0] = 1
    assert "field of view of 560" in reason(write(wide))


def test_limits_can_be_set(write):
    path = write(head_like())
    assert "voxels of 4 x 4 x 4 mm" in reason(path, {"voxel_mm": [0.3, 3]})
    assert "litres" in reason(path, {"head_litres": [3, 9]})
    assert "at least 60" in reason(path, {"min_voxels": 60})
    with pytest.raises(ValueError, match="voxel_size"):
        checks.check_scan(path, {"voxel_size": 1})


def test_affines(write):
    singular = affine()
    singular[:, 1] = singular[:, 0]
    assert "singular" in reason(write_header(write(head_like()), singular))
    flat = affine()
    flat[:, 2] = 0
    assert "singular" in reason(write_header(write(head_like()), flat))
    broken = affine()
    broken[0, 0] = np.nan
    assert "NaN" in reason(write_header(write(head_like()), broken))
    sheared = affine()
    sheared[0, 1] = 0.5
    assert "sheared" in reason(write_header(write(head_like()), sheared))


def write_header(path, sform, sform_code=1, qform_code=1):
    """Put any sform into a file, which nibabel's own writer would correct or refuse."""
    content = bytearray(gzip.decompress(path.read_bytes()))
    content[252:256] = np.array([qform_code, sform_code], np.int16).tobytes()
    content[280:328] = np.asarray(sform[:3], np.float32).tobytes()
    path.write_bytes(gzip.compress(content))
    return path


def test_orientation_warnings(write):
    nothing = write_header(write(head_like()), affine(), sform_code=0, qform_code=0)
    facts = checks.check_scan(nothing)
    assert (facts["orientation_unknown"], facts["forms_disagree"]) == (1, 0)
    flipped = np.diag([-MM, MM, MM, 1])
    facts = checks.check_scan(write_header(write(head_like()), flipped))
    assert (facts["orientation_unknown"], facts["forms_disagree"]) == (0, 1)
    for code in ({"qform_code": 0}, {"sform_code": 0}):
        facts = checks.check_scan(write_header(write(head_like()), affine(), **code))
        assert (facts["orientation_unknown"], facts["forms_disagree"]) == (0, 0)


def noise():
    return 100 + 20 * np.random.default_rng(1).normal(size=(56, 56, 56))


def air():
    return np.abs(np.random.default_rng(1).normal(size=(56, 56, 56)))


def gradient():
    return 100 + coordinates()[0]


def sphere():
    x = coordinates()
    bias = 1 + x[0] / 250  # a coil on one side
    return (np.sqrt((x**2).sum(axis=0)) < 85) * 100 * bias + 0.02 * noise()


def box():
    return (np.abs(coordinates()).max(axis=0) < 70) * 100.0 + 0.02 * noise()


def torso():
    """An ellipse with organs that leaves the view at both ends."""
    x, y, z = coordinates()
    rng = np.random.default_rng(2)
    data = np.where((x / 95) ** 2 + (y / 75) ** 2 < 1, 60.0, 0)
    for _ in range(20):
        center = rng.uniform(-55, 55, 3)
        organ = (x - center[0]) ** 2 + (y - center[1]) ** 2 + (z - center[2]) ** 2 < 25**2
        data[organ & (data > 0)] = rng.uniform(30, 150)
    return data + 0.02 * noise()


def limb():
    x, y, z = coordinates()
    radius = np.sqrt((x / 55) ** 2 + (y / 50) ** 2)
    data = (radius < 1) * 150.0
    data[radius < 0.8] = 60
    data[radius < 0.2] = 20
    return data + 0.02 * noise()


def small_object():
    x = coordinates()
    radius = np.sqrt((x**2).sum(axis=0))
    return (radius < 40) * 100.0 + (radius < 20) * 80 + 0.02 * noise()


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (noise, "not a head"),
        (air, "not a head"),
        (gradient, "head"),
        (sphere, "uniform inside"),
        (box, "uniform inside"),
        (torso, "both sides (top-bottom)"),
        (limb, "both sides (top-bottom)"),
        (small_object, "litres"),
    ],
)
def test_what_is_no_head(write, make, why):
    message = reason(write(make().astype(np.float32)))
    assert "head" in message
    assert why in message


def test_a_slab_of_a_head_is_no_whole_head(write):
    slab = head_like()[:, :, 15:41]
    message = reason(write(slab))
    assert "not a whole head" in message
    assert "top-bottom" in message
    turned = write(np.moveaxis(slab, 2, 0))
    assert "left-right" in reason(turned)


def test_a_head_cut_below_is_a_head(write):
    cut = head_like()[:, :, 18:]
    facts = checks.check_scan(write(cut))
    assert 1000 < facts["head_ml"] < checks.check_scan(write(head_like()))["head_ml"]


def test_structure_is_high_inside_a_head_only():
    data = head_like()
    x = coordinates()
    ball = np.sqrt((x**2).sum(axis=0)) < 85
    smooth = np.where(ball, 100 * (1 + x[0] / 250), 0).astype(np.float32)
    assert checks.interior_structure(Volume(data, affine()), data > 10) > 0.15
    assert checks.interior_structure(Volume(smooth, affine()), ball) < 0.05


@pytest.mark.parametrize(
    ("name", "axes", "litres"),
    [
        ("pycortex_S1", "LIA", (4.0, 5.2)),
        ("chris_1mm", "RAS", (3.0, 4.0)),
        ("datalad_already_defaced", "LAS", (4.0, 5.4)),
    ],
)
def test_real_heads_pass(name, axes, litres, shared):
    facts = checks.check_scan(shared(f"data/heads/{name}.nii.gz"))
    assert facts["axis_codes"] == axes
    assert litres[0] < facts["head_ml"] / 1000 < litres[1]


@pytest.mark.parametrize(
    ("slope", "offset"), [(1.0, -1024.0), (1.0, -5000.0), (0.01, -0.6), (1.0, 3000.0)]
)
def test_air_far_from_zero_is_taken_for_zero(write, slope, offset):
    """A CT's offset, a scan that is negative throughout, z-scores, a constant that was added."""
    plain = checks.check_scan(write(head_like(), name="sub-2_T1w.nii.gz"))
    facts = checks.check_scan(write((slope * head_like() + offset).astype(np.float32)))
    assert facts["air_level"] == pytest.approx(offset, abs=0.05 * slope * 100)
    assert facts["head_ml"] == pytest.approx(plain["head_ml"], rel=0.02)
    assert plain["air_level"] == 0


def test_noise_of_both_signs_moves_no_air(write):
    data = head_like() + np.random.default_rng(3).normal(0, 4, (56, 56, 56))
    assert checks.check_scan(write(data.astype(np.float32)))["air_level"] == 0


def test_tissue_far_darker_than_air_is_no_magnitude_image(write):
    data = 400 * head_like()
    wrapped = np.clip(data, 0, 65535).astype(np.uint16).view(np.int16)
    assert "unsigned numbers written as signed ones" in reason(write(wrapped))


def edited(write, **fields):
    """Write a plain file whose header has other numbers in some fields."""
    path = write(head_like(), name="sub-1_T1w.nii", dtype=np.int16)
    content = bytearray(path.read_bytes())
    header = nib.Nifti1Header(bytes(content[:348]), check=False)
    for name, value in fields.items():
        header[name] = value
    content[:348] = header.binaryblock
    path.write_bytes(content)
    return path


def test_headers_that_contradict_themselves(write):
    assert "voxels of 0 x 4 x 4 mm" in reason(edited(write, pixdim=[1, 0, 4, 4, 0, 0, 0, 0]))
    assert "begin at byte 0" in reason(edited(write, vox_offset=0))
    assert "truncated?" in reason(edited(write, vox_offset=400_000))
    assert "header of a pair" in reason(edited(write, magic=b"ni1"))
    assert "lacks the mark" in reason(edited(write, magic=b"n+7"))
    assert "dimensions are impossible" in reason(edited(write, dim=[3, 56, -56, 56, 1, 1, 1, 1]))


def test_a_file_is_unpacked_no_further_than_is_plausible(tmp_path):
    """Both bombs would take 8 GB; what is read of them is bounded, and so is the time."""
    header = nib.Nifti1Header()
    header.set_data_dtype(np.int16)
    header["magic"], header["vox_offset"] = b"n+1", 352
    for shape, name in (((2000, 2000, 1000), "honest"), ((56, 56, 56), "tail")):
        header.set_data_shape(shape)
        path = tmp_path / f"{name}_T1w.nii.gz"
        with gzip.open(path, "wb", 1) as packing:
            packing.write(header.binaryblock + bytes(4))
            for _ in range(400):
                packing.write(bytes(1 << 20))
        found = reason(path, {"file_mb": 100})
        assert "(checks: file_mb)" in found
        assert (
            "claims 7629 MB" in found if name == "honest" else "unpacks to more than 100" in found
        )


def test_a_mirrored_qform_is_told_from_a_shifted_one(write):
    shifted = affine()
    shifted[:3, 3] = 30
    facts = checks.check_scan(write_header(write(head_like()), shifted))
    assert (facts["forms_disagree"], facts["sides_disagree"]) == (1, 0)
    facts = checks.check_scan(write_header(write(head_like()), np.diag([-MM, MM, MM, 1])))
    assert (facts["forms_disagree"], facts["sides_disagree"]) == (1, 1)


def test_missing_slices_are_seen_between_the_parts_of_the_head():
    head = np.zeros((20, 9, 9), bool)
    head[3:17, 2:7, 2:7] = True
    lost = np.zeros_like(head)
    lost[9:12] = True
    whole = head.copy()
    head &= ~lost
    assert np.array_equal(checks.between(lost, head, 3), lost & whole)
    assert not checks.between(lost, head, 1).any()  # too far away
    air = ~whole
    assert not checks.between(air, whole, 10).any()  # numbers are missing all around the head
