"""From the answer files of human raters to rates of identification.

:func:`read_answers` reads JSON and CSV files as the kit's page writes them
(:mod:`refacebench.kit`); what cannot be used becomes a row with a reason, and
nothing of it drops out silently.  :func:`rates` is pure.

Also a program of its own::

    python -m refacebench.raters --key key.tsv --out tables/ answers/*.json
"""

from __future__ import annotations

import argparse
import csv
import json
import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from refacebench import kit, manifest, reasons
from refacebench.statistics.columns import frame
from refacebench.statistics.intervals import _quantiles, clopper_pearson, wider
from refacebench.statistics.settings import Settings

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
    missing = [name for name in kit.COLUMNS if name not in key]
    if missing:
        raise ValueError(f"{path}: no key of a kit (it lacks {', '.join(missing)})")
    return key.astype({"block": int, "right": int})


def read_answers(paths: Iterable[str | Path], key: pd.DataFrame):
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
    wanted = kit.identity(key)
    choices = sum(name.startswith("option_") for name in key)
    known = set(key["question"])
    answers, problems = [], []
    for path in sorted(map(Path, paths)):
        try:
            found = _read_file(path)
        except (_Unusable, OSError) as reason:
            problems.append(_problem(path, 0, reason=str(reason)))
            continue
        for line, answer in found:
            try:
                answers.append(_checked(answer, wanted, known, choices, path, line))
            except _Unusable as reason:
                named = (reasons.one_line(answer.get(n, ""), 60) for n in ("rater", "question"))
                problems.append(_problem(path, line, *named, reason=str(reason)))
    kept, twice = _without_contradictions(pd.DataFrame(answers, columns=ANSWER_COLUMNS))
    return kept, frame("raters_problems", problems + twice)


def _problem(path, line, rater="", question="", *, reason) -> dict:
    return {
        "file": Path(path).name,
        "line": line,
        "rater": rater,
        "question": question,
        "reason": reasons.one_line(reason),
    }


def _read_file(path: Path) -> list[tuple[int, dict]]:
    """Return (line or number of the answer, answer) of a file."""
    if path.stat().st_size > _MOST_BYTES:
        raise _Unusable("too large for an answer file")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise _Unusable("not a text file") from None
    if not text.strip():
        raise _Unusable("the file is empty")
    if path.suffix.lower() == ".csv":
        return _read_csv(text)
    if path.suffix.lower() == ".json":
        return _read_json(text)
    raise _Unusable("neither .json nor .csv")


def _read_json(text: str) -> list[tuple[int, dict]]:
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _Unusable(f"damaged JSON ({error})") from None
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise _Unusable("not an answer file of the kit")
    if content.get("version") != FORMAT_VERSION:
        raise _Unusable(f"answers of format version {content.get('version')}; known: 1")
    rows = content.get("answers")
    if not isinstance(rows, list):
        raise _Unusable("it has no list of answers")
    shared = {name: content.get(name) for name in ("kit", "rater")}
    return [
        (number, {**shared, **(row if isinstance(row, dict) else {})})
        for number, row in enumerate(rows, start=1)
    ]


def _read_csv(text: str) -> list[tuple[int, dict]]:
    reader = csv.DictReader(text.splitlines())
    missing = [name for name in _ANSWERS if name not in (reader.fieldnames or [])]
    if missing:
        raise _Unusable(f"its first line lacks {', '.join(missing)}")
    return [(number, row) for number, row in enumerate(reader, start=2)]


def _checked(answer, wanted, known, choices, path, line) -> dict:
    """Return an answer with its types."""
    if answer.get("kit") != wanted:
        raise _Unusable("answers to another kit (its questions are not those of the key)")
    rater = str(answer.get("rater") or "").strip()
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,40}", rater):
        raise _Unusable("no name of the rater, or one with other signs than letters, digits, - _")
    question = answer.get("question")
    if not isinstance(question, str) or question not in known:
        raise _Unusable("unknown question")
    choice = str(answer.get("choice")).strip()
    if not re.fullmatch(r"[0-9]{1,3}", choice) or not 1 <= int(choice) <= choices:
        raise _Unusable(f"the choice is no number from 1 to {choices}")
    ms = pd.to_numeric(str(answer.get("ms")), errors="coerce")
    return {
        "rater": rater,
        "question": question,
        "choice": int(choice),
        "ms": float(ms),
        "file": path.name,
        "line": line,
    }


def _without_contradictions(answers: pd.DataFrame) -> tuple[pd.DataFrame, list[dict]]:
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


def rates(answers: pd.DataFrame, key: pd.DataFrame, settings: Settings) -> pd.DataFrame:
    """Return the table ``raters``: how often the right option was picked, by variant and setting.

    Raters and persons are drawn at once in every resample, and a person's
    questions stay together (the pigeonhole bootstrap of Owen 2007, Ann Appl
    Stat 1, 386-411), since answers of one rater resemble each other, and so do
    those about one person.  Widened to the Clopper-Pearson interval over
    persons, whose rates count as fractions.

    Raises
    ------
    ValueError
        If an answer is to a question that the key does not have.
    """
    table = answers.merge(key, on="question", how="left", validate="many_to_one")
    if len(table) and table["variant"].isna().any():
        raise ValueError("answers to questions that the key does not have")
    table["hit"] = (table["choice"] == table["right"]).astype(float)
    choices = sum(name.startswith("option_") for name in key)
    rows = []
    for variant, setting in key[["variant", "setting"]].drop_duplicates().to_numpy():
        mine = table[(table["variant"] == variant) & (table["setting"] == setting)]
        asked = key[(key["variant"] == variant) & (key["setting"] == setting)]
        low, high = _interval(mine, settings)
        chance = 1.0 / choices
        rows.append(
            {
                "variant": variant,
                "setting": setting,
                "n_raters": mine["rater"].nunique(),
                "n_asked": len(asked),
                "n_questions": mine["question"].nunique(),
                "n_participants": mine["participant"].nunique(),
                "n_answers": len(mine),
                "n_right": int(mine["hit"].sum()),
                "rate": float(mine["hit"].mean()) if len(mine) else np.nan,
                "low": low,
                "high": high,
                "chance": chance,
                "above_chance": float(low > chance) if np.isfinite(low) else np.nan,
            }
        )
    return frame("raters", rows)


def _interval(table: pd.DataFrame, settings: Settings) -> tuple[float, float]:
    if table.empty:
        return (np.nan, np.nan)
    persons = table.groupby("participant")["hit"].mean()
    exact = clopper_pearson(float(persons.sum()), len(persons), settings.level)
    return wider(_bootstrap(table, settings), exact)


def _bootstrap(table: pd.DataFrame, settings: Settings) -> tuple[float, float]:
    """Return the pigeonhole bootstrap's interval; of one rater, over persons alone."""
    cells = table.pivot_table("hit", "rater", "participant", aggfunc=["sum", "count"])
    hits, counts = (cells[name].fillna(0.0).to_numpy() for name in ("sum", "count"))
    rng = np.random.default_rng(settings.seed)
    raters, persons = (_draws(n, settings.n_boot, rng) for n in hits.shape)
    right, asked = (((raters @ part) * persons).sum(axis=1) for part in (hits, counts))
    drawn = asked > 0
    if not drawn.any() or max(hits.shape) < 2:
        return (np.nan, np.nan)
    return _quantiles(right[drawn] / asked[drawn], settings.level)


def _draws(n: int, n_boot: int, rng) -> np.ndarray:
    if n == 1:
        return np.ones((n_boot, 1))
    return rng.multinomial(n, np.full(n, 1 / n), size=n_boot).astype(float)


def write(paths: Sequence[str | Path], key: str | Path, folder: str | Path, settings) -> str:
    """Read answers and write ``raters.tsv`` and ``raters_problems.tsv``; return a line about it."""
    known = read_key(key)
    answers, problems = read_answers(paths, known)
    table = rates(answers, known, settings)
    manifest.write(table, Path(folder) / "raters.tsv")
    manifest.write(problems, Path(folder) / "raters_problems.tsv")
    return (
        f"{len(answers)} answers of {answers['rater'].nunique()} raters in {len(list(paths))} "
        f"files; {len(problems)} rows of problems"
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Run as a program."""
    parser = argparse.ArgumentParser(prog="python -m refacebench.raters", description=__doc__)
    parser.add_argument("answers", nargs="+", help="files that raters saved (.json, .csv)")
    parser.add_argument("--key", required=True, help="key.tsv beside the kit's page")
    parser.add_argument("--out", default=".", help="folder of the tables")
    parser.add_argument("--seed", type=int, default=0, help="seed of the bootstrap")
    given = parser.parse_args(arguments)
    try:
        print(write(given.answers, given.key, given.out, Settings(seed=given.seed)))
    except (OSError, ValueError) as error:
        sys.exit(f"raters: {error}")


if __name__ == "__main__":
    main()
