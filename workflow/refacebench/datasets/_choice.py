"""Which T1w scans of a session the user wants: by the entities of their names.

Pure functions of names and options.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from refacebench import bids
from refacebench.datasets import _layout

#: Entities that a raw T1w image may have, by the names that BIDS gives them and their keys.
ENTITIES = {
    "session": "ses",
    "acquisition": "acq",
    "ceagent": "ce",
    "reconstruction": "rec",
    "run": "run",
    "echo": "echo",
    "flip": "flip",
    "inversion": "inv",
    "mtransfer": "mt",
    "part": "part",
    "chunk": "chunk",
}
#: What a label is to be, by the entity's key: one of several; None for an image without it.
Wanted = dict[str, tuple[str | None, ...]]


def wanted(select: object) -> Wanted:
    """Return what the option ``select`` asks for.

    Raises
    ------
    ValueError
        If it is no mapping of entities to labels.

    >>> wanted({"acquisition": "mprage", "run": [1, None]})
    {'acq': ('mprage',), 'run': ('1', None)}
    """
    if not isinstance(select, Mapping):
        raise ValueError(f"select: {select!r} is not a list of entities such as {{run: 1}}")
    found: Wanted = {}
    for name, labels in select.items():
        key = ENTITIES.get(str(name), str(name))
        if key not in ENTITIES.values():
            known = ", ".join(ENTITIES)
            raise ValueError(f"select: there is no entity '{name}' of T1w images (known: {known})")
        several = labels if isinstance(labels, list) else [labels]
        for label in several:
            plain = isinstance(label, int) and not isinstance(label, bool)
            if not (label is None or plain or isinstance(label, str)) or not several:
                raise ValueError(f"select: {name}: {label!r} is not a label")
        if not several:
            raise ValueError(f"select: {name} has no label")
        found[key] = tuple(
            None if label is None else str(label).removeprefix(f"{key}-") for label in several
        )
    return found


def unwanted(image: _layout.Image, chosen: Wanted) -> str:
    """Return why an image is not chosen, in a sentence; empty for one that is.

    Whole numbers are compared as such: ``run: 1`` is ``run-01`` too.
    """
    own = bids.entities(image.stem)
    own["ses"] = _layout.session_of(image.folders).removeprefix("ses-")
    for key, labels in chosen.items():
        label = own.get(key) or None
        if _number(label) not in {_number(asked) for asked in labels}:
            said = f"{key}-{label}" if label else f"no {key}-"
            asked = " or ".join(f"{key}-{a}" if a else f"no {key}-" for a in labels)
            return f"not selected: its name has {said}, select asks for {asked}"
    return ""


def _number(label: str | None) -> str | int | None:
    return int(label) if label and re.fullmatch(r"[0-9]{1,18}", label) else label
