"""One page while it can be mailed; a first page and a folder where it would be too large."""

import pandas as pd
import pytest
from PIL import Image

from reading import Page, context
from refacebench.report import split
from refacebench.report.page import build, pages


@pytest.fixture(scope="module")
def given(tables, tmp_path_factory):
    """Two data sets with noisy pictures, which no compression makes small."""
    import numpy as np

    home = tmp_path_factory.mktemp("pictures")
    draw = np.random.default_rng(1)
    figures = {}
    for name in ("overlap", "volumes", "quality", "similarity"):
        figures[name] = home / f"{name}.png"
        Image.fromarray(draw.integers(0, 255, (200, 200, 3), np.uint8)).save(figures[name])
    two = context(tables, figures)
    (first,) = two["datasets"]
    two["datasets"].append({**first, "name": "other"})
    return {**two, "text": ("# Methods", "@misc{a,\n  title = {b}\n}")}


@pytest.fixture(scope="module")
def divided(given):
    whole = build(given)
    return pages(given, len(whole.encode()) / 3)


def test_a_small_report_is_one_page(given):
    whole = build(given)
    assert pages(given, len(whole.encode())) == {"": whole}


def test_a_large_report_is_divided_and_every_page_is_small_enough(given, divided):
    whole = len(build(given).encode())
    assert len(divided) > 3
    assert all(len(html.encode()) <= whole / 3 for html in divided.values())
    first = Page(divided[""])
    assert "Verdicts" in [text for _, text in first.headings]
    assert not any(tag == "img" for tag, _ in first.tags)


def test_nothing_is_lost_or_stands_twice(given, divided):
    one, several = Page(build(given)), [Page(html) for html in divided.values()]
    assert sorted(key for page in several for key in page.texts) == sorted(one.texts)
    assert {k: v for page in several for k, v in page.texts.items()} == one.texts
    pictures = [a["src"] for page in several for tag, a in page.tags if tag == "img"]
    assert sorted(pictures) == sorted(a["src"] for tag, a in one.tags if tag == "img")
    ids = [a["id"] for page in several for _, a in page.tags if "id" in a]
    wanted = [a["id"] for _, a in one.tags if a.get("id", "").endswith(("-volumes", "-flow"))]
    assert len(wanted) >= 4
    assert all(ids.count(name) == 1 for name in wanted)


def test_pages_lead_to_each_other_and_links_fit_their_place(divided):
    first = Page(divided[""])
    led = {a["href"] for tag, a in first.tags if tag == "a"}
    assert set(divided) - {""} <= led
    for address, html in divided.items():
        page = Page(html)
        links = {a["href"] for tag, a in page.tags if tag == "a"}
        inner = {href[1:] for href in links if href.startswith("#")}
        assert inner <= {a["id"] for _, a in page.tags if "id" in a}, address
        if address:
            assert "../report.html" in links
            assert not {href for href in links if href.endswith(".tsv")}, "the pages hold them"
    ids = {
        address: {a["id"] for _, a in Page(html).tags if "id" in a}
        for address, html in divided.items()
    }
    across = [
        a["href"].split("#")
        for address, html in divided.items()
        for tag, a in Page(html).tags
        if address and tag == "a" and "#d" in a["href"] and not a["href"].startswith("#")
    ]
    assert across
    assert all(target in ids[f"{split.FOLDER}/{name}"] for name, target in across)


def test_a_table_that_is_larger_than_a_page_stays_in_its_file(given):
    large = pd.DataFrame({"scan": ["x" * 100] * 4000})
    one = {**given["datasets"][0], "texts": {"flow": large.to_csv(sep="\t"), "quality": "a\n1\n"}}
    made = pages({**given, "datasets": [one]}, split.OVERHEAD_BYTES + 200_000)
    texts = {key for html in made.values() for key in Page(html).texts}
    assert texts == {"d1-data-quality"}
    links = {a["href"] for html in made.values() for _, a in Page(html).tags if "href" in a}
    assert "../tables/demo/flow.tsv" in links
