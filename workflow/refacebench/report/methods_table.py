"""The page's table of the methods that ran: what each does, its engine, version and settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from refacebench.plot.numbers import NO_VALUE
from refacebench.report.blocks import Table
from refacebench.report.methods_text import kind_of, our_code, plain_title
from refacebench.vocabulary import BROUGHT, split_variant


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


def table(methods: Sequence[Mapping], made_by: Mapping[tuple[str, str], str]) -> Table:
    """Return the table; ``made_by``: versions that stand with the results (:func:`recorded`)."""
    rows = [
        [m["name"], kind_of(m), _what(m), _engine(m),
         _version(m, made_by), plain(m.get("settings") or {}) or "none"]
        for m in methods
    ]  # fmt: skip
    caption = (
        "What was run. Native: our own code, after a publication or of our own making; official: "
        "the released program itself. Version: of defacers, refacers and attackers, as recorded in "
        "these results, else that of the code. Settings at their defaults are not listed."
    )
    if methods and all(m.get("engine") == BROUGHT for m in methods):
        caption = "Where the measures come from. Nothing was run on images here."
    columns = ["Name", "Kind", "What it does", "Engine", "Version", "Settings of its own"]
    return Table(caption, columns, rows)


def _what(method: Mapping) -> str:
    """Return what a method does, with the sentence on how where it has one."""
    return ". ".join(filter(None, [plain_title(method), method.get("about")]))


def _version(method: Mapping, made_by: Mapping[tuple[str, str], str]) -> str:
    """Return the version that made the results, and that of the code where it is another one."""
    now = str(method.get("version") or "")
    made = made_by.get((method["kind"], method["name"]), "")
    if made and now and made != now:
        return f"{made} (the code is at {now}: these results are older)"
    return made or now or NO_VALUE


def _engine(method: Mapping) -> str:
    names = {"native": f"native ({our_code(method)})", "official": "official program"}
    engine, reason = method.get("engine"), method.get("reason")
    name = names.get(str(engine), str(engine or NO_VALUE))
    return f"{name}: {reason}" if reason else name


def plain(value) -> str:
    """Return a setting as a reader writes it."""
    if isinstance(value, Mapping):
        return ", ".join(f"{k} {plain(v)}" for k, v in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(plain(v) for v in value)
    return f"{value:g}" if isinstance(value, float) else str(value)
