"""Why a count is smaller than planned, in words: "1 second session could not be registered".

Pure functions of rows with ``scan``, ``participant``, ``session``, ``status``, ``stage`` and
``reason``: of the flow, or of the manifests of enrolment and attack.
"""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from refacebench.statistics.attack_tables import attacked_by
from refacebench.vocabulary import OK, OTHER_SESSION, UNAVAILABLE

#: What became of a scan at each stage.
_VERBS = {
    "inventory": "did not pass the inventory",
    "prepare": "could not be prepared",
    "deface": "could not be defaced",
    "reface": "could not be refaced",
    "render": "could not be rendered",
    "enrol": "could not be enrolled",
    "attack": "could not be compared",
}
#: Words of a registration's error (:func:`refacebench.head.registration.register`).
UNREGISTERED = "could not be registered"
#: So many scans are named.
MOST_NAMED = 3


def phrase(lost: pd.DataFrame, scans: pd.DataFrame) -> str:
    """Return what became of lost scans: how many, of which session, at which stage.

    Parameters
    ----------
    lost : pandas.DataFrame
        Rows of lost scans; a scan counts once, at the first of its rows.
    scans : pandas.DataFrame
        Rows of all scans, which say what is somebody's second session.

    >>> rows = [["s1", "p", "1", "ok", "attack", ""], ["s2", "p", "2", "failed", "render", "x"]]
    >>> columns = ["scan", "participant", "session", "status", "stage", "reason"]
    >>> table = pd.DataFrame(rows, columns=columns)
    >>> phrase(table.iloc[1:], table)
    '1 second session could not be rendered (s2)'
    """
    lost = lost.drop_duplicates("scan").reset_index(drop=True)
    words = _session_words(scans)
    what = lost["scan"].map(words).fillna("scan")
    became = pd.Series([_verb(row) for row in lost.to_dict("records")], dtype=object)
    parts = []
    for (verb, word), found in lost.groupby([became, what], sort=False):
        names = f" ({', '.join(found['scan'])})" if len(found) <= MOST_NAMED else ""
        plural = "" if len(found) == 1 else "s"
        parts.append(f"{len(found)} {word}{plural} {verb}{names}")
    return ", ".join(parts)


def _verb(row: Mapping) -> str:
    if UNREGISTERED in str(row.get("reason", "")):
        return UNREGISTERED
    return _VERBS.get(row["stage"], "got lost")


def _session_words(scans: pd.DataFrame) -> dict[str, str]:
    """Return, by scan, "second session" and the like; "scan" where there is one session only."""
    if not {"participant", "session"} <= set(scans):
        return {}
    table = scans.drop_duplicates("scan")
    sessions = table["session"].fillna("").astype(str).groupby(table["participant"])
    place, total = sessions.rank(method="dense"), sessions.transform("nunique")
    ordinal = place.map({1.0: "first session", 2.0: "second session"}).fillna("later session")
    return dict(zip(table["scan"], ordinal.where(total > 1, "scan"), strict=True))


def of_scans(flow: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of scans, without those of images of other contrasts."""
    return flow[flow["contrast"].fillna("") == ""] if "contrast" in flow else flow


def on_the_way(lost: pd.DataFrame, scans: pd.DataFrame) -> str:
    """Return how many scans the attacks lost in at least one variant; empty for none."""
    if lost.empty:
        return ""
    count = lost["scan"].nunique()
    return (
        f"{count} scan{'' if count == 1 else 's'} lost on the way to the attacks in at least one "
        f"variant: {phrase(lost, scans)}"
    )


def explained(privacy: pd.DataFrame, gallery: pd.DataFrame, queries: pd.DataFrame) -> pd.DataFrame:
    """Return the table ``privacy`` with the participants planned and what is missing of them.

    Parameters
    ----------
    privacy : pandas.DataFrame
    gallery, queries : pandas.DataFrame
        The manifests of enrolment and of all attacks; ``method`` is the attacker.

    Returns
    -------
    pandas.DataFrame
        With ``n_expected`` and ``shortfall`` (empty where nothing is missing).
    """
    if "split" in queries:
        queries = queries[~queries["split"].isin(("train", "validation"))]
    galleries = dict(list(gallery.groupby("method")))
    asked = dict(list(queries.groupby(["method", "variant"])))
    found = []
    for row in privacy.to_dict("records"):
        mine = galleries.get(row["attacker"]), asked.get((row["attacker"], row["variant"]))
        known = not any(table is None for table in mine)
        found.append(shortfall(row, *mine) if known else (row["n"], ""))
    expected, texts = zip(*found, strict=True) if found else ((), ())
    return privacy.assign(n_expected=list(expected), shortfall=list(texts))


def shortfall(row: Mapping, gallery: pd.DataFrame, queries: pd.DataFrame) -> tuple[int, str]:
    """Return how many participants an attack was planned with, and why there are fewer.

    Parameters
    ----------
    row : mapping
        ``setting`` and ``n`` of a row of ``privacy``.
    gallery, queries : pandas.DataFrame
        Manifest rows of one attacker, and variant.
    """
    pairs = _planned(queries, gallery, row["setting"])
    planned = pairs["participant"].nunique()
    if (gallery["status"] == UNAVAILABLE).any():
        return planned, ""  # the row's note says why there is nothing
    usable = pairs[pairs["status_gallery"] == OK]
    there = usable["participant"].unique()
    parts = []
    gone = pairs.loc[~pairs["participant"].isin(there), "scan_gallery"]
    if len(gone):
        why = phrase(gallery[gallery["scan"].isin(gone)], gallery)
        parts.append(f"{len(there)} of {planned} participants: {why}")
    tried = queries[queries["scan"].isin(usable["scan"])]
    failed = tried[tried["status"] != OK]
    if len(failed):
        why = phrase(failed, gallery)
        parts.append(f"{len(tried) - len(failed)} of {len(tried)} queries: {why}")
    known = gallery.loc[gallery["status"] == OK, "participant"].unique()
    strangers = gallery[~gallery["participant"].isin(known)]
    if len(strangers):
        people = gallery["participant"].nunique()
        why = phrase(strangers, gallery)
        parts.append(f"gallery of {len(known)} of {people} people: {why}")
    if row["n"] < len(there):
        parts.append(f"{len(there) - int(row['n'])} in no resplit's evaluation part")
    return planned, "; ".join(parts)


def _planned(queries: pd.DataFrame, gallery: pd.DataFrame, setting: str) -> pd.DataFrame:
    """Return all pairs of a query and an original of the same person that a setting asks for."""
    own = queries[["scan", "participant", "session"]]
    known = gallery[["scan", "participant", "session", "status"]]
    pairs = own.merge(known, on="participant", suffixes=("", "_gallery"))
    pairs = pairs.rename(columns={"status": "status_gallery"})
    same = pairs["scan"] == pairs["scan_gallery"]
    if setting != OTHER_SESSION:
        return pairs[same]
    return pairs[~same & (pairs["session"] != pairs["session_gallery"])]


def passed_on(tradeoff: pd.DataFrame, privacy: pd.DataFrame) -> pd.DataFrame:
    """Return the table ``tradeoff`` with the shortfall of the attack that each row rests on."""
    known = privacy.set_index(["attacker", "variant", "setting"])[["n_expected", "shortfall"]]
    keys = [
        (
            row["worst_attacker"],
            attacked_by(row["variant"], str(row["worst_route"])),
            row["setting"],
        )
        for row in tradeoff.to_dict("records")
    ]
    rows = known.reindex(pd.MultiIndex.from_tuples(keys, names=known.index.names))
    added = {name: rows[name].to_numpy() for name in known} if keys else {}
    return tradeoff.assign(**added)
