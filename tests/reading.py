"""The report page of made-up tables, and a reader of its HTML; for tests."""

from html.parser import HTMLParser

import pandas as pd

from refacebench.results import catalogue
from refacebench.results.result import View
from refacebench.statistics.criteria import Criteria

SETTINGS = Criteria(n_boot=50, seed=7)


def caption(name, tables, criteria=SETTINGS, segmenter=None, **view):
    """Return the caption of a result, or of a figure that has one of its own."""
    given = View(tables, criteria, segmenter, **view)
    for result in catalogue.everything():
        for figure in result.figures:
            if figure.name == name:
                return result.words(figure)(given)
    return catalogue.caption(name, given)


def context(tables, figures=(), **changes):
    dataset = {
        "name": "demo",
        "statement": None,
        "faces": "private",
        "tables": tables,
        "figures": dict(figures),
        "criteria": SETTINGS,
        "config": {"seed": 41, "splits": {"train": 18, "test": 12}, "defacers": {"quickshear": {}}},
        "methods": [
            {"kind": "defacer", "name": "pydeface", "title": "mask", "engine": "native",
             "version": "1"},
            {"kind": "defacer", "name": "quickshear", "title": "plane", "engine": "official",
             "version": "1.2.0"},
        ],
        "costs": pd.DataFrame({"stage": ["deface"], "cpu_s": [12.345]}),
        **changes,
    }  # fmt: skip
    return {"title": "A report", "version": "9.9", "datasets": [dataset]}


class Page(HTMLParser):
    """Collects what the tests ask about."""

    VOID = {"meta", "img", "br", "link", "input"}

    def __init__(self, html):
        super().__init__()
        self.tags, self.stack, self.headings, self.text = [], [], [], []
        self.captions, self.rows = [], []
        #: Whole tables, by their ids; they are no text of the page.
        self.data, self.texts = "", {}
        self.feed(html)
        assert not self.stack, f"unclosed: {self.stack}"
        self.rows = [[" ".join(cell.split()) for cell in row] for row in self.rows]

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.stack.append(tag)
        if tag == "pre" and "hidden" in dict(attrs):
            self.data = dict(attrs)["id"]
            self.texts[self.data] = ""
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
        if tag == "caption":
            self.captions.append("")
        if tag in ("h1", "h2", "h3"):
            self.headings.append((tag, ""))

    def handle_endtag(self, tag):
        assert self.stack.pop() == tag
        if tag not in ("a", "b", "span", "strong", "code"):
            self.text.append(" ")
        if tag == "pre":
            self.data = ""

    @property
    def words(self):
        """All that is to be read, tables of the page included, as one line."""
        return " ".join("".join(self.text).split())

    def handle_data(self, data):
        if self.data:
            self.texts[self.data] += data
        if {"style", "script"} & set(self.stack) or self.data:
            return
        self.text.append(data)
        if self.stack and "caption" in self.stack:
            self.captions[-1] += data
        elif "tr" in self.stack and ("td" in self.stack or "th" in self.stack):
            self.rows[-1][-1] += data
        if self.stack and self.stack[-1] in ("h1", "h2", "h3"):
            self.headings[-1] = (self.stack[-1], self.headings[-1][1] + data)
