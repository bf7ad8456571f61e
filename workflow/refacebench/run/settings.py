"""A config file as a run takes it: read, checked and filled up with defaults."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from refacebench import environment
from refacebench.run import configuration, elsewhere, prefixed, scales

#: Keys that a run takes out: no job depends on them.
OF_THE_RUN = (
    *("retry", "retrain", "allow_failures", "scan_timeout_s", "keep_faces", "pseudonyms", "study"),
)


def load(path: str | Path, schema: Mapping[str, Any], scale: str = "") -> dict[str, Any]:
    """Return the config of a file, as the workflow has it when it plans a run.

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
    config = {**given, **environment.hide_all(given)}
    configuration.check_keys([path])
    configuration.validate(config, schema)
    config = filled(elsewhere.with_measures(config), schema)
    config = prefixed.located(config, [path])
    configuration.check(config)
    config["refacers"] = configuration.refacers(config)
    config = elsewhere.without_images({**config, **configuration.with_controls(config)})
    return {name: value for name, value in config.items() if name not in OF_THE_RUN}


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
        if isinstance(found.get(name), dict):
            found[name] = filled(found[name], key)
    entry = schema.get("additionalProperties")
    if isinstance(entry, dict):
        known = schema.get("properties", {})
        for name, value in found.items():
            if name not in known and isinstance(value, dict):
                found[name] = filled(value, entry)
    return found
