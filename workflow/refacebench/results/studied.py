"""What the results of a study are computed from: its declaration, published values, our tables.

A config's ``study`` names a published work and lists its tables and figures.  The published values
of all works stand in ``published.tsv``, each with its source and with the place in our tables
where the same quantity is found (:func:`value`).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from refacebench import reasons
from refacebench.results import catalogue, inputs
from refacebench.results.result import Tables
from refacebench.run import people, plan
from refacebench.statistics import comparisons, sides, unavailable
from refacebench.statistics.attack_tables import SETTING_WORDS, main_setting
from refacebench.statistics.comparisons import Comparisons
from refacebench.statistics.criteria import Criteria
from refacebench.statistics.protocol import Protocol

PUBLISHED = Path(__file__).with_name("published.tsv")
#: Columns of the table of published values.
COLUMNS = (
    *("study", "item", "quantity", "cohort", "table", "rows", "column", "factor", "unit"),
    *("published", "source", "differs"),
)
#: Ways to take one number from several rows: how many are below a level, the least, the most.
_COUNT = re.compile(r"count (\w+) *< *(alpha|[\d.]+)")
_END = re.compile(r"(least|most) (\w+)")
#: A count in percent of the row's n.
_PERCENT = re.compile(r"percent (\w+)")
_CONDITION = re.compile(r"(\w+)(!?=)(.*)")
#: The interval of a value that is not called after it.
_OWN_INTERVAL = ("mean", "median", "median_change_pct", "rate", "gap", "identification")


@dataclass(frozen=True)
class Studied:
    """One data set of a study, for the results of the rule ``study``.

    Attributes
    ----------
    study : mapping
        The config's ``study``.
    dataset : str
    tables : mapping of str to pandas.DataFrame
        All result tables of the data set, by name.
    measurements : pandas.DataFrame
        The measurement table.
    criteria : Criteria
    variants : sequence of str
    synthetic : bool
        Whether the people are grown: nothing is then compared with what was published.
    inventory : pandas.DataFrame, optional
        All scans of the data set.
    attack_files : sequence of str
        What attackers compared.
    protocol : Protocol
    absent : mapping of str to str
        Why variants are unavailable, by variant.
    passed_over : collection of str
        As of :class:`refacebench.results.inputs.Measured`.
    """

    study: Mapping[str, Any]
    dataset: str
    tables: Tables
    measurements: pd.DataFrame
    criteria: Criteria = field(default_factory=Criteria)
    variants: Sequence[str] = ()
    synthetic: bool = False
    inventory: pd.DataFrame | None = None
    attack_files: Sequence[str] = ()
    protocol: Protocol = field(default_factory=Protocol)
    absent: Mapping[str, str] = field(default_factory=dict)
    passed_over: Collection[str] = ()

    @property
    def attacks(self) -> Iterator[Comparisons]:
        """What attackers compared, read one file at a time."""
        return map(comparisons.read, self.attack_files)


def read(given: Any, asked: Any) -> Studied:
    """Read what the rule ``study`` is given.

    Parameters
    ----------
    given
        Paths: ``tables``, ``attacks`` (tables), ``compared`` (what attackers compared),
        ``measured``, ``rescans`` and ``inventory``.
    asked
        ``study``; ``dataset``; ``unused``; ``config`` with ``statistics``, ``thresholds``,
        ``privacy``, ``seed`` and ``orientation``; ``variants``; ``unavailable``; ``synthetic``;
        ``people``.
    """
    table = inputs.measurements([*given.measured, *given.rescans], people.read(asked.people))
    added = unavailable.rows(table, asked.unavailable)
    table = sides.held(table, asked.config.get("orientation", sides.EXCLUDE))
    return Studied(
        asked.study,
        asked.dataset,
        {Path(p).stem: catalogue.read(p) for p in [*given.tables, *given.attacks]},
        pd.concat([table, added], ignore_index=True),
        Criteria.from_config(asked.config),
        asked.variants,
        asked.synthetic,
        plan.read_all(given.inventory, asked.unused, asked.people),
        list(given.get("compared", [])),
        Protocol.from_config(asked.config),
        asked.unavailable,
    )


def published(path: str | Path = PUBLISHED) -> pd.DataFrame:
    """Return the table of published values."""
    table = pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False)
    return table.assign(published=table["published"].astype(float))


def of_study(study: Mapping[str, Any], dataset: str) -> pd.DataFrame:
    """Return the published values of a study that one of its data sets is held against."""
    table = published()
    cohort = (study.get("cohorts") or {}).get(dataset, "")
    mine = (table["study"] == study["paper"]) & table["cohort"].isin(("", cohort))
    found = table[mine].reset_index(drop=True)
    answers = study.get("answers")
    if not answers or answers.get("dataset") not in ("", None, dataset):
        return found
    return pd.concat([found, _answers(answers)], ignore_index=True)


def _answers(given: Mapping[str, Any]) -> pd.DataFrame:
    """Return the rows of a published table of the user's own copy; none where it is missing."""
    path = Path(given["file"])
    if not path.is_file():
        return pd.DataFrame(columns=COLUMNS)
    table = pd.read_csv(path, sep=None, engine="python")
    ((theirs, ours),) = given["key"].items()
    rows = [
        {
            "study": "",
            "item": given["item"],
            "quantity": f"{row[theirs]}: {name}",
            "cohort": "",
            "table": given["table"],
            "rows": f"{ours}={row[theirs]}",
            "column": column,
            "factor": f"{given.get('factor', 1):g}",
            "unit": "",
            "published": float(row[name]),
            "source": f"{given['item']} ({path.name})",
            "differs": given.get("differs", ""),
        }
        for _, row in table.iterrows()
        for name, column in given["columns"].items()
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


# our value ----------------------------------------------------------------------------------


def value(tables: Tables, asked: Mapping[str, Any], alpha: float) -> dict[str, Any]:
    """Return our number for a published one, with its interval and participants where known.

    Parameters
    ----------
    tables : mapping of str to pandas.DataFrame
    asked : mapping
        ``table``; ``rows``, conditions like ``variant=null; region!=tiv``, all of which must hold;
        ``column``, a column, ``count <column> < <level>`` (``alpha`` for the run's level),
        ``least <column>``, ``most <column>``, or ``percent <column>`` of the row's ``n``; and
        ``factor``.

    Returns
    -------
    dict
        ``ours``, ``ours_low``, ``ours_high``, ``n``, and in ``note`` why there is no number.
    """
    nothing: dict[str, Any] = dict.fromkeys(("ours", "ours_low", "ours_high", "n"), np.nan)
    table = tables.get(asked["table"])
    if table is None or table.empty:
        return {**nothing, "note": "not measured here"}
    rows = _that_count(matching(table, asked["rows"]))
    if rows.empty:
        return {**nothing, "note": "no such row here"}
    counted = _COUNT.fullmatch(asked["column"])
    if counted:
        below = alpha if counted[2] == "alpha" else float(counted[2])
        numbers = pd.to_numeric(rows[counted[1]], errors="coerce")
        if numbers.isna().all():
            return {**nothing, "note": "not tested here"}
        return {**nothing, "ours": int((numbers < below).sum()), "n": _n(rows), "note": ""}
    factor = float(asked["factor"] or 1)
    end = _END.fullmatch(asked["column"])
    if end:
        numbers = factor * pd.to_numeric(rows[end[2]], errors="coerce")
        found = float(numbers.min() if end[1] == "least" else numbers.max())
        return {**nothing, "ours": found, "n": _n(rows),
                "note": "" if np.isfinite(found) else "no value here"}  # fmt: skip
    if len(rows) > 1:
        return {**nothing, "note": f"{len(rows)} rows here"}
    row, column = rows.iloc[0], asked["column"]
    percent = _PERCENT.fullmatch(column)
    if percent:
        found = 100 * float(row[percent[1]]) / row["n"] if row["n"] else np.nan
        return {**nothing, "ours": found, "n": row["n"],
                "note": "" if np.isfinite(found) else "no value here"}  # fmt: skip
    ends = sorted(factor * float(row.get(name, np.nan)) for name in _interval(rows, column))
    found = factor * float(row[column])
    return {
        "ours": found,
        "ours_low": ends[0] if ends else np.nan,
        "ours_high": ends[1] if ends else np.nan,
        "n": _n(rows),
        "note": "" if np.isfinite(found) else "no value here",
    }


def _interval(rows: pd.DataFrame, column: str) -> tuple[str, ...]:
    stem = column.removesuffix("_share")
    for low, high in ((f"{column}_low", f"{column}_high"), (f"{stem}_low", f"{stem}_high")):
        if low in rows and high in rows:
            return low, high
    return ("low", "high") if column in _OWN_INTERVAL and {"low", "high"} <= set(rows) else ()


def _n(rows: pd.DataFrame) -> float:
    return float(rows["n"].max()) if "n" in rows else np.nan


def _that_count(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the first segmenter and of the setting that counts, if there are any."""
    if set(rows.get("setting", ())) & set(SETTING_WORDS):
        rows = rows[rows["setting"] == main_setting(rows)]
    if "segmenter" not in rows or rows["segmenter"].isna().all():
        return rows
    return rows[rows["segmenter"] == rows["segmenter"].dropna().iloc[0]]


def matching(table: pd.DataFrame, conditions: str) -> pd.DataFrame:
    """Return the rows for which all conditions hold; ``|`` stands between alternatives.

    >>> table = pd.DataFrame({"a": ["x", "y", "z"]})
    >>> list(matching(table, "a!=x; a!=z")["a"])
    ['y']

    Raises
    ------
    ValueError
        If a condition has another form or names a column that is not there.
    """
    for condition in filter(None, (part.strip() for part in conditions.split(";"))):
        found = _CONDITION.fullmatch(condition)
        if not found or found[1] not in table:
            raise ValueError(f"no condition on a column of the table: {condition}")
        same = table[found[1]].fillna("").astype(str).isin(found[3].split("|"))
        table = table[same if found[2] == "=" else ~same]
    return table


# the declaration ----------------------------------------------------------------------------


def names() -> list[str]:
    """Return what a study's items can name: all tables and figures."""
    everything = catalogue.everything()
    tables = [result.name for result in everything if result.columns]
    return list(dict.fromkeys([*tables, *(f.name for r in everything for f in r.figures)]))


def faults(config: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with a config's study, if it has one and the schema takes it."""
    study = config.get("study")
    if not isinstance(study, Mapping) or "items" not in study:
        return []
    whole = all("item" in item for item in study["items"])
    return mistakes(study, config["datasets"]) if whole else []


def mistakes(study: Mapping[str, Any], datasets: Iterable[str]) -> list[str]:
    """Return a sentence for each mistake in a study's declaration that the schema cannot see."""
    known, datasets = names(), list(datasets)
    found = [
        f"study, {item['item']}: there is no table or figure '{name}'{reasons.meant(name, known)}"
        for item in study["items"]
        for name in item.get("ours") or ()
        if name not in known
    ]
    found += [
        f"study, {item['item']}: name what of ours shows it (ours), or say why nothing does "
        "(out_of_reach)"
        for item in study["items"]
        if not item.get("ours") and not item.get("out_of_reach")
    ]
    found += [
        f"study, cohorts: there is no data set '{name}'{reasons.meant(name, datasets)}"
        for name in study.get("cohorts") or ()
        if name not in datasets
    ]
    answers = study.get("answers") or {}
    if answers and answers["table"] not in known:
        name = answers["table"]
        found.append(f"study, answers: there is no table '{name}'{reasons.meant(name, known)}")
    return found


def paper_figures(study: Mapping[str, Any], made: Iterable[str]) -> list[str]:
    """Return the figures of a study's items that are drawn from tables, of those that are made."""
    made = set(made)
    asked = [name for item in study["items"] for name in item.get("ours") or ()]
    figures = {f.name for r in catalogue.everything() for f in r.figures if f.draw}
    return [name for name in dict.fromkeys(asked) if name in figures & made]
