"""Methods against each other: planted differences, failures, and what the page says."""

import re

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import factories
from reading import SETTINGS, caption
from refacebench.plot import style
from refacebench.plot.style import look_of
from refacebench.results import catalogue
from refacebench.results.inputs import Measured
from refacebench.results.result import View
from refacebench.statistics.criteria import Criteria

SEGMENTER = "deepbet_gmm"
NAMES = ("method_pairs", "refacing", "volume_agreement", "mixed_models", "subgroups",
         "failures_counted")  # fmt: skip


def only(table, **where):
    for name, value in where.items():
        table = table[table[name] == value]
    assert len(table) == 1, f"{len(table)} rows for {where}"
    return table.iloc[0]


def compute(table, *names, criteria=SETTINGS, variants=None):
    given, made = Measured(table, criteria, variants), {}
    for name in names:
        for need in (*catalogue.find(name).needs, name):
            for deeper in (*catalogue.find(need).needs, need):
                if deeper not in made:
                    made[deeper] = catalogue.find(deeper).compute(given, made)
    return made if len(names) > 1 else made[names[0]]


def printed(name, table):
    look = style.Look((*factories.VARIANTS, "pydeface+m"))
    return catalogue.find(name).printed(View({name: table}, SETTINGS, SEGMENTER, look=look))


def cohort(n=12, variants=factories.VARIANTS, **options):
    return factories.measurements(n, variants, n_train=0, n_rescans=0, **options)


def plain(n=12, variants=("original", "pydeface", "pydeface+m"), **options):
    """Return a cohort in which no variant changes anything."""
    table = cohort(n, variants, failures=False, **options)
    volumes = [name for name in table if name.startswith("vol_")]
    original = table[table["variant"] == "original"].set_index("scan")[volumes]
    table[volumes] = original.loc[table["scan"]].to_numpy()
    table[["dice_brain", "dice_gm", "iou_brain"]] = 1.0
    return table


# methods against each other ------------------------------------------------------------------


def test_pairs_against_plain_scipy():
    table = cohort()
    found = compute(table, "method_pairs")
    rows = found[found["measure"] == "dice_brain"]
    assert len(rows) == 6  # four methods; null and the original are none
    assert not {"null", "original"} & {*rows["first"], *rows["second"]}
    wide = table[table["status"] == "ok"].pivot(
        index="participant", columns="variant", values="dice_brain"
    )
    row = only(rows, first="pydeface", second="quickshear")
    differences = (wide["pydeface"] - wide["quickshear"]).dropna()
    assert (row["n"], row["n_all"], row["family_size"]) == (10, 12, 6)
    assert row["p"] == pytest.approx(stats.wilcoxon(differences).pvalue)
    methods = [v for v in factories.VARIANTS if v not in ("original", "null")]
    complete = wide[methods].dropna()
    expected = stats.friedmanchisquare(*complete.to_numpy().T)
    assert (row["friedman_n"], row["friedman_methods"]) == (10, 4)
    assert row["friedman_p"] == pytest.approx(expected.pvalue)
    omnibus = found.drop_duplicates("measure")["friedman_p"]
    assert row["friedman_p_holm"] >= row["friedman_p"]
    assert omnibus.notna().sum() == 9  # no brain age was predicted


def test_the_better_method_is_named_whichever_way_is_good():
    table = plain(10, ("original", "bad", "good", "null"))
    bad = table["variant"] == "bad"
    table.loc[bad, "dice_brain"] = 0.9 - 0.001 * np.arange(10)
    table.loc[bad, "vol_tiv"] *= 1.05 + 0.001 * np.arange(10)
    found = compute(table, "method_pairs")
    for measure in ("dice_brain", "tiv", "largest_change"):
        row = only(found, measure=measure)
        assert row["better"] == row["better_all"] == "good", measure
        assert row["p"] == pytest.approx(2 / 2**10)
    assert only(found, measure="dice_brain")["difference"] == pytest.approx(0.8955 - 1)
    assert only(found, measure="gm")["better"] == ""
    assert np.isnan(only(found, measure="gm")["friedman_p"])  # two methods


def test_a_method_that_crashes_on_most_is_left_out_by_name_and_loses():
    table = plain(12, ("original", "a", "b", "crashes"))
    for number, name in enumerate(("a", "b")):
        table.loc[table["variant"] == name, "vol_tiv"] *= 1.02 + number / 100
    hit = (table["variant"] == "crashes") & (table["participant"] > "sub-003")
    table.loc[hit, "status"] = "failed"
    found = compute(table, "method_pairs")
    row = only(found, measure="tiv", first="a", second="crashes")
    assert (row["n"], row["n_all"], row["left_out"]) == (3, 12, "crashes")
    assert (row["friedman_n"], row["friedman_methods"]) == (12, 2)
    assert row["difference"] > 0  # better on the three that it did
    assert (row["better"], row["better_all"]) == ("", "a")
    text = caption("method_pairs", {"method_pairs": found}, SETTINGS)
    assert "failed on more than 25 % of the participants: crashes." in text


def test_the_page_counts_better_and_worse():
    found = compute(cohort(20), "method_pairs")
    columns, rows = printed("method_pairs", found)
    assert columns[0] == "Method"
    assert not any("brain age" in name for name in columns)  # was not predicted
    cells = {row[0]: row[1:] for row in rows}
    assert len(cells) == 4
    dice = found[found["measure"] == "dice_brain"]
    wins = (dice["better"] == "pydeface+pix2pix25d").sum()
    losses = sum(
        row.better not in ("", "pydeface+pix2pix25d")
        and "pydeface+pix2pix25d" in (row.first, row.second)
        for row in dice.itertuples()
    )
    told = [f"better than {wins}"] if wins else []
    told += [f"worse than {losses}"] if losses else []
    assert told, "a difference to count"
    assert cells["pydeface + pix2pix25d"][0].startswith(" and ".join(told))


# refacing ------------------------------------------------------------------------------------


def test_refacing_repairs_what_defacing_spoilt():
    table = plain(12)
    defaced, refaced = (table["variant"] == v for v in ("pydeface", "pydeface+m"))
    spoilt = table["participant"] <= "sub-009"
    table.loc[defaced & spoilt, "vol_csf"] *= 1.10 + 0.001 * np.arange(9)
    table.loc[refaced & (table["participant"] == "sub-012"), "vol_csf"] *= 0.9
    table.loc[defaced, "vol_frontal"] *= 0.97 + 0.001 * np.arange(12)
    table.loc[defaced, "dice_brain"] = 0.95
    found = compute(table, "refacing")
    row = only(found, measure="any")
    counts = ["n_flags", "flagged_defaced", "flagged_refaced", "only_defaced", "only_refaced"]
    assert row[counts].tolist() == [12, 9, 1, 9, 1]
    assert row["p_mcnemar"] == pytest.approx(2 * 11 / 2**10)
    assert only(found, measure="csf")["p_mcnemar"] == row["p_mcnemar"]
    frontal = only(found, measure="frontal")
    assert frontal["median_refaced"] == 0
    assert frontal["difference"] < -2
    assert (frontal["smaller"], frontal["family_size"]) == (1, 18)
    assert frontal["p"] == pytest.approx(2 / 2**12)
    assert only(found, measure="parietal")["smaller"] == 0
    dice = only(found, measure="dice_brain")
    assert (dice["difference"], dice["smaller"]) == (pytest.approx(0.05), 1)
    assert (frontal["differs_defaced"], frontal["differs_refaced"]) == (1, 0)
    _, rows = printed("refacing", found)
    assert rows[0][2:6] == ["defaced 1, refaced 0", "1 (0)", "9, 1 of 12 (9, 1)", "0.021"]


def test_one_scan_a_participant_is_flagged_and_failures_are_counted_beside():
    table = plain(6, sessions=2)
    defaced, refaced = (table["variant"] == v for v in ("pydeface", "pydeface+m"))
    first = table["session"] == "ses-1"
    table.loc[defaced & first, "vol_gm"] *= 1.2
    table.loc[refaced & first & (table["participant"] == "sub-001"), "status"] = "failed"
    table.loc[refaced & (table["participant"] == "sub-002"), "status"] = "failed"
    row = only(compute(table, "refacing"), measure="any")
    # sub-001 by its second session, in which nothing changed; sub-002 in no common scan.
    assert row[["n_flags", "only_defaced", "only_refaced"]].tolist() == [5, 4, 0]
    assert row[["n_flags_all", "flagged_refaced_all", "only_defaced_all"]].tolist() == [6, 2, 4]
    gm = only(compute(table, "refacing"), measure="gm")
    assert (gm["n"], gm["n_scans"], gm["n_failed"]) == (5, 9, 3)
    assert gm["median_defaced"] == pytest.approx(10)  # the mean of a person's two sessions


# agreement of volumes ------------------------------------------------------------------------


def test_a_planted_bias_is_the_bias():
    table = plain(12)
    table.loc[table["variant"] == "pydeface", "vol_gm"] *= 1.03
    found = compute(table, "volume_agreement")
    row = only(found, variant="pydeface", region="gm")
    assert row["bias_pct"] == pytest.approx(3)
    assert row["lower_pct"] == pytest.approx(3)
    assert row["slope"] == pytest.approx(0.03 / 1.015)
    assert row["slope_p_holm"] < 1e-6
    assert row["icc"] < 1
    rest = only(found, variant="pydeface", region="wm")
    assert (rest["bias_pct"], rest["icc"]) == (0, 1)
    text = caption("volume_agreement", {"volume_agreement": found}, SETTINGS)
    assert "Holm-corrected p < 0.05): pydeface (GM)." in text


# mixed models and subgroups --------------------------------------------------------------------


def test_mixed_models_say_the_mean_changes():
    table = plain(12, sessions=2)
    hit = table["variant"] == "pydeface"
    table.loc[hit, "vol_gm"] *= 0.97 + 0.001 * (np.arange(hit.sum()) % 5)
    found = compute(table, "mixed_models")
    row = only(found, variant="pydeface", measure="gm")
    expected = table[hit]["vol_gm"].to_numpy() / table[table["variant"] == "original"]["vol_gm"]
    site = table[hit]["site"].to_numpy()
    assert row["estimate"] == pytest.approx(((expected - 1) * 100).groupby(site).mean().mean())
    assert (row["n"], row["n_values"], row["n_sites"]) == (12, 48, 2)
    assert row["low"] < row["estimate"] < row["high"] < 0
    assert only(found, variant="pydeface", measure="wm")["fit"] == "all values are equal"
    text = caption("mixed_models", {"mixed_models": found}, SETTINGS)
    assert "wm (all values are equal)" in text


def test_a_planted_interaction_is_found_where_it_is():
    table = plain(24, ("original", "pydeface", "quickshear"))
    rng = np.random.default_rng(1)
    changed = table["variant"] != "original"
    table.loc[changed, "vol_tiv"] *= 1 + rng.normal(0, 0.002, changed.sum())
    south = (table["variant"] == "pydeface") & (table["site"] == "south")
    table.loc[south, "vol_tiv"] *= 1.05
    table["sex"] = np.where(table["participant"] <= "sub-012", "F", "M")
    table.loc[table["participant"] == "sub-001", "sex"] = ""
    found = compute(table, "subgroups", criteria=Criteria(age_bands=(40, 60)))
    mine = found[found["measure"] == "tiv"]
    site = mine[(mine["variant"] == "pydeface") & (mine["factor"] == "site")]
    assert (site["p_holm"] < 0.05).all()
    effects = site.set_index("group")["effect"]
    assert effects["south"] - effects["north"] == pytest.approx(5, abs=0.3)
    others = mine[(mine["variant"] == "quickshear") | (mine["factor"] == "sex")]
    assert (others["p_holm"] > 0.05).all()
    sex = mine[(mine["variant"] == "pydeface") & (mine["factor"] == "sex")].set_index("group")
    assert sex["n"].to_dict() == {"F": 11, "M": 12, "not recorded": 1}
    assert sex["small"].to_dict() == {"F": 0, "M": 0, "not recorded": 1}
    ages = mine[(mine["variant"] == "pydeface") & (mine["factor"] == "age")]
    assert list(ages["group"]) == ["under 40", "40 to 60", "60 and over"]
    text = caption("subgroups", {"subgroups": found}, SETTINGS)
    assert "not recorded 1" in text
    assert "Warning: fewer than 10 participants in" in text
    _, rows = printed("subgroups", found)
    assert "south +5" in rows[0][1]
    assert "(few)" not in rows[0][1]
    told = " ".join(cell for row in rows for cell in row)
    assert "Change of TIV (%)" in told
    assert not set(found["measure"]) & set(re.findall(r"\w+_\w+", told)), "no raw name"


# failures counted ------------------------------------------------------------------------------


def test_medians_with_failures_as_worse_than_all():
    table = plain(10)
    hit = table["variant"] == "pydeface"
    table.loc[hit, "vol_tiv"] *= 1 + np.arange(10) / 100
    table.loc[hit, "dice_brain"] = 1 - np.arange(10) / 100
    table.loc[hit & (table["participant"] <= "sub-004"), "status"] = "failed"
    found = compute(table, "failures_counted")
    row = only(found, variant="pydeface", measure="tiv")
    assert (row["n"], row["n_all"], row["n_lost"]) == (6, 10, 4)
    assert (row["median"], row["median_all"]) == (pytest.approx(6.5), pytest.approx(8.5))
    assert row["high_all"] == np.inf
    dice = only(found, variant="pydeface", measure="dice_brain")
    assert (dice["median"], dice["median_all"]) == (pytest.approx(0.935), pytest.approx(0.915))
    assert dice["low_all"] == -np.inf
    intact = only(found, variant="pydeface+m", measure="tiv")
    assert intact["median"] == intact["median_all"] == 0
    _, rows = printed("failures_counted", found)
    assert [row[:2] for row in rows] == [["pydeface", "10 (4)"]]
    table.loc[hit & (table["participant"] <= "sub-005"), "status"] = "failed"
    found = compute(table, "failures_counted")
    assert only(found, variant="pydeface", measure="tiv")["median_all"] == np.inf
    assert "none (half or more failed)" in " ".join(printed("failures_counted", found)[1][0])


# all of them -----------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [0, 2])
def test_hardly_anybody_stops_nothing(n):
    table = cohort(3, failures=False)
    table = table[table["participant"].isin([f"sub-{i + 1:03d}" for i in range(n)])]
    made = compute(table, *NAMES, variants=list(factories.VARIANTS))
    look = look_of({"quality": pd.DataFrame({"variant": factories.VARIANTS, "engine": ""})})
    view = View(made, SETTINGS, SEGMENTER, look=look)
    for name in NAMES:
        result = catalogue.find(name)
        assert result.said(view).endswith(".")
        if result.printed and len(made[name]):
            result.printed(view)
        for figure in result.figures:
            figure.draw(view)


def test_tables_are_the_same_again():
    one, again = (compute(cohort(6), *NAMES) for _ in range(2))
    for name in NAMES:
        assert one[name].to_csv() == again[name].to_csv()


def test_segmenters_are_families_of_their_own():
    two = compute(cohort(8, segmenters=("one", "two")), "method_pairs")
    assert set(two["family_size"]) <= {6, 0}
    assert set(two["segmenter"]) == {"one", "two"}
