"""The report: does it say what the tables say, no more, and does it stand alone?"""

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

import factories
from factories import TABLE_COLUMNS, make_tables, measurements
from reading import SETTINGS, Page, caption, context
from refacebench import manifest
from refacebench.faces import HIDDEN, SHOWN
from refacebench.plot import style
from refacebench.plot.style import look_of
from refacebench.report import page as page_module
from refacebench.report.limits import limitations
from refacebench.report.page import build
from refacebench.report.summary import REMINDER, shorten, summary_lines, utility_ranking
from refacebench.results import catalogue
from refacebench.results import slices as slices_result
from refacebench.results.result import View
from refacebench.results.volume_tests import out_of_reach, smallest_p
from refacebench.statistics.settings import Settings
from refacebench.vocabulary import REGIONS


@pytest.fixture
def png(tmp_path):
    """Return a function that writes a small PNG with a label."""

    def write(name, label=None):
        info = PngInfo()
        if label:
            info.add_text("Description", label)
        path = tmp_path / f"{name}.png"
        Image.fromarray(np.arange(300, dtype=np.uint8).reshape(10, 10, 3)).save(path, pnginfo=info)
        return path

    return write


# summary ------------------------------------------------------------------------------------


def hand_tables():
    """Return small tables whose summary can be written down by hand."""
    flow = [
        ("s1", "p1", "original", "measure", "ok", ""),
        ("s2", "p2", "original", "measure", "ok", ""),
        ("s3", "p3", "original", "inventory", "excluded", "no face"),
        ("s4", "p4", "original", "segment", "not_used", "train split, serves to fit models"),
        ("s5", "p1", "original", "measure", "ok", "not compared: rescan"),
        ("s1", "p1", "a", "measure", "ok", ""),
        ("s2", "p2", "a", "deface", "failed", "no result"),
        ("s3", "p3", "a", "inventory", "excluded", "no face"),
    ]
    columns = ["scan", "participant", "variant", "stage", "status", "reason"]
    quality = [
        ("a", 15, 0, 12, 15, 15, 15),
        ("b", 15, 0, 15, 15, 15, 15),
        ("a+m", 15, 0, 15, 15, 15, 15),
    ]
    dice = {"null": 0.997, "a": 0.95, "a+m": 0.97, "b": 0.99}
    overlap = [
        (v, "s", part, "dice", 15, d, d, d - 0.005, d + 0.005)
        for v, d in dice.items()
        for part in ("brain", "vcsf", "wm", "gm")
    ]
    changes = {"null": (0.1, 0.9), "a": (-3.0, 0.001), "a+m": (-1.0, 0.9), "b": (2.0, 0.9)}
    volumes = [
        (v, "s", region, 15, change, p if i < 11 else 0.9, p, p, 0.0, 2.0, 18 * 4)
        for v, (change, p) in changes.items()
        for i, region in enumerate(REGIONS)
    ]
    ages = [
        ("original", "s", np.nan, np.nan, np.nan, np.nan, 1.5),
        ("a", "s", 0.8, 0.2, 1.4, 1.1, 1.5),
        ("a+m", "s", -0.9, -1.6, -0.2, 1.0, 1.5),
        ("b", "s", 0.1, -0.2, 0.4, 0.4, 1.5),
    ]
    return {
        "flow": pd.DataFrame(flow, columns=columns),
        "quality": pd.DataFrame(
            quality,
            columns=[
                "variant",
                "n",
                "crash",
                "face_removed",
                "n_face",
                "brain_unchanged",
                "n_brain",
            ],
        ),
        "overlap": pd.DataFrame(
            overlap,
            columns=[
                "variant",
                "segmenter",
                "structure",
                "measure",
                "n",
                "mean",
                "mean_all",
                "low_all",
                "high_all",
            ],
        ),
        "volumes": pd.DataFrame(
            volumes,
            columns=[
                "variant",
                "segmenter",
                "region",
                "n",
                "median_change_pct",
                "p_holm",
                "p",
                "p_bh",
                "equivalent",
                "mde_pct",
                "family_size",
            ],
        ),
        "brainage": pd.DataFrame(
            ages,
            columns=[
                "variant",
                "segmenter",
                "shift",
                "shift_low",
                "shift_high",
                "shift_abs",
                "rescan_shift_abs",
            ],
        ),
    }


def test_summary_by_hand():
    assert summary_lines(hand_tables()) == [
        "Scans: 5 scans of 4 participants went in; 1 left out, 2 compared, 2 used for training, "
        "validation or as rescans; at least one method failed on 1 of those compared.",
        "How far the checks of face and brain can be trusted is unknown: the data set has no true "
        "labels to hold them against.",
        "a: original face surface removed in 12 of 15 scans. No voxel of the brain mask removed "
        "or changed in 15 of 15. Neither was checked against true labels. Whether people can be "
        "recognised was not measured.",
        "b: original face surface removed in 15 of 15 scans. No voxel of the brain mask removed "
        "or changed in 15 of 15. Neither was checked against true labels. Whether people can be "
        "recognised was not measured.",
        "Overlap (mean brain Dice with the original's segmentation): null control 0.997; defaced "
        "0.950 (a) to 0.990 (b); refaced 0.970 (a+m); mean higher after refacing in 1 of 1 pairs.",
        "Volumes (regions of 17 that differ from the original, Holm p < 0.05): null control 0; "
        "a 11, 0 after m; b 0. Brain age: largest mean shift -0.90 years (a+m, interval -1.60 to "
        "-0.20); "
        "mean absolute shift up to 1.10, between two scans of one person 1.50.",
        "Utility, whatever the attacks: first by mean rank over 3 measures (Dice, "
        "volumes, brain age) of 3 variants: b (face surface removed in 15 of 15 scans; whether "
        "people can be recognised was not measured). Whether people can be recognised was not "
        "measured: this report shows what became of the face's surface, the brain mask and the "
        "measures of science.",
    ]


def test_ranking_by_hand():
    table = utility_ranking(hand_tables(), "s")
    assert list(table.index) == ["b", "a+m", "a"]
    # b: best Dice, second in volumes (2 % against 1 % of a+m), best in age.
    assert table["mean_rank"].tolist() == pytest.approx([4 / 3, 5 / 3, 3.0])
    assert table["volume_change_pct"].tolist() == pytest.approx([2.0, 1.0, 3.0])


def test_an_unsure_lead_is_called_unsure():
    tables = hand_tables()
    wide = tables["overlap"].assign(low_all=0.9, high_all=1.0)
    assert (
        "overlaps those of 2 others, so that lead is not established"
        in (summary_lines({**tables, "overlap": wide})[-1])
    )


def test_a_measure_that_some_variant_lacks_does_not_rank():
    tables = hand_tables()
    ages = tables["brainage"][tables["brainage"]["variant"] != "b"]
    table = utility_ranking({**tables, "brainage": ages}, "s")
    assert set(table["measures"]) == {2}


def test_nothing_is_claimed_where_nothing_was_measured():
    lines = summary_lines({})
    assert len(lines) == 5
    assert lines[1:3] == ["Methods: not judged.", "Overlap: not measured."]
    assert lines[3] == "Volumes: not measured. Brain age: not measured."
    assert "none is named first" in lines[4]
    assert lines[4].endswith(REMINDER)


def test_too_few_participants_are_no_evidence_of_equality():
    tables = hand_tables()
    few = tables["volumes"].assign(n=8, p_holm=1.0)
    line = summary_lines({**tables, "volumes": few})[-2]
    assert "no regional difference could pass" in line
    some = tables["volumes"].copy()
    some.loc[some["variant"] == "b", "n"] = 8
    assert "b 0 (n too small)" in summary_lines({**tables, "volumes": some})[-2]


@pytest.mark.parametrize(("n", "reach"), [(10, False), (11, True)])
def test_reach_of_the_correction_is_that_of_scipy_and_holm(n, reach):
    from scipy.stats import wilcoxon
    from statsmodels.stats.multitest import multipletests

    family = 17 * 2
    smallest = wilcoxon(np.arange(1.0, n + 1)).pvalue
    assert smallest_p(n) == pytest.approx(smallest)
    p = np.r_[smallest, np.ones(family - 1)]
    assert multipletests(p, method="holm")[0][0] == reach
    table = pd.DataFrame({"variant": "a", "region": REGIONS, "n": n, "family_size": family})
    assert (out_of_reach(table, 0.05) == []) == reach


def test_long_lists_keep_both_ends():
    assert shorten(list("abcdefgh")) == "a, b, c, ... 2 more ..., f, g, h"


def test_summary_of_a_full_run_has_a_line_a_method_and_five_more(tables):
    lines = summary_lines(tables, SETTINGS)
    assert len(lines) == 5 + 2
    assert all("nan" not in line.lower() for line in lines)


# page ---------------------------------------------------------------------------------------


def test_page_of_tables_that_were_written_and_read_is_the_same(tables, tmp_path):
    read = {}
    for name, table in tables.items():
        manifest.write(table, tmp_path / f"{name}.tsv")
        read[name] = catalogue.read(tmp_path / f"{name}.tsv")
    one, two = (Page(build(context(t))) for t in (tables, read))
    assert one.rows == two.rows
    assert one.captions == two.captions


def test_page_stands_alone_and_is_well_formed(tables, png):
    html = build(context(tables, {"overlap": png("o"), "quality": png("q")}))
    page = Page(html)
    for tag, attributes in page.tags:
        assert tag not in ("script", "link", "iframe", "object")
        for name in ("src", "href"):
            value = attributes.get(name, "#")
            assert value.startswith(("data:image/png;base64,", "#", "tables/demo/")), value
    assert "url(" not in html
    assert "@import" not in html


def test_links_inside_the_page_have_their_targets(tables):
    page = Page(build(context(tables)))
    targets = {a["id"] for _, a in page.tags if "id" in a}
    links = {a["href"][1:] for t, a in page.tags if t == "a" and a["href"].startswith("#")}
    assert links
    assert links <= targets


def test_page_is_accessible(tables, png):
    figures = {n: png(n) for n in ("overlap", "volumes", "quality")}
    page = Page(build(context(tables, figures)))
    images = [a for tag, a in page.tags if tag == "img"]
    assert len(images) == 3
    assert all(len(image["alt"]) > 20 for image in images)
    assert ("html", {"lang": "en"}) in page.tags
    levels = [int(tag[1]) for tag, _ in page.headings]
    assert levels[0] == 1
    assert all(b - a <= 1 for a, b in zip(levels, levels[1:], strict=False))
    assert sum(t == "table" for t, _ in page.tags) == len(page.captions)
    assert all(caption.strip() for caption in page.captions)


def test_banner_is_there_exactly_for_synthetic_data(tables):
    statement = "Grown heads; no person <was> scanned."
    html = build(context(tables, statement=statement))
    page = Page(html)
    assert sum(a.get("class") == "banner" for _, a in page.tags) == 2
    assert "".join(page.text).count(statement) >= 2
    assert html.index('class="banner"') < html.index("<h2"), "before anything else"
    assert 'class="banner"' not in build(context(tables))


def test_text_from_outside_is_escaped(tables):
    flow = tables["flow"].copy()
    flow.loc[flow["status"] == "failed", "reason"] = "<script>alert(1)</script>"
    html = build(context({**tables, "flow": flow}))
    assert "<script>" not in html
    assert "&lt;script&gt;alert(1)" in html


def test_numbers_of_the_page_are_those_of_the_tables(tables):
    page = Page(build(context(tables)))
    rows = {(row[0], len(row)): row for row in page.rows}
    overlap = tables["overlap"]
    mine = overlap[(overlap["variant"] == "pydeface") & (overlap["measure"] == "dice")]
    brain = mine.set_index("structure").loc["brain"]
    expected = f"{brain['mean']:.3f} [{brain['low']:.3f}, {brain['high']:.3f}]"
    row = rows["pydeface (native)", 10]
    assert row[1:3] == ["11 (1)", expected]
    assert row[6] == f"{brain['mean_all']:.3f}"
    lost = [row for row in page.rows if row[0] == "sub-012_ses-1"]
    assert lost == [
        ["sub-012_ses-1", "pydeface, pydeface+pix2pix25d", "deface", "failed",
         "no result after 3600 s"]
    ]  # fmt: skip


def test_full_tables_are_linked_relatively(tables):
    page = Page(build(context(tables, tables_href="../tables/demo/")))
    links = [a["href"] for tag, a in page.tags if tag == "a" and a["href"].endswith(".tsv")]
    assert "../tables/demo/overlap.tsv" in links
    assert "../tables/demo/flow.tsv" in links


def test_missing_tables_leave_their_section_out(tables):
    some = {name: tables[name] for name in ("flow", "quality")}
    page = Page(build(context(some, costs=None)))
    titles = [text for _, text in page.headings]
    assert "Face surface and brain mask" in titles
    assert not {"Volumes", "Brain age", "Costs", "Segmentation overlap"} & set(titles)
    assert "What this page does not show" in titles


def test_methods_tell_native_from_official(tables):
    page = Page(build(context(tables)))
    assert ["quickshear", "defacer", "plane", "official program", "1.2.0"] in page.rows
    assert ["pydeface", "defacer", "mask", "native (re-implementation)", "1"] in page.rows


def test_same_input_same_page(tables, png):
    figures = {"overlap": png("overlap")}
    assert build(context(tables, figures)) == build(context(tables, figures))


def test_second_segmenter_has_its_own_sections():
    two = make_tables(measurements(4, n_train=0, n_rescans=0, segmenters=("s1", "s2")), SETTINGS)
    titles = [text for _, text in Page(build(context(two))).headings]
    assert {"Volumes (s1)", "Volumes (s2)"} <= set(titles)


# privacy ------------------------------------------------------------------------------------


@pytest.mark.parametrize("label", [None, SHOWN])
def test_a_figure_with_faces_is_refused_for_private_data(tables, png, label):
    figures = {"slices": png("slices", label)}
    with pytest.raises(ValueError, match="faces are private"):
        build(context(tables, figures, faces="private"))


def test_hidden_faces_may_pass_and_the_caption_says_so(tables, png):
    figures = {"slices": png("slices", HIDDEN)}
    html = build(context(tables, figures, faces="private"))
    assert slices_result.caption(View({}, faces="private"), "") in html.replace("&#39;", "'")


def test_a_message_in_place_of_slices_may_pass(tables, tmp_path):
    figure = style.message_figure("no scan came through")
    path = style.save(figure, tmp_path / "slices")[0]
    assert "Example slices" in build(context(tables, {"slices": path}))


def test_public_faces_may_pass(tables, png):
    figures = {"slices": png("slices", SHOWN)}
    html = build(context(tables, figures, faces="public"))
    assert slices_result.caption(View({}, faces="public"), "") in html.replace("&#39;", "'")


def test_too_large_a_page_is_refused(tables, monkeypatch):
    monkeypatch.setattr(page_module, "MOST_BYTES", 1000)
    with pytest.raises(ValueError, match="one report for each dataset"):
        build(context(tables))


# captions -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted([*TABLE_COLUMNS, "volumes_globals"]))
def test_captions_are_plain_sentences(tables, name):
    text = caption(name, tables, SETTINGS)
    assert text[0].isupper()
    assert text.endswith(".")
    assert "nan" not in text.lower().replace("finance", "")
    assert "  " not in text


def test_captions_follow_the_settings(tables):
    other = Settings(n_boot=123, seed=99, alpha=0.01, level=0.9)
    text = caption("volumes_globals", tables, other)
    assert "p < 0.01" in text
    assert "90 %, percentile bootstrap over participants (123 resamples, seed 99)" in text


def test_quality_caption_follows_the_thresholds(tables):
    config = {"thresholds": {"face_left": 0.125, "brain_removed_share": 0.01}}
    text = caption("quality", tables, SETTINGS, thresholds=config["thresholds"])
    assert "more than 12.5 % of the original" in text
    assert "more than 1 % of the brain" in text


def test_volume_caption_says_how_large_the_families_are(tables):
    table = tables["volumes"]
    size = int((table["family"] == "regions").sum())
    assert f"{size} tests (17 regions and TIV x variants)" in caption("volumes", tables, SETTINGS)


def test_margin_says_where_it_comes_from(tables):
    assert "mean scan-rescan difference" in caption("volumes", tables, SETTINGS)
    config = tables["volumes"].assign(margin_source="config", margin_pct=2.0)
    text = caption("volumes", {**tables, "volumes": config}, SETTINGS)
    assert "margin of 2 %, a setting" in text


@pytest.fixture(scope="module")
def flowed():
    return factories.tables()


NUMBERS = (
    "Up to 12 participants (12 scans) a row, at most 1 failed",
    "Of 39 scans of 33 participants in the data set, 27 are not compared",
    "pydeface native 1",
)
BOOTSTRAP = "percentile bootstrap over participants (200 resamples, seed 0)"
TESTS = ("zeros: pratt", "rank-biserial", "Holm-corrected", "Benjamini-Hochberg", "one-sided")
RESCANS = "mean scan-rescan difference (up to 6 participants)"
CHANGED = "grey, white, CSF or TIV"


@pytest.mark.parametrize(
    ("name", "facts"),
    [
        ("flow", ("39 scans of 33 participants; 1 excluded", "10 measured in every variant")),
        ("flow_counts", ("39 scans of 33 participants; 1 excluded", "entered and left")),
        ("quality", (*NUMBERS[1:], "12 scans", "is a crash", "95 % Wilson", "widened")),
        ("overlap", (*NUMBERS, BOOTSTRAP, "mean_all", "counts as zero", "completers")),
        ("volumes", (*NUMBERS, *TESTS, BOOTSTRAP, RESCANS, "families of 90 tests", "5 %",
                     "80 % power at level 0.05 / family size", "failed scans counted in",
                     "95 % Wilson")),
        ("volumes_over", (*TESTS, BOOTSTRAP, RESCANS, "families of 36 tests", CHANGED, "5 %",
                          "own tests are biased towards a difference", "(selected_by)",
                          "pydeface native 1")),
        ("changes", (*NUMBERS, CHANGED, "5 %", "failed scans count as changed", "95 % Wilson")),
        ("repeatability", (BOOTSTRAP, RESCANS, "two sessions", "Up to 6 participants a row")),
        ("brainage", (*NUMBERS, BOOTSTRAP, "before the age-bias correction", "corrected years",
                      "rescan_shift_abs", "by participant", "over the variants of a segmenter")),
        ("similarity", (*NUMBERS, BOOTSTRAP, "went through")),
        ("runtime", ("compared scans", "add up", "counted in full for each", "pydeface native 1")),
    ],
)  # fmt: skip
def test_captions_say_what_counts(flowed, name, facts):
    text = caption(name, flowed, Settings(n_boot=200))
    for fact in facts:
        assert fact in text, (fact, text)


def test_every_table_has_a_caption(flowed):
    for name in TABLE_COLUMNS:
        bare = {key: table.iloc[:0] for key, table in flowed.items()}
        text = caption(name, bare, SETTINGS)
        assert text.endswith("."), name
        assert " ." not in text


def test_captions_of_two_segmenters_name_both():
    two = factories.tables(segmenters=("one", "two"))
    assert "Model of one:" in caption("brainage", two, SETTINGS)
    assert "Model of two:" in caption("brainage", two, SETTINGS)
    table = two["volumes"]
    fewer = table["family_size"].where(table["segmenter"] == "one", 80)
    text = caption("volumes", {**two, "volumes": table.assign(family_size=fewer)}, SETTINGS)
    assert "90 (one), 80 (two) tests" in text


def test_margins_of_both_sources_are_named(tables):
    table = tables["volumes"].copy()
    table.loc[table.index[0], "margin_source"] = "config"
    text = caption("volumes", {**tables, "volumes": table}, SETTINGS)
    assert "mean scan-rescan difference (up to 6 participants) or a setting" in text


def test_limits_name_what_is_missing(tables):
    look = look_of(tables)
    found = " ".join(limitations(tables, SETTINGS, "", look))
    assert "takes an attack" in found
    assert "null control" not in found
    bare = look_of({"quality": tables["quality"][tables["quality"]["variant"] != "null"]})
    assert "No null control" in " ".join(limitations({}, SETTINGS, "", bare))
