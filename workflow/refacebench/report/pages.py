"""What ``snakemake --report`` shows beside the figures: a caption for each, and a page a table.

Captions are the results' own (:meth:`refacebench.results.result.Result.words`), written as
reStructuredText with the dataset chosen by Jinja, as Snakemake asks for them; nothing of them is
typed twice.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from refacebench.plot.html import fill
from refacebench.report import given
from refacebench.results import catalogue
from refacebench.results.result import STUDY, Figure, Result, View

TEMPLATE = Path(__file__).with_name("table.html")
#: The keys of the config that the page and all that is written with it read, whole...
WHOLE = ("seed", "splits", "privacy", "thresholds", "statistics", "decision", "brain_age")
#: ... and those of which they read the names alone, in their order.
NAMES = ("defacers", "refacers", "segmenters", "attackers")
#: ... and what they read of a study.
OF_A_STUDY = ("title", "sources")
#: Rows of a table that its page shows; all are in the download.
MOST_ROWS = 1000
#: Stands for which training a figure is of, until Snakemake knows.
_WHICH = "WHICHTRAINING"
_WILDCARDS = "{{ snakemake.wildcards.defacer }}+{{ snakemake.wildcards.refacer }}"
#: Said of a figure that its dataset has no rows for.
NOTHING = "There is nothing to show in this data set."


def places(segmenters: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Return the section and the title of each figure, by name."""
    found = {}
    for result in _reported():
        section = result.heading.title if result.heading else ""
        for figure in result.figures:
            for segmenter in segmenters if figure.by_segmenter else [None]:
                name, title = figure.name, figure.title or figure.name
                if segmenter:
                    name = catalogue.name_of(name, segmenter, segmenters)
                    title += f" ({segmenter})" if len(segmenters) > 1 else ""
                found[name] = section, title
    return found


def _reported() -> list[Result]:
    """Return the results whose figures ``snakemake --report`` shows: not those of a study alone."""
    return [result for result in catalogue.everything() if result.job != STUDY]


def captions(datasets: Sequence[Mapping], segmenters: Sequence[str]) -> dict[str, str]:
    """Return the caption of each figure as a Jinja template of reStructuredText, by name.

    Parameters
    ----------
    datasets : sequence of mappings
        As :func:`refacebench.report.page.build` takes them.
    segmenters : sequence of str
        In the order of the config.
    """
    found: dict[str, str] = {}
    for result in _reported():
        for figure in result.figures:
            several = figure.by_segmenter
            for segmenter in segmenters if several else [None]:
                name = figure.name
                if segmenter:
                    name = catalogue.name_of(name, segmenter, segmenters)
                texts = {
                    d["name"]: _said(d, result, figure, segmenter, segmenters) for d in datasets
                }
                found[name] = chosen(texts)
    return found


def chosen(texts: Mapping[str, str]) -> str:
    """Return a template that holds the texts of all datasets and shows that of one."""
    parts = [
        f"{{% if snakemake.wildcards.dataset == {json.dumps(name)} %}}\n{rst(text)}\n{{% endif %}}"
        for name, text in texts.items()
    ]
    return "\n".join(parts) + "\n"


def rst(text: str) -> str:
    r"""Return plain text as reStructuredText inside a Jinja template.

    >>> print(rst("1 * 2 {{ x }}"))
    1 \* 2 {{ "{{" }} x }}
    """
    escaped = re.sub(r"([\\*`|_<>])", r"\\\1", text)
    escaped = re.sub(r"\{[{%#]", lambda found: f'{{{{ "{found[0]}" }}}}', escaped)
    return escaped.replace(_WHICH, _WILDCARDS)


def _said(dataset: Mapping, result: Result, figure: Figure, segmenter, segmenters) -> str:
    """Return the caption of a figure of one dataset."""
    view = _view(dataset)
    if figure.draw is None:
        if result.source and view.rows(result.source).empty:
            return NOTHING
        return result.words(figure)(view, _WHICH if result.name == "training" else "")
    first = figure.first_segmenter and segmenters
    mine = view.of(segmenters[0] if first else segmenter)
    if mine.rows(result.source or result.name).empty:
        return NOTHING
    return result.words(figure)(mine)


def _view(dataset: Mapping) -> View:
    config = dataset.get("config") or {}
    tables = dataset["tables"]
    return View(
        tables,
        dataset["criteria"],
        thresholds=config.get("thresholds") or {},
        decision=config.get("decision") or {},
        faces=dataset["faces"],
        look=given.look(tables, config),
    )


def table_page(dataset: Mapping, name: str, note: str = "") -> str:
    """Return one table of a dataset as a page of its own, with the whole table as a download.

    Parameters
    ----------
    dataset : mapping
        As :func:`refacebench.report.page.build` takes it.
    name : str
        The table's.
    note : str
        What must be seen with it.
    """
    result = catalogue.find(name)
    table = dataset["tables"][name]
    view = _view(dataset)
    caption = result.said(view) if result.caption and len(table) else result.about.strip()
    shown = table.head(MOST_ROWS)
    text = table.to_csv(sep="\t", index=False)
    return fill(
        TEMPLATE,
        title=name,
        dataset=dataset["name"],
        note=note,
        caption=caption,
        columns=list(table.columns),
        rows=[["" if cell != cell else _cell(cell) for cell in row] for row in shown.to_numpy()],
        left=len(table) - len(shown),
        download="data:text/tab-separated-values;base64,"
        + base64.b64encode(text.encode()).decode(),
    )


def written(
    datasets: Sequence[Mapping], segmenters: Sequence[str], notes: Mapping[str, str], out
) -> dict[Path, str]:
    """Return what stands in each caption's file and in each table's page, by path.

    Parameters
    ----------
    datasets, segmenters
        As for :func:`captions`.
    notes : mapping of str to str
        What must be seen with each dataset's tables.
    out
        Paths: ``captions`` and ``tables``.
    """
    told = captions(datasets, segmenters)
    by_name = {dataset["name"]: dataset for dataset in datasets}
    found = {path: told[path.stem] for path in map(Path, out.captions)}
    for path in map(Path, out.tables):
        name = path.parent.name
        found[path] = table_page(by_name[name], path.stem, notes[name])
    return found


def _cell(value) -> str:
    # No minus on a zero.
    return f"{value + 0.0:.6g}" if isinstance(value, float) else str(value)
