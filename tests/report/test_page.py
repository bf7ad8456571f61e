"""The page: does it stand alone, and say what the tables say?"""

import re

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from factories import make_tables, measurements
from reading import SETTINGS, Page, context
from refacebench import manifest
from refacebench.faces import HIDDEN, SHOWN
from refacebench.plot import style
from refacebench.report import methods_table
from refacebench.report.page import build
from refacebench.report.summary import reminder, summary_lines
from refacebench.results import catalogue, findings, flow, sentences
from refacebench.results import slices as slices_result
from refacebench.results.result import View


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


def test_page_of_tables_that_were_written_and_read_is_the_same(tables, tmp_path):
    def written(value):  # TSV files hold six digits
        return float(f"{value:.6g}") if isinstance(value, float) else value

    read, tables = {}, {name: table.map(written) for name, table in tables.items()}
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
        assert tag not in ("link", "iframe", "object")
        assert tag != "script" or not attributes  # its own text, nothing fetched
        for name in ("src", "href"):
            value = attributes.get(name, "#")
            assert value.startswith(("data:image/png;base64,", "#", "tables/demo/")), value
    assert "url(" not in html
    assert "@import" not in html


def test_links_inside_the_page_have_their_targets(tables):
    page = Page(build(context(tables)))
    ids = [a["id"] for _, a in page.tags if "id" in a]
    targets = set(ids)
    assert len(ids) == len(targets), "an id stands twice"
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
    assert sum(a.get("class") == "banner short" for _, a in page.tags) == 1
    assert "".join(page.text).count(statement) == 1, "the long text is said once"
    assert sum(a.get("class") == "synthetic" for _, a in page.tags) == 1
    assert "Synthetic data: demo. Nothing here is evidence about real people." in page.words
    assert page.words.count("Synthetic data: no evidence about real people.") == 2
    assert html.index('class="banner short"') < html.index("<h2"), "before anything else"
    assert 'class="banner' not in build(context(tables))


def test_the_answer_and_the_warnings_stand_before_the_verdicts_and_the_rest_below(tables):
    warnings = pd.DataFrame(
        {"kind": ["leak", "unmatched"], "message": ["the protocol leaks.", "too few are alike."]}
    )
    html = build(context({**tables, "privacy_warnings": warnings}))
    verdicts = html[html.index('id="summary"') :]
    places = [
        verdicts.index(text)
        for text in ('class="answer"', "The protocol leaks.", '<table class="sortable verdicts"',
                     'class="legend"', 'class="reminder"', '<ul class="answer"',
                     "Too few are alike.")
    ]  # fmt: skip
    assert places == sorted(places)
    bare = {name: table for name, table in tables.items() if name != "quality"}
    said = Page(build(context({**bare, "privacy_warnings": warnings}))).words
    assert "The protocol leaks." in said, "also where there is no verdict"
    assert 'class="answer"' not in build(context(bare))


def test_text_from_outside_is_escaped(tables):
    flow = tables["flow"].copy()
    flow.loc[flow["status"] == "failed", "reason"] = "<script>alert(1)</script>"
    html = build(context({**tables, "flow": flow}))
    assert "<script>alert" not in html
    assert "&lt;script&gt;alert(1)" in html


def test_numbers_of_the_page_are_those_of_the_tables(tables):
    page = Page(build(context(tables)))
    rows = {(row[0], len(row)): row for row in page.rows}
    overlap = tables["overlap"]
    mine = overlap[(overlap["variant"] == "pydeface") & (overlap["measure"] == "dice")]
    brain = mine.set_index("structure").loc["brain"]
    expected = f"{brain['mean']:.3f} [{brain['low']:.3f}, {brain['high']:.3f}]"
    row = rows["pydeface (native)", 14]
    assert row[1:3] == ["11 (1)", expected]
    iou = overlap[(overlap["variant"] == "pydeface") & (overlap["measure"] == "iou")]
    means = iou.set_index("structure")["mean"]
    assert row[6:10] == [f"{means[s]:.3f}" for s in ("brain", "vcsf", "wm", "gm")]
    assert row[10] == f"{brain['mean_all']:.3f}"
    lost = [row for row in page.rows if row[0] == "sub-012_ses-1"]
    assert lost == [
        ["sub-012_ses-1", "pydeface, pydeface+pix2pix25d", "deface", "failed",
         "no result after 3600 s"]
    ]  # fmt: skip


def test_full_tables_that_the_page_does_not_hold_are_linked_relatively(tables):
    held = {"quality": "variant\npydeface\n"}
    page = Page(build(context(tables, tables_href="../tables/demo/", texts=held)))
    links = [a["href"] for tag, a in page.tags if tag == "a" and a["href"].endswith(".tsv")]
    assert "../tables/demo/overlap.tsv" in links
    assert "../tables/demo/flow.tsv" in links
    assert "../tables/demo/quality.tsv" not in links
    assert "#d1-file-quality" in {a["href"] for tag, a in page.tags if tag == "a"}


def test_a_page_that_was_mailed_alone_has_no_dead_link(tables, png):
    """What it links, but for the SVG of a figure, it holds: the script looks after these."""
    figures = {name: png(name) for name in ("quality", "overlap")}
    figures["quality"].with_suffix(".svg").write_text("<svg/>")
    page = Page(build(context(tables, figures)))
    links = [a for tag, a in page.tags if tag == "a" and not a["href"].startswith("#")]
    assert [(a["class"], a["href"]) for a in links] == [("vector", "figures/demo/quality.svg")]


def test_missing_tables_leave_their_section_out(tables):
    some = {name: tables[name] for name in ("flow", "quality")}
    page = Page(build(context(some, costs=None)))
    titles = [text for _, text in page.headings]
    assert "Face surface and brain mask" in titles
    assert not {"Volumes", "Brain age", "Costs", "Segmentation overlap"} & set(titles)
    assert "What this page does not show" in titles


def test_methods_tell_native_from_official(tables):
    tables = {**tables, "quality": tables["quality"].drop(columns="version")}
    page = Page(build(context(tables)))
    assert ["quickshear", "defacer", "plane", "official program", "1.2.0", "none"] in page.rows
    assert ["pydeface", "defacer", "mask", "native (our own code)", "1", "none"] in page.rows


def test_methods_have_the_versions_that_made_the_results(tables):
    """Results may be older than the code; the page is about the results."""
    quality = tables["quality"].copy()
    quality.loc[quality["variant"] == "pydeface", "version"] = "0.7"
    quality.loc[quality["variant"] == "quickshear", "version"] = "1.2.0"
    privacy = pd.DataFrame({"variant": ["pydeface"], "attacker": ["surface"], "version": ["3"]})
    methods = [
        *context(tables)["datasets"][0]["methods"],
        {"kind": "attacker", "name": "surface", "title": "t", "engine": "native", "version": "4"},
        {"kind": "refacer", "name": "pix", "title": "t", "engine": "native", "version": "2"},
    ]
    found = methods_table.recorded(
        {"tables": {"quality": quality, "privacy": privacy},
         "models": {"pydeface+pix": {"versions": {"method": "1"}}}}
    )  # fmt: skip
    rows = {row[0]: row for row in methods_table.table(methods, found).rows}
    assert rows["pydeface"][4] == "0.7 (the code is at 1: these results are older)"
    assert rows["quickshear"][4] == "1.2.0"
    assert rows["surface"][4].startswith("3 (the code is at 4")
    assert rows["pix"][4].startswith("1 (the code is at 2")
    html = build(context({**tables, "quality": quality}))
    assert "0.7 (the code is at 1" in html


def test_every_table_is_linked_and_those_of_a_section_from_there(tables):
    """What stands in the folder of tables can be found on the page."""
    html = build(context(tables))
    boxes = {a["id"] for tag, a in Page(html).tags if tag == "details" and "id" in a}
    empty = {name for name, table in tables.items() if table.empty}
    assert empty
    assert boxes == {f"d1-file-{name}" for name in set(tables) - empty}
    (said,) = re.findall(r"<p>Without any row in this run, and so not listed: (.*)\.</p>", html)
    assert set(re.findall(r"\b[a-z_]+_[a-z_]+\b|\bcarried\b", said)) == empty
    assert "no measures of other software were given" in said
    for heading, results in catalogue.headings():
        named = [r.name for r in results if r.name in set(tables) - empty]
        start = html.find(f'<h3 id="d1-{heading.id}"')
        if start < 0 or not named:
            continue
        section = html[start : html.index("<h3", start + 1)]
        assert all(f'href="#d1-file-{name}"' in section for name in named), heading.id


def test_every_table_of_a_dataset_has_a_section():
    """But for those of the scans' flow, of raters and of costs, which have places of their own."""
    apart = {"flow", "flow_counts", "raters", "raters_problems", "costs"}
    homeless = {r.name for r in catalogue.everything() if r.columns and r.heading is None}
    assert homeless == apart


def test_same_input_same_page(tables, png):
    figures = {"overlap": png("overlap")}
    assert build(context(tables, figures)) == build(context(tables, figures))


def test_second_segmenter_has_its_own_sections():
    few = {"n_train": 0, "n_rescans": 0, "variants": ("original", "null", "pydeface")}
    two = make_tables(measurements(4, segmenters=("s1", "s2"), **few), SETTINGS)
    titles = [text for _, text in Page(build(context(two))).headings]
    assert {"Volumes (s1)", "Volumes (s2)"} <= set(titles)


@pytest.mark.parametrize("label", [None, SHOWN])
def test_a_figure_with_faces_is_refused_for_private_data(tables, png, label):
    figures = {"slices": png("slices", label)}
    with pytest.raises(ValueError, match="faces are private"):
        build(context(tables, figures, faces="private"))


def test_hidden_faces_may_pass_and_the_caption_says_so(tables, png):
    figures = {"slices": png("slices", HIDDEN)}
    page = Page(build(context(tables, figures, faces="private")))
    assert slices_result.caption(View({}, faces="private"), "") in page.words


def test_a_message_in_place_of_slices_may_pass(tables, tmp_path):
    figure = style.message_figure("no scan came through")
    path = style.save(figure, tmp_path / "slices")[0]
    assert "Example slices" in build(context(tables, {"slices": path}))


def test_public_faces_may_pass(tables, png):
    figures = {"slices": png("slices", SHOWN)}
    page = Page(build(context(tables, figures, faces="public")))
    assert slices_result.caption(View({}, faces="public"), "") in page.words


def test_what_is_known_of_a_method_stands_once_in_points(tables):
    html = build(context(tables))
    text = Page(html).words
    for name in ("pydeface", "quickshear"):
        found = findings.finding(tables, name)
        assert sentences.line(found) not in text, "no paragraph"
        for _, points in sentences.told(found).groups:
            for point in points:
                assert point in text
    details = html.split('class="detail"')[1:]
    assert len(details) == html.count('class="open"')
    assert all(part.count("<h4>Found</h4>") == 1 for part in details)


def test_scans_are_counted_once_and_in_the_words_of_the_summary(tables):
    html = build(context(tables))
    scans = html[html.index('id="d1-flow"') :]
    listed = scans[: scans.index("</ul>")]
    numbers = [int(n) for n in re.findall(r"<b>(\d+)</b>", listed)]
    words = re.findall(r"</b> ([^<]*)</li>", listed)
    counts = dict(zip(words, numbers, strict=True))
    everything = next(n for w, n in counts.items() if w.endswith("went in"))
    parts = [n for w, n in counts.items() if "went in" not in w and "lost" not in w]
    assert sum(parts) == everything, "each scan in one number"
    line = summary_lines(tables, SETTINGS)[0]
    for said in flow.other_words(tables["flow"]):
        assert (said in counts) == (said in line)


def test_what_a_reader_decides_without_is_folded_away(tables, png):
    names = ["privacy_curves", "privacy_roc", "face_parts", "quality"]
    html = build(context(tables, {name: png(name) for name in names}))
    section = html[html.index('id="d1-quality"') :]
    main, folded = section.split("<summary>More: 1 figure", 1)
    assert "Change the size of figure quality" in main
    assert "Change the size of figure face_parts" not in main
    assert "Change the size of figure face_parts" in folded
    assert "Parts of the face that are left" in folded[: folded.index("</summary>")]


def test_no_sentence_stands_twice_in_the_text_around_the_tables(tables):
    """What is worth saying is said once; banners and headings of several data sets apart."""
    text = Page(build(context(tables))).words
    assert text.count(reminder(tables)) == 1
    measured = {**tables, "privacy": pd.DataFrame({"variant": ["a"], "rank1": [0.5]})}
    assert reminder(measured) != reminder(tables)
    lines = summary_lines(tables, SETTINGS)
    assert lines[-1].endswith(reminder(tables)), "the text file has nothing beside its lines"
