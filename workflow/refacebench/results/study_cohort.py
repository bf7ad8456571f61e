"""Who took part in a study, by site and split.

``model`` is empty in the rows of everybody; those of a refacing model that learns from some sites
alone are of these sites.  ``site`` and ``split`` are ``all`` where they are pooled.  Participants
``n`` with ``n_scans`` usable scans; ``age_mean``, ``age_std``, ``age_min``, ``age_max`` in years of
the ``n_age`` whose age is known (at their first scan), ``n_female`` and ``n_male`` of those whose
sex is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from refacebench.plot.numbers import NO_VALUE, number
from refacebench.results import words
from refacebench.results.result import STUDY, Printed, Result, View
from refacebench.results.study import HEADING
from refacebench.vocabulary import OK

ALL, EVERYBODY = "all", ""


def compute(
    inventory: pd.DataFrame | None, models: Mapping[str, Sequence[str]] | None = None
) -> pd.DataFrame:
    """Return the numbers of each site and split that there is.

    Parameters
    ----------
    inventory : pandas.DataFrame, optional
        All scans of the dataset: ``participant``, ``site``, ``split``, ``age``, ``sex`` and
        ``status``.
    models : mapping of str to sequence of str, optional
        The sites of models that learn from some sites alone.
    """
    if inventory is None or inventory.empty:
        return RESULT.frame([])
    table = inventory[inventory["status"] == OK]
    names = {c: table.get(c, pd.Series("", index=table.index)) for c in ("site", "split")}
    table = table.assign(**{c: values.fillna("").astype(str) for c, values in names.items()})
    found = [s for s in ("train", "validation", "test") if s in set(table["split"])]
    splits = [ALL, *(found if len(found) > 1 else [])]
    rows = _rows(table, EVERYBODY, splits)
    for model, sites in (models or {}).items():
        rows += _rows(table[table["site"].isin([str(s) for s in sites])], model, splits)
    return RESULT.frame(rows)


def _rows(table: pd.DataFrame, model: str, splits: Sequence[str]) -> list[dict[str, Any]]:
    sites = [ALL, *sorted(set(table["site"]) - {""})]
    rows = []
    for site in sites:
        for split in splits:
            here = table if site == ALL else table[table["site"] == site]
            here = here if split == ALL else here[here["split"] == split]
            rows.append({"model": model, "site": site, "split": split, **_row(here)})
    return rows


def _row(table: pd.DataFrame) -> dict[str, Any]:
    people = table.drop_duplicates("participant")
    age = pd.to_numeric(people.get("age", pd.Series(dtype=float)), errors="coerce").dropna()
    sex = people.get("sex", pd.Series("", index=people.index)).fillna("").astype(str)
    first = sex.str[:1].str.upper()
    return {
        "n": len(people),
        "n_scans": len(table),
        "n_age": len(age),
        **{f"age_{name}": getattr(age, name)() if len(age) else float("nan")
           for name in ("mean", "std", "min", "max")},
        "n_female": int((first == "F").sum()),
        "n_male": int((first == "M").sum()),
    }  # fmt: skip


def caption(view: View) -> str:
    """Return the caption of who took part."""
    return words.join(
        "Participants by site and by what they served for. Age in years: mean (standard "
        "deviation), smallest to largest; of people with several scans at the first one.",
        "Below them the people of the sites that a refacing model learns from, where it does so "
        "from some sites alone."
        if _of_models(view.rows("study_cohort"))
        else "",
    )


def _of_models(table: pd.DataFrame) -> bool:
    """Tell whether there are rows of a model."""
    return len(table) > 0 and bool((table["model"].fillna(EVERYBODY) != EVERYBODY).any())


def printed(view: View) -> Printed:
    """Return one row per site and split, and per model where one learns from some sites alone."""
    table, rows = view.rows("study_cohort"), []
    by_model = _of_models(table)
    for row in table.fillna({"model": EVERYBODY}).to_dict("records"):
        age = NO_VALUE
        if row["n_age"]:
            spread = number(row["age_std"], 1)
            ends = f"{row['age_min']:.0f} to {row['age_max']:.0f}"
            age = f"{row['age_mean']:.1f} ({spread}), {ends}"
        rows.append([*([row["model"] or ALL] if by_model else []), row["site"], row["split"],
                     str(int(row["n"])), str(int(row["n_scans"])), age,
                     f"{int(row['n_female'])}/{int(row['n_male'])}"])  # fmt: skip
    columns = ["Site", "Split", "Participants", "Scans", "Age", "Women/men"]
    return [*(["Model"] if by_model else []), *columns], rows


RESULT = Result(
    "study_cohort",
    about=__doc__,
    job=STUDY,
    columns="""
        model site split n n_scans n_age age_mean age_std age_min age_max n_female n_male
    """,
    texts="model",
    compute=lambda given, _: compute(given.inventory, given.models),
    caption=caption,
    heading=HEADING,
    order=5,
    printed=printed,
)
