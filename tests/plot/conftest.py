"""Fixtures of the tests of drawings."""

from drawing import cohort, look  # noqa: F401
