"""The verdict on a method: what was measured, its blind spot, and the attack that beats it."""

import re

import numpy as np
import pandas as pd
import pytest

import factories
from factories import TABLE_COLUMNS, make_tables
from reading import Page, caption, context
from refacebench.plot import privacy_utility
from refacebench.plot.style import look_of
from refacebench.report.page import build
from refacebench.report.summary import REMINDER, summary_lines, utility_ranking
from refacebench.results import catalogue, checks_trusted, findings, sentences
from refacebench.results.quality import compute as quality_table
from refacebench.statistics.criteria import Criteria

SETTINGS = Criteria(n_boot=20)
GOOD_WORDS = r"\b(success\w*|safe\w*|protect\w*|best|good|secure\w*|green|whole|anonym\w*)\b"
VARIANTS = ("original", "null", "beaten", "blind", "plain", "cutter", "crashed", "beaten+m")


def quality_row(variant, **given):
    row = {
        "variant": variant, "segmenter": "deepbet_gmm", "engine": "native", "version": "1",
        "n": 13, "n_with_face": 13, "success": 13, "success_share": 1.0, "success_low": 0.77,
        "success_high": 1.0, "n_face": 13, "face_removed": 13, "n_brain": 13,
        "brain_unchanged": 13, "face_left_median": 0.0, "brain_removed_max": 0,
        "brain_removed_max_pct": 0.0, "scans_with_brain_change": 0, "note": "",
    }  # fmt: skip
    zeros = dict.fromkeys(
        ("failure_1", "failure_2", "failure_1+2", "untouched", "no_face", "crash", "unrated"), 0
    )
    return row | zeros | given


def quality():
    nothing = {"success": 0, "success_share": 0.0, "success_low": 0.0, "success_high": 0.23}
    return catalogue.find("quality").frame(
        [
            quality_row("null", face_removed=0, untouched=13, **nothing),
            quality_row("beaten"),
            quality_row("beaten+m"),
            quality_row("blind"),
            quality_row("plain", engine="official", n_with_face=12, n_face=12, face_removed=10,
                        success=10, failure_1=2, no_face=1),
            quality_row("cutter", engine="official", brain_unchanged=4, failure_2=3, success=10,
                        brain_removed_max=4000, brain_removed_max_pct=0.3),
            quality_row("crashed", crash=13, face_removed=0, n_brain=0, brain_unchanged=0,
                        face_left_median=np.nan, brain_removed_max=np.nan,
                        brain_removed_max_pct=np.nan, **nothing),
            quality_row("gone", engine="unavailable", n=0, n_with_face=0, success=0, n_face=0,
                        face_removed=0, n_brain=0, brain_unchanged=0, success_share=np.nan,
                        success_low=np.nan, success_high=np.nan,
                        note="unavailable: no program gone"),
        ],
    )  # fmt: skip


def agreement():
    """Truth: the blind method cuts every brain, which its check does not see."""
    rows = []
    for name in ("beaten", "beaten+m", "blind", "plain", "cutter", "null"):
        face = (0, 0, 12, 0)
        brain = {"blind": (0, 13, 0, 0), "cutter": (2, 0, 10, 1)}.get(name, (0, 0, 13, 0))
        rows += [(name, "failure_1", *face), (name, "failure_2", *brain)]
    counts = ["true_positive", "false_negative", "true_negative", "false_positive"]
    table = pd.DataFrame(rows, columns=["made_by", "failure", *counts])
    everything = table.groupby("failure")[counts].sum().reset_index().assign(made_by="all")
    table = pd.concat([everything, table])
    return catalogue.find("verdict_agreement").frame(table.to_dict("records"))


def tradeoff(original=(1.0, 0.75, 1.0)):
    rows = [
        ("original", "surface", "direct", *original),
        ("beaten", "surface", "m", 0.734, 0.564, 0.886),
        ("beaten+m", "surface", "taken_off", 0.734, 0.564, 0.886),
        ("blind", "faces", "direct", 0.29, 0.17, 0.48),
        ("plain", "faces", "direct", 0.25, 0.2, 0.5),  # its lower end is no more than chance
        ("cutter", "faces", "direct", 0.15, 0.07, 0.35),
        ("crashed", "faces", "direct", 0.0, 0.0, 0.25),
    ]
    names = ["variant", "worst_attacker", "worst_route", "worst_rate", "low", "high"]
    table = pd.DataFrame(rows, columns=names).assign(
        setting="other_session", segmenter="deepbet_gmm", measure="choice", chance=0.2, n=13
    )
    # Corrected for the choice of the worst: a number that the page's tables do not have.
    table["identification"] = 0.9 * table["worst_rate"]
    table["beaten"] = (table["low"] > table["chance"]).astype(float)
    table["above_chance_at_most"] = table["high"] - table["chance"]
    table = table.assign(margin_points=5.0, within_margin=0.0)
    return catalogue.find("tradeoff").frame(table.to_dict("records"))


def tables(**changes):
    return {
        "quality": quality(),
        "verdict_agreement": agreement(),
        "tradeoff": tradeoff(),
        **changes,
    }


def line(name, given=None):
    return sentences.line(findings.finding(tables() if given is None else given, name))


def test_an_attack_that_beats_a_method_comes_first_with_rate_interval_chance_and_route():
    assert line("beaten") == (
        "beaten: an attack beats it: attacker surface picks the right one of 5 people in 73 % "
        "(chance 20 %; corrected for picking the strongest attack: 66 %, 56 to 89 %), after m put "
        "a face back. "
        "Original face surface removed in 13 of 13 scans. By the true labels no brain was lost "
        "(13 scans). How sure: the check of the face agrees with the true labels in 12 of 12 "
        "scans; whether brain was cut is not testable by the automatic check, because the method "
        "spares the very mask by which the check judges; the true labels can tell (above). Not "
        "known: what a stronger attack would reach."
    )
    assert "after the new face was taken off" in line("beaten+m")


def test_a_blind_spot_stands_beside_its_verdict():
    assert line("blind") == (
        "blind: by the true labels brain was lost in 13 of 13 scans. Original face surface removed "
        "in 13 of 13 scans. How sure: the check of the face agrees with the true labels in 12 of "
        "12 scans; whether brain was cut is not testable by the automatic check, because the "
        "method spares the very mask by which the check judges; the true labels can tell (above). "
        "Not known: whether attacks can recognise people: no attack is shown to do better than "
        "chance, but up to 28 points above it cannot be ruled out (one-sided bound; less than 5 is "
        "asked for); the strongest: attacker faces picks the right one of 5 people in 29 % (chance "
        "20 %; corrected for picking the strongest attack: 26 %, 17 to 48 %), on the image as it "
        "is."
    )
    found = checks_trusted.checks_line(tables())
    assert (
        "the check of the brain found 2 of 15 losses of brain (blind, cutter) and raised a false "
        "alarm in 1 of " in found
    )


def test_only_a_method_that_spares_the_judges_mask_cannot_fail():
    for name in ("plain", "cutter"):
        assert "not testable" not in line(name)
    assert "changed in 4 of 13, too many (Failure II) in 3 of 13." in line("cutter")
    assert "the check of the brain agrees with the true labels in 12 of 13" in line("cutter")
    assert "it raised a false alarm in 1" in line("cutter")
    # A native model whose whole output was taken: the counts show that it touched the mask.
    whole = quality().set_index("variant", drop=False)
    whole.loc["beaten+m", "brain_unchanged"] = 0
    assert "not testable" not in line("beaten+m", tables(quality=whole))
    # Quickshear is the released program, but is handed the very mask.
    renamed = quality().replace({"variant": {"plain": "quickshear"}})
    assert "not testable" in line("quickshear", tables(quality=renamed))
    # A refaced scan is no surer than the program that defaced it.
    official = quality().set_index("variant", drop=False)
    official.loc["beaten", "engine"] = "official"
    assert "not testable" not in line("beaten+m", tables(quality=official))


def changed(**columns):
    """The tables with other verdicts on `plain`."""
    table = tradeoff()
    table.loc[table["variant"] == "plain", list(columns)] = list(columns.values())
    return tables(tradeoff=table)


def cell(given):
    return findings.cells(findings.finding(given, "plain"))[3]


def test_a_verdict_follows_the_exact_test_and_says_where_the_interval_differs():
    assert "no attack is shown to do better than chance" in line("plain").lower()
    assert cell(tables()).startswith("not shown above chance")
    beaten = changed(beaten=1.0)
    assert (
        "by the exact test, which decides, although the corrected interval (20 to 50 %) includes "
        "chance." in line("plain", beaten)
    )
    assert cell(beaten).startswith("beats it")
    close = changed(low=0.25)
    assert "no attack is shown" in line("plain", close).lower()
    assert "although the corrected interval (25 to 50 %) lies above chance" in line("plain", close)
    assert "decides" not in line("plain")


def test_methods_that_met_different_numbers_of_attacks_are_named_with_them():
    routes = {"beaten": 4, "beaten+m": 4, "blind": 2, "plain": 2, "skull_strip": 6}
    rows = tradeoff().replace({"variant": {"cutter": "skull_strip"}})
    given = {"tradeoff": rows.assign(n_routes=rows["variant"].map(routes))}
    said = sentences.unequal_attacks(given, routes)
    assert "4 attacks on beaten and beaten+m and 2 attacks on blind and plain." in said
    assert "More attacks find more" in said
    assert "skull_strip" not in said, "a control is no method"
    assert sentences.unequal_attacks(given, ["blind", "plain", "skull_strip"]) == ""
    assert sentences.unequal_attacks({}, routes) == ""


def test_where_two_intervals_differ_both_are_named_with_the_test_that_decides():
    """Of the attack by itself the interval excludes chance; allowing for the choice it does not."""
    single = pd.DataFrame(
        [{"variant": "plain", "attacker": "faces", "setting": "other_session", "measure": "choice",
          "choice_completers_low": 0.24, "choice_completers_high": 0.78, "n_undetected": 0,
          "n_queries": 13}]
    )  # fmt: skip
    own = "its own interval (24 to 78 %) lies above chance"
    corrected = "the corrected interval (20 to 50 %) includes chance"
    told = line("plain", {**changed(beaten=1.0), "privacy": single})
    assert f"by the exact test, which decides, although {corrected}, while {own}." in told
    told = line("plain", {**changed(beaten=0.0), "privacy": single})
    assert "The exact test decides, which is corrected for all attacks on methods" in told
    assert f"although {own}, while {corrected}" in told
    assert "decides" not in line("plain", {**changed(beaten=1.0, low=0.3), "privacy": single})


def test_what_is_not_above_chance_is_told_from_what_is_shown_to_be_within_the_margin():
    within = changed(within_margin=1.0, above_chance_at_most=0.04)
    text = line("plain", within)
    assert "better than chance, all are shown to be less than 5 points above it; the s" in text
    assert "ruled out" not in text
    assert cell(within).startswith("within 5 points of chance")
    assert "but up to 30 points above it cannot be ruled out" in line("plain")


def test_a_method_that_failed_on_all_was_neither_judged_nor_attacked():
    assert line("crashed") == (
        "crashed: no usable output in any of 13 scans, so nothing was judged, and whether people "
        "can be recognised was not measured."
    )
    assert findings.cells(findings.finding(tables(), "crashed"))[3] == "not measured"


def test_a_missing_program_has_its_line():
    assert line("gone") == (
        "gone: unavailable on the machine of this run, so nothing of it was measured."
    )


def test_failed_scans_are_not_hidden_by_the_rate_of_the_attack():
    some = quality().set_index("variant", drop=False)
    some.loc["plain", ["crash", "face_removed", "n_brain", "brain_unchanged"]] = [3, 10, 10, 10]
    some.loc["plain", "n_face"] = 13
    text = line("plain", tables(quality=some))
    assert "removed in 10 of 13 scans" in text
    assert "in 10 of 10 outputs" in text
    assert "No usable output in 3 of 13 scans, which no attack could be made on." in text


@pytest.mark.parametrize("none", [{}, {"tradeoff": catalogue.find("tradeoff").frame([])}])
def test_without_attackers_it_is_said_that_nothing_of_it_was_measured(none):
    given = {k: v for k, v in tables().items() if k != "tradeoff"} | none
    for name in ("beaten", "blind", "plain", "cutter", "crashed"):
        assert re.search(
            "whether people can be recognised,? (which )?was not measured", line(name, given)
        )
        assert "attack" not in line(name, given)
    assert summary_lines(given)[-1].endswith(REMINDER)


def test_a_variant_that_nobody_attacked_is_no_unbeaten_one():
    fewer = tradeoff()
    text = line("blind", tables(tradeoff=fewer[fewer["variant"] != "blind"]))
    assert "whether people can be recognised, which was not measured for it." in text
    assert "no attack" not in text.lower()


def test_attacks_that_do_not_know_the_originals_say_nothing_of_a_method():
    weak = tables(tradeoff=tradeoff(original=(0.3, 0.1, 0.5)))
    assert "not shown to do better than chance even on the originals, so they say nothing" in line(
        "blind", weak
    )
    assert "not shown to be better than chance" in sentences.originals_line(weak)


def test_without_truth_nobody_checked():
    bare = tables(verdict_agreement=catalogue.find("verdict_agreement").frame([]))
    assert "neither check was held against true labels." in line("blind", bare)
    assert "true labels agree" not in line("blind", bare)
    assert "unknown" in checks_trusted.checks_line(bare)


def test_rank_one_is_not_called_a_choice():
    named = tradeoff().assign(measure="rank1", chance=1 / 13)
    assert "attacker surface names the person in 73 % (chance 7.7 %; corrected" in line(
        "beaten", tables(tradeoff=named)
    )


def test_summary_has_one_line_a_method_and_no_kind_word():
    lines = summary_lines(tables())
    for name in look_of(tables()).defacers:
        mine = [text for text in lines if text.startswith(f"{name}:")]
        assert mine == [line(name)]
        assert not re.search(GOOD_WORDS, mine[0], re.IGNORECASE)


# the page -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def full():
    """All tables of a cohort with the verdicts above."""
    measured = factories.measurements(13, VARIANTS, n_train=8, failures=False)
    made = make_tables(measured, SETTINGS)
    return made | tables()


def numbers(text):
    return [float(n) for n in re.findall(r"\d+(?:\.\d+)?", text)]


def test_page_says_the_same_of_a_method_in_headline_and_tables(full):
    """Each number of a method's line is that of its row, and of the raw tables."""
    page = Page(build(context(full, config={"defacers": {}})))
    look = look_of(full)
    text = page.words
    head = next(row for row in page.rows if row[:2] == ["Variant", "Face surface removed"])
    first = page.rows.index(head) + 1
    rows = {row[0]: row for row in page.rows[first : first + len(full["quality"])]}
    where = {title: place for place, title in enumerate(head)}
    for name in look.defacers:
        headline = sentences.line(findings.finding(full, name))
        for _, points in sentences.told(findings.finding(full, name)).groups:
            for point in points:
                assert point in text
                assert point.rstrip(".")[1:] in headline, "the page and the text file say the same"
        row = rows[look.label(name)]
        raw = full["quality"].set_index("variant").loc[name]
        if name in ("gone", "crashed"):
            assert row[where["Strongest attack"]] in ("–", "not measured")
            continue
        face = re.search(r"face surface removed in (\d+) of (\d+)", headline, re.IGNORECASE)
        assert [*face.groups()] == row[where["Face surface removed"]].split(";")[0].split("/")
        assert int(face[1]) == raw["face_removed"]
        brain = re.search(r"removed or changed in (\d+) of (\d+)", headline)
        # A check that cannot fail counts for nothing: neither a sentence nor a cell praises it.
        untested = row[where["Brain mask unchanged"]] == "not testable"
        assert (brain is None) == ("not testable" in headline) == untested
        if brain:
            assert f"{brain[1]}/{brain[2]}" == row[where["Brain mask unchanged"]]
        agreed = re.findall(r"agrees with the true labels in (\d+) of (\d+)", headline)
        labels = row[where["By true labels"]].replace("\u00a0", " ")
        assert labels.startswith("check of face right in {}/{}, ".format(*agreed[0]))
        if untested:
            lost = re.search(r"labels brain was lost in (\d+) of (\d+)", headline)
            none = re.search(r"labels no brain was lost \((\d+) scans", headline)
            many, judged = lost.groups() if lost else (0, none[1])
            assert labels.endswith(f", brain lost in {many}/{judged}")
        else:
            assert labels.endswith("check of brain right in {}/{}".format(*agreed[1]))
        attack = full["tradeoff"].set_index("variant").loc[name]
        cell = row[where["Strongest attack"]]
        rates = r"in (\d+) % \(chance 20 %; corrected .*?: (\d+) %, (\d+) to (\d+) %\)"
        rate = re.search(rates, headline).groups()
        observed, *corrected = rate
        assert [observed, *corrected] == [str(int(n)) for n in numbers(cell)]
        assert [int(n) for n in rate] == [
            round(100 * attack[c]) for c in ("worst_rate", "identification", "low", "high")
        ]
        beaten = attack["low"] > attack["chance"]
        assert ("an attack beats it" in headline) == cell.startswith("beats it") == beaten


def test_no_part_of_the_page_praises(full):
    """The words promise no more than the numbers, wherever they stand."""
    page = Page(build(context(full, config={"defacers": {}})))
    quality = caption("quality", full, SETTINGS)
    prose = [*summary_lines(full), *page.captions, *[c for r in page.rows for c in r]]
    allowed = (
        "'success'",
        "make it the best",
        "make any the best",
        "not safe",
        "same as safe",
        "no safer",
    )
    for text in prose:
        for phrase in allowed:
            text = text.replace(phrase, "")
        if "Pareto front" in text:  # the plane has sentences of its own
            continue
        assert not re.search(r"\b(success\w*|safe\w*|best|face out|brain whole)\b", text, re.I), (
            text
        )
    assert "it does not say that nobody can be recognised" in quality


def test_first_in_utility_is_told_from_unrecognised(full):
    ranked = utility_ranking(full, "deepbet_gmm")
    first = ranked.index[0]
    made = tradeoff().assign(variant=first).iloc[[1]]
    text = summary_lines(full | {"tradeoff": made})[-1]
    assert f"{first} (verdict: do not share; an attack beats it: 73 % (chance 20 %; corr" in text


# the table behind it ------------------------------------------------------------------------


def test_faces_and_brains_are_counted_by_hand():
    scans = factories.measurements(9, failures=False, n_rescans=0, n_train=0)
    mine = scans["variant"] == "pydeface"
    scans.loc[mine, "quality"] = [
        *("success", "failure_1", "untouched", "failure_2", "failure_1+2"),
        *("no_face", "failure_2", "crash", ""),
    ]
    scans.loc[mine, "face_left"] = [0, 0.5, 1, 0, 0.5, np.nan, np.nan, np.nan, 0]
    scans.loc[mine, "brain_changed"] = [0, 1, 0, 90, 90, 0, 90, 0, 0]
    crashed = scans.index[mine][7:]
    scans.loc[crashed, ["status", "stage"]] = [["failed", "reface"], ["failed", "segment"]]
    row = quality_table(scans, SETTINGS, ["original", "pydeface"]).iloc[0]
    # The sixth and seventh scan came without a face; the eighth crashed, the ninth is unrated.
    assert (row["face_removed"], row["n_face"]) == (2, 7)
    # What an earlier stage counted on the two that failed is no measure of the output.
    assert (row["brain_unchanged"], row["n_brain"]) == (3, 7)
    assert row["scans_with_brain_change"] == row["n_brain"] - row["brain_unchanged"]


def test_the_new_columns_are_declared():
    assert {"n_face", "face_removed", "n_brain", "brain_unchanged"} <= set(TABLE_COLUMNS["quality"])


def test_what_is_written_far_from_the_head_comes_first():
    quality = pd.DataFrame([quality_row("marked", scans_with_odd_voxels=2), quality_row("plain")])
    said = sentences.line(findings.finding({"quality": quality}, "marked"))
    assert said.startswith("marked: something was written far from the head in 2 of 13 outputs")
    plain = sentences.line(findings.finding({"quality": quality}, "plain"))
    assert "far from the head" not in plain


def test_an_attack_on_the_same_scan_alone_is_not_left_out():
    """What counts is another session; that only the easier comparison beats a method is said."""
    both = tradeoff()
    easier = both[both["variant"] == "plain"].assign(
        setting="same_scan", beaten=1.0, worst_rate=0.57, identification=0.57, low=0.23, high=0.82
    )
    text = line("plain", tables(tradeoff=pd.concat([both, easier])))
    assert "beats it in the easier comparison with the very same scan" in text
    assert "in 57 % (23 to 82 %, chance 20 %)" in text
    assert "no attack that has another session is shown to do better than chance" in text
    assert "easier" not in line("plain")


def test_volumes_are_undecided_unless_shown_within_or_beyond_their_margin():
    """One that differs and stays within its margin is counted once."""
    rows = pd.DataFrame(
        {
            "variant": "plain",
            "segmenter": "s",
            "region": ["gm", "csf", "tiv", "wm"],
            "p_holm": [0.01, 0.01, 0.5, 0.5],
            "equivalent": [1.0, 0.0, 0.0, 1.0],
            "median_change_pct": [0.1, 3.0, 0.2, 0.0],
            "low": [0.05, 2.5, -1, -0.1],
            "high": [0.15, 3.5, 2, 0.1],
            "low_joint": [0.0, 2.1, -2, -0.2],
            "high_joint": [0.2, 4.0, 3, 0.2],
            "margin_pct": [1.0, 2.0, 0.5, 1.0],
        }
    )
    found = findings.finding({"quality": quality(), "volumes": rows}, "plain").volumes
    assert (found.tested, found.differ, found.equivalent, found.beyond) == (4, 2, 2, 1)
    assert found.equivalent + found.beyond + found.open == found.tested
    text = line("plain", {"quality": quality(), "volumes": rows})
    assert "2 of 4 volumes are shown to change (most: CSF, +3.0 %)." in text
    assert (
        "Of 4 volumes 2 are shown to stay within the margin of equivalence, 1 to change by more "
        "than it; 1 is open." in text
    )
    assert (
        "for 1 of 4 volumes the people are too few to tell whether it stays within the margin of "
        "0.5 to 2.0 %" in text
    )
    few = line("plain", {"quality": quality(), "volumes": rows.assign(n=[13, 12, 13, 13])})
    assert "for 1 of 4 volumes 13 people are too few to tell" in few


def test_volumes_within_their_margin_beyond_it_and_open_add_up_to_those_tested():
    """One that is shown to change, by an amount on both sides of its margin, is open as well."""
    rows = pd.DataFrame(
        {
            "variant": "plain",
            "segmenter": "s",
            "region": ["gm", "csf", "tiv", "wm", "brain"],
            "p_holm": [0.01, 0.01, 0.5, 0.5, 0.01],
            "equivalent": [1.0, 0.0, 0.0, 1.0, 0.0],
            "median_change_pct": [0.1, 3.0, 0.2, 0.0, 1.0],
            "low_joint": [0.0, 2.1, -2, -0.2, 0.5],
            "high_joint": [0.2, 4.0, 3, 0.2, 1.5],
            "margin_pct": 1.0,
        }
    )
    given = {"quality": quality(), "volumes": rows}
    found = findings.finding(given, "plain").volumes
    assert (found.tested, found.differ) == (5, 3)
    assert (found.equivalent, found.beyond, found.open) == (2, 1, 2)
    text = line("plain", given)
    assert "3 of 5 volumes are shown to change (most: CSF, +3.0 %)." in text
    assert "Of 5 volumes 2 are shown to stay" in text
    assert "1 to change by more than it; 2 are open." in text
    assert "for 2 of 5 volumes the people are too few to tell whether they stay" in text
    # A volume that both tests claim is counted as beyond, and once.
    both = rows.assign(equivalent=1.0)
    found = findings.finding({"quality": quality(), "volumes": both}, "plain").volumes
    assert (found.equivalent, found.beyond, found.open) == (4, 1, 0)
    # The change that is named is one that is shown, be another one larger.
    one = rows.assign(p_holm=[0.5, 0.5, 0.5, 0.5, 0.01])
    text = line("plain", {"quality": quality(), "volumes": one})
    assert "1 of 5 volumes is shown to change (brain, +1.0 %)" in text
    small = one.assign(median_change_pct=[0.1, 3.0, 0.2, 0.0, -0.02])
    text = line("plain", {"quality": quality(), "volumes": small})
    assert "1 of 5 volumes is shown to change (brain, less than 0.1 % down)" in text


def test_a_rate_that_the_correction_leaves_as_it_is_is_printed_once():
    one = tradeoff().assign(identification=lambda t: t["worst_rate"])
    text = line("blind", tables(tradeoff=one))
    assert "in 29 % (17 to 48 %, chance 20 %)" in text
    assert "corrected" not in text
    assert cell(tables(tradeoff=one)) == "not shown above chance: 25\u00a0% [20, 50]"


def test_the_plane_draws_both_rates_of_the_worst_attack_that_the_summary_prints():
    """The observed rate is the mark, the corrected one a tick."""
    table = tradeoff().assign(volume_change_pct=1.0, volume_low=0.5, volume_high=1.5, n_failed=0)
    table = table.assign(n=13, comparable=1.0, pareto=0.0, rank=2.0)
    table.loc[table["variant"] == "blind", "volume_change_pct"] = 3.0
    figure = privacy_utility.draw(table, look_of(tables()))
    axes = figure.axes[0]
    names = [text.get_text() for text in axes.get_yticklabels()]
    row = next(y for y, n in zip(axes.get_yticks(), names, strict=True) if n.startswith("blind"))
    marks = {
        (line.get_marker(), round(float(line.get_xdata()[0]), 6))
        for line in axes.lines
        if len(line.get_xdata()) == 1 and line.get_ydata()[0] == row
    }
    assert {("o", 29.0), ("|", 26.1)} <= marks
    said = [text.get_text() for text in figure.legends[0].get_texts()]
    assert any(privacy_utility.CORRECTED in text for text in said)
    assert privacy_utility.CORRECTED in line("blind")
    told = caption("tradeoff", {"tradeoff": table}, SETTINGS)
    assert privacy_utility.CORRECTED in told
    assert "may begin at 0" in told.split("\n\n")[0], "why a change may look like none, unfolded"


def test_scans_that_could_not_be_judged_are_counted():
    counted = agreement().assign(n_not_judged=0.0)
    mine = (counted["made_by"] == "plain") & (counted["failure"] == "failure_1")
    counted.loc[mine, "n_not_judged"] = 1.0
    given = tables(verdict_agreement=counted)
    assert (
        "the check of the face agrees with the true labels in 12 of 12 scans: 1 more could not "
        "be compared, as the check or the labels gave no answer" in line("plain", given)
    )
    cells = findings.cells(findings.finding(given, "plain"))
    assert cells[2] == (
        "check of face right in\u00a012/12 (1\u00a0more not compared), "
        "check of brain right in\u00a013/13"
    )
    everything = counted["made_by"] == "all"
    counted.loc[everything & (counted["failure"] == "failure_1"), "n_not_judged"] = 7.0
    assert "other images (7 could not be compared);" in checks_trusted.checks_line(given)


@pytest.mark.parametrize(
    ("variant", "route", "asked"),
    [
        ("blind", "direct", "blind"),
        ("beaten", "m", "beaten+m"),
        ("beaten+m", "taken_off", "beaten"),
    ],
)
def test_an_attack_that_found_no_face_and_is_the_worst_says_so(variant, route, asked):
    worst = tradeoff()
    mine = worst["variant"] == variant
    worst.loc[mine, ["worst_attacker", "worst_route"]] = ["faces", route]
    privacy = pd.DataFrame(
        [
            {"attacker": "faces", "variant": asked, "setting": "other_session", "n_undetected": 13,
             "n_queries": 13, "rank1": 0.2},
            {"attacker": "faces", "variant": asked, "setting": "same_scan", "n_undetected": 1,
             "n_queries": 26, "rank1": 0.2},
        ]
    )  # fmt: skip
    text = line(variant, tables(tradeoff=worst, privacy=privacy))
    assert "(though it found no face in 13 of 13 scans; it then compares whatever" in text
    none = privacy.assign(n_undetected=0)
    assert "found no face" not in line(variant, tables(tradeoff=worst, privacy=none))


def test_ears_that_are_left_are_told_where_the_face_is_said_to_be_removed():
    parts = pd.DataFrame(
        [("plain", "nose", 0, 13), ("plain", "ears", 12, 13), ("cutter", "ears", 0, 13)],
        columns=["variant", "part", "n_left", "n"],
    )
    given = tables(face_parts=parts)
    assert "face surface removed in 10 of 12 scans (ears left in 12 of 13)" in line("plain", given)
    assert findings.cells(findings.finding(given, "plain"))[0].endswith("ears left in\u00a012/13")
    assert "ears" not in line("cutter", given)
    assert "ears" not in line("plain")


@pytest.mark.parametrize(
    ("p", "low", "said"),
    [
        (
            0.01,
            0.02,
            "predicted age is shown to change (by +0.14 years on average, +0.02 to +0.30)",
        ),
        (0.2, 0.02, "is not shown to change (by +0.14 years on average, +0.02 to +0.30; the test"),
        (
            0.2,
            -0.2,
            "predicted age is not shown to change (by +0.1 years on average, -0.2 to +0.3)",
        ),
        (np.nan, -0.2, "predicted age moved by +0.1 years on average, -0.2 to +0.3"),
    ],
)
def test_predicted_age_is_said_to_change_where_the_test_shows_it(p, low, said):
    ages = pd.DataFrame(
        [{"variant": "plain", "segmenter": "s", "shift": 0.14, "shift_low": low, "shift_high": 0.3,
          "p_holm": p}]
    )  # fmt: skip
    assert said in line("plain", tables(brainage=ages)).replace("Predicted", "predicted")


def test_what_controls_lost_is_counted_apart_from_what_methods_lost():
    """That the check sees an untouched face says nothing of a method that leaves part of one."""
    given = tables()
    counted = given["verdict_agreement"].copy()
    face = counted[counted["failure"] == "failure_1"].copy()
    hits = ["true_positive", "false_negative"]
    face[hits] = 0.0
    face.loc[face["made_by"] == "plain", hits] = [0.0, 2.0]
    face.loc[face["made_by"] == "all", hits] = [0.0, 2.0]
    alone = {**given, "verdict_agreement": face}
    assert "found 0 of 2 faces left (plain) and" in checks_trusted.checks_line(alone)
    null = face[face["made_by"] == "plain"].assign(made_by="null", variant="null")
    null[hits] = [12.0, 0.0]
    both = {**given, "verdict_agreement": pd.concat([null, face])}
    assert "found 0 of 2 faces left by methods (plain) and 12 of 12 by controls (null control)" in (
        checks_trusted.checks_line(both)
    )
    face[hits] = 0.0
    face.loc[face["made_by"] == "all", hits] = [12.0, 0.0]
    only = {**given, "verdict_agreement": pd.concat([null, face])}
    assert "found 12 of 12 faces left, all by controls (null control)" in (
        checks_trusted.checks_line(only)
    )
