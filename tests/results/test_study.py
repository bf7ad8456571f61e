"""A published study beside ours: declarations, published values, and what only a study computes."""

import re

import numpy as np
import pandas as pd
import pytest
import yaml

from refacebench.plot.style import Look
from refacebench.results import (
    catalogue,
    exclusions,
    privacy_gaps,
    privacy_reverse,
    quality,
    rater_agreement,
    rater_effects,
    recovered,
    similarity_slices,
    studied,
    study,
    study_cohort,
    study_items,
    volumes_kept,
    volumes_over_kept,
)
from refacebench.results.result import View
from refacebench.results.studied import Studied
from refacebench.run import configuration, scales
from refacebench.statistics.comparisons import Comparisons
from refacebench.statistics.criteria import Criteria
from refacebench.statistics.protocol import Protocol
from refacebench.vocabulary import OTHER_SESSION, REGIONS, SAME_SCAN
from running import ROOT

STUDIES = sorted((ROOT / "config/studies").glob("*.yaml"))


def config(path):
    return yaml.safe_load(path.read_text())


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_a_shipped_study_names_what_there_is(path):
    given = config(path)
    for scale in ("full", *given["scales"]):
        asked = scales.scaled({**given, "scale": scale})
        assert studied.mistakes(asked["study"], asked["datasets"]) == []
        assert asked["study"]["paper"] == path.stem
        assert asked["results"] == f"runs/{path.stem}" + (f"-{scale}" if scale != "full" else "")


def test_every_published_value_has_a_source_a_study_and_a_place_in_our_tables():
    table = studied.published()
    assert not table.duplicated(["study", "quantity", "cohort"]).any()
    assert (table[["source", "item", "quantity"]] != "").all(axis=None)
    assert set(table["study"]) == {path.stem for path in STUDIES}
    for name, rows in table.groupby("study"):
        asked = config(ROOT / f"config/studies/{name}.yaml")
        items = {item["item"] for item in asked["study"]["items"]}
        assert set(rows["item"]) <= items, name
        variants = set(configuration.variants(asked)) if "defacers" in asked else {"pydeface"}
        for row in rows.to_dict("records"):
            result = catalogue.find(row["table"])
            columns = re.sub("alpha", "", row["column"])
            used = [word for word in re.findall(r"[a-z]\w+", columns)]
            used = [w for w in used if w not in ("count", "least", "most")]
            used += re.findall(r"(\w+)!?=", row["rows"])
            assert set(used) <= set(result.columns), row
            for meant in re.findall(r"\bvariant=([^;]*)", row["rows"]):
                assert set(meant.split("|")) <= variants, row


def test_a_mistake_in_a_study_is_a_sentence_that_names_it():
    given = {
        "items": [{"item": "Table 1", "ours": ["volums"]}, {"item": "Table 2"}],
        "cohorts": {"adnii": "ADNI"},
    }
    found = studied.mistakes(given, ["adni"])
    assert len(found) == 3
    assert "Table 1: there is no table or figure 'volums'; did you mean 'volumes'?" in found[0]
    assert "Table 2" in found[1]
    assert "did you mean 'adni'?" in found[2]


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"scale": "dmo", "scales": {"demo": {}}}, "no scale 'dmo' .*did you mean 'demo'"),
        ({"scale": "demo"}, r"no scale 'demo' \(there are: full\)"),
        ({"scale": "a", "scales": {"a": {"scales": {}}}}, "cannot stand inside a scale"),
        ({"scale": "a", "scales": {"a": [1]}}, "keys of a config are needed"),
    ],
)
def test_a_scale_that_cannot_be_is_one_sentence(asked, words):
    with pytest.raises(configuration.ConfigError, match=words):
        scales.scaled(asked)


def test_a_scale_merges_methods_replaces_data_and_takes_away():
    sizes = {"small": {"defacers": {"b": None, "c": {}}, "seed": 4, "splits": {"test": 1}}}
    given = {"defacers": {"a": {"x": 1}, "b": {}}, "seed": 1, "splits": {"train": 2}}
    found = scales.scaled({**given, "scales": sizes, "scale": "small"})
    assert found == {
        "defacers": {"a": {"x": 1}, "c": {}}, "seed": 4, "splits": {"test": 1}, "scale": "small",
    }  # fmt: skip
    assert scales.scaled({**given, "scales": sizes}) == given


# one number ------------------------------------------------------------------------------------

TABLES = {
    "volumes": pd.DataFrame(
        {
            "variant": ["a", "a", "b"],
            "segmenter": ["s", "s", "s"],
            "region": ["x", "tiv", "x"],
            "n": [9, 9, 8],
            "p_holm": [0.01, 0.2, 0.03],
            "median_change_pct": [1.0, 2.0, 3.0],
            "low": [0.5, 1.0, 2.0],
            "high": [1.5, 3.0, 4.0],
        }
    ),
    "privacy": pd.DataFrame(
        {
            "variant": ["a", "b", "c"],
            "n": [8, 8, 8],
            "n_completers": [7, 6, 0],
            "n_gallery": [20, 19, 0],
            "rank1": [0.5, 0.4, 0.0],
            "rank1_completers": [0.6, 0.5, np.nan],
            "rank1_completers_low": [0.2, 0.1, np.nan],
            "rank1_completers_high": [0.8, 0.7, np.nan],
        }
    ),
}


@pytest.mark.parametrize(
    ("table", "rows", "column", "factor", "wanted"),
    [
        ("volumes", "variant=a; region!=tiv", "median_change_pct", "", (1.0, 0.5, 1.5, 9)),
        ("volumes", "variant=a; region=x", "median_change_pct", "-1", (-1.0, -1.5, -0.5, 9)),
        ("volumes", "region=x", "count p_holm < alpha", "", (2, np.nan, np.nan, 9)),
        ("volumes", "", "count p_holm < 0.02", "", (1, np.nan, np.nan, 9)),
        ("privacy", "variant=b", "rank1_completers", "100", (50, 10, 70, 6)),
    ],
)
def test_our_number_for_a_published_one(table, rows, column, factor, wanted):
    asked = {"table": table, "rows": rows, "column": column, "factor": factor}
    found = studied.value(TABLES, asked, 0.05)
    assert found["note"] == ""
    found = [found[name] for name in ("ours", "ours_low", "ours_high", "n")]
    np.testing.assert_allclose(found, wanted)


@pytest.mark.parametrize(
    ("rows", "column", "wanted", "note"),
    [
        ("variant=a|b", "most", (60, 20, 80, 7, 20), "of a"),
        ("variant=a|b", "least", (50, 10, 70, 6, 19), "of b"),
        # Neither a method that did not run nor one without a score is the least.
        ("variant=a|c|d", "least", (60, 20, 80, 7, 20), "of a; without c, d"),
    ],
)
def test_the_least_and_most_say_of_what_they_are(rows, column, wanted, note):
    asked = {"table": "privacy", "rows": rows, "column": f"{column} rank1_completers",
             "factor": "100"}  # fmt: skip
    found = studied.value(TABLES, asked, 0.05)
    np.testing.assert_allclose([found[name] for name in studied.NUMBERS], wanted)
    assert found["note"] == note


def test_the_right_one_of_five_is_found_where_nobody_has_another_session():
    asked = {"table": "privacy_reverse", "rows": "variant=a", "column": "choice", "factor": 100}
    rows = [{"variant": "a", "attacker": "siamese", "setting": OTHER_SESSION, "n": 0},
            {"variant": "a", "attacker": "siamese", "setting": SAME_SCAN, "n": 8, "choice": 0.25,
             "low": 0.1, "high": 0.5}]  # fmt: skip
    found = studied.value({"privacy_reverse": privacy_reverse.RESULT.frame(rows)}, asked, 0.05)
    assert [found[name] for name in ("ours", "ours_low", "n")] == [25, 10, 8]
    assert found["note"] == studied.EASY


@pytest.mark.parametrize(("setting", "note"), [(SAME_SCAN, studied.EASY), (OTHER_SESSION, "")])
def test_a_rate_says_where_a_scan_was_compared_with_itself(setting, note):
    asked = {"table": "privacy", "rows": "variant=a", "column": "rank1_completers", "factor": ""}
    found = studied.value({"privacy": TABLES["privacy"].assign(setting=setting)}, asked, 0.05)
    assert (found["ours"], found["note"]) == (0.6, note)


def test_a_count_says_where_not_everything_was_tested():
    table = TABLES["volumes"].assign(p_holm=[0.01, np.nan, 0.03])
    asked = {"table": "volumes", "rows": "", "column": "count p_holm < alpha", "factor": ""}
    found = studied.value({"volumes": table}, asked, 0.05)
    assert (found["ours"], found["note"]) == (2, "2 of 3 tested")


@pytest.mark.parametrize(
    ("column", "n", "note"),
    [
        ("p", 5, studied.TOO_FEW),  # 2 ** -4 at best
        ("p", 6, ""),
        ("p_holm", 10, studied.TOO_FEW),  # 36 * 2 ** -9 at best
        ("p_holm", 11, ""),
    ],
)
def test_a_count_says_where_so_few_people_cannot_differ(column, n, note):
    table = pd.DataFrame({"W": [0.0], "n": [n], "family_size": [36], "p": [1.0], "p_holm": [1.0]})
    asked = {"table": "t", "rows": "", "column": f"count {column} < alpha", "factor": ""}
    assert studied.value({"t": table}, asked, 0.05)["note"] == note


#: Columns that are read without an interval: counts, tests, and parts of a model.
BARE = {"n", "n_values", "chi2", "p", "se", "var_participant", "var_rater", "var_residual"}


def test_what_has_an_interval_is_read_with_it():
    for row in studied.published().to_dict("records"):
        column = row["column"].split()[-1]
        if row["column"].startswith("count") or column in BARE:
            continue
        columns = catalogue.find(row["table"]).columns
        found = studied._interval(pd.Series(0.0, index=list(columns)), column)
        assert len(found) == 2, row
        assert row["table"] != "privacy" or found[0].startswith(column)


def gaps(rates):
    """Return the table of gaps as the attacks make it, from the rates behind the methods."""
    rows = []
    for a, first in rates.items():
        for b, second in rates.items():
            if first > second or (first == second and a < b):
                gap = first - second
                rows.append({"setting": "same_scan", "attacker": "siamese", "variant": a,
                             "other": b, "measure": "choice", "n": 40, "rate": first,
                             "other_rate": second, "above_chance": first - 0.2,
                             "other_above_chance": second - 0.2, "gap": gap, "low": gap - 0.05,
                             "high": gap + 0.15})  # fmt: skip
    return privacy_gaps.RESULT.frame(rows)


def asked_of(study_name, text):
    table = studied.published()
    found = table[(table["study"] == study_name) & table["quantity"].str.contains(text)]
    return found.to_dict("records")


@pytest.mark.parametrize(
    ("rates", "least", "most"),
    [
        # CP-GAN at 30 %: quickshear is ten points better, mri_deface as many worse.
        ((0.2, 0.4, 0.35), (-10, -25, -5, "quickshear"), (10, 5, 25, "mri_deface")),
        # It is the worst of all.
        ((0.1, 0.2, 0.05), (-25, -40, -20, "mask_face"), (-10, -25, -5, "mri_deface")),
    ],
)
def test_the_gap_to_cpgan_has_a_sign_and_is_of_the_papers_defacers_alone(rates, least, most):
    names = ("quickshear", "mri_deface", "mask_face")
    table = gaps({"cpgan_hull+cpgan3d": 0.3, "cpgan_hull": 0.9, "skull_strip": 0.01,
                  **dict(zip(names, rates, strict=True))})  # fmt: skip
    rows = asked_of("vandergoten2021", "than behind CP-GAN")
    assert [row["published"] for row in rows] == [17, 25]
    for row, (gap, low, high, of) in zip(rows, (least, most), strict=True):
        found = studied.value({"privacy_gaps": table}, row, 0.05)
        ends = [found[name] for name in ("ours", "ours_low", "ours_high", "n")]
        np.testing.assert_allclose(ends, (gap, low, high, 40))
        assert found["note"] == f"of {of}; {studied.EASY}"


@pytest.mark.parametrize(
    ("asked", "note"),
    [
        ({"table": "nothing", "rows": ""}, "not measured here"),
        ({"table": "volumes", "rows": "variant=z"}, "not part of this run"),
        ({"table": "volumes", "rows": ""}, "3 rows here"),
    ],
)
def test_why_there_is_no_number(asked, note):
    found = studied.value(TABLES, {**asked, "column": "low", "factor": ""}, 0.05)
    assert np.isnan(found["ours"])
    assert found["note"] == note


def given(synthetic=False, **more):
    asked = {
        "paper": "huelnhagen2020",
        "title": "H et al.",
        "items": [
            {"item": "Table 1", "shows": "regions", "ours": ["volumes_kept", "changes"]},
            {"item": "Figure 9", "shows": "photographs", "out_of_reach": "No photographs."},
        ],
        "protocol": ["Other people."],
    }
    changed = {
        **{"variant": "pydeface+pix2pix25d", "segmenter": "s", "n": 10},
        **{"over_defaced_share": 0.1, "over_defaced_low": 0.02, "over_defaced_high": 0.3},
    }
    tables = {"recovered": recovered.RESULT.frame([changed])}
    return Studied({**asked, **more}, "d", tables, pd.DataFrame(), synthetic=synthetic)


def test_real_people_are_compared_and_synthetic_ones_are_not():
    quantity = "scans with a change above 5 % after defacing (67 of 1022)"
    for synthetic in (False, True):
        table = study.compute(given(synthetic), {}).set_index("quantity")
        row = table.loc[quantity]
        assert row["ours"] == pytest.approx(10)
        assert row["published"] == pytest.approx(100 * 67 / 1022, abs=1e-4)
        if synthetic:
            assert table["difference"].isna().all()
        else:
            assert row["difference"] == pytest.approx(10 - 100 * 67 / 1022, abs=1e-4)
        view = View({"study": table.reset_index()})
        said = study.caption(view) + str(study.printed(view))
        assert ("would compare" in said) is synthetic
        assert "reproduc" not in said
        assert ("Here less paper" in said) is not synthetic
        columns, rows = study.printed(view)
        printed = dict(zip(columns, next(r for r in rows if r[1] == quantity), strict=True))
        assert (printed["Here"], printed["n"]) == ("10 % [2, 30]", "10")


def test_the_page_says_of_how_many_people_and_of_what_gallery():
    table = TABLES["privacy"].assign(attacker="face_recognition", variant=["pydeface", "b", "c"])
    asked = {**given().study, "paper": "schwarz2023"}
    told = Studied(asked, "d", {"privacy": table}, pd.DataFrame())
    view = View({"study": study.compute(told, {})})
    columns, rows = study.printed(view)
    (row,) = (r for r in rows if r[1] == "recognised after popular defacers, the least")
    row = dict(zip(columns, row, strict=True))
    assert row["Here"] == "60 % [20, 80] (of pydeface; without fsl_deface, mri_deface)"
    assert row["n"] == "7 (gallery: 20)"
    assert "how many stand in the gallery" in study.caption(view)


def test_numbers_have_three_digits_in_percent_and_units_their_singular():
    assert study._number(91.0615, "%") == "91.1 %"
    assert study._number(-0.04539, "points", signed=True) == "-0.0454 points"
    assert study._number(6.28349, "") == "6.283"
    assert [study._number(n, "people") for n in (1, 2)] == ["1 person", "2 people"]
    row = {"ours": 1 / 12 * 100, "ours_low": 0.21076, "ours_high": 38.4796, "unit": "%", "note": ""}
    assert study._ours(row) == "8.33 % [0.211, 38.5]"


def test_items_lead_to_ours_or_say_why_there_is_none():
    view = View({"study_items": study_items.compute(given())})
    columns, rows = study_items.printed(view)
    assert [row[0] for row in rows] == ["Table 1", "Figure 9"]
    assert rows[0][2].parts == (("below", ""), ("Volumes", "volumes"))
    assert rows[1][2] == "No photographs."
    assert "Other people." in study_items.caption(view)


def test_a_study_shows_its_own_results_and_another_papers_stay_in_the_tables():
    tables = {"study_items": pd.DataFrame({"ours": ["similarity_slices_front volumes", np.nan]})}
    found = study_items.of_the_paper(tables)
    assert found == {"study_items", "study", "similarity_slices", "volumes"}
    tables["study"] = pd.DataFrame({"table": ["volumes_kept", ""]})
    assert study_items.of_the_paper(tables) - found == {"volumes_kept", ""}
    tables["exclusions"] = pd.DataFrame({"excluded_for": ["", np.nan]})
    assert "exclusions" not in study_items.of_the_paper(tables)
    tables["exclusions"] = pd.DataFrame({"excluded_for": ["brain_cut", np.nan]})
    assert "exclusions" in study_items.of_the_paper(tables)
    # A study of one's own that names no items.
    assert "recovered" in study_items.of_the_paper({"study": pd.DataFrame()})


# what only a study computes ----------------------------------------------------------------------


def measurements():
    """Return six people whose grey matter is 100 ml; pydeface cuts, leaves and loses some."""
    quality = ["success", "success", "failure_1", "failure_2", "failure_1+2", "crash"]
    defaced = [100.0, 110.0, 111.0, 112.0, 120.0, np.nan]
    refaced = [100.0, 101.0, 111.0, 100.0, 100.0, 100.0]
    rows = []
    for number in range(6):
        who = {"dataset": "d", "participant": f"sub-{number}", "scan": f"sub-{number}",
               "segmenter": "s", "split": "test", "site": "AB"[number % 2]}  # fmt: skip
        lost = number == 5
        for variant, value, status, verdict in (
            ("original", 100.0, "ok", ""),
            ("a", defaced[number], "failed" if lost else "ok", "" if lost else quality[number]),
            ("a+m", refaced[number], "ok", "success"),
        ):
            rows.append({**who, "variant": variant, "status": status, "quality": verdict,
                         "vol_gm": value})  # fmt: skip
    return pd.DataFrame(rows)


VARIANTS = ["original", "a", "a+m"]


def test_scans_are_left_out_for_what_the_study_names_alone():
    table = exclusions.compute(measurements(), Criteria(), VARIANTS, ["brain_cut"])
    row = table.iloc[0]
    assert list(table["variant"]) == ["a"]
    assert (row["n_brain_cut"], row["n_face_left"], row["n_no_output"]) == (2, 2, 1)
    assert (row["n_scans"], row["n_excluded"], row["n_kept"]) == (6, 2, 4)
    every = exclusions.compute(measurements(), Criteria(), VARIANTS, list(exclusions.KINDS))
    assert every.iloc[0]["n_kept"] == 2
    none = exclusions.compute(measurements(), Criteria(), VARIANTS, [])
    assert none.iloc[0]["n_kept"] == 6


def qc(table, variant, engine="official", brain_unchanged=0, success=0.3):
    """Return our numbers for the published success, face left and brain cut of a defacer."""
    row = {"variant": variant, "segmenter": "s", "engine": engine, "n": 10, "n_with_face": 10,
           "n_brain": 10, "brain_unchanged": brain_unchanged, "success_share": success,
           "success_low": 0.1, "success_high": 0.6}  # fmt: skip
    tables = {"exclusions": table, "quality": quality.RESULT.frame([row])}
    rows = [r for r in asked_of("schwarz2023", f"^{variant}, ") if r["item"] == "Quality control"]
    return [studied.value(tables, row, 0.05) for row in rows]


def judged(verdicts):
    """Return ten people whom mri_deface treats as the verdicts say."""
    rows = []
    for number, verdict in enumerate(verdicts):
        who = {"dataset": "d", "participant": f"sub-{number}", "scan": f"sub-{number}",
               "segmenter": "s", "split": "test"}  # fmt: skip
        rows += [{**who, "variant": "original", "status": "ok", "quality": ""},
                 {**who, "variant": "mri_deface", "status": "ok", "quality": verdict}]  # fmt: skip
    return pd.DataFrame(rows)


@pytest.mark.parametrize(
    ("verdicts", "left", "cut", "n"),
    [
        (["failure_1+2"] * 10, 100, 100, 10),  # all have both failures
        (["untouched"] * 4 + ["failure_1"] * 2 + ["success"] * 4, 60, 0, 10),
        (["failure_2"] * 2 + ["success"] * 6 + ["no_face"] * 2, 0, 25, 8),
    ],
)
def test_face_left_and_brain_cut_count_all_that_failed_so(verdicts, left, cut, n):
    variants = ["original", "mri_deface"]
    table = exclusions.compute(judged(verdicts), Criteria(), variants, [])
    success, *failures = qc(table, "mri_deface")
    assert [found["ours"] for found in failures] == pytest.approx([left, cut])
    for found in failures:
        assert found["ours_low"] <= found["ours"] <= found["ours_high"]
        assert found["ours_low"] < found["ours_high"]
        assert found["n"] == n
    assert [success[name] for name in ("ours", "ours_low", "ours_high")] == [30, 10, 60]


def test_faces_and_brains_count_where_no_brain_could_be_segmented():
    table = judged(["failure_1"] * 5 + ["success"] * 5).assign(stage="measure", path="x")
    lost = table["scan"].isin([f"sub-{number}" for number in range(4)])
    table.loc[lost, ["status", "stage"]] = ["failed", "segment"]
    found = exclusions.compute(table, Criteria(), ["original", "mri_deface"], [])
    assert list(found["n_scans"]) == [6], "of these volumes can be tested"
    assert [qc(found, "mri_deface")[1][name] for name in ("ours", "n")] == [50, 10]


def test_a_cut_brain_is_not_said_to_be_none_where_it_could_not_be_seen():
    """A re-implementation is kept off the brain mask that judges it."""
    variants = ["original", "mri_deface"]
    table = exclusions.compute(judged(["success"] * 10), Criteria(), variants, [])
    success, left, cut = qc(table, "mri_deface", "native", brain_unchanged=10)
    assert np.isnan(cut["ours"])
    assert (cut["note"], success["note"], left["note"]) == (
        "brain not testable", "brain not testable", "")  # fmt: skip
    assert (success["ours"], left["ours"]) == (30, 0)
    for engine, cell in (("native", "not testable"), ("official", "0")):
        row = {"variant": "mri_deface", "engine": engine, "n_brain": 10, "brain_unchanged": 10}
        view = View({"exclusions": table, "quality": quality.RESULT.frame([row])})
        columns, rows = exclusions.printed(view)
        assert rows[0][columns.index("Brain cut")] == cell
        assert ("Not testable" in exclusions.caption(view)) == (engine == "native")


def test_volumes_are_tested_without_the_scans_that_are_left_out_for_refacers_too():
    asked = list(exclusions.KINDS)
    table = volumes_kept.compute(measurements(), Criteria(), VARIANTS, asked)
    table = table[table["region"] == "gm"].set_index("variant")
    assert list(table["n"]) == [2, 2]
    assert table.loc["a", "median_change_pct"] == pytest.approx(5.0)
    assert table.loc["a+m", "median_change_pct"] == pytest.approx(0.5)


def test_scans_that_refacing_recovers_are_counted():
    table = recovered.compute(measurements(), Criteria(), VARIANTS)
    row = table.iloc[0]
    assert (row["n_over_defaced"], row["n_over_refaced"]) == (4, 1)
    assert (row["n_recovered"], row["n_still"], row["n_new"], row["n_lost"]) == (3, 1, 0, 1)
    assert (row["over_defaced_share"], row["over_refaced_share"]) == (0.8, 0.2)
    assert row["n"] == 5


def test_changed_scans_follow_what_the_study_leaves_out():
    """Left are two people: pydeface moves the second's grey matter by 10 %, refacing by 1 %."""
    asked = list(exclusions.KINDS)
    told = Studied({"exclude": asked}, "d", {}, measurements(), variants=VARIANTS)
    row = recovered.RESULT.compute(told, {}).iloc[0]
    assert (row["n_scans"], row["n_lost"]) == (2, 0)
    assert (row["n_over_defaced"], row["n_recovered"]) == (1, 1)
    assert (row["over_defaced_share"], row["n"]) == (0.5, 2)
    assert row["over_defaced_low"] < 0.5 < row["over_defaced_high"]
    # So do the figures.
    tables = {"exclusions": exclusions.compute(measurements(), Criteria(), VARIANTS, asked)}
    measured = measurements()
    measured = measured.assign(vol_tiv=measured["vol_gm"])
    view = View(tables, look=Look(tuple(VARIANTS)), measures=measured)
    drawn = recovered.draw_by_scan(view).axes[0].lines
    assert [len(line.get_xdata()) for line in drawn if line.get_marker() == "o"] == [2, 2]
    drawn = recovered.draw_recovered(view).axes[0]
    assert drawn.get_title(loc="left").endswith(": 1 scan")
    for said in (recovered.caption, recovered.caption_by_scan, recovered.caption_recovered):
        assert "leaves out" in said(view)
        assert "leaves out" not in said(View({}))


def test_tests_within_changed_scans_follow_what_the_study_leaves_out():
    for asked, n in (([], 4), (["brain_cut"], 2), (list(exclusions.KINDS), 1)):
        told = Studied({"exclude": asked}, "d", {}, measurements(), variants=VARIANTS)
        table = volumes_over_kept.RESULT.compute(told, {})
        table = table[table["region"] == "gm"].set_index("variant")
        assert list(table["n"]) == [n, n]
        assert set(table["selected_by"]) == {"a"}


def test_uncorrected_counts_stand_beside_corrected_ones():
    """Three of 17 regions: one survives the correction."""
    rows = [
        {"variant": "pydeface", "segmenter": "s", "family": "regions", "region": name, "n": 9,
         "p": 0.01 if k < 3 else 0.5, "p_holm": 0.04 if k < 1 else 1.0}
        for k, name in enumerate((*REGIONS, "tiv"))
    ]  # fmt: skip
    tables = {"volumes_kept": volumes_kept.RESULT.frame(rows)}
    table = study.compute(Studied(given().study, "d", tables, pd.DataFrame()), {})
    table = table[table["table"] == "volumes_kept"].dropna(subset=["ours"]).set_index("quantity")
    name = "regions of 17 that differ after defacing"
    assert table.loc[f"{name}, uncorrected", "ours"] == 3
    assert table.loc[f"{name}, after Holm's correction", "ours"] == 1
    assert set(table["published"]) == {11}
    assert table["differs"].str.contains("is not recorded").all()


def test_slices_have_one_number_in_every_variant_and_stand_by_site():
    table = measurements()
    for name, text in (("x_mm", "-5 0 5"), ("corr_front", "0.1 nan 0.3")):
        table[f"slices_{name}"] = text
    for name in ("corr_full", "ssim_front", "ssim_full"):
        table[f"slices_{name}"] = "1 1 1"
    found = similarity_slices.compute(table, Criteria(), VARIANTS)
    assert len(found) == 3 * (5 + 6)
    same = found.groupby(["scan", "x_mm"])["image"].nunique()
    assert (same == 1).all()
    assert found["image"].max() == 18
    sites = found.drop_duplicates("image").sort_values("image")["site"]
    assert list(sites) == ["A"] * 9 + ["B"] * 9
    first = found[(found["scan"] == "sub-0") & (found["variant"] == "a")].sort_values("x_mm")
    assert list(first["image"]) == [1, 2, 3]
    np.testing.assert_array_equal(first["corr_front"], [0.1, np.nan, 0.3])


def test_the_legend_of_slices_has_the_means_of_sites():
    """A model of one site is tested on its site: the mean over all of them is of no use."""
    table = pd.DataFrame({"variant": ["a"] * 4 + ["a+m"] * 4, "site": ["A", "A", "B", "B"] * 2,
                          "image": [1, 2, 3, 4] * 2,
                          "corr_front": [0.2, 0.4, 0.6, 0.8, 0.5, 0.7, 0.1, 0.3]})  # fmt: skip
    table["ssim_front"] = table["corr_front"]
    panel = similarity_slices.draw(table, Look(("a", "a+m")), "front").axes[0]
    texts = [text.get_text().splitlines()[-1] for text in panel.get_legend().get_texts()]
    assert texts == ["mean: A 0.300, B 0.700", "mean: A 0.600, B 0.200"]
    many = similarity_slices._means(pd.Series(np.linspace(0.1, 0.9, 9), index=list("abcdefghi")))
    assert many == "means of 9 sites: 0.100 to 0.900"


def test_the_cohort_is_counted_by_site_and_split():
    table = pd.DataFrame(
        {
            "participant": ["1", "1", "2", "3", "4"],
            "status": ["ok", "ok", "ok", "ok", "excluded"],
            "site": ["A", "A", "A", "B", "B"],
            "split": ["train", "train", "test", "test", "test"],
            "age": [20.0, 21.0, 40.0, np.nan, 50.0],
            "sex": ["F", "F", "male", "", "M"],
        }
    )
    found = study_cohort.compute(table)
    assert set(found["model"]) == {""}
    found = found.set_index(["site", "split"])
    whole = found.loc[("all", "all")]
    assert (whole["n"], whole["n_scans"], whole["n_age"]) == (3, 4, 2)
    assert (whole["age_mean"], whole["age_min"], whole["age_max"]) == (30, 20, 40)
    assert (whole["n_female"], whole["n_male"]) == (1, 1)
    assert found.loc[("A", "train"), "n"] == 1
    assert found.loc[("B", "train"), "n"] == 0


def test_the_cohort_of_a_model_of_one_site_stands_beside_its_published_one():
    people = pd.DataFrame({"participant": [str(k) for k in range(9)], "status": "ok",
                           "site": ["Guys"] * 5 + ["HH"] * 4,
                           "split": ["train", "train", "train", "test", "test"]
                           + ["train", "test", "test", "test"]})  # fmt: skip
    models = {"one_site": ["Guys"]}
    table = study_cohort.compute(people, models)
    asked = {**given().study, "paper": "abramian2019", "cohorts": {"d": "IXI"}}
    found = study.compute(Studied(asked, "d", {"study_cohort": table}, pd.DataFrame()), {})
    found = found.set_index("quantity")[["ours", "published"]]
    for name, ours, published in (
        ("people to train the one-site model", 3, 300),
        ("people tested with the one-site model", 2, 22),
        ("people of all sites to train the three-site model", 4, 500),
        ("people of Guys tested", 2, 38),
    ):
        assert tuple(found.loc[name]) == (ours, published)
    columns, rows = study_cohort.printed(View({"study_cohort": table}))
    assert columns[0] == "Model"
    assert ["one_site", "Guys", "train", "3"] in [row[:4] for row in rows]
    columns, _ = study_cohort.printed(View({"study_cohort": study_cohort.compute(people)}))
    assert "Model" not in columns


def test_the_other_way_round_each_original_chooses_among_deidentified_scans():
    """Three people; the first original's own scan is nearest, the others' are farthest."""
    distance = np.array([[0.0, 1.0, 1.0], [1.0, 9.0, 2.0], [1.0, 2.0, 9.0]])
    table = pd.DataFrame({"scan": list("abc"), "participant": list("abc"), "session": ["1"] * 3})
    query = table.assign(detected=True, reason="")
    single = Comparisons("x", "v", distance, query, table)
    found = privacy_reverse.compute([single], Protocol(options=2), Criteria())
    row = found[found["setting"] == "same_scan"].iloc[0]
    assert row["choice"] == pytest.approx(1 / 3)
    assert (row["n"], row["chance"]) == (3, 0.5)
    assert np.isnan(row["sd"])
    # A second resplit in which everybody is found: rates 1/3 and 1.
    both = np.stack([distance, 1.0 - np.eye(3)])
    twice = Comparisons("x", "v", both, query, table, resplit=np.ones((2, 3), bool))
    found = privacy_reverse.compute([twice], Protocol(options=2), Criteria())
    row = found[found["setting"] == "same_scan"].iloc[0]
    assert row["choice"] == pytest.approx(2 / 3)
    assert row["sd"] == pytest.approx(np.std([1 / 3, 1], ddof=1))
    # The spread reaches beyond 100 %, its line does not: from 67 - 47 to 100.
    (panel,) = privacy_reverse.draw(found, Look(("original", "v"))).axes
    ends = [line.get_xdata() for line in panel.lines if len(line.get_xdata()) == 2]
    whole = 100 * (2 / 3 - row["sd"])
    assert any(np.allclose(sorted(x), [whole, 100]) for x in ends)
    assert max(np.max(line.get_xdata()) for line in panel.lines) <= 103


def ratings(table, names, variants=(("original", 0), ("v", 1))):
    """Return the measurement table of ratings: participant, rater, variant (0, 1), value."""
    wide = table.pivot(index=["participant", "variant"], columns="rater", values="value")
    rows = []
    for name, number in variants:
        part = wide.xs(number, level="variant").rename(columns=lambda r: f"value_{r}")
        rows.append(part.reset_index().assign(variant=name))
    found = pd.concat(rows, ignore_index=True)
    return found.assign(dataset="d", scan=found["participant"], segmenter="t", status="ok",
                        split="test")  # fmt: skip


def test_published_mixed_model_and_agreement_of_raters(shared):
    """Four raters, 185 people, PyDeface (Provins et al. 2025; README of the data)."""
    path = shared("data/provins2025") / "S1_Data.tsv"
    table = pd.read_csv(path, sep="\t", dtype={"subject": str})
    table = table.drop_duplicates(["subject", "rater_id", "defaced"])
    table = table.rename(
        columns={"subject": "participant", "rater_id": "rater", "defaced": "variant",
                 "rating": "value"}
    )[["participant", "rater", "variant", "value"]]  # fmt: skip
    given = ratings(table, None)
    row = rater_effects.compute(given, Criteria(), ["original", "v"], "rater_*").iloc[0]
    published = {
        "n_values": 1480, "chi2": 6.283544, "p": 0.01218642, "effect": 0.04541, "se": 0.01809,
        "intercept": 3.10149, "var_participant": 0.14736, "var_rater": 0.04958,
        "var_residual": 0.12110, "log_likelihood": -766.2520, "log_likelihood_null": -769.3938,
    }  # fmt: skip
    for name, value in published.items():
        digits = len(str(value).partition(".")[2])
        assert row[name] == pytest.approx(value, abs=0.501 * 10.0**-digits), name
    each = rater_agreement.compute(given, Criteria(), ["original", "v"], "rater_*")
    each = each.set_index("rater")
    # Figure 2 subtracts the other way round; its limits are -0.91 and 0.81. With the first of two
    # ratings the upper one is 0.82: which of them the figure keeps is not said.
    assert round(-each.loc["all", "upper"], 2) == -0.91
    assert round(-each.loc["all", "lower"], 2) == 0.82
    assert (each["bias"] > 0).all()  # all raters rate defaced images higher
    assert each.loc["all", "bias_low"] > 0
    assert each.loc["all", "bias"] == pytest.approx(row["effect"])  # everybody rated everything


def test_published_limits_of_every_metric(shared):
    """MRIQC's metrics of 579 people (Provins et al. 2025, data S2 and S7), to 1e-6."""
    from refacebench.statistics import agreement

    folder = shared("data/provins2025")
    table = pd.read_csv(folder / "S2_Data.csv").set_index("sub").sort_index()
    published = pd.read_csv(folder / "S7_Data.tsv", sep="\t", index_col="metric")
    before, after = (table[table["defaced"] == number] for number in (0, 1))
    assert len(published) == 58
    for name, row in published.iterrows():
        found = agreement.limits(before[name] - after[name])
        assert found["n"] == row["n"]
        # They divide by n and take 1.96 for the normal quantile.
        half = 1.96 * found["sd"] * np.sqrt(1 - 1 / found["n"])
        for ours, theirs in (
            (found["bias"], "bias"),
            (found["bias"] - half, "loa_lower"),
            (found["bias"] + half, "loa_upper"),
        ):
            assert abs(ours - row[theirs]) <= 1e-6 * half, (name, theirs)
