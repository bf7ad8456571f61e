"""What took part, with engine and version; programs as the run found them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from refacebench.programs import catalogue, labelling
from refacebench.run import methods
from refacebench.vocabulary import BROUGHT


def taking_part(
    config: Mapping, programs: Mapping[str, Mapping], tools: Mapping[str, Mapping] | None = None
) -> list[dict]:
    """Return a row per method for the page, and nothing of what the config says of folders.

    Parameters
    ----------
    config : mapping
        The run's config.
    programs : mapping
        Engine, version and reason of every defacer, by name.
    tools : mapping, optional
        The same of every segmenter.
    """
    found, behind = [], {"defacers": programs, "segmenters": tools or {}}
    for kind in ("defacers", "refacers", "segmenters", "attackers", "age_models"):
        for name, entry in (config.get(kind) or {}).items():
            chosen = methods.choose(kind, name, entry)
            program = behind.get(kind, {}).get(name, {})
            found.append(
                {
                    "kind": kind.removesuffix("s").replace("_", " "),
                    "name": name,
                    "title": chosen.title,
                    "about": getattr(chosen.method, "about", ""),
                    "engine": program.get("engine") or chosen.engine,
                    "version": program.get("version") or chosen.version,
                    "reason": program.get("reason", ""),
                    "settings": settings(chosen),
                    "licence": _licence(chosen, program.get("engine") or chosen.engine),
                    "weights": chosen.method.weights,
                    "sources": _sources(chosen),
                }
            )
    return found


def made_elsewhere(programs: Iterable[str]) -> list[dict[str, Any]]:
    """Return a row for each program whose measures were brought; nothing was run of it here."""
    return [
        {
            "kind": "measures",
            "name": name,
            "title": "measures of originals and variants, read from the data set's tables",
            "engine": BROUGHT,
        }
        for name in programs
    ]


def _sources(chosen: methods.Chosen) -> list[str]:
    """Return the works behind a method; of a program of the catalogue its page too."""
    folder = labelling.FOLDER if chosen.kind == "segmenters" else catalogue.CATALOGUE
    program = chosen.options.get("program")
    path = catalogue.catalogue_file(program, folder) if isinstance(program, str) else None
    page = chosen.options.get("page") or (catalogue.read(path).get("page") if path else "")
    pages = [page] if isinstance(page, str) and page.startswith("http") else []
    return [*chosen.method.sources, *pages]


#: The terms of what this project wrote itself.
OWN_CODE = "this project's own code (Apache-2.0)"


def _licence(chosen: methods.Chosen, engine: str) -> str:
    """Return the terms of all that runs in a method.

    Those of the program behind it where one is named, else those of its code where that is ours,
    and of what it brings from others.
    """
    program = chosen.options.get("program")
    if isinstance(program, str) and program in catalogue.catalogue():
        return catalogue.describe({"program": program}).terms
    return "; ".join(filter(None, [OWN_CODE if engine == "native" else "", chosen.method.licence]))


def settings(chosen: methods.Chosen) -> dict[str, Any]:
    """Return the options of a method that are not at their defaults.

    Of texts only those that are one of a few choices: any other may name a folder.
    """
    declared = chosen.method.options
    return {
        name: value
        for name, value in sorted(chosen.options.items())
        if name in declared
        and value != declared[name].default
        and (not isinstance(value, str) or declared[name].choices)
        and not isinstance(value, Mapping)
        and not (isinstance(value, list | tuple) and any(isinstance(v, str) for v in value))
    }


def defaults(config: Mapping) -> dict[str, dict[str, Any]]:
    """Return all options of every refacer's method at their defaults, by the refacer's name."""
    return {
        name: dict(methods.choose("refacers", name, entry).method.defaults)
        for name, entry in (config.get("refacers") or {}).items()
    }
