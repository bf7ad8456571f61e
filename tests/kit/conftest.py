"""Fixtures of the tests of the kit for raters."""

from rating import key  # noqa: F401
