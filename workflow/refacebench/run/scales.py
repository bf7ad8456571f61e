"""The scale of a run: the same config at another size, ``--config scale=demo``.

A config may hold ``scales: {demo: {...}}``.  What stands under the scale that is asked for takes
the place of the same keys of the config, before anything is checked.

Pure functions of configs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from refacebench import reasons
from refacebench.run.mistakes import ConfigError

#: The scale of a config as it stands.
FULL = "full"
#: Parts that are replaced as a whole: the options of one data set do not fit another.
_WHOLE = ("datasets", "splits", "cohorts")


def scaled(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a config at the scale that it asks for, without the sizes of the others.

    Mappings are merged key by key, except data sets, splits and cohorts, which are replaced
    as a whole; null takes a key away, anything else takes the old value's place.

    >>> sizes = {"demo": {"datasets": {"b": {}}, "refacers": {"m": {"size": 96}}}}
    >>> asked = {"datasets": {"a": {}}, "refacers": {"m": {"seed": 1}}, "scales": sizes}
    >>> scaled({**asked, "scale": "demo"})["refacers"]
    {'m': {'seed': 1, 'size': 96}}
    >>> list(scaled({**asked, "scale": "demo"})["datasets"]), list(scaled(asked)["datasets"])
    (['b'], ['a'])

    Raises
    ------
    ConfigError
        If there is no such scale.
    """
    sizes = config.get("scales")
    found = {key: value for key, value in config.items() if key != "scales"}
    asked = config.get("scale", FULL)
    if asked == FULL:
        return found
    if not isinstance(sizes, Mapping) or asked not in sizes:
        known = [FULL, *(sizes if isinstance(sizes, Mapping) else ())]
        raise ConfigError(
            f"config, scale: there is no scale '{asked}' (there are: "
            f"{', '.join(map(str, known))}){reasons.meant(str(asked), known)}"
        )
    over = sizes[asked] or {}
    if not isinstance(over, Mapping):
        raise ConfigError(f"config, scales.{asked}: keys of a config are needed here")
    nested = sorted({"scale", "scales"} & set(over))
    if nested:
        raise ConfigError(f"config, scales.{asked}: '{nested[0]}' cannot stand inside a scale")
    return _merged(found, over)


def _merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    found = dict(base)
    for key, value in over.items():
        old = found.get(key)
        if key not in _WHOLE and isinstance(old, Mapping) and isinstance(value, Mapping):
            value = _merged(old, value)
        if value is None:
            found.pop(key, None)
        else:
            found[key] = value
    return found
