"""Answer files of human raters, and answers in them, that could not be used, each with a reason."""

from __future__ import annotations

from refacebench.results.result import RATERS, Result

RESULT = Result(
    "raters_problems",
    about=__doc__,
    job=RATERS,
    columns="file line rater question reason",
    compute=lambda given, _: given.problems,
    in_latex=False,
    order=171,
)
