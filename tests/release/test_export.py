"""``refacebench export`` on a small BIDS folder full of what must not leave the house."""

import gzip
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

import refacebench
from refacebench import __main__ as program
from refacebench import manifest
from refacebench.image import nifti
from refacebench.image.nifti import Volume
from refacebench.release import columns
from refacebench.run import dropped

#: Planted in headers, sidecars and tables; none may be found in the new folder.
SECRETS = (
    "Erika", "Mustermann", "1951-07-30", "19510730", "2019-03-12", "20190312", "MRN48213",
    "fell down the stairs", "1.2.840", "/home/jane", "93.4",
)  # fmt: skip
PEOPLE = """participant_id\tage\tsex\tsite\tname\tdob\tremarks\tscore\tmrn\tstory\tdiagnosis
sub-01\t93.4\tF\tA\tErika Mustermann\t1951-07-30\tok\t1.5\t48213\tfell down the stairs twice\tAD
02\t64\tM\tA\tHans\t1950-01-02\t\t2.5\t48217\tnothing much to say here\tCN
sub-03\t71\tF\tB\tAnna\t1949-01-02\t\t\t48219\t\tCN
sub-04\t50\tM\tB\tOtto\t1970-01-02\t\t4\t48220\t\tAD
"""
SIDECAR = {
    "EchoTime": 0.003,
    "Manufacturer": "Siemens",
    "PatientPosition": "HFS",
    "PatientName": "Mustermann^Erika",
    "AcquisitionDateTime": "2019-03-12T10:00:00",
    "SeriesInstanceUID": "1.2.840.113619",
    "ImageComments": "fell down the stairs",
    "SourceFile": "2019-03-12 Erika",
    "DeidentificationMethod": "none",
    "global": {"StudyDate": "20190312", "FlipAngle": 8},
}


def write_image(path: Path, data: np.ndarray, words: str = "") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = nib.Nifti1Image(data, np.diag([4.0, 4.0, 4.0, 1.0]))
    image.header["descrip"] = words
    nib.save(image, path)


class Run:
    """A data set of four people and what a run made of it."""

    def __init__(self, folder: Path):
        self.bids, self.results = folder / "private" / "jane" / "bids", folder / "results"
        self.rows, self.verdicts = [], []
        rng = np.random.default_rng(1)
        self.data = {}
        for number in range(1, 5):
            session = f"ses-2019031{number}"
            scan = f"sub-0{number}_{session}"
            original = self.bids / f"sub-0{number}" / session / "anat" / f"{scan}_T1w.nii.gz"
            data = rng.integers(1, 200, (12, 12, 12)).astype(np.int16)
            write_image(original, data, "Mustermann 19510730")
            original.with_name(f"{scan}_T1w.json").write_text(json.dumps(SIDECAR))
            self.data[scan] = np.where(np.arange(12) < 6, data, 0).astype(np.int16)
            self.add(scan, original)
        self.write()
        (self.bids / "participants.tsv").write_text(PEOPLE)
        told = {"Score": {"Description": "a score"}, "story": {"Description": "Erika"}}
        (self.bids / "participants.json").write_text(json.dumps(told))
        (self.bids / "dataset_description.json").write_text(
            json.dumps({"Name": "Ours", "BIDSVersion": "1.8.0", "Authors": ["A", "B"]})
        )
        (self.bids / "T1w.json").write_text(json.dumps({"FlipAngle": 9, "StudyDate": "20190312"}))
        sessions = "session_id\tacq_time\tage\nses-20190311\t2019-03-12T10:00:00\t93.4\n"
        (self.bids / "sub-01" / "sub-01_sessions.tsv").write_text(sessions)
        (self.bids / "sub-01" / "ses-20190311" / "sub-01_ses-20190311_scans.tsv").write_text(
            "filename\tacq_time\nanat/x.nii.gz\t2019-03-12T10:00:00\n"
        )
        func = self.bids / "sub-01" / "ses-20190311" / "func"
        write_image(func / "sub-01_ses-20190311_task-rest_bold.nii.gz", np.ones((3, 3, 3, 4), "u1"))
        bold = SIDECAR | {"RepetitionTime": 1.0, "TaskName": "rest", "DeidentificationMethod": []}
        (func / "sub-01_ses-20190311_task-rest_bold.json").write_text(json.dumps(bold))

    def add(self, scan: str, original: Path) -> None:
        participant, session = scan.split("_")
        folder = self.results / "derivatives" / "mine" / "masked" / participant / session / "anat"
        made = folder / f"{scan}_desc-defaced_T1w.nii.gz"
        folder.mkdir(parents=True)
        nifti.write(Volume(self.data[scan], np.diag([4.0, 4.0, 4.0, 1.0])), made)
        facts = {"Key": f"k{scan}", "Parameters": {"weights": "/home/jane/w"}}
        made.with_name(f"{scan}_desc-defaced_T1w.json").write_text(json.dumps(facts))
        row = dict.fromkeys(manifest.COLUMNS, "") | {
            "dataset": "mine", "participant": participant, "session": session, "scan": scan,
            "status": "ok", "variant": "masked", "path": str(made), "key": f"k{scan}",
            "engine": "native", "method": "masked", "version": "2", "reason": "",
            "original_path": str(original), "brain_path": "", "head_path": "",
        }  # fmt: skip
        self.rows.append(row)
        self.verdicts.append({"scan": scan, "quality": "success"})

    def write(self) -> None:
        for stage, rows in (
            ("deface/mine/masked", self.rows),
            ("measure/mine/s/masked", self.verdicts),
        ):
            out = self.results / stage / "test-measured-000.tsv"
            out.parent.mkdir(parents=True, exist_ok=True)
            manifest.write(pd.DataFrame(rows), out)

    def export(self, *arguments: str) -> tuple[int, Path]:
        out = self.results.parent / "out"
        command = ["export", "--variant", "masked", "--results", str(self.results)]
        return program.main([*command, "--to", str(out), *arguments]), out


@pytest.fixture
def made(tmp_path) -> Run:
    return Run(tmp_path)


def texts(folder: Path):
    for path in sorted(folder.rglob("*")):
        yield path.relative_to(folder).as_posix()
        if path.is_file():
            raw = path.read_bytes()
            yield (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode("latin-1")


def test_images_get_their_own_names_and_keep_every_bit(made, capsys):
    code, out = made.export()
    assert code == 0, capsys.readouterr()
    images = sorted(out.rglob("*.nii.gz"))
    assert [path.relative_to(out).as_posix() for path in images] == [
        f"sub-0{n}/ses-1/anat/sub-0{n}_ses-1_T1w.nii.gz" for n in range(1, 5)
    ]
    for image, (scan, data) in zip(images, made.data.items(), strict=True):
        assert np.array_equal(nib.load(image).dataobj, data), scan
    assert not list(out.parent.glob(".out*"))


def test_nothing_that_was_planted_leaves(made, capsys):
    made.export("--others", "copy")
    said = capsys.readouterr()
    found = {
        word for text in texts(made.results.parent / "out") for word in SECRETS if word in text
    }
    assert not found
    assert "/home/jane" not in said.out + said.err


def test_nothing_of_the_page_for_quality_control_leaves(made):
    code, out = made.export()
    assert code == 0
    before = list(texts(out))
    shutil.rmtree(out)
    pictures = made.results / "qc" / "mine" / "masked" / "pictures"
    pictures.mkdir(parents=True)
    for name in ("sub-01_ses-20190311_face.jpg", "sub-01_ses-20190311_viewer.js"):
        (pictures / name).write_text("QC-PICTURE")
    (made.results / "qc" / "mine" / "index.html").write_text("QC-PICTURE")
    code, out = made.export()
    assert code == 0
    assert list(texts(out)) == before
    assert not any("QC-PICTURE" in text or "qc/" in text for text in before)


def test_sidecars_keep_the_rest_and_say_how_the_face_was_taken(made):
    _, out = made.export()
    sidecar = json.loads((out / "sub-01/ses-1/anat/sub-01_ses-1_T1w.json").read_text())
    assert sidecar.pop("DeidentificationMethod")[0] == "none"
    assert sidecar.pop("DeidentificationMethodCodeSequence")[0]["CodeValue"] == "113102"
    assert sidecar == {
        "EchoTime": 0.003, "Manufacturer": "Siemens", "PatientPosition": "HFS",
        "global": {"FlipAngle": 8}, "SkullStripped": False,
    }  # fmt: skip
    assert json.loads((out / "T1w.json").read_text()) == {"FlipAngle": 9}


def test_the_table_of_people_holds_what_the_rule_lets_through(made):
    _, out = made.export("--drop", "Diagnosis")
    people = pd.read_csv(out / "participants.tsv", sep="\t", dtype=str, keep_default_na=False)
    assert people.to_dict("list") == {
        "participant_id": ["sub-01", "sub-02", "sub-03", "sub-04"],
        "age": ["89", "64", "71", "50"],
        "sex": ["F", "M", "F", "M"],
        "site": ["A", "A", "B", "B"],
        "score": ["1.5", "2.5", "n/a", "4"],
    }
    told = json.loads((out / "participants.json").read_text())
    assert told["score"]["Description"] == "a score"
    assert "89" in told["age"]["Description"]
    assert "column diagnosis (participants): as asked" in (out / "README").read_text()
    sessions = pd.read_csv(out / "sub-01" / "sub-01_sessions.tsv", sep="\t")
    assert sessions.to_dict("list") == {"session_id": ["ses-1"], "age": [89]}


def test_what_failed_or_was_not_judged_well_stays_here(made, capsys):
    made.rows[0] |= {"status": "failed", "reason": "the program failed (exit 1)"}
    made.verdicts[1]["quality"] = "failure_1"
    made.rows[2]["key"] = "another"
    made.write()
    code, out = made.export()
    said = capsys.readouterr().out
    assert code == 1
    assert [path.name for path in out.glob("sub-*")] == ["sub-04"]
    assert "sub-01_ses-20190311: the program failed (exit 1)" in said
    assert "sub-02_ses-20190312: a part of the face is left" in said
    assert "sub-03_ses-20190313: the image is not the one that the run recorded" in said
    people = (out / "participants.tsv").read_text().splitlines()
    assert [line.split("\t")[0] for line in people] == ["participant_id", "sub-04"]


def test_a_verdict_is_accepted_where_the_user_says_so(made):
    made.verdicts[1]["quality"] = "failure_1"
    made.write()
    code, out = made.export("--accept", "failure_1")
    assert code == 0
    assert len(list(out.glob("sub-*"))) == 4


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda run: (run.results.parent / "out" / "x").mkdir(parents=True), "not empty"),
        (lambda run: [row.update(status="failed", reason="why") for row in run.rows], "why"),
        (lambda run: (run.results / "deface/other").mkdir(), "--dataset: mine, other"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(made, capsys, change, words):
    change(made)
    made.write()
    code, out = made.export()
    assert code == 2
    assert words in capsys.readouterr().err
    assert not (out / "README").exists()


def test_an_unknown_variant_names_those_there_are(made, capsys):
    code = program.main(
        ["export", "--variant", "x", "--results", str(made.results), "--to", "nowhere"]
    )
    assert code == 2
    assert "there are: masked" in capsys.readouterr().err


def test_links_to_other_kinds_never_touch_other_anatomical_images(made):
    write_image(
        made.bids / "sub-01/ses-20190311/anat/sub-01_ses-20190311_T2w.nii.gz", np.ones((3, 3, 3))
    )
    _, out = made.export("--others", "link")
    bold = out / "sub-01/ses-1/func/sub-01_ses-1_task-rest_bold.nii.gz"
    assert bold.is_symlink()
    assert bold.exists()
    assert not list(out.rglob("*T2w*"))
    assert "PatientName" not in bold.with_name("sub-01_ses-1_task-rest_bold.json").read_text()


def test_validator_pybids_and_nilearn_read_it(made):
    """The released bids-validator finds no error; two libraries find every image."""
    _, out = made.export("--others", "copy")
    found = subprocess.run(
        [str(Path(sys.executable).with_name("bids-validator-deno")), str(out), "--format", "json"],
        capture_output=True,
        text=True,
    )
    issues = json.loads(found.stdout)["issues"]["issues"]
    assert [issue for issue in issues if issue["severity"] == "error"] == []
    assert {"TSV_ADDITIONAL_COLUMNS_UNDEFINED"}.isdisjoint(issue["code"] for issue in issues)
    from bids import BIDSLayout
    from nilearn.interfaces.bids import get_bids_files

    layout = BIDSLayout(out)
    assert layout.get_subjects() == ["01", "02", "03", "04"]
    assert len(layout.get(suffix="T1w", extension=".nii.gz")) == 4
    assert (
        len(get_bids_files(str(out), file_tag="T1w", file_type="nii.gz", modality_folder="anat"))
        == 4
    )


@pytest.mark.parametrize("renamed", [False, True])
def test_the_command_may_be_started_anywhere(made, renamed, tmp_path, monkeypatch, capsys):
    """A run writes paths down as they are from its own folder, here the parent of results/."""
    monkeypatch.chdir(tmp_path)
    brain, head = (made.results / "masks" / f"{name}.nii.gz" for name in ("brain", "head"))
    for path, end in ((brain, 6), (head, 11)):
        write_image(path, np.ones((12, 12, 12), np.uint8) * (np.arange(12) < end).astype(np.uint8))
    for row in made.rows:
        row |= {"brain_path": str(brain), "head_path": str(head)}
        for name, value in row.items():
            if "path" in name:
                row[name] = str(Path(value).relative_to(tmp_path))
    gone = Path(made.rows[2]["path"])
    gone.unlink()
    Path(made.rows[3]["path"]).unlink()
    made.write()
    dropped.write(made.results / "deface/mine/masked/test-measured-000.tsv",
                  {str(gone): dropped.Note("x", 1)})  # fmt: skip
    if renamed:
        made.results = made.results.rename(tmp_path / "results_of_may")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    for results in (made.results, Path("..") / made.results.name):
        made.results = results
        out = Path("out") / str(results.is_absolute())
        command = ["export", "--variant", "masked", "--results", str(results), "--to", str(out)]
        assert program.main([*command, "--others", "link"]) == 1
        said = capsys.readouterr().out
        assert "2 images of 2 participants" in said
        assert "sub-03_ses-20190313: the image was deleted after it was measured" in said
        assert "sub-04_ses-20190314: the image is gone" in said
        assert (out / "participants.tsv").read_text().count("\n") == 3
        (bold,) = out.rglob("*_bold.nii.gz")
        assert bold.is_file(), "the link leads somewhere"
        sidecars = out.glob("sub-*/*/anat/*.json")
        assert [json.loads(p.read_text())["SkullStripped"] for p in sidecars] == [True, True]


@pytest.mark.parametrize(
    ("name", "values", "kept"),
    [
        ("age_at_scan", ["93", "12"], True),
        ("patientName", ["a", "a"], False),
        ("record", ["10233", "48211", "58213"], False),
        ("volume", ["102331", "102331", "58213"], True),
        ("handedness", ["right", "left", "right"], True),
        ("seen", ["12/03/2019", ""], False),
        ("seen", ["12-Mar-2019", ""], False),
        ("time", ["10:31", "11:02"], False),
        ("group", ["A", "B", "C", "D"], False),
        ("city_of_birth", ["Ulm", "Ulm"], False),
        ("medication", ["x" * 41, "y"], False),
    ],
)
def test_the_rule_for_columns(name, values, kept):
    assert (columns.reason_against(name, values) == "") is kept


@pytest.mark.parametrize("air", [0, -7])
def test_a_scan_of_which_only_the_brain_is_left_says_so(made, air):
    """Air need not be zero, and rims of masks may differ by a few voxels."""
    brain, head = np.zeros((12, 12, 12), np.uint8), np.ones((12, 12, 12), np.uint8)
    brain[4:8, 4:8, 4:8] = 1
    head[:, 10:, :] = 0
    for row, stripped in zip(made.rows, (True, False, True, False), strict=True):
        folder = made.results / "masks" / row["scan"]
        for name, mask in (("brain", brain), ("head", head)):
            write_image(folder / f"{name}.nii.gz", mask)
            row[f"{name}_path"] = str(folder / f"{name}.nii.gz")
        left = np.where(brain > 0, 100, air if stripped else 50).astype(np.int16)
        left[0, 0, :6] = 9
        left[:, 10:, :] = air
        nifti.write(Volume(left, np.diag([4.0, 4.0, 4.0, 1.0])), row["path"])
    made.write()
    _, out = made.export()
    sidecars = sorted(out.glob("sub-*/*/anat/*.json"))
    said = [json.loads(path.read_text())["SkullStripped"] for path in sidecars]
    assert said == [True, False, True, False]


def test_pseudonyms_stand_in_names_tables_and_sidecars(made, capsys):
    sidecar = made.bids / "sub-01/ses-20190311/func/sub-01_ses-20190311_task-rest_bold.json"
    sidecar.write_text(json.dumps({"TaskName": "rest", "IntendedFor": "bids::sub-01/anat/x.nii"}))
    code, out = made.export("--pseudonyms", "--others", "copy")
    assert code == 0
    who = made.results / "pseudonyms" / "export_out.tsv"
    labels = dict(line.split("\t") for line in who.read_text().splitlines()[1:])
    assert who.stat().st_mode & 0o077 == 0
    assert sorted(labels) == ["sub-01", "sub-02", "sub-03", "sub-04"]
    assert sorted(p.name for p in out.glob("sub-*")) == sorted(labels.values())
    # A pseudonym may begin as an id does: sub-02, sub-021e0fdb59.
    ids = re.compile(rf"({'|'.join(labels)})(?![0-9a-f])")
    assert not [text for text in texts(out) if ids.search(text)]
    people = pd.read_csv(out / "participants.tsv", sep="\t").set_index("participant_id")
    assert people.loc[labels["sub-02"], "age"] == 64
    assert list(out.rglob(f"{labels['sub-01']}_ses-1_task-rest_bold.json"))
    # The same key gives the same labels.
    again = made.results.parent / "again"
    command = ["export", "--variant", "masked", "--results", str(made.results), "--pseudonyms"]
    assert program.main([*command, "--to", str(again)]) == 0
    assert sorted(p.name for p in again.glob("sub-*")) == sorted(labels.values())


def test_what_must_not_be_shared_is_refused_unless_the_user_insists(made, capsys):
    """All four faces are left, says the table: no number of attacks makes up for that."""
    tables = made.results / "tables" / "mine"
    tables.mkdir(parents=True)
    counts = {"variant": "masked", "n": 4, "n_face": 4, "face_removed": 0, "n_brain": 4}
    pd.DataFrame([counts | {"brain_unchanged": 4}]).to_csv(
        tables / "quality.tsv", sep="\t", index=False
    )
    code, out = made.export()
    assert code == 2
    assert "do not share (face left in 4 of 4 scans)" in capsys.readouterr().err
    assert not out.exists()
    code, out = made.export("--anyway")
    assert code == 0
    assert "Verdict on masked: do not share" in capsys.readouterr().out


def test_the_rule_is_that_of_the_run_whatever_became_of_the_config(made, tmp_path, capsys):
    """With two of four faces left, the verdict turns on the number of failures that are allowed."""
    tables = made.results / "tables" / "mine"
    tables.mkdir(parents=True)
    counts = {"variant": "masked", "n": 4, "n_face": 4, "face_removed": 2, "n_brain": 4}
    pd.DataFrame([counts | {"brain_unchanged": 4}]).to_csv(
        tables / "quality.tsv", sep="\t", index=False
    )
    lenient, strict = ({"decision": {"failures_pct": pct}} for pct in (60, 5))
    assert made.export()[0] == 2
    card = made.results / "run.json"
    card.write_text(json.dumps({"config": lenient}))
    assert made.export()[0] == 0
    assert "Verdict on masked: not enough data to say" in capsys.readouterr().out
    # A file that was changed after the run does not change what the page says.
    shutil.rmtree(made.results.parent / "out")
    changed = tmp_path / "changed.yaml"
    changed.write_text(json.dumps(strict))
    assert made.export("--configfile", str(changed))[0] == 0
    # Without a card the file is all that is known.
    shutil.rmtree(made.results.parent / "out")
    card.unlink()
    changed.write_text(json.dumps(lenient))
    assert made.export("--configfile", str(changed))[0] == 0


def test_scans_that_were_never_defaced_are_counted(made, capsys):
    rows = [dict.fromkeys(manifest.COLUMNS, "") | {"scan": f"sub-9{n}"} for n in range(7)]
    rows = [row | {"role": "rescan", "split": "test"} for row in rows]
    rows.append(rows[0] | {"scan": "sub-8", "reason": "no T1w image"})
    out = made.results / "plan" / "mine" / "test-rescan-000.tsv"
    out.parent.mkdir(parents=True)
    manifest.write(pd.DataFrame(rows), out)
    # What stands beside the lists and is none.
    (out.parent / "people.tsv").write_text("scan\tage\tsex\nsub-7\t50\tF\n")
    (out.parent / "splits.tsv").write_text("participant\tsplit\nsub-7\ttest\n")
    code, folder = made.export()
    said = capsys.readouterr().out
    assert code == 1
    assert "8 images of the original data set are not there" in said
    assert "and 2 more: this run did not deface it (rescan, split test)" in said
    assert "  sub-8: no T1w image" in said
    assert "8 further images" in (folder / "README").read_text()


def test_what_wrote_a_data_set_is_named_once(made):
    """A grown cohort says that this software made it; a scanner's converter is kept."""
    description = made.bids / "dataset_description.json"
    told = json.loads(description.read_text())
    ours = {"Name": "refacebench", "Version": refacebench.__version__}
    told["GeneratedBy"] = [ours, {"Name": "dcm2bids", "Version": "3"}]
    description.write_text(json.dumps(told))
    _, out = made.export()
    found = json.loads((out / "dataset_description.json").read_text())["GeneratedBy"]
    assert [entry["Name"] for entry in found] == ["dcm2bids", "refacebench"]
    assert found[1]["Description"] == "faces: masked"
