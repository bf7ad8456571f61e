"""Programs as segmenters: stand-ins write what the real ones write."""

import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import yaml

from refacebench.datasets import _freesurfer
from refacebench.head.atlas_labels import LOBES
from refacebench.image import nifti
from refacebench.image.nifti import Volume
from refacebench.programs import catalogue, labelling, presence
from refacebench.report.methods import taking_part
from refacebench.run import configuration, methods, scope
from refacebench.segmenters import command
from refacebench.vocabulary import GLOBALS, REGIONS, TISSUES

NAMES = ("synthseg", "fastsurfer", "freesurfer", "sienax")


def describe(**options):
    return labelling.describe({**command.METHOD.defaults, **options})


@pytest.fixture
def scan(tmp_path):
    """A small image (LAS axes, 2 mm) under a name that a shell would take apart."""
    affine = np.diag([-2.0, 2.0, 2.0, 1.0])
    data = np.arange(6 * 7 * 8, dtype=np.int16).reshape(6, 7, 8)
    path = tmp_path / "a $(b) 'c'_T1w.nii.gz"
    nib.save(nib.Nifti1Image(data, affine), tmp_path / "plain.nii.gz")
    (tmp_path / "plain.nii.gz").rename(path)
    return nifti.read(path), path


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    """Return a function that puts an executable of a name and a Python text on the PATH."""

    def put(name, text):
        folder = tmp_path / "bin"
        folder.mkdir(exist_ok=True)
        head = f"#!{sys.executable}\nimport sys, os\nimport nibabel as nib, numpy as np\n"
        head += "args = sys.argv[1:]\n"
        (folder / name).write_text(head + text)
        (folder / name).chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")

    return put


# the ready-made entries ------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_every_ready_made_entry_is_complete(name):
    found = describe(program=name)
    for text in (found.program.title, found.program.page, found.program.terms, found.program.notes):
        assert text
    assert found.program.page.startswith("https://")
    assert found.program.version_command or found.program.version_file
    assert command.title({"program": name}) == found.program.title
    chosen = methods.choose("segmenters", "mine", {"program": name})
    assert chosen.method is command.METHOD
    assert chosen.engine == "official"


def test_all_of_the_catalogue_is_known_and_no_defacer_is_in_it():
    assert catalogue.catalogue(labelling.FOLDER) == sorted(NAMES)
    assert not set(NAMES) & set(catalogue.catalogue())
    with pytest.raises(ValueError, match="there is no 'mideface'; there are: .*synthseg"):
        describe(program="mideface")


def test_the_table_says_what_the_label_maps_truth_says():
    """Both come from FreeSurfer's lookup table: where both know a label they agree."""
    table = labelling.labels_of("freesurfer")
    for name, label in _freesurfer.FREESURFER_REGIONS.items():
        assert table[name] == (label,)
    tissue = {v: labelling.TISSUE_OF[n] for n, values in table.items() for v in values}
    kinds = {"gm": "gm", "wm": "wm", "vcsf": "csf"}
    for name, kind in kinds.items():
        for label in _freesurfer.FREESURFER[name]:
            assert tissue.get(label, kind) == kind, label


def test_lobes_hold_the_cortex_of_both_sides():
    table = labelling.labels_of("freesurfer")
    lobes = [table[name] for name in LOBES]
    assert [len(values) for values in lobes] == [2 * len(text.split()) for text in LOBES.values()]
    for values in lobes:
        left = {v for v in values if v < 2000}
        assert {v + 1000 for v in left} == set(values) - left
    # 1035, 2035 are the insula, which belongs to no lobe; 1004 is the corpus callosum.
    every = {v for values in lobes for v in values}
    assert {v - 1000 for v in every if v < 2000} == set(range(1, 35)) - {4}


# reading ----------------------------------------------------------------------------------------


def test_labels_add_up_on_the_programs_own_grid():
    labels = {"gm": (3, 42), "wm": (2,), "vcsf": (4,), "thalamus_left": (10,), "brainstem": (16,)}
    ml = {0: 900.0, 2: 400.0, 3: 300.0, 42: 310.0, 4: 20.0, 10: 7.0, 16: 25.0, 77: 5.0}
    found = labelling.volumes(labels, ml)
    assert set(found) == {*GLOBALS, *REGIONS}
    assert found["gm"] == 300 + 310 + 7
    assert found["wm"] == 400 + 25
    assert found["brain"] == found["gm"] + found["wm"]
    assert (found["vcsf"], found["thalamus_left"], found["brainstem"]) == (20, 7, 25)
    for name in ("csf", "tiv", "thalamus_right", "frontal"):  # it has no label for these
        assert np.isnan(found[name])
    assert labelling.volumes({**labels, "csf": (24,)}, {**ml, 24: 100.0})["csf"] == 120


def test_masks_follow_the_table():
    labels = {"gm": (3,), "wm": (2,), "csf": (24,), "vcsf": (4,), "putamen_right": (51,)}
    found = labelling.masks(labels, np.array([0, 3, 2, 24, 4, 51, 999]))
    gm, wm, csf = (TISSUES[name] for name in ("gm", "wm", "csf"))
    assert found["tissue"].tolist() == [0, gm, wm, csf, csf, gm, 0]
    assert found["brain"].tolist() == [False, True, True, True, True, True, False]
    assert found["vcsf"].tolist() == [False] * 4 + [True] + [False] * 2
    assert found["regions"].tolist() == [0] * 5 + [REGIONS.index("putamen_right") + 1, 0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "command line"),
        ({"command": "t {input} {output}"}, "labels: must be structures"),
        ({"command": "t {output}", "labels": {"gm": 3}}, "no label belongs to wm"),
        ({"command": "t {output}", "labels": {"gm": 3, "wm": 3}}, "3 belongs to gm and to wm"),
        ({"command": "t {output}", "labels": {"gm": 3, "wm": 2, "nose": 9}}, "no structure 'nose'"),
        ({"command": "t {output}", "labels": {"gm": 3.5, "wm": 2}}, "must be whole numbers"),
        ({"command": "t {output}", "labels": "nosuch"}, "there is no 'nosuch'"),
        ({"command": "t {brain_mask} {output}", "labels": "freesurfer"}, "a single image"),
        ({"program": "synthseg", "measures": {"nose": {"file": "a", "column": "b"}}}, "no volume"),
        ({"program": "synthseg", "measures": {"tiv": {"file": "a"}}}, "column or pattern"),
        ({"program": "synthseg", "measures": {"tiv": {"file": "../a", "column": "b"}}}, "working"),
        ({"program": "synthseg", "measures": {"tiv": {"file": "a", "pattern": "("}}}, "measures"),
        ({"program": "synthseg", "output_is": "keep"}, "output_is"),
    ],
)
def test_a_wrong_entry_is_one_sentence(options, message):
    with pytest.raises((ValueError, methods.MethodError), match=message) as error:
        methods.choose("segmenters", "mine", options or {"method": "command"})
    assert "\n" not in str(error.value)


# running ----------------------------------------------------------------------------------------

FINE = """
image = nib.load({source})
data = np.zeros(np.array(image.shape) * 2, np.int32)  # on voxels of half the size
data[:6], data[6:9], data[9:, :4] = 3, 2, 10
affine = image.affine @ np.diag([0.5, 0.5, 0.5, 1])
affine[:3, 3] = (image.affine @ [-0.25, -0.25, -0.25, 1])[:3]
"""
#: Millilitres of a slab of the fine grid, one voxel thick along the first axis.
SLAB = 14 * 16 / 1000


def test_synthseg_and_its_table_of_volumes(scan, stand_in, monkeypatch):
    volume, path = scan
    monkeypatch.setenv("FREESURFER_HOME", "/nowhere")
    text = FINE.format(source="args[args.index('--i') + 1]") + (
        "nib.save(nib.Nifti1Image(data, affine), args[args.index('--o') + 1])\n"
        "assert '--parc' in args\n"
        "open(args[args.index('--vol') + 1], 'w').write("
        "'subject,total intracranial,left thalamus\\ninput,1234567.5,7\\n')\n"
    )
    stand_in("mri_synthseg", text)
    found = labelling.segment(describe(program="synthseg"), volume, path)
    assert found.volumes["tiv"] == pytest.approx(1234.5675)
    assert found.volumes["thalamus_left"] == pytest.approx(3 * 4 * 16 / 1000)
    assert found.volumes["wm"] == pytest.approx(3 * SLAB)
    assert found.volumes["gm"] == pytest.approx(6 * SLAB + 3 * 4 * 16 / 1000)
    assert found.volumes["csf"] == 0  # labels 24 and the ventricles: none in this image
    assert found.tissue.shape == volume.shape
    assert (found.tissue[:3] == TISSUES["gm"]).all()
    assert (found.regions[5, :2] == REGIONS.index("thalamus_left") + 1).all()
    assert found.brain.sum() == (found.tissue > 0).sum() > 0


def test_freesurfer_conformed_labels_and_its_stats(scan, stand_in, monkeypatch):
    volume, path = scan
    monkeypatch.setenv("FREESURFER_HOME", "/nowhere")
    text = (
        "home = os.path.join(args[args.index('-sd') + 1], args[args.index('-s') + 1])\n"
        "os.makedirs(home + '/mri'), os.makedirs(home + '/stats')\n"
        "image = nib.load(args[args.index('-i') + 1])\n"
        "turned = np.array([[-1.0, 0, 0, 8], [0, 0, 1, -8], [0, -1, 0, 18], [0, 0, 0, 1]])\n"
        "data = np.full((32, 32, 32), 1027, np.int32)\n"
        "data[:16] = 41\n"
        "nib.save(nib.MGHImage(data, turned), home + '/mri/aparc+aseg.mgz')\n"
        "line = '# Measure EstimatedTotalIntraCranialVol, eTIV, Estimated Total Intracranial "
        "Volume, 1611874.250000, mm^3'\n"
        "open(home + '/stats/aseg.stats', 'w').write('# Title\\n' + line + '\\n')\n"
    )
    stand_in("recon-all", text)
    found = labelling.segment(describe(program="freesurfer"), volume, path)
    assert found.volumes["tiv"] == pytest.approx(1611.87425)
    assert found.volumes["frontal"] == pytest.approx(32 * 32 * 16 / 1000)
    assert np.isnan(found.volumes["csf"])  # it labels only a part of it
    assert found.brain.shape == volume.shape


def test_sienax_and_its_report(scan, stand_in, monkeypatch, tmp_path):
    volume, path = scan
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "fslversion").write_text("6.0.7.4\n")
    monkeypatch.setenv("FSLDIR", str(tmp_path))
    text = (
        "out = args[args.index('-o') + 1]\nos.makedirs(out)\nimage = nib.load(args[0])\n"
        "data = np.ones(image.shape, np.uint8); data[2:] = 2; data[4:] = 3\n"
        "nib.save(nib.Nifti1Image(data, image.affine), out + '/I_stdmaskbrain_seg.nii.gz')\n"
        "open(out + '/report.sienax', 'w').write('SIENAX\\nVSCALING 1.2500000000\\n"
        "tissue             volume    unnormalised-volume\\n"
        "pgrey              600000.00 480000.00 (peripheral grey)\\n"
        "vcsf               30000.00 24000.00 (ventricular CSF)\\n"
        "GREY               750000.00 600000.00\\nWHITE              650000.00 520000.00\\n"
        "BRAIN              1400000.00 1120000.00\\n')\n"
    )
    for name in ("sienax", "flirt", "bet", "fast"):
        stand_in(name, text)
    assert command.missing({"program": "sienax"}) == ""
    assert command.version({"program": "sienax"}) == "6.0.7.4"
    found = labelling.segment(describe(program="sienax"), volume, path).volumes
    assert [found[n] for n in ("gm", "wm", "brain", "vcsf")] == pytest.approx([600, 520, 1120, 24])
    assert found["tiv"] == pytest.approx(1887 / 1.25)
    assert found["csf"] == pytest.approx(2 * 7 * 8 * 8 / 1000)
    assert all(np.isnan(found[name]) for name in REGIONS)


def test_fastsurfer_writes_into_its_subjects_folder(scan, stand_in):
    volume, path = scan
    text = FINE.format(source="args[args.index('--t1') + 1]") + (
        "home = os.path.join(args[args.index('--sd') + 1], args[args.index('--sid') + 1], 'mri')\n"
        "os.makedirs(home)\n"
        "nib.save(nib.MGHImage(data, affine), home + '/aparc.DKTatlas+aseg.deep.mgz')\n"
    )
    stand_in("run_fastsurfer.sh", text)
    found = labelling.segment(describe(program="fastsurfer"), volume, path)
    assert found.volumes["wm"] == pytest.approx(3 * SLAB)
    assert np.isnan(found.volumes["tiv"])


def own(tmp_path, text, **options):
    (tmp_path / "mine.py").write_text(
        "import sys\nimport nibabel as nib, numpy as np\nimage = nib.load(sys.argv[1])\n" + text
    )
    told = {"command": [sys.executable, str(tmp_path / "mine.py"), "{input}", "{output}"]}
    file = tmp_path / "mine.yaml"
    file.write_text(yaml.safe_dump({**told, "labels": {"gm": 1, "wm": [2, 3]}, **options}))
    return describe(program=str(file))


SAVE = "nib.save(nib.Nifti1Image(data, image.affine), sys.argv[2])\n"


def test_a_users_own_file_and_what_the_config_overrides(scan, tmp_path):
    volume, path = scan
    text = "data = np.full(image.shape, 2, np.uint8); data[:2] = 1; data[5] = 3\n" + SAVE
    found = labelling.segment(own(tmp_path, text), volume, path).volumes
    assert found["gm"] == pytest.approx(2 * 7 * 8 * 8 / 1000)
    assert found["wm"] == pytest.approx(4 * 7 * 8 * 8 / 1000)
    file = str(tmp_path / "mine.yaml")
    other = describe(program=file, labels={"gm": 3, "wm": 1})
    assert other.labels == {"gm": (3,), "wm": (1,)}


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("sys.exit('no brain: DOE^JANE')", {}, "the program failed .exit 1"),
        ("pass", {}, "ended without writing"),
        ("data = np.zeros(image.shape, np.uint8)\n" + SAVE, {}, "no grey and white matter"),
        ("data = np.ones((3, 3, 3), np.uint8)\n" + SAVE, {}, "not the scan.s grid"),
        (
            "data = np.ones(image.shape, np.uint8)\n" + SAVE + "open('v.csv', 'w').write('a,b')\n",
            {"measures": {"tiv": {"file": "v.csv", "column": "tiv"}}},
            "v.csv has no number 'tiv'",
        ),
        (
            "data = np.ones(image.shape, np.uint8)\n" + SAVE,
            {"measures": {"tiv": {"file": "v.csv", "column": "tiv"}}},
            "without writing v.csv",
        ),
    ],
)
def test_a_failure_is_a_reason(scan, tmp_path, text, options, message):
    volume, path = scan
    with pytest.raises(RuntimeError, match=message) as error:
        labelling.segment(own(tmp_path, text, **options), volume, path)
    assert "JANE" not in str(error.value)


# where it is not installed ----------------------------------------------------------------------


def test_a_missing_program_stops_the_run_unless_it_may_be_skipped(tmp_path, monkeypatch):
    monkeypatch.delenv("FREESURFER_HOME", raising=False)
    entry = {"program": "synthseg"}
    config = {"segmenters": {"deepbet_atlas": None, "seg": entry}, "defacers": {}}
    with pytest.raises(
        configuration.ConfigError, match="segmenters.seg: .*mri_synthseg.*on_missing: skip"
    ) as error:
        configuration.programs(config, True, str(tmp_path), "segmenters")
    assert "\n" not in str(error.value)
    entry["on_missing"] = "skip"
    found = configuration.programs(config, True, str(tmp_path), "segmenters")
    assert configuration.present(config, found) == ["deepbet_atlas"]
    shown = {row["name"]: row for row in taking_part(config, {}, found)}
    assert shown["seg"]["engine"] == "unavailable"
    assert "mri_synthseg" in shown["seg"]["reason"]
    with pytest.raises(configuration.ConfigError, match="none of them can run here"):
        configuration.present({"segmenters": {"seg": entry}}, {"seg": found["seg"]})


def test_another_version_or_file_of_a_program_makes_old_output_run_again(tmp_path, monkeypatch):
    monkeypatch.setattr(presence, "missing", lambda program: "")
    monkeypatch.setattr(presence, "version", lambda program: "7.4.1")
    model = tmp_path / "model.h5"
    model.write_text("one")
    entry = {
        "command": ["tool", "{input}", "{weights}", "{output}"],
        "labels": "freesurfer",
        "files": {"weights": str(model)},
    }
    config = {"datasets": {}, "defacers": {}, "segmenters": {"mine": entry}, "refacers": {}}

    def version():
        tools = configuration.programs(config, True, str(tmp_path), "segmenters")
        return scope.Scope(config, {}, {}, None, tools).version("segmenters", "mine")

    before = version()
    assert "7.4.1" in before
    model.write_text("two")
    assert version() != before


def test_the_grid_of_a_volume_is_kept(scan, tmp_path):
    """What comes back lies where the image's voxels lie, whatever their order on disk."""
    volume, path = scan
    text = (
        "data = np.ones(image.shape, np.uint8); data[0] = 2\n"
        "turned = nib.as_closest_canonical(nib.Nifti1Image(data, image.affine))\n"
        "nib.save(turned, sys.argv[2])\n"
    )
    found = labelling.segment(own(tmp_path, text), volume, Path(path))
    assert (found.tissue[0] == TISSUES["wm"]).all()
    assert (found.tissue[1:] == TISSUES["gm"]).all()
    assert isinstance(volume, Volume)
