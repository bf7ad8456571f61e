"""Captions and tables as ``snakemake --report`` shows them."""

import base64
import functools
import html
import re
from types import SimpleNamespace

import jinja2
import numpy as np
import pandas as pd
from docutils.core import publish_parts

from factories import tables
from reading import context
from refacebench.report import closing, methods_text, pages
from refacebench.report.page import build
from refacebench.results import catalogue
from refacebench.results.result import View
from refacebench.statistics.criteria import Criteria

SETTINGS = Criteria(n_boot=50)


@functools.cache
def made():
    return tables()


def dataset(**changed):
    found = {"name": "demo", "faces": "private", "tables": made(), "criteria": SETTINGS,
             "config": {}, "figures": {}}  # fmt: skip
    return {**found, **changed}


def shown(template, name="demo", **wildcards):
    """Return a caption as a reader sees it."""
    snakemake = SimpleNamespace(wildcards=SimpleNamespace(dataset=name, **wildcards))
    text = jinja2.Environment().from_string(template).render(snakemake=snakemake)
    settings = {"report_level": 1, "halt_level": 2}
    body = publish_parts(text, writer="html", settings_overrides=settings)["body"]
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", body)).split())


def plain(text):
    return " ".join(text.split())


def test_each_figure_has_the_caption_of_its_result_in_its_data_set():
    other = dataset(name="other", criteria=Criteria(n_boot=50, alpha=0.01))
    found = pages.captions([dataset(), other], ["deepbet_gmm"])
    assert set(found) == set(pages.places(["deepbet_gmm"]))
    for result, figure in catalogue.figures():
        for given in (dataset(), other):
            view = View(given["tables"], given["criteria"])
            view = view.of("deepbet_gmm") if figure.by_segmenter else view
            told = shown(found[figure.name], given["name"])
            if view.rows(result.source or result.name).empty:
                assert told == pages.NOTHING
            else:
                assert told == plain(result.words(figure)(view)), figure.name
    training = shown(found["curves"], defacer="a", refacer="m_b")
    assert training.startswith("Training of a+m_b:")


def test_no_text_is_taken_for_markup():
    odd = 'a*b* `c` |d|_ e_ {{ f }} {% g %} {# h #} \\ <i> "j"'
    assert shown(pages.chosen({"demo": odd})) == plain(odd)


def test_every_figure_has_a_section_and_a_title_of_its_own():
    found = pages.places(["a", "b"])
    assert len(set(found.values())) == len(found)
    assert all(section and title for section, title in found.values())
    assert found["overlap-b"] == ("Segmentation overlap", "Overlap of segmentations (b)")


def test_a_table_page_shows_the_rows_and_hands_over_all_of_them():
    table = pd.DataFrame(
        {"variant": ["null", "<b>"], "n": [3, np.nan], "mean": [-0.0, 0.123456789]}
    )
    page = pages.table_page(dataset(tables={"overlap": table}), "overlap", "Synthetic.")
    assert "Synthetic." in page
    cells = re.findall(r"<td>(.*?)</td>", page)
    assert cells == ["null", "3", "0", "&lt;b&gt;", "", "0.123457"]
    packed = re.search(r'href="data:[^,]*,([^"]+)"', page)[1]
    assert base64.b64decode(packed).decode() == table.to_csv(sep="\t", index=False)
    assert "http" not in page


def test_a_long_table_says_how_many_rows_are_left(monkeypatch):
    monkeypatch.setattr(pages, "MOST_ROWS", 2)
    table = pd.DataFrame({"variant": ["a", "b", "c"], "n": [1, 2, 3]})
    page = pages.table_page(dataset(tables={"overlap": table}), "overlap")
    assert "the first 2 rows are shown, 1 more are in the file" in page
    assert page.count("<td>") == 4


class Remembering(dict):
    """A config that remembers which of its keys were read, or looked for."""

    def __init__(self, *given):
        super().__init__(*given)
        self.read = set()

    def get(self, key, default=None):
        self.read.add(key)
        return super().get(key, default)

    def __getitem__(self, key):
        self.read.add(key)
        return super().__getitem__(key)

    def __contains__(self, key):
        self.read.add(key)
        return super().__contains__(key)


def test_the_page_is_given_every_key_of_the_config_that_it_reads():
    """What is read and not handed over is taken for its default without a word."""
    asked = {"attackers": ["embedding"], "seed": 7, "defacers": ["null"], "refacers": ["pix2pix"]}
    study = Remembering({"title": "Doe (2031)", "sources": [], "items": []})
    config = Remembering({**asked, "study": study})
    ages = made()["brainage"].assign(mae=8.0, n_train=20, mae_train_cv=8.25, correction="cole")
    given = context({**made(), "brainage": ages}, config=config)
    datasets = given["datasets"]
    build(given)
    methods_text.text(datasets)
    closing.closing(datasets, "report.html")
    pages.captions(datasets, ["deepbet_gmm"])
    assert {"decision", "brain_age", "thresholds", "refacers"} <= config.read
    assert config.read <= {*pages.WHOLE, *pages.NAMES, "study"}
    assert study.read == set(pages.OF_A_STUDY)
