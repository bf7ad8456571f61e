"""Questions for raters and answer files, for tests."""

import json

import pandas as pd
import pytest

from refacebench.kit import questions

VARIANTS = ["original", "a", "a+m"]


def cohort(n=7, variants=VARIANTS, sessions=("ses-1", "ses-2")):
    rows = [
        {"variant": v, "participant": f"sub-{i:02d}", "session": s, "scan": f"sub-{i:02d}_{s}"}
        for v in variants
        for i in range(n)
        for s in sessions
    ]
    return pd.DataFrame(rows)


@pytest.fixture(scope="module")
def key():
    return questions.questions(cohort(), VARIANTS, count=105, block=20, seed=5)


@pytest.fixture
def saved(tmp_path, key):
    """Return a function that writes an answer file."""

    def write(name, answers, **changes):
        content = {
            "format": "refacebench-answers",
            "version": 1,
            "kit": questions.identity(key),
            "rater": "r1",
            "answers": answers,
            **changes,
        }
        path = tmp_path / name
        path.write_text(json.dumps(content))
        return path

    return write


def one(question="q0001", choice=2):
    return {"question": question, "choice": choice, "ms": 800}
