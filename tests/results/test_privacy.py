"""Tables and figures of attacks, and what the page says of them."""

import json
import re
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

import factories
import layout
from attacks import (
    PROTOCOL,
    SETTINGS,
    by_rank,
    controlled,
    kinds,
    make,
    rates_table,
    resplit_scores,
    scans,
)
from factories import ATTACK_COLUMNS, draw_attacks
from reading import Page, caption
from refacebench import faces, manifest, vocabulary
from refacebench.plot import privacy_utility, style
from refacebench.report.limits import limitations
from refacebench.report.page import build
from refacebench.report.summary import REMINDER, reminder, summary_lines
from refacebench.results import (
    catalogue,
    privacy_contrasts,
    privacy_gaps,
    privacy_map,
    sample_size,
)
from refacebench.results import privacy as pictures
from refacebench.results.privacy import MEASURED
from refacebench.results.privacy_curves import compute as privacy_curves_table
from refacebench.results.privacy_galleries import compute as privacy_galleries_table
from refacebench.results.privacy_likeness import compute as privacy_likeness_table
from refacebench.results.privacy_warnings import compute as privacy_warnings_table
from refacebench.results.privacy_warnings import warning_lines
from refacebench.results.result import View
from refacebench.results.tradeoff import compute as tradeoff_table
from refacebench.statistics import comparisons
from refacebench.statistics.attacks import evaluate, evaluate_all
from refacebench.statistics.comparisons import Comparisons
from refacebench.statistics.protocol import Protocol
from refacebench.vocabulary import OTHER_SESSION, SAME_SCAN


def one(found, setting=OTHER_SESSION, protocol=PROTOCOL, criteria=SETTINGS):
    return evaluate(found, setting, protocol, criteria)


def save(found, folder, **more):
    path = folder / found.attacker / f"{found.variant}.npz"
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays = {
        f"{side}_{name}": table[name].to_numpy(dtype=str)
        for side, table in (("query", found.query), ("gallery", found.gallery))
        for name in ("scan", "participant", "session")
    }
    distance = found.distance if found.resplits else found.distance[0]
    arrays |= {
        "distance": distance.astype(np.float32),
        "detected": found.query["detected"].to_numpy(dtype=bool),
        "query_reason": found.query["reason"].to_numpy(dtype=str),
        "meta": np.array(json.dumps({"version": "1.10", "trained_on": ""})),
    }
    np.savez_compressed(path, **{**arrays, **more})
    return path


def test_scores_are_read_as_they_were_written(tmp_path):
    found = resplit_scores()
    path = save(found, tmp_path, resplit=found.resplit.astype(np.int16), average_depth=np.ones(3))
    again = comparisons.read(path)
    assert (again.attacker, again.variant, again.resplits) == ("x", "a", 6)
    assert again.meta["version"] == "1.10"
    assert set(again.extra) == {"average_depth"}
    pd.testing.assert_frame_equal(again.query, found.query)
    assert one(again).row["rank1"] == one(found).row["rank1"]


def test_a_file_that_is_no_attack_is_named(tmp_path):
    path = tmp_path / "a.npz"
    path.write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"a\.npz: cannot be used"):
        comparisons.read(path)
    np.savez(path, distance=np.array([{}], dtype=object))
    with pytest.raises(ValueError, match=r"a\.npz: cannot be used"):
        comparisons.read(path)


#: A gallery of which no attribute is known.
NOBODY = pd.DataFrame({"participant": ["p00", "p01"], "status": "ok"})


@pytest.fixture(scope="module")
def cohort():
    """All tables of a cohort with attacks: two attackers, controls, a refaced variant."""
    rng = np.random.default_rng(0)
    found = []
    for attacker, skill in (("x", 0), ("y", 3)):
        found += controlled(attacker=attacker)[:3]
        for variant in ("null", "pydeface", "quickshear", "pydeface+pix2pix25d"):
            ranks = np.clip(rng.integers(1, 14, 13) - skill, 1, 13)
            ranks = np.full(13, 7) if variant == "quickshear" else ranks  # nobody beats it
            found.append(by_rank(ranks, 13, variant, attacker))
    found.append(resplit_scores("original", n=13))
    found[-1] = Comparisons("z", "original", *(getattr(found[-1], n) for n in (
        "distance", "query", "gallery", "meta", "resplit")))  # fmt: skip
    tables = factories.tables(12)
    results = evaluate_all(found, PROTOCOL, SETTINGS)
    return tables | {
        "privacy": rates_table(results),
        "privacy_curves": privacy_curves_table(results),
        "privacy_warnings": privacy_warnings_table(results, PROTOCOL, SETTINGS),
        "privacy_likeness": privacy_likeness_table(found, SETTINGS),
        "privacy_galleries": privacy_galleries_table(NOBODY, NOBODY, PROTOCOL),
        "tradeoff": tradeoff_table(results, tables["volumes"], PROTOCOL, SETTINGS),
        "privacy_gaps": privacy_gaps.compute(results, PROTOCOL, SETTINGS),
        "sample_size": sample_size.compute(results, PROTOCOL, SETTINGS),
        "privacy_contrasts": privacy_contrasts.compute([], NOBODY, NOBODY),
    }


def test_tables_have_their_columns_and_survive_a_file(cohort, tmp_path):
    for name, wanted in ATTACK_COLUMNS.items():
        assert list(cohort[name]) == list(wanted)
        manifest.write(cohort[name], tmp_path / f"{name}.tsv")
    again = {n: catalogue.read(tmp_path / f"{n}.tsv") for n in ATTACK_COLUMNS}
    assert set(again["privacy"]["variant"]) == set(cohort["privacy"]["variant"])
    assert again["privacy"]["version"].dtype == object
    assert warning_lines(again) == warning_lines(cohort)


def rates(axes, look, order):
    """Return value, low and high of the filled and of the hollow marks, row by row."""
    found = []
    for filled in (True, False):
        rows = []
        for line in axes.lines:
            if line.get_marker() in ("None", None, "") or len(line.get_xdata()) != 1:
                continue
            if (line.get_markerfacecolor() != "white") != filled:
                continue
            y = line.get_ydata()[0]
            ends = [
                other.get_xdata()
                for other in axes.lines
                if len(other.get_xdata()) == 2 and set(other.get_ydata()) == {y}
            ]
            assert len(ends) == 1, "one interval to a mark"
            rows.append([round(float(v), 6) for v in (line.get_xdata()[0], *ends[0])])
        assert len(rows) == len(order)
        found.append(rows)
    return found


def test_each_setting_has_its_own_mark_and_interval(cohort):
    look = style.look_of(cohort)
    table = cohort["privacy"]
    table = table[table["setting"] == OTHER_SESSION]
    easier = table.assign(setting=SAME_SCAN)
    rate = ["choice_completers", "choice_completers_low", "choice_completers_high"]
    easier[rate] = 0.9 * easier[rate] + [0.02, 0.0, 0.05]
    # In the easier setting the test shows it of one variant more.
    gained = (easier["attacker"] == "x") & ~(easier["p_holm"] < SETTINGS.alpha)
    easier.loc[easier.index[gained][0], "p_holm"] = 0.001
    figure = pictures.draw(pd.concat([table, easier]), look)
    order = look.sort(table["variant"])
    filled, hollow = rates(figure.axes[0], look, order)
    for rows, found in ((table, filled), (easier, hollow)):
        mine = rows[rows["attacker"] == "x"].set_index("variant")
        wanted = [[round(100 * v, 6) for v in mine.loc[name, rate]] for name in order]
        assert found == wanted
    stars = [text for text in figure.axes[0].texts if text.get_text() == "*"]
    tested = table[table["attacker"] == "x"]
    shown = (tested["p_holm"] < SETTINGS.alpha).sum()
    assert shown > 0
    assert len(stars) == 2 * shown + 1, "a star for each setting"
    told = " ".join(text.get_text() for text in figure.legends[0].get_texts())
    assert "more often than chance" in told, "what a star is"
    assert told.count("with interval") == 2


@pytest.mark.parametrize("scored", [(OTHER_SESSION, SAME_SCAN), (OTHER_SESSION,), (SAME_SCAN,)])
def test_captions_legends_and_marks_agree_on_what_an_attack_compares_with(cohort, scored):
    """The tables have rows of both settings, whether anybody was scored in them or not."""
    look = style.look_of(cohort)
    table = cohort["privacy"]
    table = table[table["setting"] == OTHER_SESSION]
    rates_ = [c for c in table if c.startswith(("rank1", "choice"))]
    nothing = table.assign(**dict.fromkeys(rates_, np.nan))
    both = (OTHER_SESSION, SAME_SCAN)
    plane = cohort["tradeoff"][cohort["tradeoff"]["setting"] == OTHER_SESSION]
    tables = cohort | {
        "privacy": pd.concat([(table if s in scored else nothing).assign(setting=s) for s in both]),
        "tradeoff": pd.concat([plane.assign(setting=s) for s in scored]),
    }
    figures = (
        (pictures.draw(tables["privacy"], look), "privacy"),
        (privacy_utility.draw(tables["tradeoff"], look), "privacy_utility"),
    )
    for figure, name in figures:
        legend = " ".join(text.get_text() for text in figure.legends[0].get_texts())
        told = caption(name, tables, SETTINGS)
        assert ("other session" in legend) == (OTHER_SESSION in scored)
        assert ("same scan" in legend) == (SAME_SCAN in scored)
        assert ("ollow" in told.split("\n\n")[0]) == (len(scored) == 2)
        assert ("It knows the person from the very same scan" in told) == (scored == (SAME_SCAN,))
        known = "It knows the person from another session." in told
        assert known == (scored == (OTHER_SESSION,))
        hollow = [m for m in figure.axes[0].lines if m.get_markerfacecolor() == "white"]
        assert bool([m for m in hollow if m.get_marker() != "|"]) == (len(scored) == 2)
    heights = {
        float(m.get_ydata()[0]) for m in figures[0][0].axes[0].lines if len(m.get_xdata()) == 1
    }
    on_rows = heights <= {float(y) for y in figures[0][0].axes[0].get_yticks()}
    assert on_rows == (len(scored) == 1), "a row with one mark has it on its line"


def test_the_caption_describes_the_panels_that_are_there(cohort):
    assert "Panels 'picked from 5'" in caption("privacy", cohort, SETTINGS)
    assert "Panels 'named first'" in caption("privacy", cohort, SETTINGS)
    few = cohort | {"privacy": cohort["privacy"].assign(choice_completers=np.nan)}
    assert "picked from" not in caption("privacy", few, SETTINGS)
    figure = pictures.draw(few["privacy"], style.look_of(cohort))
    titles = [axes.get_title(loc="left") for axes in figure.axes if axes.axison]
    assert all(title.endswith("named first") for title in titles)


def test_figures_of_attacks(cohort):
    look = style.look_of(cohort)
    assert look.defacers == ["pydeface", "quickshear"], "controls take no defacer's colour"
    drawn = draw_attacks(cohort, look)
    assert list(drawn) == list(catalogue.attack_figure_names())
    assert privacy_map.draw({}, look).get_label() == faces.MESSAGE_ONLY
    assert drawn["privacy_undetected"].get_label() == faces.MESSAGE_ONLY


def test_the_figure_names_the_front_in_bold_and_says_what_an_attack_beats(cohort):
    look = style.look_of(cohort)
    table = pictures.main_rows(cohort["tradeoff"])
    axes = draw_attacks(cohort, look)["privacy_utility"].axes[0]

    rows = dict(zip(look.sort(table["variant"]), axes.get_yticks(), strict=True))
    bold = {
        y
        for y, label in zip(axes.get_yticks(), axes.get_yticklabels(), strict=True)
        if label.get_fontweight() == "bold"
    }
    said = [text.xy[1] for text in axes.texts if text.get_text() == "beats chance"]

    def places(some):
        return {rows[name] for name in some["variant"]}

    candidates = ~table["variant"].isin(("original", "null"))
    beaten = candidates & (table["p_holm"] < SETTINGS.alpha)
    front = table["pareto"] == 1
    assert (beaten & (table["rank"] == 1)).any(), "nothing to tell apart"
    assert not (front & beaten).any(), "the table's front is the one that is drawn"
    assert front.any()
    assert bold == places(table[front])
    lane = privacy_utility._LANE  # the setting that counts stands on the row or above its middle
    names = {y for y in rows.values() if any(-1e-9 < y - at < lane + 1e-9 for at in said)}
    assert names == places(table[beaten])


def test_nothing_scored_gives_messages_not_crashes():
    empty = {name: pd.DataFrame(columns=list(c)) for name, c in ATTACK_COLUMNS.items()}
    for figure in draw_attacks(empty, style.look_of({})).values():
        assert figure.get_label() == faces.MESSAGE_ONLY


def test_the_map_shows_the_distance_of_each_variant():
    depth = np.full((8, 8), np.nan)
    depth[2:6, 2:6] = 3.0
    distance = np.where(np.isfinite(depth), 4.0, np.nan)
    maps = {"a": {"distance_mm": distance, "depth": depth, "true_mm": 3.5, "cap_mm": 5.0}}
    figure = privacy_map.draw(maps, style.look_of({"t": pd.DataFrame({"variant": ["a"]})}))
    assert "mean 3.5 mm" in figure.axes[0].get_title(), "the number of the table of distances"
    assert figure.axes[0].images[1].get_clim() == (0.0, 5.0)


def test_the_map_says_the_number_of_the_table_of_distances():
    query = scans(6, 1)
    extra = {
        "query_true_mm": np.array([1.0, 1, 1, 1, 2, np.nan]),
        "query_average_mm": np.array([2.0, 2, 2, 2, 1, 2]),
        "changed_mm": np.full((4, 4), 7.0),
        "changed_n": np.full((4, 4), 6),
        "average_depth": np.zeros((4, 4)),
        "cap_mm": np.float64(8.0),
    }
    found = [make(np.ones((6, 6)), query, extra=extra)]
    row = (
        catalogue.find("privacy_likeness")
        .compute(SimpleNamespace(more=found, criteria=SETTINGS), {})
        .iloc[0]
    )
    maps = privacy_map.surface_maps(found, "public")
    assert float(maps["a"]["true_mm"]) == pytest.approx(row["true_mm"])
    assert f"mean {row['true_mm']:.1f} mm" in privacy_map.map_words(maps["a"])
    tables = {"privacy_likeness": pd.DataFrame([row])}
    told = catalogue.caption("privacy_likeness", View(tables))
    # Registered: what was not touched has a distance where much of the face is gone.
    assert "laid on each other anew" in privacy_map.caption(View(tables))
    assert "unchanged" not in privacy_map.caption(View(tables))
    for text in (privacy_map.caption(View(tables)), told):
        assert "more than 8 mm and missing surface count as 8 mm" in text


def test_the_summary_and_the_reminder_say_what_was_measured(cohort):
    assert reminder(cohort) == MEASURED
    assert reminder({}) == REMINDER
    lines = summary_lines(cohort, SETTINGS)
    defacers = style.look_of(cohort).defacers
    assert sum(line.split(":")[0] in defacers for line in lines) == len(defacers)
    assert all("attack" in line for line in lines if line.split(":")[0] in defacers)
    assert REMINDER not in " ".join(lines)
    assert all("not measure" not in line for line in limitations(
        cohort, SETTINGS, "", style.look_of(cohort)))  # fmt: skip


def test_nothing_lies_on_anything_else_in_the_saved_figures(cohort, tmp_path):
    drawn = draw_attacks(cohort, style.look_of(cohort))
    found = {n: layout.faults(f, tmp_path, vocabulary.SYNTHETIC_NOTE) for n, f in drawn.items()}
    assert not {name: faults for name, faults in found.items() if faults}


def test_loud_warnings_stand_in_a_banner(cohort, tmp_path):
    weak = kinds(controlled(original=range(1, 14)))
    dataset = {
        "name": "demo", "statement": None, "faces": "private", "figures": {},
        "tables": cohort | {"privacy_warnings": weak}, "criteria": SETTINGS,
        "config": {"segmenters": {"deepbet_gmm": {}}}, "methods": [], "costs": None,
    }  # fmt: skip
    page = build({"title": "t", "datasets": [dataset]})
    assert 'role="alert"' in page
    assert "that it fails protects nobody" in page
    assert MEASURED in Page(page).words
    assert "Recognisability" in page
    calm = build(
        {"title": "t", "datasets": [{**dataset, "tables": cohort | {"privacy_warnings": weak[:0]}}]}
    )
    assert 'role="alert"' not in calm


def test_captions_are_sentences(cohort):
    cohort = cohort | {"raters": pd.DataFrame()}
    for name in [*ATTACK_COLUMNS, *catalogue.attack_figure_names(), "privacy_map", "raters"]:
        text = caption(name, cohort, SETTINGS)
        assert text.endswith("."), name
        assert "nan" not in text.split(), name
        assert "  " not in text, name
        columns = {c for r in catalogue.everything() for c in r.columns if "_" in c}
        assert not columns & set(re.findall(r"\w+", text)), name
        if "nterval" in text:
            assert re.search("(not )?adjusted|allow(ing)? for", text), name


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"options": 1}, "privacy.options"),
        ({"rank_k": 1}, "privacy.rank_k"),
        ({"false_accept": 1.0}, "privacy.false_accept"),
        ({"measure": "luck"}, "privacy.measure"),
        ({"margin_points": 0}, "privacy.margin_points"),
    ],
)
def test_a_protocol_out_of_range_is_named(given, message):
    with pytest.raises(ValueError, match=message):
        Protocol.from_config({"privacy": {**given, "kit": {"block": 3}}})
