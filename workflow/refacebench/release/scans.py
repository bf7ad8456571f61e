"""Which images of a run may be given away, and why the others may not.

Reads the manifests below ``results/``, from wherever the command is started.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from refacebench import bids, manifest, reasons
from refacebench.files import RESULTS, read_json
from refacebench.run import dropped
from refacebench.vocabulary import OK, ORIGINAL

#: Verdicts of the checks with which an image is given away unless the user says otherwise.
ACCEPTED = ("success", "no_face")
WORDS = {
    "failure_1": "a part of the face is left",
    "failure_2": "a part of the brain is gone",
    "failure_1+2": "a part of the face is left and a part of the brain is gone",
    "untouched": "the face was not touched",
    "unrated": "the checks did not judge it",
}


class Nothing(Exception):
    """There is nothing to give away; the message says why and what to do."""


@dataclass(frozen=True)
class Released:
    """One image without its face.

    Attributes
    ----------
    source : pathlib.Path
        The image in the user's data set, its face still there.
    made : pathlib.Path
        The image below ``results/`` that is given away.
    row : mapping
        Of the manifest, with whole paths.
    """

    source: Path
    made: Path
    row: Mapping[str, Any]

    @property
    def within(self) -> Path:
        """The source's place in its data set."""
        return Path(reasons.in_dataset(self.source))

    @property
    def session(self) -> str:
        """The session's folder, empty where there is none."""
        return session_of(self.within)

    @property
    def root(self) -> Path:
        """The data set's own folder."""
        return Path(str(self.source).removesuffix(self.within.as_posix()))


def session_of(within: Path) -> str:
    """Return the session's folder in a file's place in its data set; empty for none."""
    return next((part for part in within.parts[1:-1] if part.startswith("ses-")), "")


@dataclass(frozen=True)
class LeftOut:
    """An image that is not given away, and why."""

    scan: str
    reason: str


def of_variant(results: Path, dataset: str, variant: str) -> pd.DataFrame:
    """Return the manifest of a variant, all batches, with whole paths.

    Raises
    ------
    Nothing
        If the variant shows every face, or the run did not make it.
    """
    if variant == ORIGINAL:
        raise Nothing("`original` is the scans as they are, with their faces")
    stage = "reface" if "+" in variant else "deface"
    there = sorted((results / stage / dataset / variant).glob("*.tsv"))
    if not there:
        made = variants(results, dataset)
        raise Nothing(
            f"no variant '{variant}' of dataset '{dataset}' in {results}/; there are: "
            f"{', '.join(made) or 'none: run snakemake first'}"
        )
    return pd.concat([_read(results, path) for path in there], ignore_index=True)


def _read(results: Path, path: Path) -> pd.DataFrame:
    """Read a manifest, with whole paths; ``deleted`` tells which images went once measured.

    A manifest has them from where the run was: the folder that holds ``results``.
    """
    home, notes = Path(os.path.abspath(results)), dropped.read(path)

    def whole(text: object) -> object:
        parts = Path(str(text)).parts
        if not text or os.path.isabs(str(text)):
            return text
        # The folder may have got another name since.
        return str(
            home.joinpath(*parts[1:]) if parts[:1] == (RESULTS,) else home.parent / str(text)
        )

    table = manifest.read(path)
    table["deleted"] = [made in notes for made in table["path"]]
    for name in table.columns:
        if name == "path" or name.endswith("_path"):
            table[name] = table[name].map(whole)
    return table


def variants(results: Path, dataset: str) -> list[str]:
    """Return the names of all variants that a run made."""
    folders = [results / stage / dataset for stage in ("deface", "reface")]
    return sorted({p.parent.name for folder in folders for p in folder.glob("*/*-measured-*.tsv")})


def verdicts(results: Path, dataset: str, variant: str) -> dict[str, str]:
    """Return the checks' verdict by scan; the worst where several segmenters gave one."""
    found: dict[str, str] = {}
    for path in sorted((results / "measure" / dataset).glob(f"*/{variant}/*.tsv")):
        for row in manifest.read(path).to_dict("records"):
            verdict = str(row.get("quality") or "unrated")
            if found.get(row["scan"]) in (None, *ACCEPTED):
                found[row["scan"]] = verdict
    return found


def choose(
    results: Path, dataset: str, variant: str, accept: Collection[str]
) -> tuple[list[Released], list[LeftOut]]:
    """Return the images of a variant that may be given away, and those that may not.

    Parameters
    ----------
    accept : collection of str
        Verdicts of the checks with which an image is given away.
    """
    judged = verdicts(results, dataset, variant)
    images, left_out = [], []
    for row in of_variant(results, dataset, variant).to_dict("records"):
        why = against(row, judged.get(row["scan"], "unrated"), accept)
        if why:
            left_out.append(LeftOut(row["scan"], why))
        else:
            images.append(Released(Path(row["original_path"]), Path(row["path"]), row))
    left_out += not_made(results, dataset, {row.scan for row in left_out} | _scans(images))
    carried, lost = companions(results, dataset, variant, _scans(images))
    return images + carried, left_out + lost


def _scans(images: Iterable[Released]) -> set[str]:
    return {str(image.row["scan"]) for image in images}


def not_made(results: Path, dataset: str, known: Collection[str]) -> list[LeftOut]:
    """Return the scans of a data set that the run did not deface, as its lists tell."""
    lost = []
    for path in manifest.lists(results / "plan" / dataset):
        for row in manifest.read(path).to_dict("records"):
            if row["scan"] not in known:
                why = str(row["reason"]) or f"this run did not deface it ({row['role']}"
                why += "" if row["reason"] else f", split {row['split']})"
                lost.append(LeftOut(row["scan"], why))
    return lost


def against(row: Mapping[str, Any], verdict: str, accept: Collection[str]) -> str:
    """Return why an image may not be given away, or nothing."""
    if row["status"] != OK:
        return str(row["reason"] or row["status"])
    if verdict not in accept:
        return WORDS.get(verdict, verdict)
    return _not_as_recorded(row)


def _not_as_recorded(row: Mapping[str, Any]) -> str:
    made = Path(row["path"])
    if not made.is_file() and row["deleted"]:
        return (
            "the image was deleted after it was measured (`keep` in the config); snakemake "
            f"with --config remake={row['variant']} added makes it again"
        )
    if not made.is_file():
        return "the image is gone; run snakemake again"
    sidecar = read_json(bids.sidecar_path(made)) or {}
    if str(sidecar.get("Key")) != str(row["key"]):
        return "the image is not the one that the run recorded; run snakemake again"
    return ""


def companions(
    results: Path, dataset: str, variant: str, scans: Collection[str]
) -> tuple[list[Released], list[LeftOut]]:
    """Return the other images of the same sessions that lost their faces too.

    A refaced variant has none of its own: they are its defacer's.

    Parameters
    ----------
    scans : collection of str
        T1w scans that are given away; others' companions are not.
    """
    defacer = variant.partition("+")[0]
    images, left_out = [], []
    for path in sorted((results / "carry" / dataset / defacer).glob("*.tsv")):
        aligned = _read(results, results / "align" / dataset / path.name)
        sources = dict(zip(aligned["scan"], aligned["path"], strict=True))
        for row in _read(results, path).to_dict("records"):
            if row["t1w"] not in scans:
                why = "the T1w scan of its session is left out"
            else:
                why = str(row["reason"] or row["status"]) if row["status"] != OK else ""
                why = why or _not_as_recorded(row)
            if why:
                left_out.append(LeftOut(row["scan"], why))
            else:
                images.append(Released(Path(sources[row["scan"]]), Path(row["path"]), row))
    return images, left_out
