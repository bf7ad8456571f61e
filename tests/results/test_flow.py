"""Where scans end: every one has a row for every variant."""

import pandas as pd
import pytest

import factories
from refacebench.report.summary import summary_lines
from refacebench.results import catalogue
from refacebench.results.flow import StageManifest, follow, scan_numbers
from refacebench.results.flow import summary as flow_summary
from refacebench.results.inputs import Followed
from refacebench.results.result import FLOW


@pytest.fixture(scope="module")
def made():
    return factories.tables()


def only(table, **where):
    for name, value in where.items():
        table = table[table[name] == value]
    assert len(table) == 1, f"{len(table)} rows for {where}"
    return table.iloc[0]


def test_every_scan_appears_once_per_variant(made):
    inventory, _ = factories.manifests(factories.measurements())
    table = made["flow"]
    assert len(table) == len(inventory) * len(factories.VARIANTS)
    for _, rows in table.groupby("variant"):
        assert sorted(rows["scan"]) == sorted(inventory["scan"])
    left_out = table["status"] != "ok"
    assert (table.loc[left_out, "reason"] != "").all()


def test_where_scans_end(made):
    table = made["flow"]
    end = ["stage", "status", "reason"]
    row = only(table, scan="sub-012_ses-1", variant="pydeface+pix2pix25d")
    assert list(row[end]) == ["deface", "failed", "no result after 3600 s"]
    row = only(table, scan="sub-011_ses-1", variant="quickshear")
    assert list(row[end]) == ["segment", "failed", "empty brain mask"]
    row = only(table, scan="sub-999", variant="null")
    assert list(row[end]) == ["prepare", "excluded", "no face left in the scan"]
    row = only(table, scan="sub-020_ses-1", variant="pydeface")
    assert (row["status"], row["reason"]) == ("not_used", "train split, serves to fit models")
    row = only(table, scan="sub-001_ses-2", variant="pydeface")
    assert row["status"] == "not_used"
    assert "rescan" in row["reason"]
    row = only(table, scan="sub-001_ses-2", variant="original")
    assert row["status"] == "ok"
    assert "not compared" in row["reason"]
    row = only(table, scan="sub-001_ses-1", variant="pydeface")
    assert list(row[end]) == ["measure", "ok", ""]


def test_a_job_that_died_leaves_missing_scans():
    inventory, stages = factories.manifests(factories.measurements(4, n_train=0, n_rescans=0))
    stages = [s for s in stages if (s.stage, s.variant) != ("measure", "null")]
    table = follow(inventory, stages, factories.VARIANTS)
    lost = table[table["status"] == "missing"]
    assert set(lost["variant"]) == {"null"}
    assert len(lost) == 4
    assert set(lost["stage"]) == {"segment"}
    assert set(lost["reason"]) == {"in no measure manifest of null"}


def test_several_segmenters_in_the_flow():
    table = factories.measurements(2, ("original",), n_train=0, n_rescans=0)
    other = table.assign(segmenter="other", status=["failed", "ok"], reason=["no brain", ""])
    inventory = table.assign(stage="inventory")
    stages = [StageManifest("measure", "original", pd.concat([table, other]))]
    found = follow(inventory, stages)
    assert list(found["status"]) == ["failed", "ok"]
    assert found["reason"][0] == "other: no brain; other segmenters ok"


def test_an_image_that_was_judged_without_a_segmentation_still_stopped_where_it_did():
    table = factories.measurements(2, ("original", "a", "b"), n_train=0, n_rescans=0)
    table = table[table["participant"] == "sub-001"].set_index("variant", drop=False)
    ends = {"original": ("failed", "segment"), "a": ("excluded", "measure"), "b": ("ok", "measure")}
    for variant, end in ends.items():
        table.loc[variant, ["status", "stage"]] = end
    assert table["quality"].notna().all()
    stages = [StageManifest("measure", name, table.loc[[name]]) for name in ends]
    found = follow(table.loc[["original"]].assign(status="ok"), stages)
    assert dict(zip(found["variant"], zip(found["status"], found["stage"], strict=True),
                    strict=True)) == ends  # fmt: skip


def test_flow_counts_add_up(made):
    counts = made["flow_counts"]
    sums = counts["n_ok"] + counts["n_excluded"] + counts["n_failed"]
    assert (sums == counts["n_in"]).all()
    for _, rows in counts.groupby("variant"):
        onward = rows["n_ok"] - rows["n_not_used"] - rows["n_missing"]
        assert list(onward[:-1]) == list(rows["n_in"][1:])
        assert rows["n_in"].iloc[0] == 39
    row = only(counts, variant="pydeface", stage="deface")
    assert (row["n_in"], row["n_ok"], row["n_failed"]) == (12, 11, 1)
    assert "reface" not in set(counts.loc[counts["variant"] == "pydeface", "stage"])


def test_flow_summary(made):
    text = flow_summary(made["flow"])
    assert text.startswith("39 scans of 33 participants; 1 excluded in at least one variant (1 in")
    assert "2 failed in at least one variant (0 in every one)" in text
    assert text.endswith("10 measured in every variant.")
    assert flow_summary(made["flow"].iloc[:0]) == "no scans"


def test_unknown_stage():
    table = factories.measurements(1)
    with pytest.raises(ValueError, match="unknown stage 'cook'"):
        follow(table, [StageManifest("cook", "null", table)])


def test_what_one_variant_shows_to_be_prepared_is_so_for_all():
    """They share the preparation: a validation scan that only a model needs was prepared once."""
    table = factories.measurements(2, ("original", "d"), n_train=0, n_rescans=0)
    scans = table[table["variant"] == "original"].reset_index(drop=True)
    names = ["fit", "late", "fails", "none"]
    more = pd.concat([scans.iloc[[0]]] * 4, ignore_index=True)
    more = more.assign(scan=names, participant=names, split="validation")
    inventory = pd.concat([scans, more], ignore_index=True).assign(stage="inventory", status="ok")
    went = more.iloc[:3].assign(
        variant="d", status=["ok", "failed", "failed"], reason=["", "no voxel", "no face"],
        stage=["deface", "deface", "prepare"],
    )  # fmt: skip
    manifests = [
        *(StageManifest("measure", v, table[table["variant"] == v]) for v in ("original", "d")),
        StageManifest("deface", "d", pd.concat([scans.assign(variant="d"), went])),
    ]
    flow = follow(inventory, manifests).set_index(["variant", "scan"])
    ends = {name: tuple(flow.loc[("original", name), ["stage", "status"]]) for name in names}
    assert ends == {
        "fit": ("prepare", "not_used"),
        "late": ("prepare", "not_used"),
        # What failed there is lost where it was needed, and nowhere else.
        "fails": ("inventory", "not_used"),
        "none": ("inventory", "not_used"),
    }
    assert tuple(flow.loc[("d", "fails"), ["stage", "status"]]) == ("prepare", "failed")


def test_a_lost_image_of_another_contrast_is_a_row_and_no_scan():
    """Of five T2w one cannot be read, one is not there, and one is lost by an attacker."""
    table = factories.measurements(5, ("original", "d"), n_train=0, n_rescans=0)
    scans = table[table["variant"] == "original"].reset_index(drop=True)
    names = list(scans["scan"])
    carried = scans.assign(t1w=names, contrast="T2w", made_by="d", path="x", stage="carry")
    carried["scan"] = [f"{name}_acq-x_T2w" for name in names]
    ends = ["status", "stage", "reason"]
    carried.loc[1, ends] = "excluded", "align", "cannot be read"
    carried.loc[2, [*ends, "path"]] = "excluded", "align", "no T2w image in the session", ""
    looked_at = carried.drop(index=2).assign(
        scan=lambda t: t["t1w"], variant="d@T2w", stage="attack"
    )
    looked_at.loc[1, "stage"] = "align"
    looked_at.loc[3, ends] = "failed", "render", "no surface"
    ledgers = pd.concat([looked_at.assign(method=name) for name in ("a", "b")])
    stages = [StageManifest("measure", variant, rows) for variant, rows in table.groupby("variant")]
    inventory = scans.assign(stage="inventory")
    given = Followed(inventory, stages, carried=carried, contrasts=ledgers)
    flow = catalogue.compute(FLOW, given)["flow"]
    lost = flow[flow["contrast"] != ""].sort_values("scan")
    assert lost[["scan", "variant", *ends]].values.tolist() == [
        [f"{names[1]}_acq-x_T2w", "d", "excluded", "align", "cannot be read"],
        [f"{names[3]}_acq-x_T2w", "d", "failed", "render", "no surface"],
    ]
    assert set(lost["participant"]) == {scans["participant"][1], scans["participant"][3]}
    # The scans' own numbers know nothing of it.
    whole = catalogue.compute(FLOW, Followed(inventory, stages))["flow"]
    assert scan_numbers(flow) == scan_numbers(whole)
    said = "2 images of other contrasts lost in at least one variant"
    assert flow_summary(flow) == flow_summary(whole).rstrip(".") + f"; {said}."
    (line,) = (line for line in summary_lines({"flow": flow}) if line.startswith("Scans"))
    assert line.endswith(f"; {said}.")
