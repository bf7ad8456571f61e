"""Which scans are on the page for quality control, in which order and why.

Every scan of every variant that may be given away, the most doubtful first
(:mod:`refacebench.results.doubt`).  Each one has also a place in a random order of its variant
(``draw``): who looks at scans in that order looks at a random sample, from which something can be
said of those that nobody looked at (:mod:`refacebench.statistics.acceptance`).

Reads manifests and attackers' distances that it is told to; writes nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from refacebench import manifest, pseudonyms
from refacebench.results import doubt
from refacebench.statistics import comparisons
from refacebench.statistics.attack_tables import is_landmark
from refacebench.statistics.criteria import Criteria
from refacebench.statistics.trials import trials, within
from refacebench.vocabulary import OK, OTHER_SESSION, SAME_SCAN

#: Columns of the list that is written beside the page.
COLUMNS = [
    "variant",
    "scan",
    "participant",
    "session",
    "image",
    "doubt",
    "kind",
    "draw",
    "why",
    "outcome",
    "stage",
    "reason",
    "quality",
    "face_left",
    "worst_volume",
    "worst_change_pct",
]
#: What a picture's row has of its files.
PICTURES = ("slices_path", "outline_path", "faces_path", "viewer_path")


def table(
    measurements: pd.DataFrame,
    pictures: pd.DataFrame,
    criteria: Criteria,
    *,
    thresholds: Mapping[str, float] | None = None,
    hits: Mapping[tuple[str, str], Mapping[str, int]] | None = None,
    seed: int = 0,
) -> pd.DataFrame:
    """Return the list of the page.

    Parameters
    ----------
    measurements : pandas.DataFrame
        The measurement table.
    pictures : pandas.DataFrame
        The manifests of :mod:`refacebench.stages.qc`.
    criteria : Criteria
    thresholds : mapping, optional
        The config's.
    hits : mapping, optional
        Of :func:`named_first`.
    seed : int
        Of the random order.

    Returns
    -------
    pandas.DataFrame
        :data:`COLUMNS` and :data:`PICTURES` (empty where there is none), ``parts``; with
        pseudonyms where the run wants them.  ``image`` is empty for a scan without an image, and
        ``draw`` is missing.
    """
    found = doubt.table(measurements, criteria, thresholds, hits)
    found = found[~found["variant"].map(is_landmark)].rename(columns={"status": "outcome"})
    shown = pictures[pictures["status"] == OK].reindex(
        columns=["variant", "scan", "image", *PICTURES]
    )
    found = found.drop(columns=["image", *PICTURES], errors="ignore")
    found = found.merge(shown, on=["variant", "scan"], how="left")
    found[["image", *PICTURES]] = found[["image", *PICTURES]].fillna("")
    found = _without_pictures(found, pictures)
    found = _named(found)
    found["draw"] = _draws(found, seed)
    return found.reindex(columns=[*COLUMNS, *PICTURES, "parts"])


def _named(found: pd.DataFrame) -> pd.DataFrame:
    """Put pseudonyms for all ids, where the run wants them; the order of the rows stays."""
    named = pseudonyms.active()
    found["why"] = [
        tuple(named.text(text, person) for text in why)
        for why, person in zip(found["why"], found["participant"], strict=True)
    ]
    apart = [*PICTURES, "why", "parts"]  # pictures have been named so when they were made
    made = named.table(found.drop(columns=apart)).sort_index()
    return made.join(found[apart])


def _without_pictures(found: pd.DataFrame, pictures: pd.DataFrame) -> pd.DataFrame:
    """Say of scans that have an image and no pictures why they have none."""
    failed = pictures[pictures["status"] != OK].set_index(["variant", "scan"])["reason"]
    bare = (found["image"] == "") & (found["kind"] != doubt.NO_IMAGE)
    for place in found.index[bare]:
        row = found.loc[place]
        why = failed.get((row["variant"], row["scan"]), "they were not made")
        found.at[place, "why"] = (f"No pictures could be drawn: {why}.", *row["why"])
    return found


def _draws(found: pd.DataFrame, seed: int) -> pd.Series:
    """Return each scan's place in a random order of its variant's images.

    By a checksum of its name, so that a scan more or less leaves the order of the others as it is.
    """
    images = found[found["image"] != ""]
    code = [
        int(hashlib.sha256(f"{seed}:{variant}:{scan}".encode()).hexdigest()[:12], 16)
        for variant, scan in zip(images["variant"], images["scan"], strict=True)
    ]
    ranks = pd.Series(code, index=images.index).groupby(images["variant"]).rank(method="first")
    return ranks.astype("Int64").reindex(found.index)


def named_first(
    paths: Iterable[str | Path], floors: Collection[str] = ()
) -> dict[tuple[str, str], dict[str, int]]:
    """Return which attackers name a scan's person before everybody else, among how many.

    Parameters
    ----------
    paths : iterable of path
        What attackers compared.
    floors : collection of str
        Attackers that look at no face; they are left out.

    Returns
    -------
    dict
        By (variant, scan): by attacker the number of people.  Where the person was scanned in
        another session too, the match is from there, else it is the very same scan.  Of several
        matches and resplits more than half must be first.
    """
    found: dict[tuple[str, str], dict[str, int]] = {}
    for path in paths:
        scores = comparisons.read(path)
        if scores.attacker in floors:
            continue
        settings = [trials(scores, setting) for setting in (SAME_SCAN, OTHER_SESSION)]
        first: dict[int, tuple[float, int]] = {}
        for t in settings:  # the other session's, where there are any, take the place
            right = np.where(t.scored, within(t, 1), np.nan)
            for query in np.unique(t.query[t.scored]):
                mine = (t.query == query) & t.scored
                first[int(query)] = (float(np.mean(right[mine])), int(t.size[mine].max()))
        for query, (share, people) in first.items():
            if share > 0.5:
                place = (scores.variant, str(scores.query["scan"].iloc[query]))
                found.setdefault(place, {})[scores.attacker] = people
    return found


def write(found: pd.DataFrame, path: str | Path) -> None:
    """Write the list as TSV, for who reads ratings back."""
    told = found.assign(why=[" ".join(why) for why in found["why"]])
    manifest.write(told[COLUMNS], path)
