"""The page: an assembler of what the results declare.

:func:`build` reads the PNG files that it is given and fills its template; it writes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import groupby
from pathlib import Path

import pandas as pd

from refacebench.plot.html import fill
from refacebench.report import (
    details,
    elsewhere,
    given,
    glossary,
    methods_table,
    models,
    provenance,
    split,
)
from refacebench.report.blocks import Link, Section, Table
from refacebench.report.limits import limitations
from refacebench.report.methods_table import plain, recorded
from refacebench.report.pictures import shown
from refacebench.report.summary import no_picture
from refacebench.results import (
    catalogue,
    costs,
    decisions,
    flow,
    flow_counts,
    headline,
    verdict_table,
    words,
)
from refacebench.results.catalogue import name_of
from refacebench.results.privacy_warnings import warning_lines
from refacebench.results.result import Result, View
from refacebench.results.study import HEADING
from refacebench.results.study_items import of_the_paper
from refacebench.statistics.criteria import Criteria

TEMPLATE = Path(__file__).with_name("page.html")
#: A page must stay small enough to be mailed; the config's ``page_mb`` by default.
MOST_BYTES = 8_000_000
#: The first page, seen from the others.
HOME = "report.html"
#: Sections that are not folded at first: what decides between methods.
OPEN = ("study", "privacy", "quality", "volumes")


def build(context: Mapping) -> str:
    """Return the report in one page.

    Parameters
    ----------
    context : mapping
        ``title`` : str.
        ``version`` : str, of the software (may be empty).
        ``card`` : mapping, optional
            The run card, of :func:`refacebench.report.provenance.card`.
        ``text`` : tuple of str, optional
            Methods section and BibTeX, of :func:`refacebench.report.methods_text.text`.
        ``datasets`` : list of mappings, one a dataset, with

        ``name`` : str.
        ``statement`` : str or None
            What must be known about a synthetic dataset; shown as a banner.
        ``faces`` : str
            The config's ``faces``; see :func:`refacebench.faces.check_figure`.
        ``tables`` : dict of str to DataFrame
            Result tables; missing ones and empty ones leave their section out.
        ``texts`` : dict of str to str, optional
            The same as they stand in their files, for who saves one from the page.
        ``figures`` : dict of str to path
            PNG files by name, those of several segmenters, ``slices`` and all ``curves-*`` and
            ``samples-*`` among them.
        ``criteria`` : :class:`refacebench.statistics.criteria.Criteria`.
        ``config`` : mapping
            The run's config; ``seed``, ``splits``, ``thresholds`` and the order
            of ``defacers`` and ``segmenters`` are used.
        ``methods`` : list of mappings
            ``kind``, ``name``, ``title``, ``engine``, ``version``, and in ``settings`` the
            options that are not at their defaults.
        ``models`` : mapping, optional
            Cards of the trained models, by variant.
        ``defaults`` : mapping, optional
            Options of their methods at their defaults, by refacer.
        ``brought`` : bool, optional
            Whether its measures were made elsewhere and no image was opened.
        ``costs`` : DataFrame or None
            One row per stage, the columns as they are to be printed.
        ``tables_href`` : str, optional
            Folder of the TSV files, relative to the page; ``tables/{name}``
            by default.

    Returns
    -------
    str
        HTML without any external resource.

    Raises
    ------
    ValueError
        If a figure shows faces that must not be shown.
    """
    return render(context, [split.alone(dataset) for dataset in prepared(context)])


def pages(context: Mapping, most_bytes: float = MOST_BYTES) -> dict[str, str]:
    """Return the report as few pages as keep below a size: one, or a first page and a folder.

    Parameters
    ----------
    context : mapping
        As for :func:`build`.
    most_bytes : float
        Largest size of a page. What cannot be divided (a single section) may be larger.

    Returns
    -------
    dict of str to str
        HTML by address, relative to the first one, whose address is empty.
    """
    datasets = prepared(context)
    whole = render(context, [split.alone(dataset) for dataset in datasets])
    if len(whole.encode()) <= most_bytes:
        return {"": whole}
    parts = split.parts(datasets, most_bytes)
    further = [{"address": part.address, "title": part.title} for part in parts]
    made = {"": render(context, [split.head_of(d) for d in datasets], further=further)}
    for part in parts:
        made[part.address] = render(context, [part.dataset], home=f"../{HOME}")
    return made


def prepared(context: Mapping) -> list[dict]:
    """Return what the template needs of every data set."""
    found, said = [], set()
    for n, dataset in enumerate(context["datasets"], 1):
        text = elsewhere.reminder(dataset)
        found.append({**_dataset(dataset, n), "reminder": "" if text in said else text})
        said.add(text)
    return found


def render(
    context: Mapping,
    datasets: Sequence[Mapping],
    further: Sequence[Mapping[str, str]] = (),
    home: str = "",
) -> str:
    """Return one page.

    Parameters
    ----------
    datasets : sequence of mapping
        Of :func:`prepared`, as much of them as the page is to show.
    further : sequence of mapping
        ``address`` and ``title`` of the pages that hold the rest.
    home : str
        Address of the first page, if this is another one.
    """
    card, (methods_text, bibtex) = context.get("card"), context.get("text") or ("", "")
    return fill(
        TEMPLATE,
        title=context["title"],
        version=context.get("version", ""),
        datasets=datasets,
        mark=glossary.Marker(glossary.attacker(*told) for d in datasets for told in d["attackers"]),
        open=OPEN,
        meanings=decisions.VERDICTS,
        summary=not home,
        further=further,
        home=home,
        leftovers=(card or {}).get("leftovers", []),
        provenance=None if home or not card else _provenance(card),
        methods_text="" if home else methods_text,
        bibtex=bibtex,
    )


def _provenance(card: Mapping) -> dict:
    import yaml

    config = yaml.safe_dump(card["config"], sort_keys=False) if card["config"] else ""
    return {"rows": provenance.rows(card), "config": config}


def _dataset(dataset: Mapping, number: int) -> dict:
    """Return what the template needs of one dataset."""
    tables = dataset["tables"]
    criteria = dataset["criteria"]
    config = dataset.get("config") or {}
    view = View(
        tables,
        criteria,
        thresholds=config.get("thresholds") or {},
        decision=config.get("decision") or {},
        faces=dataset["faces"],
        look=given.look(tables, config),
    )
    statement = dataset.get("statement") or ""
    return {
        "name": dataset["name"],
        "number": number,
        "shown": True,
        "first": True,
        "data": _texts(dataset),
        "statement": statement,
        "warnings": warning_lines(tables),
        "decision": _decision(dataset, view),
        "rule": _rule(dataset).points,
        "rule_of": decisions.SETTING,
        "explained": verdict_table.explained,
        "more": verdict_table.MORE,
        "below": [
            line
            for line in (
                verdict_table.brain_line(view, criteria.alpha),
                verdict_table.control_line(view, criteria.alpha),
            )
            if line
        ],
        "answer": headline.told(tables, decisions.judged(view), _rule(dataset), criteria),
        "details": [details.of(view, name, _known(dataset)) for name in decisions.judged(view)],
        "notes": [*warning_lines(tables, loud=False), *filter(None, [no_picture(tables)])],
        "summary": [
            *elsewhere.summary_lines(dataset, look=view.look, on_page=True),
            *models.lines(dataset),
        ],
        "flow": _flow(dataset, view),
        "methods": methods_table.table(dataset["methods"], recorded(dataset)),
        "attackers": _attackers(dataset),
        "models": models.table(dataset),
        "sections": [s for s in _sections(dataset, view) if s.pictures or s.tables],
        "costs": _costs(dataset.get("costs")),
        "files": _links(dataset, [r.name for r in catalogue.everything()]),
        "folder": _folder(dataset),
        "empty": _empty(dataset),
        "limits": limitations(tables, criteria, statement, view.look, bool(dataset.get("brought"))),
        "parameters": _parameters(criteria, config),
    }


def _decision(dataset: Mapping, view: View) -> Table | None:
    """Return the table of verdicts; none where nothing was judged."""
    alpha, known = view.criteria.alpha, _known(dataset)
    columns, rows = verdict_table.printed(view, _rule(dataset), alpha, known)
    return Table(verdict_table.CLOSING, columns, rows) if rows else None


def _known(dataset: Mapping) -> dict[str, Mapping]:
    """Return what is declared of the methods that make images, by name."""
    return {m["name"]: m for m in dataset["methods"] if m["kind"] in ("defacer", "refacer")}


def _rule(dataset: Mapping) -> decisions.Rule:
    return decisions.Rule.from_config(dataset.get("config") or {})


def _texts(dataset: Mapping) -> dict[str, str]:
    """Return the tables as they stand in their files, without those that have no rows."""
    texts = dataset.get("texts")
    if texts is None:
        texts = {
            name: table.to_csv(sep="\t", index=False, lineterminator="\n")
            for name, table in dataset["tables"].items()
        }
    empty = {name for name, table in dataset["tables"].items() if table.empty}
    return {name: text for name, text in texts.items() if name not in empty}


# sections -----------------------------------------------------------------------------------


def _sections(dataset: Mapping, view: View) -> list[Section]:
    """Return the sections in their order; those of segmenters in turn, segmenter by segmenter."""
    segmenters = _segmenters(dataset["tables"], dataset.get("config") or {})
    papers = of_the_paper(dataset["tables"])
    found = []
    for several, group in groupby(catalogue.headings(), lambda item: item[0].by_segmenter):
        headed = list(group)
        of: list[str | None] = [*segmenters] if several else [None]
        for segmenter in of:
            by = f" ({segmenter})" if several and len(segmenters) > 1 else ""
            suffix = name_of("", segmenter, segmenters) if segmenter else ""
            for heading, results in headed:
                told = [r for r in results if heading != HEADING or r.name in papers]
                pictures = [
                    picture.embedded(dataset["name"])
                    for r in told
                    for picture in shown(dataset, view, r, segmenter, segmenters)
                ]
                tables = [t for r in told for t in _tables(dataset, view.of(segmenter), r)]
                links = _links(dataset, [r.name for r in results])
                title = heading.title + by
                found.append(
                    Section(heading.id + suffix, title, heading.lead, pictures, tables, links)
                )
    return found


def _links(dataset: Mapping, names: Sequence[str]) -> list[Link]:
    """Return the files of tables, of those that there are."""
    return [
        Link(name, _link(dataset, name), _first_sentence(catalogue.find(name).about))
        for name in names
        if name in dataset["tables"] and not dataset["tables"][name].empty
    ]


def _empty(dataset: Mapping) -> str:
    """Return which tables have no rows, and why: they are not listed as if they held anything.

    Nothing where the measures were made elsewhere: most tables are of images then, and empty.
    """
    if dataset.get("brought"):
        return ""
    why: dict[str, list[str]] = {}
    for result in catalogue.everything():
        table = dataset["tables"].get(result.name)
        if table is not None and table.empty:
            why.setdefault(result.empty, []).append(result.name)
    return "; ".join(f"{words.listed(names)} ({reason})" for reason, names in why.items())


def _first_sentence(about: str) -> str:
    """Return what a table is, as its reference begins."""
    text = " ".join(about.split("\n\n")[0].split())
    return text.replace("``", "").split(": ")[0].rstrip(".")


def _tables(dataset, view: View, result: Result) -> list[Table]:
    """Return the compact form of a result's table; none if it is empty or has no such form."""
    if result.printed is None or view.rows(result.name).empty:
        return []
    columns, rows = result.printed(view)
    if not rows:
        return []
    figures = dataset["figures"]
    if result.name in figures or f"{result.name}-{view.segmenter}" in figures:
        caption = (result.numbers or words.numbers)(view)
    else:
        caption = result.said(view)
    return [Table(caption, columns, rows, _link(dataset, result.name), result.secondary)]


def _segmenters(tables, config: Mapping) -> list[str]:
    """Return the segmenters in the config's order, by which figures are named."""
    if config.get("segmenters"):
        return list(config["segmenters"])
    for name in ("overlap", "volumes", "brainage"):
        table = tables.get(name)
        if table is not None and len(table):
            return [str(s) for s in dict.fromkeys(table["segmenter"])]
    return []


def _link(dataset: Mapping, name: str) -> str:
    return f"{_folder(dataset)}/{name}.tsv"


def _folder(dataset: Mapping) -> str:
    return str(dataset.get("tables_href", f"tables/{dataset['name']}")).rstrip("/")


def _flow(dataset: Mapping, view: View) -> dict:
    """Return what became of the scans: numbers, counts by stage, and those that were left out."""
    table = view.rows("flow")
    if table.empty:
        return {"numbers": None, "counts": None, "left_out": None, "links": []}
    columns, rows = flow.printed(view)
    rest = len(rows) - flow.MOST_LEFT_OUT
    caption = f"Scans that were left out, and why: {words.plural(len(rows), 'row')}"
    caption += f", the first {flow.MOST_LEFT_OUT} of them." if rest > 0 else "."
    counts = None
    if len(view.rows("flow_counts")):
        address = _link(dataset, "flow_counts")
        counts = Table(flow_counts.page_caption(view), *flow_counts.printed(view), address)
    shown = rows[: flow.MOST_LEFT_OUT]
    return {
        "numbers": flow.scan_numbers(table),
        "others": flow.other_words(table),
        "counts": counts,
        "left_out": Table(caption, columns, shown, _link(dataset, "flow")),
        "links": _links(dataset, ["flow", "flow_counts"]),
    }


# methods, settings, costs --------------------------------------------------------------------


def _attackers(dataset: Mapping) -> list[tuple[str, str]]:
    """Return the attackers that ran, each with its sentence on how it goes about it."""
    table = dataset["tables"].get("privacy")
    there = set() if table is None or table.empty else set(table["attacker"])
    return [
        (m["name"], m["about"])
        for m in dataset["methods"]
        if m["kind"] == "attacker" and m["name"] in there and m.get("about")
    ]


def _parameters(criteria: Criteria, config: Mapping) -> Table:
    rows = [[f"statistics: {key}", plain(value)] for key, value in asdict(criteria).items()]
    for key in ("privacy", "thresholds", "decision", "splits", "seed"):
        if key in config and (key != "privacy" or config.get("attackers")):
            rows.insert(0, [key, plain(config[key])])
    rows = [[name, value or "none"] for name, value in rows]
    told = "Settings of this run, under their names in the config."
    return Table(told, ["Setting", "Value"], rows)


def _costs(table: pd.DataFrame | None) -> Table | None:
    if table is None or table.empty:
        return None
    view = View({"costs": table})
    return Table(costs.caption(view), *costs.printed(view))
