"""Measures of one variant of one scan against its original.

``measure`` reads the files that a manifest row names; ``overlap``,
``similarity`` and ``quality`` are pure functions of arrays.
"""
