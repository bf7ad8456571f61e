"""The page: an assembler of what the results declare.

:func:`build` reads the PNG files that it is given and fills its template; it writes nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import groupby
from pathlib import Path

import pandas as pd

from refacebench.faces import check_figure
from refacebench.plot.html import embed, fill
from refacebench.plot.numbers import NO_VALUE
from refacebench.plot.style import look_of
from refacebench.report import models
from refacebench.report.blocks import Link, Picture, Section, Table
from refacebench.report.limits import limitations
from refacebench.report.summary import no_picture, reminder, summary_lines
from refacebench.results import catalogue, costs, decisions, flow, flow_counts, words
from refacebench.results.catalogue import name_of
from refacebench.results.privacy_warnings import warning_lines
from refacebench.results.result import Figure, Result, View
from refacebench.statistics.criteria import Criteria
from refacebench.vocabulary import BROUGHT, split_variant

TEMPLATE = Path(__file__).with_name("page.html")
#: A page must stay small enough to be mailed.
MOST_BYTES = 8_000_000


def build(context: Mapping) -> str:
    """Return the report page.

    Parameters
    ----------
    context : mapping
        ``title`` : str.
        ``version`` : str, of the software (may be empty).
        ``datasets`` : list of mappings, one a dataset, with

        ``name`` : str.
        ``statement`` : str or None
            What must be known about a synthetic dataset; shown as a banner.
        ``faces`` : str
            The config's ``faces``; see :func:`refacebench.faces.check_figure`.
        ``tables`` : dict of str to DataFrame
            Result tables; missing ones and empty ones leave their section out.
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
            One row a stage, the columns as they are to be printed.
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
        If a figure shows faces that must not be shown, or the page would be
        larger than :data:`MOST_BYTES`.
    """
    page = fill(
        TEMPLATE,
        title=context["title"],
        version=context.get("version", ""),
        datasets=[_dataset(dataset) for dataset in context["datasets"]],
        reminder=" ".join(
            dict.fromkeys(
                reminder(d["tables"], bool(d.get("brought"))) for d in context["datasets"]
            )
        ),
    )
    if len(page.encode()) > MOST_BYTES:
        raise ValueError(
            f"the report would have {len(page.encode()) / 1e6:.1f} MB (limit "
            f"{MOST_BYTES / 1e6:g} MB); make one report for each dataset"
        )
    return page


def _dataset(dataset: Mapping) -> dict:
    """Return what the template needs of one dataset."""
    tables = dataset["tables"]
    criteria = dataset["criteria"]
    config = dataset.get("config") or {}
    view = View(
        tables,
        criteria,
        thresholds=config.get("thresholds") or {},
        faces=dataset["faces"],
        look=look_of(tables, list(config.get("defacers") or {})),
    )
    statement = dataset.get("statement") or ""
    return {
        "name": dataset["name"],
        "statement": statement,
        "warnings": warning_lines(tables),
        "decision": _decision(dataset, view),
        "notes": [*warning_lines(tables, loud=False), *filter(None, [no_picture(tables)])],
        "summary": [
            *summary_lines(
                tables, criteria, look=view.look, remind=False, brought=bool(dataset.get("brought"))
            ),
            *models.lines(dataset),
        ],
        "flow": _flow(dataset, view),
        "methods": _methods(dataset["methods"], recorded(dataset)),
        "models": models.table(dataset),
        "sections": [s for s in _sections(dataset, view) if s.pictures or s.tables],
        "costs": _costs(dataset.get("costs")),
        "files": _links(dataset, [r.name for r in catalogue.everything()]),
        "limits": limitations(tables, criteria, statement, view.look, bool(dataset.get("brought"))),
        "parameters": _parameters(criteria, config),
    }


def _decision(dataset: Mapping, view: View) -> Table | None:
    """Return the table of verdicts; none where nothing was judged."""
    rule = decisions.Rule.from_config(dataset.get("config") or {})
    known = {m["name"]: m for m in dataset["methods"] if m["kind"] in ("defacer", "refacer")}
    columns, rows = decisions.printed(view, rule, known, view.criteria.alpha)
    return Table(decisions.caption(rule), columns, rows) if rows else None


# sections -----------------------------------------------------------------------------------


def _sections(dataset: Mapping, view: View) -> list[Section]:
    """Return the sections in their order; those of segmenters in turn, segmenter by segmenter."""
    segmenters = _segmenters(dataset["tables"], dataset.get("config") or {})
    found = []
    for several, group in groupby(catalogue.headings(), lambda item: item[0].by_segmenter):
        headed = list(group)
        of: list[str | None] = [*segmenters] if several else [None]
        for segmenter in of:
            by = f" ({segmenter})" if several and len(segmenters) > 1 else ""
            suffix = name_of("", segmenter, segmenters) if segmenter else ""
            for heading, results in headed:
                pictures = [
                    p for r in results for p in _pictures(dataset, view, r, segmenter, segmenters)
                ]
                tables = [t for r in results for t in _tables(dataset, view.of(segmenter), r)]
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
        if name in dataset["tables"] and not _is_idle(dataset, name)
    ]


def _is_idle(dataset: Mapping, name: str) -> bool:
    """Tell whether a table is empty since nobody measured anything of it: of brought measures."""
    return bool(dataset.get("brought")) and dataset["tables"][name].empty


def _first_sentence(about: str) -> str:
    """Return what a table is, as its reference begins."""
    text = " ".join(about.split("\n\n")[0].split())
    return text.replace("``", "").split(": ")[0].rstrip(".")


def _pictures(dataset, view: View, result: Result, segmenter, segmenters) -> list[Picture]:
    """Return the pictures of a result's figures that are there."""
    found = []
    for figure in result.figures:
        if figure.draw is None:
            found += _loose(dataset, view, result, figure)
            continue
        first = figure.first_segmenter and segmenters
        mine = view.of(segmenters[0] if first else segmenter)
        name = name_of(figure.name, segmenter, segmenters) if segmenter else figure.name
        path = dataset["figures"].get(name)
        if path is not None and len(mine.rows(result.source or result.name)):
            found.append(Picture(name, embed(path), result.words(figure)(mine), figure.alt))
    return found


def _loose(dataset, view: View, result: Result, figure: Figure) -> list[Picture]:
    """Return all pictures whose name begins with that of a figure which a rule of its own draws."""
    found: list[Picture] = []
    if result.source and view.rows(result.source).empty:
        return found
    for name, path in dataset["figures"].items():
        if name.startswith(figure.name):
            if figure.heads:
                check_figure(path, view.faces)
            which = name.removeprefix(figure.name).strip("-_ ")
            caption = result.words(figure)(view, which)
            found.append(Picture(name, embed(path), caption, figure.alt))
    return found


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
    return [Table(caption, columns, rows, _link(dataset, result.name))]


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
    folder = dataset.get("tables_href", f"tables/{dataset['name']}").rstrip("/")
    return f"{folder}/{name}.tsv"


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
        "counts": counts,
        "left_out": Table(caption, columns, shown, _link(dataset, "flow")),
        "links": _links(dataset, ["flow", "flow_counts"]),
    }


# methods, settings, costs --------------------------------------------------------------------


def recorded(dataset: Mapping) -> dict[tuple[str, str], str]:
    """Return the versions that stand with the results, by kind and name of the method.

    Results may be older than the code; a method that no table tells of is not in it.
    """
    found: dict[tuple[str, str], str] = {}
    for kind, table, name in (
        ("defacer", "quality", "variant"),
        ("attacker", "privacy", "attacker"),
    ):
        rows = dataset["tables"].get(table)
        if rows is not None and len(rows) and "version" in rows:
            texts = rows.dropna(subset=["version"]).groupby(name, sort=False)["version"].unique()
            found |= {(kind, key): ", ".join(map(str, values)) for key, values in texts.items()}
    for variant, card in (dataset.get("models") or {}).items():
        version = (card.get("versions") or {}).get("method") or card.get("version")
        if version:
            found["refacer", str(split_variant(variant)[1])] = str(version)
    return found


def _methods(methods: Sequence[Mapping], made_by: Mapping[tuple[str, str], str]) -> Table:
    rows = [
        [m["name"], m["kind"], m.get("title") or "", _engine(m.get("engine"), m.get("reason")),
         _version(m, made_by), _plain(m.get("settings") or {}) or "none"]
        for m in methods
    ]  # fmt: skip
    caption = (
        "What was run. Native: re-implementation of the published method; official: the released "
        "program itself. Version: of defacers, refacers and attackers as it was recorded with "
        "these results, else that of the code. Settings at their defaults are not listed."
    )
    if methods and all(m.get("engine") == BROUGHT for m in methods):
        caption = "Where the measures come from. Nothing was run on images here."
    columns = ["Name", "Kind", "What it does", "Engine", "Version", "Settings of its own"]
    return Table(caption, columns, rows)


def _version(method: Mapping, made_by: Mapping[tuple[str, str], str]) -> str:
    """Return the version that made the results, and that of the code where it is another one."""
    now = str(method.get("version") or "")
    made = made_by.get((method["kind"], method["name"]), "")
    if made and now and made != now:
        return f"{made} (the code is at {now}: these results are older)"
    return made or now or NO_VALUE


def _engine(engine, reason=None) -> str:
    names = {"native": "native (re-implementation)", "official": "official program"}
    name = names.get(engine, str(engine or NO_VALUE))
    return f"{name}: {reason}" if reason else name


def _parameters(criteria: Criteria, config: Mapping) -> Table:
    rows = [[f"statistics: {key}", _plain(value)] for key, value in asdict(criteria).items()]
    for key in ("privacy", "thresholds", "decision", "splits", "seed"):
        if key in config and (key != "privacy" or config.get("attackers")):
            rows.insert(0, [key, _plain(config[key])])
    return Table("Settings of this run.", ["Setting", "Value"], rows)


def _plain(value) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{k} {_plain(v)}" for k, v in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(_plain(v) for v in value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def _costs(table: pd.DataFrame | None) -> Table | None:
    if table is None or table.empty:
        return None
    view = View({"costs": table})
    return Table(costs.caption(view), *costs.printed(view))


# reading ------------------------------------------------------------------------------------


def read(given, asked) -> list[dict]:
    """Read what the page is made of, as :func:`build` takes it.

    Parameters
    ----------
    given
        Paths: ``tables``, ``privacy``, ``figures``, ``cards`` and ``costs``.
    asked
        ``config``; ``methods``; ``defaults``; ``statements`` and ``faces`` by dataset.
    """
    spent = pd.read_csv(given.costs, sep="\t")
    return [
        {
            "name": name,
            "statement": statement,
            "faces": asked.faces[name],
            "tables": {
                f.stem: catalogue.read(f) for f in _under([*given.tables, *given.privacy], name)
            },
            "figures": {f.stem: f for f in _under(given.figures, name)},
            "criteria": Criteria.from_config(asked.config),
            "config": asked.config,
            "methods": asked.methods,
            "models": {
                card.parent.name: json.loads(card.read_text())
                for card in map(Path, given.cards)
                if card.parent.parent.name == name
            },
            "defaults": asked.defaults,
            "brought": name in (asked.get("brought") or ()),
            "costs": spent[spent["dataset"] == name].drop(columns="dataset"),
        }
        for name, statement in asked.statements.items()
    ]


def _under(paths, dataset: str) -> list[Path]:
    """Return the paths of one dataset's folder."""
    return [Path(p) for p in paths if Path(p).parent.name == dataset]
