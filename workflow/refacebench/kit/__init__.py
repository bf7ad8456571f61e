"""The kit for human raters: questions about renderings, and the page that asks them.

The question is CP-GAN's (Van der Goten et al. 2021): one original, and
``options`` scans of one variant, of which one shows the same person.  The page
is one file without any external resource; answers stay in the browser until
the rater saves them as a file, which :mod:`refacebench.results.answers` reads.
"""

#: Raise it when the same renderings give other questions or another page.
VERSION = "1"
