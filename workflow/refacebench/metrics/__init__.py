"""Measures of one variant of a scan against its original: pure functions of arrays.

:mod:`.overlap` and :mod:`.similarity`; :mod:`.face` and :mod:`.brain`, from which
:mod:`.verdict` makes the quality class; :mod:`.truth`, the same from true labels.
The stage :mod:`refacebench.stages.measure` reads the files that they are taken from.
"""
