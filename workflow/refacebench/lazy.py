"""Modules that need torch, bound at the top of a file and loaded when first used.

A method's file is read wherever a run is planned; torch takes seconds to load.  A module
bound here is not put into ``sys.modules`` before it is loaded: Python's ``inspect``, which
torch asks while it loads, looks at every module there and would load all of them at once.
"""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Any


class _Later(ModuleType):
    """Stands for a module; every attribute that is asked for or set is the module's."""

    @property
    def __dict__(self) -> dict[str, Any]:  # type: ignore[override]  # what `vars` and pytest's monkeypatch look at
        return vars(importlib.import_module(self.__name__))

    def __getattr__(self, name: str) -> Any:
        return getattr(importlib.import_module(self.__name__), name)

    def __setattr__(self, name: str, value: object) -> None:
        setattr(importlib.import_module(self.__name__), name, value)

    def __delattr__(self, name: str) -> None:
        delattr(importlib.import_module(self.__name__), name)


def load(name: str) -> ModuleType:
    """Return a module that is loaded when its first attribute is asked for.

    >>> load("json").dumps([1])
    '[1]'
    """
    return _Later(name)
