"""A published study's tables and figures, and where ours are: one row each.

``kind`` is ``item``, or ``protocol`` for a sentence in ``differs`` on what differs altogether.
``ours`` names our tables and figures, ``n_published`` counts the published values that are held
against ours (table ``study``), ``out_of_reach`` says why there is none of ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from refacebench.results import catalogue, studied, words
from refacebench.results.cells import Linked
from refacebench.results.result import COSTS, FLOW, STUDY, Printed, Result, View
from refacebench.results.studied import Studied
from refacebench.results.study import HEADING

#: Parts of a data set's page that are no section of results: title and anchor, by job.
_BESIDE = {FLOW: ("Scans", "flow"), COSTS: ("Costs", "costs")}
ITEM, PROTOCOL = "item", "protocol"


def compute(given: Studied) -> pd.DataFrame:
    """Return the study's items as it declares them."""
    study = given.study
    values = studied.of_study(study, given.dataset)["item"].value_counts()
    rows = [
        {
            "paper": study["title"],
            "kind": ITEM,
            "item": item["item"],
            "shows": item["shows"],
            "ours": " ".join(item.get("ours") or ()),
            "n_published": int(values.get(item["item"], 0)),
            "differs": item.get("differs", ""),
            "out_of_reach": item.get("out_of_reach", ""),
        }
        for item in study["items"]
    ]
    rows += [
        {"paper": study["title"], "kind": PROTOCOL, "differs": sentence}
        for sentence in study.get("protocol") or ()
    ]
    return RESULT.frame(rows)


def caption(view: View) -> str:
    """Return the caption of the list of a paper's tables and figures."""
    table = view.rows("study_items")
    said = table.loc[table["kind"] == PROTOCOL, "differs"]
    return words.join(
        f"The tables and figures of {table['paper'].iloc[0]}, and where the same is found here.",
        *said,
    )


def printed(view: View) -> Printed:
    """Return the paper's tables and figures, each with a link to ours."""
    table = view.rows("study_items")
    rows = []
    for row in table[table["kind"] == ITEM].fillna("").to_dict("records"):
        places = _places(row["ours"].split(), view)
        here = Linked(places) if places else row["out_of_reach"]
        rows.append([row["item"], row["shows"], here, row["differs"]])
    return ["In the paper", "What it shows", "Here", "What differs"], rows


def _places(names: list[str], view: View) -> dict[str, str]:
    """Return where a reader finds our tables and figures, with the sections' anchors."""
    found: dict[str, str] = {}
    for name in names:
        result = _result(name)
        heading = result.heading
        if heading is None:
            place = _BESIDE.get(result.job, (f"table {name}", "files"))
            found[place[0]] = place[1]
        elif heading.id == HEADING.id:
            found["below"] = ""
        else:
            found[heading.title] = heading.id
    return found


def of_the_paper(tables: Mapping[str, pd.DataFrame]) -> set[str]:
    """Return the results of a paper: those that its items name or its values are held against.

    Others under the same heading are in the tables alone, as they answer other papers' questions.
    A study that leaves scans out shows what it leaves out, and one without items shows all.
    """
    items, values, left_out = (
        tables.get(name, pd.DataFrame()) for name in ("study_items", "study", "exclusions")
    )
    named = [] if items.empty else items["ours"].fillna("").str.split().explode().dropna()
    if not len(named):
        return {result.name for result in catalogue.everything()}
    found = {"study_items", "study", *(_result(name).name for name in named)}
    if not left_out.empty and left_out["excluded_for"].fillna("").any():
        found.add("exclusions")
    return found | (set() if values.empty else set(values["table"].dropna()))


def _result(name: str) -> Any:
    try:
        return catalogue.with_figure(name)[0]
    except KeyError:
        return catalogue.find(name)


RESULT = Result(
    "study_items",
    about=__doc__,
    job=STUDY,
    columns="paper kind item shows ours n_published differs out_of_reach",
    texts="paper kind item shows ours differs out_of_reach",
    compute=lambda given, _: compute(given),
    caption=caption,
    latex="item shows differs out_of_reach",
    heading=HEADING,
    order=1,
    printed=printed,
)
