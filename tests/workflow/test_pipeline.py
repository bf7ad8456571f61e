"""The whole pipeline on tiny heads, killed and resumed, and fed with bad scans."""

import gzip
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image

from refacebench import files
from refacebench.results import catalogue
from running import SNAKEFILE, TINY_REFACER, TINY_REST, job_counts, snakemake, tables
from tiny import BLOCKS

pytestmark = pytest.mark.pipeline


TINY = {
    "seed": 3,
    "batch_size": 4,
    "splits": {"train": 3, "validation": 1, "test": 2},
    "datasets": {
        "tiny": {
            "type": "demo",
            "faces": "public",
            "sessions_measured": 1,
            "rescan_sessions": ["ses-2"],
            "participants": 6,
            "sessions": 2,
            "voxel_mm": 4.0,
            "blend_amplitude": 0,
        }
    },
    "defacers": {"null": {}, "quickshear": {}, "mask_face": {}},
    "refacers": {"pix2pix25d": {**TINY_REFACER, "epochs": 1}},
    "brain_age": {"min_train": 3},
    "decision": {"failures_pct": 6, "far_above_chance_points": 21},
    **TINY_REST,
}
#: Of TINY; skull_strip is not listed there: with attackers it is run as a control.
VARIANTS = {"original", "null", "quickshear", "mask_face", "mask_face+pix2pix25d", "skull_strip"}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished run on the tiny cohort."""
    folder = tmp_path_factory.mktemp("tiny")
    run = snakemake(folder, config=TINY)
    assert run.returncode == 0, run.stderr[-5000:]
    return folder, run, tables(folder)


def test_the_run_ends_with_a_report_and_a_summary(finished):
    folder, run, _ = finished
    page = (folder / "results" / "report.html").read_text()
    assert "synthetic" in page.lower()
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "results/report.html" in run.stderr


def test_the_page_judges_by_the_rule_of_the_config(finished):
    results = finished[0] / "results"
    for name in ("report.html", "methods.md"):
        text = " ".join(re.sub(r"<[^>]+>", "", (results / name).read_text()).split())
        assert "more than 6 % of the scans kept" in text, name
        assert "more than 21 points above chance" in text, name


def faces_in(results):
    """Return the files below results that show faces, or by which people are recognised."""
    kinds = ("render/**/views/*", "enrol/**/*.npz", "train/**/samples/*.npy")
    return [path for kind in kinds for path in Path(results).glob(kind)]


@pytest.mark.slow
def test_faces_are_deleted_when_they_are_measured_and_made_again_when_they_are_needed(
    finished, tmp_path
):
    folder, _, before = finished
    home = tmp_path / "run"
    shutil.copytree(folder, home, symlinks=True)
    assert len(faces_in(home / "results")) > 20
    config = {**TINY, "keep_faces": False}
    made = snakemake(home, config=config)
    assert made.returncode == 0, made.stderr[-3000:]
    assert faces_in(home / "results") == []
    assert tables(home) == before
    assert "Nothing to be done" in snakemake(home, "-n", config=config).stdout
    # One attack is asked another question: what it looks at is made again for it, and goes again.
    config["attackers"] = {"surface": {"rounds": 2}}
    attack = home / "results/attack/tiny/surface/null.npz"
    old = attack.read_bytes()
    made = snakemake(home, str(attack.relative_to(home)), config=config)
    assert made.returncode == 0, made.stderr[-3000:]
    assert attack.read_bytes() != old
    assert (home / "results/render/tiny/null/views").is_dir()
    assert faces_in(home / "results") == []


def test_every_scan_of_every_variant_is_in_the_flow(finished):
    folder, _, _ = finished
    flow = catalogue.read(folder / "results/tables/tiny/flow.tsv")
    test = flow[(flow["split"] == "test") & (flow["role"] == "measured")]
    assert set(test["variant"]) == VARIANTS
    assert not test.duplicated(["scan", "variant"]).any()
    assert flow["participant"].nunique() == 6
    assert flow["scan"].nunique() == 12


def test_every_variant_and_control_is_attacked(finished):
    folder, _, _ = finished
    privacy = catalogue.read(folder / "results/tables/tiny/privacy.tsv")
    for _, rows in privacy.groupby("setting"):
        assert set(rows["variant"]) == VARIANTS | {"blurred", "black"}
    black = privacy[(privacy["variant"] == "black") & (privacy["setting"] == "same_scan")]
    assert black["rank1"].tolist() == [0.5]  # two people in the gallery, nothing to see
    assert (folder / "results/figures/tiny/privacy_utility.png").is_file()
    assert (privacy["n_expected"] == 2).all()


def test_the_way_to_the_attacks_is_in_the_flow(finished):
    folder, _, _ = finished
    counts = catalogue.read(folder / "results/tables/tiny/flow_counts.tsv")
    first = counts[counts["stage"] == "render"].set_index("variant")
    assert set(first.index) == VARIANTS | {"blurred", "black"}
    # Of the originals both sessions of both people, the gallery.
    assert first.loc["original", "n_in"] == 4
    assert set(first["n_in"].drop("original")) == {2}
    last = counts[counts["stage"] == "attack"].set_index("variant")
    assert last.loc["original", ["n_in", "n_ok"]].tolist() == [2, 2]


def test_every_method_says_what_ran(finished):
    folder, _, _ = finished
    quality = catalogue.read(folder / "results/tables/tiny/quality.tsv").set_index("variant")
    assert quality["engine"].to_dict() == {
        "null": "native",
        "quickshear": "official",
        "mask_face": "native",
        "mask_face+pix2pix25d": "native",
        "skull_strip": "native",
    }
    assert quality["version"].notna().all()


def test_native_defacers_left_every_brain_voxel_alone(finished):
    folder, _, _ = finished
    deface = folder / "results" / "deface" / "tiny" / "mask_face"
    rows = pd.concat(pd.read_csv(p, sep="\t") for p in deface.glob("*.tsv"))
    assert len(rows) == 6
    for row in rows.itertuples():
        before = np.asanyarray(nib.load(folder / row.original_path).dataobj)
        image = nib.load(folder / row.path)
        after = np.asanyarray(image.dataobj)
        brain = np.asanyarray(nib.load(folder / row.brain_path).dataobj) > 0
        changed = np.asanyarray(nib.load(folder / row.changed_path).dataobj) > 0
        assert brain.sum() > 1000
        assert np.array_equal(before[brain], after[brain])
        assert not ((before != after) & ~changed).any()
        assert not changed[brain].any()
        assert changed.any()


def test_a_second_run_has_nothing_to_do(finished):
    folder, _, _ = finished
    again = snakemake(folder, config=TINY)
    assert again.returncode == 0
    assert "Nothing to be done" in again.stdout + again.stderr


def test_a_further_defacer_trains_one_model_more_and_the_others_not_again(finished):
    folder, _, _ = finished
    entry = {**TINY["refacers"]["pix2pix25d"], "defacers": ["mask_face", "quickshear"]}
    longer = {**TINY, "refacers": {"pix2pix25d": entry}}
    counts = job_counts(snakemake(folder, "-n", config=longer))
    assert (counts["train"], counts["reface"]) == (1, 1)


@pytest.mark.slow
def test_a_killed_run_goes_on_and_the_tables_are_the_same(finished):
    folder, _, before = finished
    results = folder / "results"
    lost = [results / "segment/tiny/deepbet_atlas" / name for name in ("quickshear", "mask_face")]
    # Snakemake makes a missing file only if something asks for it: the tables do.
    measured = next((results / "measure/tiny").rglob("quickshear/*.tsv"))
    gone = [results / name for name in ("measure", "train", "reface", "tables")]
    for stage in (*lost, *gone):
        shutil.rmtree(stage)

    def records():
        return [path for variant in lost for path in variant.rglob("sub-*.json")]

    _kill_when(folder, lambda: len(records()) >= 2)
    survivors = {p: p.stat().st_mtime_ns for p in records()}
    assert survivors
    unlocked = snakemake(folder, "--unlock", config=TINY)
    assert unlocked.returncode == 0
    run = snakemake(folder, config=TINY)
    assert run.returncode == 0, run.stderr[-3000:]
    assert measured.is_file()
    assert tables(folder) == before
    # What was finished before the kill was not done again.
    assert survivors == {p: p.stat().st_mtime_ns for p in survivors}


def _kill_when(folder, condition, timeout=300):
    """Start the run and kill all its processes as soon as the condition holds."""
    (folder / "config.yaml").write_text(yaml.safe_dump(TINY))
    process = subprocess.Popen(
        [sys.executable, "-m", "snakemake", "-s", str(SNAKEFILE), "--directory", str(folder)]
        + ["--configfile", str(folder / "config.yaml"), "--cores", "2"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + timeout
    while not condition():
        assert process.poll() is None, "the run ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    time.sleep(0.5)


@pytest.fixture(scope="module")
def bad_folder(finished, tmp_path_factory):
    """A BIDS folder with good scans and every kind of bad one."""
    folder, _, _ = finished
    bids = tmp_path_factory.mktemp("bad") / "bids"
    good = sorted((folder / "results/cohort/tiny/bids").rglob("*ses-1*_T1w.nii.gz"))

    def place(name):
        path = bids / name / "anat" / f"{name}_T1w.nii.gz"
        path.parent.mkdir(parents=True)
        return path

    def save(name, data):
        nib.save(nib.Nifti1Image(data.astype(np.float32), np.diag([4.0, 4, 4, 1])), place(name))

    for number in range(4):
        shutil.copy(good[number], place(f"sub-good{number}"))
    path = place("sub-truncated")
    path.write_bytes(good[0].read_bytes()[:5000])
    save("sub-fourd", np.ones((20, 20, 20, 5)))
    save("sub-zeros", np.zeros((48, 56, 48)))
    save("sub-noise", np.random.default_rng(0).random((48, 56, 48)))
    with_nan = nib.load(good[0]).get_fdata()
    with_nan[22:26] = np.nan  # right through the head
    save("sub-nans", with_nan)
    place("sub-text").write_bytes(gzip.compress(b"this is no image"))
    lines = ["participant_id\tage\tsex\tsite"]
    lines += [f"sub-good{n}\t{40 + n}\tF\tA" for n in range(3)] + ["sub-good3\tn/a\tF\tA"]
    (bids / "participants.tsv").write_text("\n".join(lines) + "\n")
    return bids


OWN_DEFACER = '''"""A defacer from outside the repository: zeroes the lower front."""

import numpy as np

from refacebench.contracts import Defaced, Defacer, Option
from refacebench.image.nifti import Volume, reorient, reorient_like


def deface(scan, options):
    ras = reorient(scan.volume, "RAS")
    front = np.zeros(ras.shape, bool)
    n, m = int(ras.shape[1] * options["share"]), int(ras.shape[2] * options["share"])
    front[:, n:, :m] = True
    changed = reorient_like(Volume(front, ras.affine), scan.volume).data
    return Defaced(np.zeros(scan.volume.shape, np.float32), changed)


METHOD = Defacer(
    version="1",
    options={"share": Option(0.5, "Where the corner begins, as a share of the grid.")},
    run=deface,
)
'''


#: The same as a program that knows nothing of this project.
OWN_PROGRAM = """import sys
import nibabel as nib
import numpy as np

if sys.argv[1:] == ["--version"]:
    sys.exit("corner 3.14")
image = nib.as_closest_canonical(nib.load(sys.argv[1]))
data = np.asanyarray(image.dataobj).copy()
data[:, int(data.shape[1] * 0.6):, :int(data.shape[2] * 0.6)] = 0
nib.save(nib.Nifti1Image(data, image.affine), sys.argv[2])
"""


@pytest.fixture(scope="module")
def bad_run(bad_folder):
    """The run on the bad folder, with defacers that lie outside the repository."""
    own = bad_folder.parent / "corner.py"
    own.write_text(OWN_DEFACER)
    program = bad_folder.parent / "corner program.py"
    program.write_text(OWN_PROGRAM)
    blocks = bad_folder.parent / "blocks.py"
    blocks.write_text(BLOCKS)
    python = [sys.executable, str(program)]
    config = {
        "segmenters": {"blocks": {"file": str(blocks)}},
        "datasets": {"bad": {"type": "bids", "path": str(bad_folder)}},
        "splits": {"train": 0, "validation": 0, "test": 1},
        "defacers": {
            "corner": {"file": str(own), "share": 0.6},
            "program": {
                "command": [*python, "{input}", "{output}"],
                "version_command": [*python, "--version"],
            },
            "gone": {"command": "no_such_tool {input} {output}", "on_missing": "skip"},
        },
        "statistics": {"bootstrap": 200},
    }
    return bad_folder.parent, snakemake(bad_folder.parent, config=config)


def test_bad_scans_are_rows_with_reasons_and_the_run_succeeds(bad_run):
    folder, run = bad_run
    assert run.returncode == 0, run.stderr[-5000:]
    flow = catalogue.read(folder / "results/tables/bad/flow.tsv")
    original = flow[flow["variant"] == "original"].drop_duplicates("scan").set_index("scan")
    for name, word in {
        "sub-truncated": "truncated",
        "sub-fourd": "4-D",
        "sub-zeros": "all voxels are zero",
        "sub-noise": "head",
        "sub-nans": "NaN or infinite",
        "sub-text": "NIfTI",
    }.items():
        row = original.loc[name]
        assert row["status"] in ("excluded", "failed"), name
        assert word.lower() in row["reason"].lower(), (name, row["reason"])
    assert set(original.loc[[f"sub-good{n}" for n in range(4)], "status"]) == {"ok"}
    no_age = flow[(flow["scan"] == "sub-good3") & (flow["stage"] == "brainage")]
    assert "age" in no_age["reason"].iloc[0]
    assert "6" in (folder / "results" / "summary.txt").read_text()


def test_a_defacer_from_outside_is_in_every_table(bad_run):
    folder, run = bad_run
    assert run.returncode == 0, run.stderr[-5000:]
    for name in ("quality", "overlap", "volumes", "similarity", "runtime"):
        table = catalogue.read(folder / f"results/tables/bad/{name}.tsv")
        assert {"corner", "program", "gone"} <= set(table["variant"]), name
    page = (folder / "results" / "report.html").read_text()
    assert "corner" in page
    assert "gone (unavailable)" in page


def test_a_program_by_config_alone_runs_and_a_missing_one_is_a_line(bad_run):
    folder, _ = bad_run
    quality = catalogue.read(folder / "results/tables/bad/quality.tsv").set_index("variant")
    program, gone = quality.loc["program"], quality.loc["gone"]
    assert (program["engine"], program["version"], program["n"]) == ("official", "3.14", 4)
    assert program["crash"] == 0
    # The same operation as the Python file's, but for the brain, which a program may cut.
    volumes = catalogue.read(folder / "results/tables/bad/volumes.tsv")
    assert volumes[volumes["variant"] == "program"]["n"].max() == 4
    assert (gone["engine"], gone["n"], gone["crash"]) == ("unavailable", 0, 0)
    assert "no_such_tool" in gone["note"]
    assert not (folder / "results/segment/bad/blocks/gone").exists()
    assert not list((folder / "results").rglob("scratch/*/*/*"))
    family = volumes[volumes["family"] == "regions"].groupby("variant")["p"].count()
    assert volumes.loc[volumes["family"] == "regions", "family_size"].iloc[0] == family.sum()
    assert family["gone"] == 0


def test_private_faces_are_not_shown(bad_run):
    folder, _ = bad_run
    with Image.open(folder / "results/figures/bad/slices.png") as picture:
        assert picture.text["Description"].startswith("faces hidden")
    assert "silhouette" in (folder / "results" / "report.html").read_text()


# failures that pass, files that change ------------------------------------------------------

#: A defacer that fails as a scan's name says: twice, always, or not.
FICKLE = '''"""Zeroes two slices, unless it fails."""

import errno
import os
import shutil
import signal
from pathlib import Path

import numpy as np

from refacebench.contracts import Defaced, Defacer, Option


def deface(scan, options):
    kind = scan.path.name.split("_")[0].removeprefix("sub-")
    notes = Path(options["notes"])
    before = notes.read_text().split().count(kind)
    notes.write_text(notes.read_text() + kind + "\\n")
    if kind == "fickle" and before == 0:
        # The file of a scan that comes later becomes another person's meanwhile.
        bids = scan.path.parents[2]
        shutil.copy(options["other"], bids / "sub-swapped/anat/sub-swapped_T1w.nii.gz")
        os.kill(os.getpid(), signal.SIGKILL)
    if kind == "fickle" and before == 1:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    if kind == "odd":
        raise ValueError("no chin")
    changed = np.zeros(scan.volume.shape, bool)
    changed[:2] = True
    return Defaced(np.zeros(changed.shape, np.float32), changed)


METHOD = Defacer(
    version="1",
    options={"notes": Option("", "A file for notes."), "other": Option("", "Another scan.")},
    run=deface,
)
'''


@pytest.fixture(scope="module")
def fickle(finished, tmp_path_factory):
    """A run up to the defacer, in which every scan but one fails; returns folder, config, run."""
    cohort, _, _ = finished
    good = sorted((cohort / "results/cohort/tiny/bids").rglob("*ses-1*_T1w.nii.gz"))
    home = tmp_path_factory.mktemp("fickle")
    for name, source in zip(("cut", "fickle", "odd", "swapped"), good, strict=False):
        path = home / f"bids/sub-{name}/anat/sub-{name}_T1w.nii.gz"
        path.parent.mkdir(parents=True)
        path.write_bytes(source.read_bytes()[: 5000 if name == "cut" else None])
    shutil.copy(good[5], home / "other.nii.gz")
    shutil.copy(good[0], home / "whole.nii.gz")
    for name, text in {"fickle.py": FICKLE, "blocks.py": BLOCKS, "notes": ""}.items():
        (home / name).write_text(text)
    options = {"notes": str(home / "notes"), "other": str(home / "other.nii.gz")}
    config = {
        "datasets": {"mine": {"type": "bids", "path": str(home / "bids")}},
        "splits": {"train": 0, "validation": 0, "test": 1},
        "defacers": {"fickle": {"file": str(home / "fickle.py"), **options}},
        "segmenters": {"blocks": {"file": str(home / "blocks.py")}},
        "statistics": {"bootstrap": 100},
    }
    return home, config, snakemake(home, "--until", "deface", config=config)


def defaced(home):
    """Return the rows of the fickle defacer by scan."""
    path = home / "results/deface/mine/fickle/test-measured-000.tsv"
    return pd.read_csv(path, sep="\t", keep_default_na=False).set_index("scan")


def called(home):
    """Return how often the defacer was called for each scan so far."""
    return Counter((home / "notes").read_text().split())


@pytest.mark.slow
def test_a_run_with_failures_says_so_and_what_to_do(fickle):
    home, _, run = fickle
    assert run.returncode == 1
    rows = defaced(home)
    assert rows["status"].to_dict() == {
        "sub-cut": "excluded",
        "sub-fickle": "failed",
        "sub-odd": "failed",
        "sub-swapped": "failed",
    }
    assert "changed after it was checked" in rows.loc["sub-swapped", "reason"]
    assert "killed" in rows.loc["sub-fickle", "reason"]
    assert called(home) == {"fickle": 1, "odd": 1}
    said = run.stderr[run.stderr.index("Some scans failed") :]
    assert "deface (fickle), dataset mine: 3 of 3 failed" in said
    assert "Traceback" not in said
    assert "the same command again" in said


@pytest.mark.slow
def test_the_next_runs_try_what_may_pass_and_nothing_else(fickle):
    home, config, _ = fickle
    assert snakemake(home, "--until", "deface", config=config).returncode == 1
    # The new file starts at the inventory; the method's own failure is not tried again.
    assert called(home) == {"fickle": 2, "odd": 1, "swapped": 1}
    assert "No space left on device" in defaced(home).loc["sub-fickle", "reason"]
    run = snakemake(home, config=config)
    assert run.returncode == 1
    assert called(home) == {"fickle": 3, "odd": 1, "swapped": 1}
    rows = defaced(home)
    assert list(rows.index[rows["status"] == "failed"]) == ["sub-odd"]
    assert rows.loc["sub-swapped", "checksum"] == files.checksum(home / "other.nii.gz")
    said = run.stderr[run.stderr.index("Some scans failed") :]
    assert "1 of 3 failed; reason: ValueError: no chin" in said
    assert "--config retry=true" in said
    flow = catalogue.read(home / "results/tables/mine/flow.tsv")
    scans = flow.groupby("variant")["scan"].nunique()
    assert scans.to_dict() == {"original": 4, "fickle": 4}
    assert (home / "results/report.html").is_file()


@pytest.mark.slow
def test_failures_that_stay_fail_every_run_unless_they_are_allowed(fickle):
    home, config, _ = fickle
    before = files_of(home)
    again = snakemake(home, config=config)
    assert again.returncode == 1
    assert set(job_counts_of(again)) == {"all", "finished"}
    assert files_of(home) == before
    few = {**config, "allow_failures": 0.34}
    assert snakemake(home, config=few).returncode == 0
    nothing = snakemake(home, config=few)
    assert nothing.returncode == 0
    assert "Nothing to be done" in nothing.stderr
    assert snakemake(home, config={**config, "allow_failures": 0.33}).returncode == 1


@pytest.mark.slow
def test_all_failed_scans_are_tried_again_where_that_is_asked_for(fickle):
    home, config, _ = fickle
    before, rows = called(home), defaced(home)
    run = snakemake(home, "--until", "deface", "--config", "retry=true", config=config)
    assert run.returncode == 1
    assert called(home) - before == {"odd": 1}
    assert defaced(home).drop(index="sub-odd").equals(rows.drop(index="sub-odd"))


@pytest.mark.slow
def test_for_repaired_and_lost_files_the_work_is_done_again_and_for_no_others(fickle):
    home, config, _ = fickle
    shutil.copy(home / "whole.nii.gz", home / "bids/sub-cut/anat/sub-cut_T1w.nii.gz")
    images = home / "results/derivatives/mine/fickle"
    lost = images / "sub-swapped/anat/sub-swapped_desc-defaced_T1w.nii.gz"
    content = lost.read_bytes()
    lost.unlink()
    before = called(home)
    snakemake(home, "--until", "deface", config=config)
    assert called(home) - before == {"cut": 1, "swapped": 1}
    assert set(defaced(home)["status"].drop("sub-odd")) == {"ok"}
    assert lost.read_bytes() == content


@pytest.mark.slow
def test_a_lost_file_alone_is_noticed(fickle):
    home, config, _ = fickle
    images = home / "results/derivatives/mine/fickle"
    lost = images / "sub-swapped/anat/sub-swapped_desc-changed_mask.nii.gz"
    assert job_counts(snakemake(home, "-n", "--until", "deface", config=config)) == {}
    lost.unlink()
    seen = files_of(home)
    counts = job_counts(snakemake(home, "-n", "--until", "deface", config=config))
    assert counts == {"deface": 1}
    assert files_of(home) == seen


def job_counts_of(run):
    """Return the job table that a real run begins with."""
    table = run.stderr.split("Job stats:")[1].split("total")[0]
    return dict(re.findall(r"^(\w+)\s+(\d+)\s*$", table, re.M))


def files_of(home):
    """Return names, sizes and times of the files that are no logs and no marks of the end."""
    return {
        str(path): (path.stat().st_size, path.stat().st_mtime_ns)
        for path in home.rglob("*")
        if path.is_file()
        and not {".snakemake", "logs"} & set(path.parts)
        # The plan's run.json says when the run began.
        and path.name not in ("config.yaml", "finished.txt", "run.json")
    }
