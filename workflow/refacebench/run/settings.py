"""From a config as it was given to the one that a run works with: read, checked, filled up."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from refacebench import environment
from refacebench.run import configuration, elsewhere, prefixed, scales

#: Keys that a run takes out: no job depends on them, and a change makes no job run again.
OF_THE_RUN = (
    *("retry", "retrain", "allow_failures", "scan_timeout_s", "keep_faces", "pseudonyms", "study"),
    *("keep", "remake"),
)


@dataclass(frozen=True)
class Settings:
    """A config that was checked and filled up with defaults.

    Attributes
    ----------
    config : dict
        What jobs depend on, all methods and controls written out.
    of_the_run : dict
        Values of the keys :data:`OF_THE_RUN`.
    asked : dict
        Everything as it was asked for, with all defaults.
    """

    config: dict[str, Any]
    of_the_run: dict[str, Any]
    asked: dict[str, Any]


def settle(
    given: Mapping[str, Any],
    schema: Mapping[str, Any],
    files: Iterable[str | Path],
    absolute: bool = False,
) -> Settings:
    """Check a config and fill it up: the one way from a config to a run.

    Parameters
    ----------
    given : mapping
        The config, as read from the files and the command line.
    schema : mapping
        The JSON schema of configs.
    files : iterable of str or Path
        The files that it comes from: paths may be relative to them.
    absolute : bool
        Write out whole paths: for a run whose work is done in another folder.

    Raises
    ------
    ConfigError
        One sentence for each mistake.
    """
    files = list(files)
    config: dict[str, Any] = {**given, **environment.hide_all(given)}
    configuration.check_keys(files)
    configuration.validate(config, schema)
    config = filled(elsewhere.with_measures(config), schema)
    config = prefixed.located(config, files, absolute)
    configuration.check(config)
    asked = elsewhere.without_images(config)
    config["refacers"] = configuration.refacers(config)
    config = elsewhere.without_images({**config, **configuration.with_controls(config)})
    taken = {name: config.pop(name, None) for name in OF_THE_RUN}
    return Settings(config, taken, asked)


def load(path: str | Path, schema: Mapping[str, Any], scale: str = "") -> dict[str, Any]:
    """Return the config of a file, as the workflow has it when it plans a run."""
    return load_all(path, schema, scale).config


def load_all(path: str | Path, schema: Mapping[str, Any], scale: str = "") -> Settings:
    """Return the config of a file, with the keys that no job depends on.

    Parameters
    ----------
    scale : str
        One of the config's scales (:mod:`refacebench.run.scales`); empty for what the file says.

    Raises
    ------
    ConfigError
        One sentence for each mistake.
    """
    try:
        given = yaml.safe_load(Path(path).read_text())
    except OSError as error:
        raise configuration.ConfigError(f"{path} cannot be read: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise configuration.ConfigError(f"{path} is not YAML: {error}") from None
    if not isinstance(given, dict):
        raise configuration.ConfigError(f"{path} holds no keys; see `refacebench config`")
    given = scales.scaled({**given, "scale": scale} if scale else given)
    return settle(given, schema, [path])


def filled(config: Mapping[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return a config with the schema's defaults where it has no value.

    >>> inner = {"properties": {"b": {"default": 2}}, "default": {}}
    >>> filled({"c": 1}, {"properties": {"a": inner}})
    {'c': 1, 'a': {'b': 2}}
    """
    found = dict(config)
    for name, key in schema.get("properties", {}).items():
        if name not in found and "default" in key:
            found[name] = copy.deepcopy(key["default"])
        value, entry = found.get(name), key.get("items")
        if isinstance(value, dict):
            found[name] = filled(value, key)
        elif isinstance(value, list) and isinstance(entry, dict):
            found[name] = [filled(v, entry) if isinstance(v, dict) else v for v in value]
    entry = schema.get("additionalProperties")
    if isinstance(entry, dict):
        known = schema.get("properties", {})
        for name, value in found.items():
            if name not in known and isinstance(value, dict):
                found[name] = filled(value, entry)
    return found
