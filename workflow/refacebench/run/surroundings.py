"""What a config names on this machine, data sets and programs: all that is missing, at once."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from refacebench import reasons
from refacebench.run import configuration, elsewhere, methods, plan
from refacebench.run.mistakes import Gathered


def faults(config: Mapping[str, Any]) -> list[str]:
    """Return a complaint for each program and data set that cannot be used.

    Entries that are wrong by themselves are passed over.

    Parameters
    ----------
    config : mapping
        Filled up.
    """
    found = Gathered()
    sound = _sound(config)
    for kind in configuration.PROGRAM_FILES:
        with found.more():
            configuration.programs(sound, True, kind=kind)
    for name, entry in config["datasets"].items():
        if name not in sound["datasets"] and _lacks_folder(name, entry):
            found.complaints.append(f"datasets.{name}: {reasons.NO_FOLDER.format(entry['path'])}")
    # Nothing of how people are split is concluded here.
    everybody = {**sound, "splits": {"train": 0, "validation": 0, "test": 1}}
    lacking = elsewhere.to_fetch(sound)
    for dataset in sound["datasets"]:
        if dataset not in lacking:
            with found.more():
                plan.scans(everybody, dataset)
    return found.complaints


def _lacks_folder(name: str, entry: Mapping[str, Any]) -> bool:
    """Tell whether a data set with a wrong option, which cannot be listed, has no folder either."""
    entry = methods.as_meant("datasets", name, entry) or entry
    try:
        method = methods.declared("datasets", name, entry)
    except methods.MethodError:
        return False
    given = entry.get("path")
    wanted = "path" in method.options and not method.fetch
    return wanted and isinstance(given, str) and not os.path.exists(given)


def _sound(config: Mapping[str, Any]) -> dict[str, Any]:
    kinds = ("datasets", *configuration.PROGRAM_FILES)
    kept = {
        kind: {
            name: entry
            for name, entry in (config.get(kind) or {}).items()
            if not configuration.faults(kind, name, entry)
        }
        for kind in kinds
    }
    return {**config, **kept}
