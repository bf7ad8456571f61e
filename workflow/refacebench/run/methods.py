"""Find a method by its name in the config.

A method is one module: ``refacebench/<kind>/<name>.py``, or any Python file
that the config names under ``file``.  An entry may rename a method by giving
``method`` (datasets: ``type``), so that one defacer can take part twice with other options.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType

#: What each kind of method must define; the contract is in the kind's ``__init__``.
CONTRACTS = {
    "defacers": ("VERSION", "OPTIONS", "deface"),
    "refacers": ("VERSION", "OPTIONS", "train", "load", "reface"),
    "segmenters": ("VERSION", "OPTIONS", "segment"),
    "datasets": ("VERSION", "OPTIONS", "index"),
    "brainage": ("VERSION", "OPTIONS", "fit", "predict"),
    "attackers": ("VERSION", "OPTIONS", "enrol", "score"),
}
#: Keys of a config entry that steer the registry and are no options of the method.
COMMON = {
    "datasets": ("type", "faces", "sessions_measured", "rescan_sessions", "rescan_max_days"),
    "refacers": ("defacers", "sites", "model"),
}
RESERVED = ("method", "file", *(key for keys in COMMON.values() for key in keys))


class MethodError(Exception):
    """A method that the config names cannot be used; the message says why."""


def load(kind: str, name: str, entry: Mapping | None = None) -> ModuleType:
    """Import the module of a config entry and check that it keeps its contract.

    Parameters
    ----------
    kind : str
        A key of :data:`CONTRACTS`.
    name : str
        The entry's name in the config.
    entry : mapping, optional
        The entry itself, for ``method`` and ``file``.

    Raises
    ------
    MethodError
        If there is no such method or it lacks a part of the contract.
    """
    entry = entry or {}
    method = entry.get("method") or entry.get("type") or _implied(kind, entry) or name
    if "file" in entry:
        module = _from_file(Path(entry["file"]), method)
    else:
        try:
            module = importlib.import_module(f"refacebench.{kind}.{method}")
        except ModuleNotFoundError as error:
            if not str(error.name).startswith("refacebench"):
                raise
            known = ", ".join(available(kind))
            raise MethodError(f"{kind}: no method '{method}'; there are: {known}") from None
    missing = [part for part in CONTRACTS[kind] if not hasattr(module, part)]
    if missing:
        raise MethodError(f"{kind}: '{method}' lacks {', '.join(missing)}")
    return module


def _implied(kind: str, entry: Mapping) -> str:
    """Return the method that an entry means without naming it: a command line is one."""
    by_config = kind == "defacers" and ("command" in entry or "program" in entry)
    return "command" if by_config and "file" not in entry else ""


def _from_file(path: Path, method: str) -> ModuleType:
    if not path.is_file():
        raise MethodError(f"method '{method}': no file {path}")
    spec = importlib.util.spec_from_file_location(f"refacebench_user_{method}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def available(kind: str) -> list[str]:
    """Return the names of the methods that come with the project."""
    folder = Path(__file__).parents[1] / kind
    return sorted(
        p.stem for p in folder.glob("*.py") if not p.stem.startswith("_") and _keeps(kind, p)
    )


def _keeps(kind: str, path: Path) -> bool:
    """Tell a method's file from a helper's without importing either."""
    text = path.read_text()
    return all(f"\n{part}" in text or f"\ndef {part}(" in text for part in CONTRACTS[kind])


def options(kind: str, name: str, entry: Mapping | None) -> dict:
    """Return a method's options: its defaults, overridden by the config entry.

    Raises
    ------
    MethodError
        If the entry has an option that the method does not know.
    """
    module = load(kind, name, entry)
    given = {k: v for k, v in (entry or {}).items() if k not in RESERVED}
    unknown = sorted(set(given) - set(module.OPTIONS))
    if unknown:
        known = ", ".join(sorted({*module.OPTIONS, *COMMON.get(kind, ())})) or "none"
        raise MethodError(f"{kind}.{name}: unknown option {', '.join(unknown)} (known: {known})")
    return {**module.OPTIONS, **given}


def version(kind: str, name: str, entry: Mapping | None = None) -> str:
    """Return a method's version; for a user's file, with a digest of its text."""
    module = load(kind, name, entry)
    if entry and "file" in entry:
        digest = hashlib.sha256(Path(entry["file"]).read_bytes()).hexdigest()[:8]
        return f"{module.VERSION}-{digest}"
    return str(module.VERSION)
