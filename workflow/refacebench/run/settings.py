"""From a config as it was given to the one that a run works with: read, checked, filled up."""

from __future__ import annotations

import contextlib
import copy
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from refacebench import environment
from refacebench.files import read_yaml
from refacebench.run import (
    configuration,
    elsewhere,
    methods,
    mistakes,
    place,
    prefixed,
    scales,
    surroundings,
)
from refacebench.run.mistakes import ConfigError

#: Keys that a run takes out: no job depends on them, and a change makes no job run again.
OF_THE_RUN = (
    *("retry", "retrain", "allow_failures", "scan_timeout_s", "keep_faces", "pseudonyms", "study"),
    *("keep", "remake"),
)


#: Returns what is wrong with a config that only modules further down can see.
Also = Callable[[Mapping[str, Any]], list[str]]


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
    also: Also | None = None,
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
    also : callable, optional
        Returns what else is wrong with a config that is filled up.

    Raises
    ------
    ConfigError
        One sentence for each mistake: all of them at once. If there are any, data and programs
        that the config names are looked for as well.
    """
    files = list(files)
    config: dict[str, Any] = {**given, **environment.hide_all(given)}
    wrong = mistakes.against(config, schema)
    found = mistakes.Gathered([*mistakes.twice(files), *(said for w in wrong for said in w.said)])
    config = mistakes.sound(config, wrong)
    config.setdefault("datasets", {})
    with found.more():
        config = elsewhere.with_measures(config)
    config = place.located(filled(_whole(config, wrong), schema), files, absolute)
    doubtful = _doubtful(wrong, schema, given)
    with found.more():
        configuration.check(config, doubtful)
    if also:
        found.complaints += also(config)
    if found.complaints:
        found.complaints += surroundings.faults(config)
    found.refuse()
    asked = elsewhere.without_images(config)
    config["refacers"] = configuration.refacers(config)
    config = elsewhere.without_images({**config, **configuration.with_controls(config)})
    taken = {name: config.pop(name, None) for name in OF_THE_RUN}
    return Settings(config, taken, asked)


def _doubtful(
    wrong: Iterable[mistakes.Wrong], schema: Mapping[str, Any], given: Mapping[str, Any]
) -> set[str]:
    """Return the keys of a config of which something is missing, as it was wrong."""
    found = {str(one.path[0]) if one.path else one.missing for one in wrong} - {""}
    # A key that nobody knows may have been meant for any that is not there.
    unknown = any(one.unknown for one in wrong if not one.path)
    return found | (set(schema["properties"]) - set(given) if unknown else set())


#: Keys of an entry without which another method would be taken for it.
_WHICH = ("type", *methods.PLACE, "program", "command")


def _whole(config: Mapping[str, Any], wrong: Iterable[mistakes.Wrong]) -> dict[str, Any]:
    """Return the config without the entries of which nobody knows what they are."""
    lost = {one.path[:2] for one in wrong if one.path[2:3] and one.path[2] in _WHICH}
    return {
        kind: {n: e for n, e in part.items() if (kind, n) not in lost}
        if isinstance(part, Mapping)
        else part
        for kind, part in config.items()
    }


def load(
    path: str | Path, schema: Mapping[str, Any], scale: str = "", also: Also | None = None
) -> dict[str, Any]:
    """Return the config of a file, as the workflow has it when it plans a run.

    Parameters
    ----------
    scale : str
        One of the config's scales (:mod:`refacebench.run.scales`); empty for what the file says.
    also : callable, optional
        As of :func:`settle`.

    Raises
    ------
    ConfigError
        One sentence for each mistake.
    """
    return settle(read(path, scale), schema, [path], also=also).config


def read(path: str | Path, scale: str = "") -> dict[str, Any]:
    """Return what a config file says at a scale; only that it is a config is checked.

    Raises
    ------
    ConfigError
        If the file is none, or has no such scale.
    """
    try:
        given = read_yaml(path)
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise ConfigError(str(error)) from None
    if not isinstance(given, dict):
        raise ConfigError(f"{path} holds no keys; see `refacebench config`")
    return scales.scaled({**given, "scale": scale} if scale else given)


@contextlib.contextmanager
def at_home(config: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Work where a run of a config does its work, with the config as it is there.

    With ``results`` that is a folder of its own; an empty one where it is not there yet.
    """
    folder = config.get("results")
    if not isinstance(folder, str):
        yield dict(config)
        return
    before = os.environ.get(place.START)
    os.environ[place.START] = os.getcwd()
    try:
        with prefixed.inside(place.of(folder)):
            yield place.located(config, absolute=True)
    finally:
        os.environ.pop(place.START)
        if before is not None:
            os.environ[place.START] = before


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
