"""Manifests: TSV files with one row per scan, and the lists of failures beside them.

Reads and writes them; what becomes of a scan is decided elsewhere.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from refacebench.files import read_json, write_text
from refacebench.vocabulary import FOLLOWUP, MEASURED, RESCAN, SPLITS

#: Columns that every manifest has, in this order, and what they say of a scan; a stage adds
#: its own behind them.
MEANINGS = {
    "dataset": "name of the dataset in the config",
    "participant": "sub-...",
    "session": "ses-..., or empty",
    "scan": "the scan's id, see refacebench.bids.scan_id",
    "split": "train, validation or test; empty for a scan that cannot be used",
    "role": "measured, rescan or followup; empty for a scan that cannot be used",
    "site": "site or scanner, as the dataset's tables say",
    "variant": "original, a defacer, or defacer+refacer",
    "path": "the image: the scan's, or what the stage made of it",
    "status": "ok, excluded, failed or unavailable",
    "stage": "the last stage that worked on the scan",
    "reason": "why the scan is not ok, in one line",
    "seconds": "seconds that this stage took",
    "peak_mb": "its peak memory, megabytes",
    "engine": "native, or official where the released program ran",
    "method": "the method's name in the config",
    "version": "version of the method, or of the program behind it",
    "key": "of method, version, options and input files; another key, another result",
}
COLUMNS = list(MEANINGS)
#: What is known of the people, see :mod:`refacebench.run.people`; in no manifest.
OF_PEOPLE = {
    "age": "years at the session, or nothing",
    "sex": "as the dataset's tables say",
    "age_note": "why there is no age",
}
#: What the batch lists say beside them, where a dataset knows it.
LISTED = {
    "days": "days between the session and the participant's first one",
    "rescan_of": "the session that this one repeats, or nothing",
    "spare": "why the scan is left out where an earlier one of its session can be used",
    "diagnosis": "as the dataset's tables say of the visit",
    "companions": "the session's other images, as JSON (see companions)",
}


#: The names of batches, as a regular expression: split, role and number.
BATCH = rf"({'|'.join(SPLITS)})-({MEASURED}|{RESCAN}|{FOLLOWUP})-\d+"
#: The list of the scans that the index has left out: no job opens them.
LEFT_OUT = "excluded-000"
_LIST = re.compile(rf"{BATCH}|{LEFT_OUT}")

#: Columns whose names end so hold text.
_TEXT = ("_version", "_engine", "_path")
_INTEGER = re.compile(r"[+-]?\d{1,18}")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?|[+-]?inf")


def lists(folder: str | Path) -> list[Path]:
    """Return the batch lists of a dataset's folder of the plan, which holds other tables too."""
    return sorted(path for path in Path(folder).glob("*.tsv") if _LIST.fullmatch(path.stem))


def read(path: str | Path) -> pd.DataFrame:
    """Read a manifest; identifiers and versions stay text, so ``01`` and ``1.10`` keep zeros."""
    return _numbers(pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False))


def _numbers(table: pd.DataFrame) -> pd.DataFrame:
    """Turn columns that hold nothing but numbers into numbers, those that name things aside."""
    numeric = ("age", "seconds", "peak_mb")
    for name in table.columns:
        if name in numeric:
            table[name] = numbers(table[name])
        elif name not in (*COLUMNS, *OF_PEOPLE, "segmenter") and not name.endswith(_TEXT):
            filled = table[name] != ""
            found = numbers(table[name])
            if filled.any() and found[filled].notna().all():
                table[name] = found
    return table


def numbers(texts: pd.Series) -> pd.Series:
    """Return texts as numbers, NaN where a text is none; integers if all are.

    ``pandas.to_numeric`` must not see such texts: what looks like a number with an
    exponent of many digits, as one checksum in a few hundred does, crashes its parser.

    >>> numbers(pd.Series(["2.5", "", "1e-3", "6e158439314234cf"])).tolist()
    [2.5, nan, 0.001, nan]
    """
    if len(texts) and texts.map(lambda text: bool(_INTEGER.fullmatch(text))).all():
        return texts.map(int)
    return texts.map(lambda text: float(text) if _NUMBER.fullmatch(text) else float("nan"))


def read_many(paths) -> pd.DataFrame:
    """Read several manifests into one table."""
    return pd.concat([read(path) for path in paths], ignore_index=True)


def companions(row: Mapping) -> list[dict]:
    """Return a scan's companions: dicts with ``contrast``, ``name``, ``path``, ``reason``."""
    text = row.get("companions", "")
    return json.loads(text) if isinstance(text, str) and text else []


def to_text(table: pd.DataFrame) -> str:
    """Return a table as TSV with numbers in a fixed format."""
    return table.to_csv(sep="\t", index=False, float_format="%.6g", lineterminator="\n")


def write(table: pd.DataFrame, path: str | Path) -> None:
    """Write a table as TSV, all or nothing."""
    write_text(to_text(table), path)


def failures_path(out: str | Path) -> Path:
    """Return where the failures of a stage's output are listed: in a file beside it.

    >>> failures_path("results/deface/d/null/test-measured-000.tsv").name
    'test-measured-000.failures.json'
    """
    return Path(out).with_suffix(".failures.json")


def note_failures(
    out: str | Path, again: Mapping[str, str], final: Mapping[str, str], total: int
) -> None:
    """List what failed in the stage that makes an output; no file where nothing did.

    Parameters
    ----------
    out : str or Path
        The output, a manifest in most stages.
    again, final : mapping of str to str
        Reason by scan, of failures that may pass and of the others.
    total : int
        How many scans the stage worked on; excluded ones do not count.
    """
    path = failures_path(out)
    if again or final:
        document = {"again": dict(again), "final": dict(final), "total": total}
        write_text(json.dumps(document, indent=1) + "\n", path)
    else:
        path.unlink(missing_ok=True)


def read_failures(out: str | Path) -> dict:
    """Return what :func:`note_failures` wrote; nothing failed where there is no such file."""
    nothing = {"again": {}, "final": {}, "total": 0}
    return {**nothing, **(read_json(failures_path(out)) or {})}
