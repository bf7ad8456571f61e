"""The command line as a user calls it."""

import json
import os
import re
import stat
import subprocess
import sys

import nibabel as nib
import numpy as np
import pytest
import yaml

from refacebench import __main__ as program
from refacebench import faces, files
from refacebench.cli import attempt, common, listing, starting
from refacebench.contracts import KINDS
from refacebench.run import methods, mistakes
from running import ROOT

OWN = """import numpy as np
from refacebench.contracts import Defaced, Defacer, Option


def deface(scan, options):
    if not scan.brain.any():
        raise ValueError("the brain mask is empty")
    axes = np.indices(scan.volume.shape).reshape(3, -1)
    y = (scan.volume.affine[1, :3] @ axes + scan.volume.affine[1, 3]).reshape(scan.volume.shape)
    return Defaced(np.full(y.shape, options["level"]), y > y[scan.brain].max())


METHOD = Defacer(
    version="1",
    title="nothing before the brain",
    options={"level": Option(0.0, "What removed voxels are set to.", least=0)},
    run=deface,
)
"""


def refacebench(*arguments, folder=None):
    """Run the command line in a process of its own."""
    paths = [str(ROOT / "workflow"), os.environ.get("PYTHONPATH", "")]
    return subprocess.run(
        [sys.executable, "-m", "refacebench", *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        timeout=600,
    )


@pytest.fixture
def own(tmp_path):
    path = tmp_path / "own.py"
    path.write_text(OWN)
    return path


# all of them -----------------------------------------------------------------------------------


def test_help_teaches_every_command():
    done = refacebench("--help")
    assert done.returncode == 0
    for command in ("check", "try", "methods", "config", "sample-size"):
        assert f"refacebench {command}" in done.stdout or f"  {command} " in done.stdout
        told = refacebench(command, "--help").stdout
        assert "examples:\n  refacebench" in told
        assert "exit codes:\n  0  " in told


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "required"),
        (["tray"], "invalid choice: 'tray'"),
        (["check", "no_such.py"], "no file no_such.py"),
        (["check", "no_such"], "no file and no method 'no_such'"),
        (["try", "surface", "scan.nii"], "no file and no method 'surface'; there are: afni"),
        (
            ["try", "mask_face", "no_such.nii.gz"],
            "no_such.nii.gz cannot be used: no_such.nii.gz:",
        ),
        (
            ["check", "mask_face", "--option", "depth_mm"],
            "depth_mm: write it as NAME=VALUE",
        ),
        (["check", "mask_face", "--option", "deepness=1"], "unknown option 'deepness'"),
        (["check", "mask_face", "--option", "depth_mm=-1"], "depth_mm: -1 is below 0"),
        (["methods", "pydefase"], "no method pydefase"),
        (["methods", "--kind", "defaecrs"], "invalid choice: 'defaecrs'"),
        (["config", "mine"], "no config 'mine'; there are: demo, adni, bids"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(arguments, said, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert program.main(arguments) == common.REFUSED
    told = capsys.readouterr()
    assert said in told.err
    assert (
        told.err.strip().count("\n") == (1 if "usage:" in told.err else 0) or "usage:" in told.err
    )
    assert "Traceback" not in told.err


def test_the_module_runs_and_hands_its_exit_code_on(tmp_path):
    done = refacebench("check", "no_such", folder=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("refacebench: no file and no method 'no_such'")
    assert refacebench("--version").stdout.strip() == program.refacebench.__version__


# check -----------------------------------------------------------------------------------------


def test_check_says_pass_or_fail_line_by_line(own, tmp_path):
    good = refacebench("check", own, "--option", "level=1")
    assert good.returncode == 0, good.stdout + good.stderr
    lines = good.stdout.splitlines()
    assert lines[0].startswith("defacer own, version 1-")
    assert all(line.startswith("PASS  ") for line in lines[1:-1])
    assert lines[-1] == f"{len(lines) - 2} passed, 0 failed, 0 not done"
    own.write_text(OWN.replace('np.full(y.shape, options["level"])', "np.random.rand(*y.shape)"))
    bad = refacebench("check", own)
    assert bad.returncode == 1
    assert "FAIL  The same scan and seed give the same bytes: the values of two runs differ" in (
        bad.stdout
    )
    assert "Traceback" not in bad.stdout + bad.stderr


# methods ---------------------------------------------------------------------------------------


def test_methods_lists_each_in_a_line_and_nothing_else(capsys):
    assert program.main(["methods"]) == 0
    text = capsys.readouterr().out
    assert len(text.splitlines()) < 100
    assert set(listing.TITLES) == set(KINDS)
    for kind, title in listing.TITLES.items():
        mine = text.split(f"{title} (in a config: `{kind}`)")[1].split("(in a config")[0]
        for name in methods.available(kind):
            assert len(re.findall(rf"^  {name}: ", mine, re.MULTILINE)) == 1
    assert "  mideface: " in text.split("Released programs")[1]
    assert "depth_mm" not in text
    assert "refacebench methods NAME" in text.splitlines()[-1]


def test_methods_lists_all_with_their_options(capsys):
    assert program.main(["methods", "--all"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    for kind in KINDS:
        for name in methods.available(kind):
            method = methods.declared(kind, name)
            assert f"{name}: {method.title_of(method.defaults)}" in text
            for option in method.options.values():
                assert " ".join(option.meaning.split()) in text
    assert "depth_mm = 8.0 mm (0 or more): Thickness of the surface layer" in text
    assert "engine = auto (auto | native | official)" in text
    assert "https://doi.org/10.1002/hbm.20312" in text


def test_methods_lists_one_kind_or_some_names(capsys):
    program.main(["methods", "--kind", "attackers"])
    text = capsys.readouterr().out
    assert "surface: " in text
    assert "Defacers" not in text
    program.main(["methods", "quickshear"])
    text = capsys.readouterr().out
    assert text.startswith("Defacers (in a config: `defacers`)")
    assert text.count("in a config") == 1
    assert "buffer_mm" in text


def test_a_reader_who_has_seen_enough_is_no_error():
    done = subprocess.run(
        f"{sys.executable} -m refacebench methods | head -2; echo ${{PIPESTATUS[0]}}",
        shell=True,
        executable="/bin/bash",
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT / "workflow")},
    )
    assert done.stdout.splitlines()[-1] == "0"
    assert done.stderr == ""


# config ----------------------------------------------------------------------------------------


def test_config_prints_what_is_shipped_and_can_be_read():
    names = refacebench("config").stdout.split("\n")
    names = [line.split()[0] for line in names if line]
    assert names[0] == "demo"
    assert set(names) == set(starting.configs())
    assert {"bids", "defacers", "labelmaps"} <= set(names)
    for name in names:
        text = refacebench("config", name).stdout
        assert text.startswith("#")
        assert "datasets" in yaml.safe_load(text)
    schema = files.read_yaml(ROOT / "workflow/schemas/config.schema.yaml")
    assert not mistakes.against(yaml.safe_load(refacebench("config", "bids").stdout), schema)


# try -------------------------------------------------------------------------------------------


def test_other_peoples_folders_keep_their_mode(tmp_path):
    (tmp_path / "full").mkdir(mode=0o755)
    (tmp_path / "full" / "thesis.doc").touch()
    with pytest.raises(common.Refused, match="holds other files"):
        attempt.private(tmp_path / "full")
    assert stat.S_IMODE((tmp_path / "full").stat().st_mode) == 0o755
    (tmp_path / "file").touch()
    with pytest.raises(common.Refused, match="is not a folder"):
        attempt.private(tmp_path / "file")
    made = attempt.private(tmp_path / "new" / "one")
    assert stat.S_IMODE(made.stat().st_mode) == 0o700
    assert "before and after a defacer" in " ".join((made / faces.README).read_text().split())
    assert attempt.private(made) == made, "a second try may go into its own folder"


def test_every_verdict_has_words():
    from refacebench.metrics.verdict import CLASSES

    assert set(attempt.VERDICTS) == set(CLASSES)
    assert set(attempt.FINE) <= set(CLASSES)


def test_a_real_head_is_defaced_judged_and_drawn(own, tmp_path, shared):
    """As a user does it, with a method that fills before the brain; the face is another one's."""
    scan = shared("data/heads/chris_1mm.nii.gz")
    small = tmp_path / "head.nii.gz"
    image = nib.load(scan)
    data = np.asanyarray(image.dataobj)[::3, ::3, ::3]
    affine = image.affine @ np.diag([3.0, 3, 3, 1])
    nib.save(nib.Nifti1Image(data, affine), small)
    done = refacebench("try", own, small, folder=tmp_path)
    assert "Traceback" not in done.stderr, done.stderr
    assert done.returncode in (0, 1), done.stderr
    lines = dict(line.split(maxsplit=1) for line in done.stdout.splitlines()[1:])
    verdict = lines["verdict"].partition(":")[0]
    assert done.returncode == (0 if verdict in attempt.FINE else 1)
    assert " 0 changed, 0 removed, 0 replaced" in lines["brain"]
    assert "IT SHOWS A FACE" in lines["picture"]
    out = tmp_path / "tried" / "own"
    assert stat.S_IMODE(out.stat().st_mode) == 0o700
    defaced = nib.load(next(out.glob("own/**/*_desc-defaced_T1w.nii.gz")))
    assert defaced.shape == data.shape
    assert (np.asanyarray(defaced.dataobj) != data).any()
    sidecar = json.loads(next(out.glob("own/**/*_desc-defaced_T1w.json")).read_text())
    assert "head.nii.gz" not in next(out.glob("own/**/*_T1w.nii.gz")).name
    assert sidecar
    from PIL import Image

    with Image.open(out / "before_after.png") as picture:
        pixels = np.asarray(picture.convert("L"), float)
    half = len(pixels) // 2
    assert pixels.std() > 20, "an empty picture"
    assert np.abs(pixels[half:] - pixels[: len(pixels) - half]).mean() > 2, "before is after"


def test_a_defacer_that_fails_is_exit_code_1(own, tmp_path, monkeypatch, capsys):
    """The method's sentence and the place in its file, not a traceback."""
    own.write_text(
        OWN.replace("    axes =", '    raise ValueError("no chin in this scan")\n    axes =')
    )
    ready = {"scan": "sub-tried", "path": "x", "original_path": "x"}
    monkeypatch.setattr(attempt, "usable", lambda scan: ready)
    monkeypatch.setattr(attempt, "ready", lambda row, out: {})

    def run(row, chosen, out, seed):
        return chosen.method.run(type("Scan", (), {"brain": np.ones(1, bool)}), chosen.options)

    monkeypatch.setattr(attempt.deface, "run", run)
    code = program.main(["try", str(own), "x.nii", "--out", str(tmp_path / "out")])
    said = capsys.readouterr().out
    assert code == common.BAD
    assert "FAILED     ValueError: no chin in this scan (" in said
    assert "own.py, line " in said


# sample-size -----------------------------------------------------------------------------------


def planned(capsys, *arguments):
    code = program.main(["sample-size", *arguments])
    told = capsys.readouterr()
    return code, told.out, told.err


def test_sample_size_prints_the_known_numbers(capsys):
    code, text, _ = planned(capsys)
    assert code == common.GOOD
    assert "picked from 5" in text
    assert "463 people, of whom at most 100 identified" in text
    assert "59 people" in text
    code, text, _ = planned(capsys, "--gallery", "13", "--margin", "10", "--people", "13")
    assert "named first among 13" in text
    assert "7.69 %" in text
    assert "what 13 people can show" in text
    _, text, _ = planned(capsys, "--options", "5", "--rate", "40", "--power", "80")
    # scipy.stats.binomtest(13, 38, 0.2, "greater"): p 0.029; 12 of 38: 0.062.
    assert "38 people, of whom at least 13 identified" in text
    one, four = (
        int(planned(capsys, "--attacks", n, "--power", p)[1].split("power")[1].split()[2])
        for n, p in (("1", "95"), ("4", "80"))
    )
    assert one == four, "all four within the margin in 80 % takes each one in 95 %"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--options", "1"], "at least 2 people"),
        (["--margin", "90"], "between 0 and 1"),
        (["--rate", "10"], "above chance"),
        (["--level", "100"], "level"),
        (["--people", "0"], "--people"),
        (["--attacks", "0"], "--attacks"),
        (["--options", "5", "--gallery", "5"], "not allowed"),
    ],
)
def test_sample_size_says_what_is_wrong(capsys, arguments, said):
    code, _, text = planned(capsys, *arguments)
    assert code == common.REFUSED
    assert said in text
