"""Loads scripts that belong to no package: benchmarks, tools of the documentation and of CI."""

import importlib.util


def load(path):
    """Return the file at a path as a module."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
