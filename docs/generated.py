"""Pages of the documentation that are made from the code when the site is built.

:func:`pages` returns them as Markdown; nothing of it is committed, so that no copy can grow old.
``docs/hooks.py`` hands them to MkDocs, ``tests/test_docs.py`` reads them without it.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

import refacebench.stages
from refacebench import manifest
from refacebench.cli.listing import TITLES, shown
from refacebench.contracts import Method
from refacebench.head.checks import LIMITS
from refacebench.metrics.verdict import THRESHOLDS
from refacebench.programs import catalogue as programs
from refacebench.results import catalogue
from refacebench.run import methods
from refacebench.run.stage import Stage

ROOT = Path(__file__).resolve().parents[1]
SCHEMA = ROOT / "workflow" / "schemas" / "config.schema.yaml"


def pages() -> dict[str, str]:
    """Return all generated pages, by their path below ``docs/``."""
    return {
        "methods.md": methods_page(),
        "reference/config.md": config_page(yaml.safe_load(SCHEMA.read_text())),
        "reference/tables.md": tables_page(),
        "reference/stages.md": stages_page(),
    }


# config -------------------------------------------------------------------------------------


def config_page(schema: Mapping[str, Any]) -> str:
    """Return every key of the config with its type, default, range and meaning."""
    lines = [
        "# Config keys",
        "",
        "Made from `workflow/schemas/config.schema.yaml`. Only `datasets` has no default. The "
        "options of a method stand beside it in its entry; they are listed with the "
        "[methods](../methods.md).",
        "",
    ]
    for name, key in schema["properties"].items():
        lines += _key(name, key, name, schema)
    return "\n".join(lines)


def _key(path: str, key: Mapping[str, Any], name: str, schema: Mapping[str, Any]) -> Iterator[str]:
    """Yield a key and those below it."""
    depth = path.count(".")
    yield f"{'#' * min(depth + 2, 6)} `{path}`"
    yield ""
    facts = _facts(key, name in schema.get("required", ()) and not depth)
    yield from filter(None, [f"*{facts}*" if facts else "", ""])
    yield ""
    yield from [_sentence(key.get("description", "")), ""]
    if path in ("checks", "thresholds"):
        yield from _limits(LIMITS if path == "checks" else THRESHOLDS)
    for below, found in key.get("properties", {}).items():
        yield from _key(f"{path}.{below}", found, below, schema)
    entry = key.get("additionalProperties")
    for below, found in (entry.get("properties", {}) if isinstance(entry, dict) else {}).items():
        yield from _key(f"{path}.NAME.{below}", found, below, schema)


def _facts(key: Mapping[str, Any], required: bool) -> str:
    """Return type, range and default of a key in one line."""
    kind = key.get("type", "")
    found = [" or ".join(kind) if isinstance(kind, list) else str(kind)]
    if "enum" in key:
        found = [" or ".join(f"`{value}`" for value in key["enum"])]
    if "oneOf" in key:
        found = [" or ".join(str(one.get("const", one.get("type"))) for one in key["oneOf"])]
    words = {
        "minimum": "at least",
        "exclusiveMinimum": "above",
        "maximum": "at most",
        "exclusiveMaximum": "below",
    }
    found += [f"{text} {key[name]}" for name, text in words.items() if name in key]
    if required:
        found.append("required")
    elif "default" in key:
        found.append(f"default `{_yaml(key['default'])}`")
    return ", ".join(part for part in found if part)


def _limits(limits: Mapping[str, Any]) -> Iterator[str]:
    yield from ["| key | default |", "|---|---|"]
    for name, value in limits.items():
        yield f"| `{name}` | {list(value) if isinstance(value, tuple) else value} |"
    yield ""


def _yaml(value: Any) -> str:
    text = yaml.safe_dump(value, default_flow_style=True, width=1000).strip()
    return text.removesuffix("\n...").strip()


def _sentence(text: str) -> str:
    """Return a description as it is, its markup taken for what it is."""
    return " ".join(text.split()).replace("<", "&lt;").replace("*_", r"\*_")


# methods ------------------------------------------------------------------------------------


def methods_page() -> str:
    """Return every method: what it does, what differs from its source, its options."""
    lines = [
        "# Methods",
        "",
        "One entry per method: what the published method does, what this project does differently, "
        "its source, and its options. *Native* means that our own code runs, after the "
        "publication; *official* means that the released program or networks themselves run. "
        "Every table and the report say which one it was.",
        "",
        "`refacebench methods --all` prints the same list for your checkout.",
        "",
    ]
    for kind in TITLES:
        lines += [f"## {TITLES[kind]}", ""]
        for name in methods.available(kind):
            lines += _method(kind, name)
    return "\n".join([*lines, *_programs()])


def _method(kind: str, name: str) -> Iterator[str]:
    method = methods.declared(kind, name)
    yield from [f"### `{name}`", "", f"**{_title(method)}** ({_engine(method)})", ""]
    module = importlib.import_module(f"refacebench.{kind}.{name}")
    yield from [markdown(module.__doc__ or ""), ""]
    if method.sources:
        yield from ["Source: " + ", ".join(map(_linked, method.sources)), ""]
    if method.licence:
        yield from [f"Licence: {method.licence}", ""]
    if method.weights:
        yield from [f"Our own code, with {method.weights}'s released weights.", ""]
    if method.options:
        yield from ["| option | default | meaning |", "|---|---|---|"]
        for option, declared in method.options.items():
            cells = (f"`{option}`", shown(declared), " ".join(declared.meaning.split()))
            yield "| " + " | ".join(_cell(cell) for cell in cells) + " |"
        yield ""


def _title(method: Method) -> str:
    return method.title_of(method.defaults)


def _engine(method: Method) -> str:
    return method.engine if isinstance(method.engine, str) else "native or official"


def _linked(source: str) -> str:
    return f"<{source}>" if source.startswith("http") else source


def _cell(text: str) -> str:
    return text.replace("|", r"\|").replace("<", "&lt;")


def _programs() -> Iterator[str]:
    yield from [
        "## Released programs",
        "",
        "Entries for programs that you install yourself: `{program: NAME}` under `defacers` or "
        "`segmenters`. How to use them: [any program as a defacer](programs.md).",
        "",
    ]
    for folder in (programs.CATALOGUE, programs.CATALOGUE / "segmenters"):
        yield from [f"### Programs: {'defacers' if folder == programs.CATALOGUE else 'segmenters'}"]
        yield from ["", "| program | what it is | licence | run here with |", "|---|---|---|---|"]
        for path in sorted(folder.glob("*.yaml")):
            entry = yaml.safe_load(path.read_text())
            cells = (
                f"`{path.stem}`",
                f"[{entry.get('title', path.stem)}]({entry['page']})",
                entry.get("terms", ""),
                f"version {entry['tested']}" if entry.get("tested") else "not run",
            )
            yield "| " + " | ".join(_cell(str(cell)) for cell in cells) + " |"
        yield ""


# tables -------------------------------------------------------------------------------------


def tables_page() -> str:
    """Return every result table: what it says, and its columns."""
    lines = [
        "# Result tables",
        "",
        "Files `results/tables/{dataset}/NAME.tsv`, with a LaTeX twin for most. A column `note` "
        "holds why a variant has no numbers.",
        "",
    ]
    for result in catalogue.everything():
        if result.columns:
            columns = " ".join(f"`{name}`" for name in result.columns)
            lines += [f"## `{result.name}`", "", markdown(result.about), ""]
            lines += [f"Columns: {columns}", ""]
    return "\n".join(lines)


# stages -------------------------------------------------------------------------------------


def stages() -> list[Stage]:
    """Return all stages, those first whose rows the others read."""
    found = {}
    for item in pkgutil.iter_modules(refacebench.stages.__path__):
        module = importlib.import_module(f"{refacebench.stages.__name__}.{item.name}")
        if isinstance(getattr(module, "STAGE", None), Stage):
            found[module.STAGE.name] = module.STAGE
    ordered: list[Stage] = []
    while len(ordered) < len(found):
        done = {stage.name for stage in ordered}
        ready = [s for s in found.values() if s.name not in done and set(s.follows) <= done]
        ordered += ready or [s for s in found.values() if s.name not in done]
    return ordered


def stages_page() -> str:
    """Return every stage: what it reads of a scan's row, and what it adds."""
    lines = [
        "# Stages and manifests",
        "",
        "A stage works on one scan at a time and hands on a table with one row per scan, the "
        "*manifest* (`results/STAGE/{dataset}/...tsv`). A scan that could not be used stays a row "
        "with its reason. Why: [decision 1](../decisions/0001-manifests.md).",
        "",
        "## Columns of every manifest",
        "",
        *_columns(manifest.MEANINGS),
    ]
    for stage in stages():
        after = (
            f"After {', '.join(f'`{name}`' for name in stage.follows)}. " if stage.follows else ""
        )
        reads = ", ".join(f"`{name}`" for name in stage.reads)
        module = importlib.import_module(f"{refacebench.stages.__name__}.{stage.name}")
        lines += [f"## `{stage.name}`", "", markdown(module.__doc__ or ""), ""]
        lines += [f"{after}Reads {reads or 'the batch lists'}.", ""]
        lines += _columns({**stage.given, **stage.adds, **stage.may_add})
    return "\n".join(lines)


def _names(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _columns(meanings: Mapping[str, str]) -> Iterator[str]:
    if meanings:
        yield from ["| column | meaning |", "|---|---|"]
        for name, meaning in meanings.items():
            yield f"| `{name}` | {_cell(' '.join(str(meaning).split()))} |"
        yield ""


# docstrings ---------------------------------------------------------------------------------

#: A line at the margin with an indented block below it: a term and its explanation.
_TERM = re.compile(r"^(\S[^\n]*)\n((?:    [^\n]+(?:\n|$))+)", re.M)
_CODE = re.compile(r"^\.\. code-block:: (\w+)\n\n((?:(?:    [^\n]*)?\n)+)", re.M)
_LITERAL = re.compile(r"::\n\n((?:(?:    [^\n]*)?\n)+)")
_HEADING = re.compile(r"^(\S[^\n]*)\n-{3,}$", re.M)


def markdown(docstring: str) -> str:
    r"""Return a docstring as Markdown.

    >>> markdown("One.\n\nSee :mod:`~a.b.c` and ``x``.\n\ngo\n    None of these.\n")
    'One.\n\nSee `c` and `x`.\n\n**go**: None of these.'
    >>> markdown("Steps\n-----\nOne.\n\n.. code-block:: yaml\n\n    a: 1\n")
    '**Steps**\n\nOne.\n\n```yaml\na: 1\n```'
    """
    text = re.sub(r":\w+:`~(?:[\w.]+\.)?(\w+)`", r"`\1`", docstring.strip() + "\n")
    text = re.sub(r":\w+:`\.?([^`]+)`", r"`\1`", text)
    text = re.sub(r"``([^`]+)``", r"`\1`", text)
    text = _CODE.sub(lambda m: f"```{m[1]}\n{textwrap.dedent(m[2]).strip()}\n```\n\n", text)
    text = _LITERAL.sub(lambda m: f":\n\n```\n{textwrap.dedent(m[1]).strip()}\n```\n\n", text)
    text = _HEADING.sub(r"**\1**\n", text)
    text = _TERM.sub(lambda m: f"**{m[1].strip()}**: {' '.join(m[2].split())}\n\n", text)
    return text.replace("<", "&lt;").strip()
