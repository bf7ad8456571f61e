"""antspyx without its parts for drawing and learning, whose packages take most of its import.

``import ants`` loads matplotlib, scikit-learn and statsmodels, for functions that nothing here
calls: 1.5 of 2 seconds in every job that registers anything.  Here those parts of antspyx, and
nobody else's modules, are empty while it is loaded; whoever imports one of them later gets the
real one.  Bind this module with :func:`refacebench.lazy.load`.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType

#: Parts of antspyx 0.6 that import those packages.
NOT_USED = ("ants.learn", "ants.plotting", "ants.deeplearn", "ants.math.quantile")


class _Empty(ModuleType):
    """Stands for a module while the package that it belongs to is loaded."""

    __all__ = ()

    def __getattr__(self, name: str) -> None:
        if name.startswith("__"):
            raise AttributeError(name)


def _load() -> ModuleType:
    if "ants" in sys.modules:
        return sys.modules["ants"]
    empty = [name for name in NOT_USED if name not in sys.modules]
    sys.modules |= {name: _Empty(name) for name in empty}
    try:
        return importlib.import_module("ants")
    finally:
        for name in empty:
            sys.modules.pop(name, None)


ants = _load()
