"""What took part, with engine and version; programs as the run found them."""

from __future__ import annotations

from collections.abc import Mapping

from refacebench.run import methods


def taking_part(
    config: Mapping, programs: Mapping[str, Mapping], tools: Mapping[str, Mapping] | None = None
) -> list[dict]:
    """Return a row a method for the page, and nothing of what the config says of folders.

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
    for kind in ("defacers", "refacers", "segmenters", "attackers"):
        for name, entry in (config.get(kind) or {}).items():
            chosen = methods.choose(kind, name, entry)
            program = behind.get(kind, {}).get(name, {})
            found.append(
                {
                    "kind": kind.removesuffix("s"),
                    "name": name,
                    "title": chosen.title,
                    "engine": program.get("engine") or chosen.engine,
                    "version": program.get("version") or chosen.version,
                    "reason": program.get("reason", ""),
                }
            )
    return found
