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
from refacebench.results import catalogue, findings, inputs, privacy_gaps
from refacebench.results.result import Tables
from refacebench.results.volume_tests import smallest_p
from refacebench.run import people, plan
from refacebench.statistics import comparisons, sides, unavailable
from refacebench.statistics.attack_tables import SETTING_WORDS, main_setting
from refacebench.statistics.comparisons import Comparisons
from refacebench.statistics.criteria import Criteria
from refacebench.statistics.protocol import Protocol
from refacebench.vocabulary import SAME_SCAN

PUBLISHED = Path(__file__).with_name("published.tsv")
#: Columns of the table of published values.
COLUMNS = (
    *("study", "item", "quantity", "cohort", "table", "rows", "column", "factor", "unit"),
    *("published", "source", "differs"),
)
#: Ways to take one number from several rows: how many are below a level, the least, the most.
_COUNT = re.compile(r"count (\w+) *< *(alpha|[\d.]+)")
_END = re.compile(r"(least|most) (\w+)")
_CONDITION = re.compile(r"(\w+)(!?=)(.*)")
#: The columns with the interval of a value where they are not called after it.
_INTERVALS = {
    **dict.fromkeys(
        (
            *("mean", "median", "median_change_pct", "mean_abs_pct", "left_share", "shown_share"),
            *("gap", "identification", "choice", "effect", "estimate", "difference"),
        ),
        ("low", "high"),
    ),
    "share_over_completers": ("completers_low", "completers_high"),
}
#: What of the checks of brain and face says nothing of a method that spares the very mask.
_BRAIN_ALONE = ("exclusions", "brain_cut_share")
_BOTH_CHECKS = ("quality", "success_share")


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
    models : mapping of str to sequence of str
        The sites of refacing models that learn from some sites alone.
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
    models: Mapping[str, Sequence[str]] = field(default_factory=dict)

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
        ``people``; ``models``.
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
        models=asked.models,
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

NUMBERS = ("ours", "ours_low", "ours_high", "n", "n_gallery")


def value(tables: Tables, asked: Mapping[str, Any], alpha: float) -> dict[str, Any]:
    """Return our number for a published one, with its interval and participants where known.

    Parameters
    ----------
    tables : mapping of str to pandas.DataFrame
    asked : mapping
        ``table``; ``rows``, conditions like ``variant=null; region!=tiv``, all of which must hold;
        ``column``, a column, ``count <column> < <level>`` (``alpha`` for the run's level),
        ``least <column>`` or ``most <column>``; and ``factor``.

    Returns
    -------
    dict
        ``ours``, ``ours_low``, ``ours_high``, ``n``, ``n_gallery`` (for rank 1), and in ``note``
        why there is no number, or what it is of.
    """
    table = tables.get(asked["table"])
    if table is None or table.empty:
        return _nothing("not measured here")
    if asked["table"] == privacy_gaps.RESULT.name:
        table = privacy_gaps.both_ways(table)
    rows, column = _that_count(matching(table, asked["rows"])), asked["column"]
    if rows.empty:
        return _nothing("not part of this run")
    if counted := _COUNT.fullmatch(column):
        below = alpha if counted[2] == "alpha" else float(counted[2])
        return _count(rows, counted[1], below)
    factor = float(asked["factor"] or 1)
    if end := _END.fullmatch(column):
        found = _end(rows, end[1] == "least", end[2], factor, asked["rows"])
    elif len(rows) > 1:
        return _nothing(f"{len(rows)} rows here")
    else:
        found = _taken(rows.iloc[0], column, factor)
        found |= _tested(tables, asked, str(rows.iloc[0].get("variant")))
    easy = np.isfinite(found["ours"]) and set(rows.get("setting", ())) == {SAME_SCAN}
    return {**found, "note": "; ".join(filter(None, [found["note"], EASY if easy else ""]))}


#: Said of attacks where nobody was scanned in another session.
EASY = "compared with the very same scan"


def _nothing(note: str) -> dict[str, Any]:
    return {**dict.fromkeys(NUMBERS, np.nan), "note": note}


def _tested(tables: Tables, asked: Mapping[str, Any], variant: str) -> dict[str, Any]:
    """Return what a check of the brain is worth on a variant that cannot fail it."""
    check = (asked["table"], asked["column"])
    if check not in (_BRAIN_ALONE, _BOTH_CHECKS) or not findings.finding(tables, variant).spared:
        return {}
    brain = f"brain {findings.NOT_TESTABLE}"
    return _nothing(brain) if check == _BRAIN_ALONE else {"note": brain}


def _count(rows: pd.DataFrame, column: str, below: float) -> dict[str, Any]:
    """Return how many numbers of a column are below a level."""
    numbers = pd.to_numeric(rows[column], errors="coerce")
    tested = int(numbers.notna().sum())
    if not tested:
        return _nothing("not tested here")
    told = [f"{tested} of {len(rows)} tested" if tested < len(rows) else "",
            TOO_FEW if _is_hopeless(rows, column, below) else ""]  # fmt: skip
    note = "; ".join(filter(None, told))
    n = float(rows["n"].max()) if "n" in rows else np.nan
    return {**_nothing(note), "ours": int((numbers < below).sum()), "n": n}


def _is_hopeless(rows: pd.DataFrame, column: str, below: float) -> bool:
    """Tell whether no test of volumes could have passed with so few people, whatever they show."""
    if not {"W", "n", "family_size"} <= set(rows):
        return False
    corrected = rows["family_size"] if column == "p_holm" else 1
    return bool((rows["n"].map(smallest_p) * corrected >= below).all())


#: Said of a count of tests that is none whatever the changes are.
TOO_FEW = "too few people for any to differ"


def _end(
    rows: pd.DataFrame, least: bool, column: str, factor: float, conditions: str
) -> dict[str, Any]:
    """Return the least or most of a column, saying of which row, and which rows there are not."""
    numbers = factor * pd.to_numeric(rows[column], errors="coerce").astype(float)
    rows = rows[np.isfinite(numbers)]
    if rows.empty:
        return _nothing("no value here")
    picked = rows.loc[numbers.idxmin() if least else numbers.idxmax()]
    several = {
        name: wanted for name, same, wanted in _conditions(conditions) if same and len(wanted) > 1
    }
    absent = [w for name, wanted in several.items() for w in wanted if w not in set(rows[name])]
    told = [f"of {', '.join(str(picked[name]) for name in several)}" if several else ""]
    told += [f"without {', '.join(absent)}" if absent else ""]
    return {**_taken(picked, column, factor), "note": "; ".join(filter(None, told))}


def _taken(row: pd.Series, column: str, factor: float) -> dict[str, Any]:
    """Return the number of one row, with its interval."""
    found = factor * float(row[column])
    ends = sorted(factor * float(row[name]) for name in _interval(row, column))
    return {
        "ours": found,
        "ours_low": ends[0] if ends else np.nan,
        "ours_high": ends[1] if ends else np.nan,
        "n": _people(row, column),
        "n_gallery": float(row["n_gallery"]) if column in RANKED and "n_gallery" in row else np.nan,
        "note": "" if np.isfinite(found) else "no value here",
    }


#: Rates of being named first, of a gallery's people: the more these are, the smaller they get.
RANKED = ("rank1", "rank1_completers")


def _interval(row: pd.Series, column: str) -> tuple[str, ...]:
    stem = column.removesuffix("_share")
    own = [(f"{name}_low", f"{name}_high") for name in (column, stem)]
    own += [_INTERVALS[column]] if column in _INTERVALS else []
    return next((ends for ends in own if set(ends) <= set(row.index)), ())


def _people(row: pd.Series, column: str) -> float:
    """Return the participants of a number, those with a score where it is of them alone.

    Checks of face and brain count scans: those that came with a face.
    """
    if column.endswith("_share") and "n_with_face" in row:
        return float(row["n_with_face"])
    alone = column.endswith("_completers") and "n_completers" in row
    return float(row.get("n_completers" if alone else "n", np.nan))


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
    for name, same, wanted in _conditions(conditions):
        if name not in table:
            raise ValueError(f"no condition on a column of the table: {name}")
        found = table[name].fillna("").astype(str).isin(wanted)
        table = table[found if same else ~found]
    return table


def _conditions(text: str) -> Iterator[tuple[str, bool, list[str]]]:
    """Yield column, whether it must be one of the values (or none of them), and the values."""
    for condition in filter(None, (part.strip() for part in text.split(";"))):
        found = _CONDITION.fullmatch(condition)
        if not found:
            raise ValueError(f"no condition on a column of the table: {condition}")
        yield found[1], found[2] == "=", found[3].split("|")


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
