"""The answer files of human raters, as the kit's page writes them (:mod:`refacebench.kit`).

JSON and CSV.  What cannot be used becomes a row with a reason, and nothing of it drops out
silently.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from refacebench.kit.questions import COLUMNS, identity
from refacebench.reasons import one_line
from refacebench.results import raters_problems
from refacebench.results.inputs import Answered
from refacebench.statistics.criteria import Criteria
from refacebench.tables import Unusable, numbered_rows

FORMAT, FORMAT_VERSION = "refacebench-answers", 1
_ANSWERS = ("kit", "rater", "question", "choice")
#: A file larger than this is no answer file.
_MOST_BYTES = 20_000_000
ANSWER_COLUMNS = ["rater", "question", "choice", "ms", "file", "line"]


class _Unusable(Exception):
    """Why a file or an answer cannot be used."""


def read_key(path: str | Path) -> pd.DataFrame:
    """Read the key of a kit; everything but the block and the right answer is text.

    Raises
    ------
    ValueError
        If it is no key.
    """
    key = pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False)
    missing = [name for name in COLUMNS if name not in key]
    if missing:
        raise ValueError(f"{path}: no key of a kit (it lacks {', '.join(missing)})")
    return key.astype({"block": int, "right": int})


def read_answers(
    paths: Iterable[str | Path], key: pd.DataFrame
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Read answer files.

    A rater's second answer to a question (a part that was saved twice, once as
    JSON and once as CSV, say) is left out without a word if it is the same, and
    both are left out with a reason if they differ.

    Parameters
    ----------
    paths : iterable of path
        ``.json`` and ``.csv`` files.
    key : pandas.DataFrame
        Of :func:`read_key`.

    Returns
    -------
    answers : pandas.DataFrame
        ``rater``, ``question``, ``choice`` (1 is the first option), ``ms``,
        ``file``, ``line``.
    problems : pandas.DataFrame
        ``file``, ``line`` (0: the whole file), ``rater``, ``question``, ``reason``.
    """
    wanted = identity(key)
    choices = sum(name.startswith("option_") for name in key)
    known = set(key["question"])
    answers, problems = [], []
    for path in sorted(map(Path, paths)):
        try:
            found = _read_file(path)
        except (_Unusable, Unusable, OSError) as reason:
            problems.append(_problem(path, 0, reason=str(reason)))
            continue
        for line, answer in found:
            try:
                answers.append(_checked(answer, wanted, known, choices, path, line))
            except _Unusable as reason:
                named = (one_line(answer.get(n, ""), 60) for n in ("rater", "question"))
                problems.append(_problem(path, line, *named, reason=str(reason)))
    kept, twice = _without_contradictions(pd.DataFrame(answers, columns=ANSWER_COLUMNS))
    return kept, raters_problems.RESULT.frame(problems + twice)


def _problem(
    path: Path, line: int, rater: str = "", question: str = "", *, reason: str
) -> dict[str, Any]:
    return {
        "file": Path(path).name,
        "line": line,
        "rater": rater,
        "question": question,
        "reason": one_line(reason),
    }


def _read_file(path: Path) -> list[tuple[int, dict[str, Any]]]:
    """Return (line or number of the answer, answer) of a file."""
    if path.stat().st_size > _MOST_BYTES:
        raise _Unusable("too large for an answer file")
    if path.suffix.lower() == ".csv":
        return list(numbered_rows(path, _ANSWERS))
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise _Unusable("not a text file") from None
    if not text.strip():
        raise _Unusable("the file is empty")
    if path.suffix.lower() == ".json":
        return _read_json(text)
    raise _Unusable("neither .json nor .csv")


def _read_json(text: str) -> list[tuple[int, dict[str, Any]]]:
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _Unusable(f"not valid JSON ({error})") from None
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise _Unusable("not an answer file of the kit")
    if content.get("version") != FORMAT_VERSION:
        raise _Unusable(f"answers in format version {content.get('version')}; known: 1")
    rows = content.get("answers")
    if not isinstance(rows, list):
        raise _Unusable("it has no list of answers")
    shared = {name: content.get(name) for name in ("kit", "rater")}
    return [
        (number, {**shared, **(row if isinstance(row, dict) else {})})
        for number, row in enumerate(rows, start=1)
    ]


def _checked(
    answer: Mapping[str, Any], wanted: str, known: Any, choices: int, path: Path, line: int
) -> dict[str, Any]:
    """Return an answer with its types."""
    if answer.get("kit") != wanted:
        raise _Unusable(
            "these answers belong to another kit: its questions are not those of the key"
        )
    rater = str(answer.get("rater") or "").strip()
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,40}", rater):
        raise _Unusable(
            "the rater's name is missing, or has characters other than letters, digits, - and _"
        )
    question = answer.get("question")
    if not isinstance(question, str) or question not in known:
        raise _Unusable("unknown question")
    choice = str(answer.get("choice")).strip()
    if not re.fullmatch(r"[0-9]{1,3}", choice) or not 1 <= int(choice) <= choices:
        raise _Unusable(f"the choice is not a number from 1 to {choices}")
    ms = pd.to_numeric(str(answer.get("ms")), errors="coerce")
    return {
        "rater": rater,
        "question": question,
        "choice": int(choice),
        "ms": float(ms),
        "file": path.name,
        "line": line,
    }


def _without_contradictions(answers: pd.DataFrame) -> tuple[pd.DataFrame, list[dict[str, Any]]]:
    """Keep one of equal answers and none of contradicting ones."""
    groups = answers.groupby(["rater", "question"], sort=False)["choice"]
    contradicting = groups.transform("nunique") > 1 if len(answers) else pd.Series(dtype=bool)
    twice = [
        {
            "file": row["file"],
            "line": row["line"],
            "rater": row["rater"],
            "question": row["question"],
            "reason": "the rater answered this question twice, and differently",
        }
        for row in answers[contradicting].to_dict("records")
    ]
    kept = answers[~contradicting].drop_duplicates(["rater", "question"])
    return kept.reset_index(drop=True), twice


def collect(paths: Iterable[str | Path], key: str | Path, criteria: Criteria) -> Answered:
    """Return what stands in answer files, for the results of raters."""
    known = read_key(key)
    answers, problems = read_answers(paths, known)
    return Answered(answers, problems, known, criteria)


def line(given: Answered, files: int) -> str:
    """Return a line about the answers of so many files."""
    return (
        f"{len(given.answers)} answers of {given.answers['rater'].nunique()} raters in {files} "
        f"files; {len(given.problems)} rows of problems"
    )


def files_of(folder: str | Path, dataset: str) -> list[Path]:
    """Return the answer files of a dataset, which lie in its folder below a given one.

    Raises
    ------
    FileNotFoundError
        If there is no such folder, or no file in it.
    """
    here = Path(folder) / dataset
    if not folder or not here.is_dir():
        raise FileNotFoundError(
            "raters: put the answer files into a folder for each dataset and name the folder "
            f"above them in the config (privacy.kit.answers); looked for {here}"
        )
    paths = [path for path in sorted(here.iterdir()) if path.is_file()]
    if not paths:
        raise FileNotFoundError(f"raters: no answer file in {here}")
    return paths
