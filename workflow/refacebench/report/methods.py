"""What took part, with engine and version; programs as the run found them."""

from __future__ import annotations

from collections.abc import Mapping

from refacebench import defacers
from refacebench.run import methods


def taking_part(config: Mapping, programs: Mapping[str, Mapping]) -> list[dict]:
    """Return a row a method for the page, and nothing of what the config says of folders.

    Parameters
    ----------
    config : mapping
        The run's config.
    programs : mapping
        Engine, version and reason of every defacer, by name.
    """
    found = []
    for kind in ("defacers", "refacers", "segmenters", "attackers"):
        for name, entry in (config.get(kind) or {}).items():
            module = methods.load(kind, name, entry)
            options = methods.options(kind, name, entry)
            program = programs[name] if kind == "defacers" else {}
            found.append(
                {
                    "kind": kind.removesuffix("s"),
                    "name": name,
                    "title": defacers.title_of(module, options),
                    "engine": program.get("engine") or defacers.engine_of(module, options),
                    "version": program.get("version") or methods.version(kind, name, entry),
                    "reason": program.get("reason", ""),
                }
            )
    return found
