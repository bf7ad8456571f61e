"""What took part, with engine and version; programs as the run found them."""

from __future__ import annotations

from collections.abc import Mapping

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
    for kind in ("defacers", "refacers", "segmenters", "attackers", "age_models"):
        for name, entry in (config.get(kind) or {}).items():
            chosen = methods.choose(kind, name, entry)
            program = programs[name] if kind == "defacers" else {}
            found.append(
                {
                    "kind": kind.removesuffix("s").replace("_", " "),
                    "name": name,
                    "title": chosen.title,
                    "engine": program.get("engine") or chosen.engine,
                    "version": program.get("version") or chosen.version,
                    "reason": program.get("reason", ""),
                }
            )
    return found
