"""What a config says of data that are not scans on this disk: brought measures, and downloads.

Runs whenever the Snakefile is parsed: opens no image and writes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from refacebench.run import methods
from refacebench.run.mistakes import ConfigError

#: What is run on images, so that a dataset that brings measures has no use for it.
_ON_IMAGES = ("defacers", "refacers", "segmenters", "attackers", "age_models")
#: A run on measures compares everybody, in one job, unless its config says otherwise.
_FOR_MEASURES = {"splits": {"train": 0, "validation": 0, "test": 1}, "batch_size": 100_000}


def with_measures(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the config as the user wrote it, with what follows from measures in place of images.

    Without such a dataset the config as it is.

    Raises
    ------
    ConfigError
        If there are datasets with images beside it, or methods for images.
    """
    names = [name for name in config["datasets"] if brings_measures(config, name)]
    if not names:
        return dict(config)
    others = [name for name in config["datasets"] if name not in names]
    if others:
        raise ConfigError(
            f"datasets: {names[0]} brings measures and {others[0]} has images; a run takes one "
            "kind: put them into two configs"
        )
    useless = [key for key in _ON_IMAGES if config.get(key)]
    if useless:
        raise ConfigError(
            f"datasets.{names[0]} brings measures, so nothing is run on images: leave out "
            f"{', '.join(useless)} (its variants and programs are those of its tables)"
        )
    return {**_FOR_MEASURES, **config}


def without_images(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the config without a segmenter, the schema's default, where measures are brought."""
    brought = any(brings_measures(config, name) for name in config["datasets"])
    return {**config, "segmenters": {}} if brought else dict(config)


def to_fetch(config: Mapping[str, Any]) -> dict[str, str]:
    """Return the datasets that are to be downloaded before their scans can be listed, and what."""
    found = {}
    for name, entry in config["datasets"].items():
        chosen = methods.choose("datasets", name, entry)
        lacking = chosen.method.to_fetch(chosen.options) if chosen.method.fetch else ""
        if lacking:
            found[name] = lacking
    return found


def brings_measures(config: Mapping[str, Any], dataset: str) -> bool:
    """Tell whether a dataset brings measures in the place of images; not if it is no dataset."""
    try:
        entry = config["datasets"][dataset]
        return bool(methods.declared("datasets", dataset, entry).brings_measures)
    except methods.MethodError:
        return False  # what is wrong is said where the config is checked
