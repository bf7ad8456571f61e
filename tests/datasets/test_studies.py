"""Known studies as their users have them: names, columns and oddities, without any image."""

import math
import os
import shutil
from pathlib import Path

import pytest

from refacebench.checking import datasets as contract
from refacebench.checking import suite
from refacebench.datasets import _study, adni, ixi, kirby21, oasis3
from refacebench.run import elsewhere, methods, plan

SHEET = Path(__file__).with_name("ixi.xls")


def touch(root, *paths):
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(b"image")


def listed(module, root, **options):
    name = module.__name__.rpartition(".")[2]
    entry = {"type": name, "path": str(root), **options}
    chosen = methods.choose("datasets", name, entry)
    bench = suite.bench(chosen, root)
    table = bench.table
    for check in contract.CHECKS:
        check(bench)
    return table.set_index("scan")


def reason(table, participant):
    return table.loc[table["participant"] == participant, "reason"].iloc[0]


# IXI ----------------------------------------------------------------------------------------

IMAGES = ("002-Guys-0828", "012-HH-1211", "013-HH-1212", "014-HH-1236", "015-HH-1258",
          "016-Guys-0697", "017-IOP-0698")  # fmt: skip


@pytest.fixture
def ixi_folder(tmp_path):
    touch(tmp_path, *(f"T1/IXI{name}-T1.nii.gz" for name in IMAGES))
    touch(tmp_path, "T2/IXI002-Guys-0828-T2.nii.gz", "T1/IXI018-Guys-T1.nii.gz")
    return tmp_path


def as_csv(folder):
    """What the spreadsheet holds, saved as a table."""
    text = """IXI_ID;SEX_ID (1=m, 2=f);STUDY_DATE;AGE
1;1;;
2;2;2005-11-18;35,8001
12;1;2005-06-01;38.7817
13;1;2005-06-01;46.7105
13;1;2005-06-01;
14;2;2005-06-09;34.2368
14;2;2005-06-09;54.2368
15;1;;0
17;2;2005-06-09;>89
52;2;;
"""
    (folder / "IXI.csv").write_text(text)


def test_ixi_has_sites_by_names_and_ages_where_rows_agree(ixi_folder):
    as_csv(ixi_folder)
    table = listed(ixi, ixi_folder)
    ok = table[table["status"] == "ok"]
    assert list(ok.index) == [f"sub-IXI{name[:3]}" for name in IMAGES]
    assert list(ok["site"]) == ["Guys", "HH", "HH", "HH", "HH", "Guys", "IOP"]
    assert ok["age"].round(1).tolist()[:3] == [35.8, 38.8, 46.7]
    assert list(ok["sex"]) == ["F", "M", "M", "F", "M", "", "F"]
    # Two rows that differ, an age of 0, nobody of that number in the table.
    assert ok["age"].iloc[3:6].isna().all()
    assert "different ages" in ok["age_note"].iloc[3]
    assert "does not list" in ok["age_note"].iloc[5]
    assert ok["age"].iloc[6] == 89.0
    assert "no T1 image" in reason(table, "sub-IXI001")
    assert "no T1 image" in reason(table, "sub-IXI052")
    assert "is not like IXI002" in reason(table, "sub-IXI018")


def test_the_spreadsheet_itself_says_the_same_as_what_is_saved_from_it(ixi_folder):
    pytest.importorskip("xlrd")
    shutil.copy(SHEET, ixi_folder / "IXI.xls")
    table = listed(ixi, ixi_folder)
    assert round(table.loc["sub-IXI002", "age"], 3) == 35.8
    assert table.loc["sub-IXI002", "sex"] == "F"
    assert math.isnan(table.loc["sub-IXI014", "age"])
    assert table.loc["sub-IXI013", "age"] == pytest.approx(46.7104722792608)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "IXI.xls"),
        (b"<html><title>404 Not Found</title>", "is a web page"),
        (b"PK\x03\x04rest", "newer format; save the sheet as CSV"),
        (b"", "IXI.xls is empty"),
        (b"who\tage\n1\t2\n", "no column 'ixi_id'"),
    ],
)
def test_a_spreadsheet_that_cannot_be_used_is_one_sentence(ixi_folder, content, words):
    if content is not None:
        (ixi_folder / "IXI.xls").write_bytes(content)
    with pytest.raises((FileNotFoundError, ValueError), match=words) as error:
        listed(ixi, ixi_folder)
    assert str(ixi_folder) in str(error.value)
    assert "\n" not in str(error.value)


def test_ixi_in_two_folders_is_one_scan_and_a_duplicate(ixi_folder):
    as_csv(ixi_folder)
    touch(ixi_folder, "copy/IXI002-Guys-0828-T1.nii.gz")
    table = listed(ixi, ixi_folder)
    mine = table[table["participant"] == "sub-IXI002"]
    assert sorted(mine["status"]) == ["excluded", "ok"]
    assert "duplicate" in mine.loc[mine["status"] == "excluded", "reason"].iloc[0]


# OASIS-3 ------------------------------------------------------------------------------------

OASIS = """OASISID,Subject_accession,AgeatEntry,AgeatDeath,GENDER
OAS30001,CENTRAL_S05438,65.1493502,,2
OAS30002,CENTRAL_S1,67.2,,1
OAS30003,CENTRAL_S2,89+,,1
OAS30005,CENTRAL_S3,50,,2
"""


@pytest.fixture
def oasis_folder(tmp_path):
    touch(
        tmp_path,
        "OAS30001_MR_d0129/anat1/NIFTI/sub-OAS30001_ses-d0129_run-01_T1w.nii.gz",
        "OAS30001_MR_d0129/anat2/NIFTI/sub-OAS30001_ses-d0129_run-02_T1w.nii.gz",
        "OAS30001_MR_d0129/anat3/NIFTI/sub-OAS30001_ses-d0129_T2w.nii.gz",
        "OAS30001_MR_d0757/anat1/sub-OAS30001_ses-d0757_T1w.nii.gz",
        "OAS30001_AV45_PETd2430/pet1/NIFTI/sub-OAS30001_ses-d2430_pet.nii.gz",
        "OAS30002_MR_d0371/anat1/NIFTI/sub-OAS30002_sess-d0371_T1w.nii.gz",
        "OAS30003_MR_d0558/anat1/NIFTI/sub-OAS30003_ses-d0558_FLAIR.nii.gz",
        "OAS30003_MR_d3653/anat1/NIFTI/sub-OAS30003_ses-d3653_T1w.nii.gz",
        "OAS30004_MR_d0001/anat1/NIFTI/sub-OAS30004_ses-d0001_T1w.nii.gz",
        "OAS30005_MR_d0002/anat1/NIFTI/sub-OAS30002_ses-d0371_T1w.nii.gz",
    )
    (tmp_path / "OASIS3_demographics.csv").write_text(OASIS)
    return tmp_path


def test_oasis_has_ages_at_sessions_and_says_what_is_odd(oasis_folder):
    table = listed(oasis3, oasis_folder)
    first = table.loc["sub-OAS30001_ses-d0129_run-01"]
    assert first["age"] == pytest.approx(65.1493502 + 129 / 365.25, abs=1e-3)
    assert (first["days"], first["sex"]) == (0.0, "F")
    later = table.loc["sub-OAS30001_ses-d0757_acq-anat1"]
    assert later["days"] == 757 - 129
    assert table.loc["sub-OAS30002_ses-d0371_acq-anat1", "status"] == "ok"
    assert table.loc["sub-OAS30003_ses-d3653_acq-anat1", "age"] == pytest.approx(
        89 + 3653 / 365.25, abs=1e-3
    )
    assert "only FLAIR" in table.loc["sub-OAS30003_ses-d0558", "reason"]
    assert "does not list" in table.loc["sub-OAS30004_ses-d0001_acq-anat1", "age_note"]
    assert "foreign file" in reason(table, "sub-OAS30005")
    assert not table.index.str.contains("2430").any(), "PET sessions are no scans"
    assert "one_scan_per_session" in table.loc["sub-OAS30001_ses-d0129_run-02", "spare"]
    assert later["spare"] == ""


def test_oasis_in_its_bids_form_gives_the_same_scans(tmp_path):
    touch(tmp_path, "sub-OAS30001/ses-d0129/anat/sub-OAS30001_ses-d0129_run-01_T1w.nii.gz")
    (tmp_path / "demo.csv").write_text(OASIS)
    table = listed(oasis3, tmp_path, table=str(tmp_path / "demo.csv"))
    assert list(table.index) == ["sub-OAS30001_ses-d0129_run-01"]
    assert table["age"].iloc[0] == pytest.approx(65.5, abs=0.01)


def test_oasis_leaves_out_what_failed_its_check_and_what_the_user_names(oasis_folder):
    (oasis_folder / "fs.csv").write_text(
        "FS_FSDATA ID,Session,Subject,FS QC Status\n"
        "OAS30001_Freesurfer53_d0757,OAS30001_MR_d0757,OAS30001,Quarantined\n"
        "OAS30001_Freesurfer53_d0129,OAS30001_MR_d0129,OAS30001,Passed with edits\n"
    )
    (oasis_folder / "mine.tsv").write_text(
        "participant_id\tsession_id\treason\nOAS30002\t\twithdrew\n"
        "sub-OAS30003\tses-d3653\tmotion\n"
    )
    table = listed(
        oasis3,
        oasis_folder,
        quality=str(oasis_folder / "fs.csv"),
        exclude=str(oasis_folder / "mine.tsv"),
    )
    assert "Quarantined" in table.loc["sub-OAS30001_ses-d0757_acq-anat1", "reason"]
    assert table.loc["sub-OAS30001_ses-d0129_run-01", "status"] == "ok"
    assert "mine.tsv: withdrew" in reason(table, "sub-OAS30002")
    assert "motion" in table.loc["sub-OAS30003_ses-d3653_acq-anat1", "reason"]


def test_a_link_of_datalad_says_what_brings_it(oasis_folder):
    place = oasis_folder / "OAS30009_MR_d0010/anat1"
    place.mkdir(parents=True)
    os.symlink(
        "../.git/annex/objects/aa/bb/MD5E-s1--0.nii.gz",
        place / "sub-OAS30009_ses-d0010_T1w.nii.gz",
    )
    said = reason(listed(oasis3, oasis_folder), "sub-OAS30009")
    assert "`datalad get sub-OAS30009_ses-d0010_T1w.nii.gz`" in said


@pytest.mark.parametrize("module", [oasis3, adni, kirby21, ixi])
def test_a_missing_folder_or_another_one_is_one_sentence(module, tmp_path):
    for path, words in ((tmp_path / "no", "no folder"), (tmp_path, "holds no")):
        with pytest.raises(FileNotFoundError, match=words) as error:
            listed(module, path)
        assert str(path) in str(error.value)
        assert "\n" not in str(error.value)


# ADNI ---------------------------------------------------------------------------------------

TADPOLE = """RID,PTID,VISCODE,SITE,D1,D2,EXAMDATE,DX_bl,DXCHANGE,AGE,PTGENDER,DX
295,002_S_0295,bl,2,1,1,2006-04-18,CN,1,84.8,Male,NL
295,002_S_0295,m06,2,1,1,2006-11-02,CN,1,84.8,Male,NL
295,002_S_0295,m12,2,1,1,2007-05-25,CN,2,84.8,Male,NL to MCI
413,002_S_0413,bl,2,1,1,2006-05-02,LMCI,2,>89,Female,MCI
559,002_S_0559,bl,2,1,1,2006-05-23,CN,1,,Male,
"""
ONE = "ADNI/002_S_0295/MPRAGE/2006-04-18_08_20_30.0/I45108"


@pytest.fixture
def adni_folder(tmp_path):
    touch(
        tmp_path,
        f"{ONE}/ADNI_002_S_0295_MR_MPRAGE_br_raw_20060418193713091_1_S13408_I45108.nii",
        "ADNI/002_S_0295/MP-RAGE_REPEAT/2006-04-18_08_30_30.0/I45110/a_I45110.nii",
        "ADNI/002_S_0295/MPR__GradWarp__B1_Correction__N3__Scaled/2006-04-18_08_20_30.0/I40966/"
        "ADNI_002_S_0295_MR_MPR__GradWarp__B1_Correction__N3__Scaled_Br_2007_S13408_I40966.nii",
        "ADNI/002_S_0295/Axial_PD_T2_FSE/2006-04-18_08_20_30.0/I45111/a_I45111.nii",
        "ADNI/002_S_0295/MPRAGE/2007-05-27_08_20_30.0/I54000/a_I54000.nii.gz",
        "ADNI/002_S_0413/MPR__GradWarp__N3/2006-05-02_12_31_52.0/I40657/a_I40657.nii",
        "ADNI/002_S_0413/MPRAGE/2009-05-02_12_31_52.0/I40700/slice1.dcm",
        "ADNI/002_S_0413/MPRAGE/2009-05-02_12_31_52.0/I40700/slice2.dcm",
        "ADNI/002_S_0559/MPRAGE/2006-05-23_10_00_00.0/I45126/a_I45126.nii",
        "ADNI/002_S_0619/MPRAGE/2006-06-01_10_00_00.0/I45130/a_I45130.nii",
    )
    (tmp_path / "TADPOLE_D1_D2.csv").write_text(TADPOLE)
    return tmp_path


def test_adni_has_age_and_diagnosis_at_the_scan(adni_folder):
    table = listed(adni, adni_folder)
    first = table.loc["sub-002S0295_ses-20060418_I45108"]
    facts = ("age", "sex", "site", "diagnosis", "status", "days")
    assert [first[name] for name in facts] == [84.8, "M", "002", "CN", "ok", 0.0]
    later = table.loc["sub-002S0295_ses-20070527_I54000"]
    assert later["age"] == pytest.approx(84.8 + 404 / 365.25, abs=1e-3)
    assert (later["diagnosis"], later["days"]) == ("MCI", 404.0)
    assert "raw scan is used" in table.loc["sub-002S0295_ses-20060418_I40966", "reason"]
    assert table.loc["sub-002S0295_ses-20060418_I45110", "spare"] != ""
    # What ADNI processed stays where there is nothing else.
    only = table.loc["sub-002S0413_ses-20060502_I40657"]
    assert (only["status"], only["age"], only["diagnosis"]) == ("ok", 89.0, "MCI")
    assert "DICOM" in table.loc["sub-002S0413_ses-20090502_I40700", "reason"]
    assert math.isnan(table.loc["sub-002S0559_ses-20060523_I45126", "age"])
    assert table.loc["sub-002S0559_ses-20060523_I45126", "diagnosis"] == "CN", "of the baseline"
    assert "does not list" in table.loc["sub-002S0619_ses-20060601_I45130", "age_note"]
    assert not table.index.str.contains("I45111").any(), "a T2 image is no scan"


def test_adni_takes_diagnoses_and_leaves_out_bad_images(adni_folder):
    (adni_folder / "q.csv").write_text("RID,LONI_IMAGE,SERIES_QUALITY\n295,I45108,4\n295,54000,2\n")
    table = listed(adni, adni_folder, quality=str(adni_folder / "q.csv"), diagnosis=["NL", "MCI"])
    assert "q.csv: quality 4" in table.loc["sub-002S0295_ses-20060418_I45108", "reason"]
    assert table.loc["sub-002S0295_ses-20060418_I45110", "status"] == "ok"
    assert table.loc["sub-002S0295_ses-20070527_I54000", "status"] == "ok"
    assert "not known" in table.loc["sub-002S0619_ses-20060601_I45130", "reason"]


def test_adni_without_its_table_says_which_one(adni_folder):
    (adni_folder / "TADPOLE_D1_D2.csv").unlink()
    with pytest.raises(FileNotFoundError, match="TADPOLE_D1_D2.*'table'"):
        listed(adni, adni_folder)
    (adni_folder / "TADPOLE_D1_D2.csv").write_text("RID,VISCODE\n1,bl\n")
    with pytest.raises(ValueError, match="no column 'ptid'"):
        listed(adni, adni_folder)


# Kirby 21 -----------------------------------------------------------------------------------


@pytest.fixture
def kirby_folder(tmp_path):
    touch(tmp_path, *(f"KKI2009-{n:02d}-MPRAGE.nii" for n in (1, 2, 3, 25, 41)))
    touch(tmp_path, "KKI2009-01-FLAIR.nii")
    (tmp_path / "KKI2009-ALL.csv").write_text(
        "Subject ID,Visit ID,Age,Sex\n849,KKI2009-01,25,M\n934,KKI2009-02,30,F\n"
        "849,KKI2009-25,25,M\n934,KKI2009-37,31,F\n679,3,40,M\n"
    )
    return tmp_path


def test_kirby_scans_of_one_person_are_sessions(kirby_folder):
    table = listed(kirby21, kirby_folder)
    assert list(table[table["status"] == "ok"].index) == [
        "sub-679_ses-1",
        "sub-849_ses-1",
        "sub-849_ses-2",
        "sub-934_ses-1",
    ]
    assert (table.loc["sub-849_ses-2", "age"], table.loc["sub-849_ses-2", "sex"]) == (25.0, "M")
    assert math.isnan(table.loc["sub-934_ses-1", "age"]), "its rows differ"
    assert "no KKI2009-37-MPRAGE" in table.loc["sub-934_ses-2", "reason"]
    assert "whose scan" in reason(table, "sub-KKI41")


def test_a_row_that_stands_twice_is_one_kirby_scan(kirby_folder):
    path = kirby_folder / "KKI2009-ALL.csv"
    path.write_text(path.read_text() + "679,3,40,M\n")
    table = listed(kirby21, kirby_folder)
    assert [scan for scan in table.index if "679" in scan] == ["sub-679_ses-1"]


def test_kirby_scans_are_rescans_in_a_plan(kirby_folder):
    config = {
        "seed": 1,
        "batch_size": 50,
        "splits": {"train": 0, "validation": 0, "test": 1},
        "datasets": {
            "k": {
                "type": "kirby21",
                "path": str(kirby_folder),
                "rescan_sessions": ["2"],
                "sessions_measured": 1,
            }
        },
    }
    table = plan.scans(config, "k").set_index("scan")
    assert table.loc["sub-849_ses-2", "role"] == "rescan"
    assert table.loc["sub-849_ses-2", "rescan_of"] == "ses-1"
    assert elsewhere.to_fetch(config) == {}


def test_ids_of_studies_hold_letters_and_digits():
    assert _study.label("sub-002_S_0295", "sub-") == "sub-002S0295"
