"""Measures of other software: what each kind of file says, and what becomes of odd ones."""

import math

import pandas as pd
import pytest

from refacebench.datasets import _readings, _structures, measures
from refacebench.run import methods
from refacebench.stages import bring
from refacebench.vocabulary import GLOBALS, REGIONS

ASEG = """# Title Segmentation Statistics
# subjectname sub-01
# Measure BrainSeg, BrainSegVol, Brain Segmentation Volume, 1150000.000000, mm^3
# Measure CerebralWhiteMatter, CerebralWhiteMatterVol, Total white matter, 450000.000000, mm^3
# Measure TotalGray, TotalGrayVol, Total gray matter volume, 620000.000000, mm^3
# Measure EstimatedTotalIntraCranialVol, eTIV, Estimated Total, {tiv:.6f}, mm^3
# NRows 45
# ColHeaders  Index SegId NVoxels Volume_mm3 StructName normMean normStdDev normMin
  1   4  9000     9001.5  Left-Lateral-Ventricle  30.0 10.0 1.0
  2  16 21000    21000.0  Brain-Stem  60.0 10.0 1.0
  3  17  4000     4000.2  Left-Hippocampus  60.0 10.0 1.0
  4  24  1000     1000.0  CSF  40.0 10.0 1.0
  5  10  7500     7500.0  Left-Thalamus-Proper  60.0 10.0 1.0
"""
APARC = """# Measure Cortex, NumVert, Number of Vertices, 130000, unitless
# ColHeaders StructName NumVert SurfArea GrayVol ThickAvg ThickStd MeanCurv
{rows}
"""


def options(**given):
    return methods.choose("datasets", "m", {"type": "measures", **given}).options


def index(**given):
    return measures.index(options(**given), 1).set_index("scan")


def values(**given):
    table = measures.measures(options(**given))
    assert not table.duplicated(["scan", "variant", "segmenter", "name"]).any()
    return table.set_index(["scan", "variant", "name"])["value"]


def subject(root, name, tiv=1500000.0):
    stats = root / name / "stats"
    stats.mkdir(parents=True)
    (stats / "aseg.stats").write_text(ASEG.format(tiv=tiv))
    lobe = [part for part in _structures.table("freesurfer")["occipital"] if part[:2] == "lh"]
    rows = "\n".join(f"{p.partition('-')[2]} 900 600 1500 2.5 0.5 0.1" for p in lobe)
    (stats / "lh.aparc.stats").write_text(APARC.format(rows=rows))
    (stats / "rh.aparc.stats").write_text(APARC.format(rows=rows))
    return root


# FreeSurfer ---------------------------------------------------------------------------------


def test_freesurfer_has_volumes_of_ours_and_all_else_under_its_own_name(tmp_path):
    subject(tmp_path / "o", "sub-01_ses-1")
    subject(tmp_path / "d", "sub-01_ses-1", tiv=1515000.0)
    files = {"original": str(tmp_path / "o"), "pydeface": str(tmp_path / "d")}
    found = values(files=files)
    mine = found["sub-01_ses-1"]["original"]
    assert mine["vol_tiv"] == 1500.0
    assert found["sub-01_ses-1"]["pydeface"]["vol_tiv"] == 1515.0
    assert mine["vol_gm"] == 620.0
    assert mine["vol_hippocampus_left"] == pytest.approx(4.0002)
    assert mine["vol_thalamus_left"] == 7.5
    assert mine["vol_occipital"] == pytest.approx(2 * 4 * 1.5)
    # Cerebellum and ventral diencephalon are not there, so white matter is not whole.
    for absent in ("vol_wm", "vol_csf", "vol_vcsf", "vol_frontal"):
        assert absent not in mine, absent
    assert mine["value_CSF"] == 1000.0
    assert mine["value_Left-Lateral-Ventricle"] == 9001.5
    assert mine["value_lh_cuneus_thickness"] == 2.5
    assert "value_Left-Hippocampus" not in mine
    table = index(files=files)
    assert table.loc["sub-01_ses-1", ["participant", "session"]].tolist() == ["sub-01", "ses-1"]
    assert table["variants"].tolist() == ["original pydeface"]
    assert table["segmenters"].tolist() == ["freesurfer"]


def test_the_tables_made_of_freesurfer_say_the_same_as_its_folders(tmp_path):
    subject(tmp_path / "o", "sub-01")
    folders = values(files={"original": str(tmp_path / "o")})["sub-01"]["original"]
    (tmp_path / "aseg.tsv").write_text(
        "Measure:volume\tLeft-Lateral-Ventricle\tBrain-Stem\tLeft-Hippocampus\tCSF\t"
        "Left-Thalamus-Proper\tBrainSegVol\tCerebralWhiteMatterVol\tTotalGrayVol\t"
        "EstimatedTotalIntraCranialVol\n"
        "sub-01\t9001.5\t21000\t4000.2\t1000\t7500\t1150000\t450000\t620000\t1500000\n"
    )
    names = [n for n in folders.index if n.startswith("value_lh_") and n.endswith("_thickness")]
    columns = [name.removeprefix("value_") for name in names]
    (tmp_path / "aparc.tsv").write_text(
        "\t".join(["lh.aparc.thickness", *columns]) + "\nsub-01" + "\t2.5" * len(columns) + "\n"
    )
    paths = [str(tmp_path / "aseg.tsv"), str(tmp_path / "aparc.tsv")]
    tables = values(files={"original": paths})["sub-01"]["original"]
    assert len(tables) > 10
    for name, value in tables.items():
        assert folders[name] == pytest.approx(value), name


def test_a_subject_that_freesurfer_did_not_finish_is_a_row_with_a_reason(tmp_path):
    for variant in ("o", "d"):
        for name in ("sub-01", "sub-02", "sub-03"):
            subject(tmp_path / variant, name)
    (tmp_path / "o/sub-02/stats/aseg.stats").unlink()
    (tmp_path / "d/sub-03/stats/aseg.stats").write_text("# Title\n")
    (tmp_path / "o/sub-04/mri").mkdir(parents=True)
    (tmp_path / "o/sub-04/scripts").mkdir()
    (tmp_path / "o/fsaverage/stats").mkdir(parents=True)
    (tmp_path / "o/logs").mkdir()
    subject(tmp_path / "d", "sub-05")
    files = {"original": str(tmp_path / "o"), "d": str(tmp_path / "d")}
    table = index(files=files)
    assert list(table.index) == [f"sub-0{n}" for n in range(1, 6)]
    assert table["status"].tolist() == ["ok", "excluded", "ok", "excluded", "excluded"]
    assert "did recon-all finish" in table.loc["sub-02", "reason"]
    assert "did recon-all finish" in table.loc["sub-04", "reason"]
    assert table.loc["sub-05", "reason"] == "no measures of the original, only of d"
    found = measures.measures(options(files=files))
    rows = bring.rows_of(
        table.reset_index(),
        found[found["variant"] == "d"],
        "freesurfer",
        "d",
        ["vol_tiv"],
    ).set_index("scan")
    assert rows.loc["sub-01", "status"] == "ok"
    assert float(rows.loc["sub-01", "vol_tiv"]) == 1500.0
    assert rows.loc["sub-03", "status"] == "failed"
    assert "aseg.stats holds no table" in rows.loc["sub-03", "reason"]
    assert rows.loc["sub-05", "status"] == "excluded"


# SynthSeg, MRIQC, SIENAX --------------------------------------------------------------------


def test_synthseg_has_tissues_summed_from_its_structures(tmp_path):
    names = sorted({n for p in _structures.table("synthseg").values() for a in p.values()
                    for n, _ in a})  # fmt: skip
    row = {"subject": "sub-01_T1w", **dict.fromkeys(names, 1000.0), "total intracranial": 1.5e6}
    pd.DataFrame([row]).to_csv(tmp_path / "vol.csv", index=False)
    mine = values(files={"original": str(tmp_path / "vol.csv")})["sub-01"]["original"]
    assert mine["vol_tiv"] == 1500.0
    assert mine["vol_gm"] == 18.0  # nine structures on each side, a millilitre each
    assert mine["vol_vcsf"] == 6.0
    assert mine["vol_csf"] == 7.0
    assert mine["vol_wm"] == 7.0
    assert mine["vol_frontal"] == 26.0
    assert mine["value_left_cerebral_cortex"] == 1000.0


def test_mriqc_keeps_all_its_metrics(tmp_path):
    text = "bids_name\tcjv\tefc\tsize_x\tprovenance\nsub-01_ses-2_run-1_T1w\t0.4\t0.6\t176\tabc\n"
    (tmp_path / "group_T1w.tsv").write_text(text)
    given = {"files": {"original": str(tmp_path / "group_T1w.tsv")}}
    mine = values(**given)["sub-01_ses-2_run-1"]["original"]
    assert dict(mine) == {"value_cjv": 0.4, "value_efc": 0.6, "value_size_x": 176.0}
    assert index(**given)["segmenters"].tolist() == ["mriqc"]


def test_sienax_gives_unnormalised_volumes_in_ml(tmp_path):
    for name, text in (
        ("sub-01_T1w_sienax", "VSCALING 1.5\npgrey 1 550000.0 x\nvcsf 1 30000.0\n"
         "GREY 900000.0 600000.0\nWHITE 800000.0 500000.0\nBRAIN 1700000.0 1100000.0\n"),
        ("sub-02_sienax", "VSCALING 1.5\n"),
    ):  # fmt: skip
        (tmp_path / name).mkdir()
        (tmp_path / name / "report.sienax").write_text(text)
    given = {"files": {"original": str(tmp_path)}}
    mine = values(**given)["sub-01"]["original"]
    assert mine["vol_gm"] == 600.0
    assert mine["vol_wm"] == 500.0
    assert mine["vol_brain"] == 1100.0
    assert mine["vol_vcsf"] == 30.0
    assert mine["vol_tiv"] == pytest.approx(1887 / 1.5)
    assert "did SIENAX finish" in index(**given).loc["sub-02", "reason"]


# tables of one's own ------------------------------------------------------------------------

TIDY = """scan,variant,measure,value,unit,age
sub-1_ses-1,orig,tiv,1500000,mm3,>89
sub-1_ses-1,orig,thickness,"2,5",mm,>89
sub-1_ses-1,a,tiv,1510000,mm3,>89
sub-1_ses-1,a,thickness,2.4,mm,>89
sub-2_ses-1,orig,tiv,1400000,mm3,45
sub-2_ses-1,orig,thickness,n/a,mm,45
"""


def test_a_tidy_table_of_ones_own(tmp_path):
    (tmp_path / "t.csv").write_text(TIDY)
    given = {"files": str(tmp_path / "t.csv"), "variants": {"orig": "original"}}
    found = values(**given)
    assert found["sub-1_ses-1"]["original"]["vol_tiv"] == 1500.0
    assert found["sub-1_ses-1"]["original"]["value_thickness"] == 2.5
    assert found["sub-1_ses-1"]["a"]["value_thickness"] == 2.4
    assert math.isnan(found["sub-2_ses-1"]["original"]["value_thickness"])
    table = index(**given)
    assert table["age"].tolist() == [89.0, 45.0]
    assert table["status"].tolist() == ["ok", "ok"]


def test_a_wide_table_whose_columns_have_other_names(tmp_path):
    (tmp_path / "t.tsv").write_text(
        "code\tdone\ttiv\tqc\tbids_name\n7\t0\t1500\tgood\tsub-x1_T1w\n7\t1\t1490\tbad\tsub-x2_T1w\n"
    )
    given = {
        "files": str(tmp_path / "t.tsv"),
        "columns": {"participant": "code", "variant": "done"},
        "variants": {0: "original", 1: "my method 2.0"},
    }
    found = values(**given)
    assert found["sub-7"]["my_method_2.0"]["vol_tiv"] == 1490.0
    assert list(found.index.get_level_values("name").unique()) == ["vol_tiv"]


def test_a_scan_that_stands_twice_with_different_values_is_left_out(tmp_path):
    (tmp_path / "t.csv").write_text(
        "participant,variant,x\n1,original,5\n1,original,6\n2,original,5\n2,original,5\n"
    )
    table = index(files=str(tmp_path / "t.csv"))
    assert table["status"].tolist() == ["excluded", "ok"]
    assert "'x' stands twice with different values" in table.loc["sub-1", "reason"]


def test_any_change_of_a_value_changes_the_list_of_scans(tmp_path):
    (tmp_path / "t.csv").write_text(TIDY)
    given = {"files": str(tmp_path / "t.csv"), "variants": {"orig": "original"}}
    before = index(**given)["measured"]
    (tmp_path / "t.csv").write_text(TIDY.replace("a,thickness,2.4", "a,thickness,2.41"))
    after = index(**given)["measured"]
    assert (before != after).tolist() == [True, False]


@pytest.mark.parametrize(
    ("text", "given", "words"),
    [
        (None, {}, "there is no t.csv"),
        ("", {}, "t.csv is empty"),
        ("a,b\n1,2\n", {}, "no column that says whose measures"),
        ("participant,x\n1,2\n", {}, "does not say which variant"),
        ("participant,variant,x\n1,a,2\n", {}, "none of the variants .a. is called 'original'"),
        ("participant,variant,x\n", {}, "holds no measures"),
        ("participant,variant,tiv\n1,original,1500000\n", {}, "which no head has.*unit"),
        ("participant,x\n1,2\n", {"columns": {"variant": "arm"}}, "no column 'arm'"),
        ("participant,x\n1,2\n", {"columns": {"who": "arm"}}, "columns: unknown key 'who'"),
        ("participant,x\n1,2\n", {"files": {"a": "x"}}, "needed under the name 'original'"),
    ],
)
def test_what_cannot_be_used_is_one_sentence(tmp_path, text, given, words):
    path = tmp_path / "t.csv"
    if text is not None:
        path.write_text(text)
    with pytest.raises((ValueError, methods.MethodError), match=words) as error:
        index(**{"files": str(path), **given})
    assert "\n" not in str(error.value)


def test_an_unknown_folder_names_what_is_understood(tmp_path):
    with pytest.raises(ValueError, match="neither FreeSurfer's subjects.*nor SIENAX"):
        index(files={"original": str(tmp_path)})


def test_the_table_of_names_knows_our_structures_and_joins_no_part_twice():
    for software in ("freesurfer", "synthseg"):
        table = _structures.table(software)
        assert set(table) <= {*GLOBALS, *REGIONS}
        assert set(REGIONS) <= set(table)
        for structure, parts in table.items():
            names = [name for alternatives in parts.values() for name, _ in alternatives]
            assert len(names) == len(set(names)), structure
    assert set(_readings.SOFTWARE) >= set(("freesurfer", "synthseg"))


RATINGS = "sub\tdefaced\trater\tscore\n" + "".join(
    f"{who}\t{defaced}\tr1\t{score}\n"
    for who, defaced, score in (("1", 0, 2.5), ("1", 1, 3.0), ("1", 0, 1.0), ("2", 0, 2.0))
)


@pytest.mark.parametrize("repeats", ["refuse", "first"])
def test_a_measure_that_stands_twice_is_refused_or_the_first_one_counts(tmp_path, repeats):
    (tmp_path / "ratings.tsv").write_text(RATINGS)
    asked = {
        "files": str(tmp_path / "ratings.tsv"),
        "columns": {"participant": "sub", "variant": "defaced", "measure": "rater",
                    "value": "score"},
        "variants": {"0": "original", "1": "a"},
        "repeats": repeats,
    }  # fmt: skip
    first = index(**asked).loc["sub-1"]
    if repeats == "refuse":
        assert first["status"] == "excluded"
        assert "'r1' stands twice" in first["reason"]
    else:
        assert first["status"] == "ok"
        assert values(**asked)["sub-1", "original", "value_r1"] == 2.5


def test_a_table_like_mriqcs_can_be_called_ones_own(tmp_path):
    path = tmp_path / "metrics.tsv"
    path.write_text("bids_name\tsub\tdefaced\tcjv\tefc\nsub-1_T1w\t1\t0\t0.5\t0.6\n")
    asked = {"files": str(path), "columns": {"participant": "sub", "variant": "defaced"},
             "variants": {"0": "original"}}  # fmt: skip
    for software, wanted in ((None, "mriqc"), ("table", "table")):
        given = {**asked, **({"software": software} if software else {})}
        assert set(measures.measures(options(**given))["segmenter"]) == {wanted}


def test_where_to_get_a_missing_file_is_said(tmp_path):
    with pytest.raises(ValueError, match=r"no\.tsv is missing\. Ask Jane\.$"):
        index(files=str(tmp_path / "no.tsv"), how_to_get="Ask Jane.")
