"""The page for quality control, and what raters saved on it.

:mod:`.listing` says which scans are on the page, in which order and why; :mod:`.page` writes it;
:mod:`.ratings` reads back what raters saved.  The page shows faces: everything that is written
stays below ``results/qc``, a folder of :mod:`refacebench.faces`, and is no part of the report or of
what is given away.
"""

#: Raise it when the page or its list changes for the same scans.
VERSION = "1"
