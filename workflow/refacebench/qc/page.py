"""Writes the page for quality control: a small page, a list in a script, pictures beside it.

A page that is opened from a disk may load pictures and scripts that lie beside it and read no
other file, so the list is a script, and so is each small copy of an image for the viewer.  Only
the pictures of the scan that is looked at are loaded: the page stays quick with thousands of scans.
Nothing is loaded from a network; the page itself forbids it (Content-Security-Policy).
"""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from refacebench import faces, files, pseudonyms
from refacebench.plot.html import fill
from refacebench.plot.quality_bars import BARS
from refacebench.qc import VERSION
from refacebench.results import doubt
from refacebench.statistics import acceptance

_HERE = Path(__file__).parent
TEMPLATE, SCRIPT = _HERE / "page.html", _HERE / "page.js"
#: The viewer, a released build (see niivue-LICENSE.txt beside it).
NIIVUE = _HERE / "niivue-0.69.0.umd.js.gz"
#: What is written beside the page.
FILES = ("index.html", "page.js", "scans.js", "niivue.js", "niivue-LICENSE.txt")
#: A sample without any failure is to say that fewer than this share of the others fail.
SHARE = 0.05
#: Numbers of a scan that the page shows, with their words and how they are written.
FACTS = (
    ("quality", "checks:", "{}"),
    ("face_left", "face surface left", "{:.0f} %"),
    ("worst_change_pct", "largest change of a volume", "{:+.1f} %"),
)


def write(
    found: pd.DataFrame,
    folder: str | Path,
    *,
    dataset: str,
    faces_are: str,
    originals: pd.DataFrame,
    note: str = "",
    level: float = 0.95,
) -> None:
    """Write the page and what it loads, all but the pictures.

    Parameters
    ----------
    found : pandas.DataFrame
        Of :func:`refacebench.qc.listing.table`.
    folder : str or Path
        ``results/qc/{dataset}``; the pictures lie below it.
    dataset : str
        Its name.
    faces_are : str
        The dataset's ``faces``.
    originals : pandas.DataFrame
        The manifest of the originals' pictures.
    note : str
        Stands on top.
    level : float
        Of the bound that a random sample gives.
    """
    folder = Path(folder)
    document = {
        "version": VERSION,
        "dataset": dataset,
        "kinds": list(doubt.CLASSES),
        "facts": [words for _, words, _ in FACTS],
        **_rows(found, originals, folder),
        "needed": _needed(found, level),
        "share": SHARE,
        "level": level,
    }
    listed = json.dumps(document, separators=(",", ":"), ensure_ascii=True)
    files.write_text(f"QC.list({listed});\n", folder / "scans.js")
    files.write_text(SCRIPT.read_text(), folder / "page.js")
    files.write_text(gzip.decompress(NIIVUE.read_bytes()).decode(), folder / "niivue.js")
    files.write_text((_HERE / "niivue-LICENSE.txt").read_text(), folder / "niivue-LICENSE.txt")
    private = not faces.may_show(faces_are)
    warning = faces.local_warning(faces_are)
    text = fill(TEMPLATE, dataset=dataset, note=note, warning=warning, private=private)
    files.write_text(text, folder / "index.html")


def _rows(found: pd.DataFrame, originals: pd.DataFrame, folder: Path) -> dict[str, Any]:
    """Return the scans as short lists; a file is named by its place below the folder."""
    named = pseudonyms.active().scan
    before = {named(row["scan"]): row for row in originals.to_dict("records")}
    variants = list(dict.fromkeys(sorted(found["variant"])))
    rows = [
        [
            variants.index(row["variant"]),
            row["scan"],
            row["image"],
            round(float(row["doubt"]), 2),
            doubt.CLASSES.index(row["kind"]),
            None if pd.isna(row["draw"]) else int(row["draw"]),
            list(row["why"]),
            [_written(row, name, how) for name, _, how in FACTS],
            [_below(row[name], folder) for name in ("slices_path", "faces_path", "viewer_path")],
            [
                _below(before.get(row["scan"], {}).get(name, ""), folder)
                for name in ("slices_path", "faces_path", "viewer_path", "outline_path")
            ],
        ]
        for row in found.to_dict("records")
    ]
    return {"variants": variants, "rows": rows}


def _below(path: Any, folder: Path) -> str:
    """Return the place of a file below the page's folder; empty for none."""
    if not isinstance(path, str) or not path:
        return ""
    return Path(os.path.relpath(path, folder)).as_posix()


def _written(row: Mapping[str, Any], name: str, how: str) -> str:
    value = row[name]
    if value == "" or pd.isna(value):
        return ""
    if name == "quality":
        return BARS[value][0]
    return how.format(100 * value if name == "face_left" else value)


def _needed(found: pd.DataFrame, level: float) -> dict[str, int]:
    """Return how many scans to look at in each variant, so that no failure says enough."""
    images = found[found["image"] != ""].groupby("variant").size()
    return {variant: acceptance.needed(int(n), SHARE, level) for variant, n in images.items()}
