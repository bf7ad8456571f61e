"""Where each scan of the inventory ended, for each variant; nothing drops out silently.

Two ways lead from a variant's image: it is segmented and measured (here), and rendered,
enrolled and attacked (:mod:`~refacebench.statistics.attacked`).  The table ``flow`` has a row a
scan and variant of the first way; of the second, rows of the scans alone that were lost on it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import pandas as pd

from refacebench.reasons import one_line
from refacebench.statistics import losses
from refacebench.statistics.cohort import FOLLOWUP, RESCAN
from refacebench.statistics.columns import frame
from refacebench.vocabulary import EXCLUDED, FAILED, OK, UNAVAILABLE, split_variant

#: Stages in the order in which a scan goes through them, to where it is measured ...
MEASURING = ("inventory", "prepare", "deface", "reface", "segment", "measure")
#: ... and, from the same image on, to where it is attacked.
ATTACKING = ("render", "enrol", "attack")
STAGES = (*MEASURING, *ATTACKING)
#: Stages that all variants share; their manifests carry no variant.
SHARED = ("inventory", "prepare")
#: Further values of ``status`` in the flow table: left out on purpose, and
#: lost without a trace (a job that died and left no manifest).
NOT_USED, MISSING = "not_used", "missing"


class StageManifest(NamedTuple):
    """A manifest with the stage and the variant that it belongs to.

    The tags are needed beside the table's own columns because rows that failed
    earlier pass through later manifests unchanged.

    Attributes
    ----------
    stage : str
        One of :data:`STAGES`; those of :data:`ATTACKING` take no part in :func:`flow`.
    variant : str
        Ignored for the stages in :data:`SHARED`.
    table : pandas.DataFrame
        One batch or many; several segmenters' rows may stand in one.
    """

    stage: str
    variant: str
    table: pd.DataFrame


def flow(
    inventory: pd.DataFrame,
    manifests: Iterable[StageManifest],
    variants: Sequence[str] | None = None,
) -> pd.DataFrame:
    """Return one row for each scan of the inventory and each variant.

    ``stage`` is the stage that stopped the scan (``excluded``, ``failed``) or
    the last one that it passed (``ok`` at the end; ``not_used`` where it was
    left out on purpose, as the train split is; ``missing`` where it should
    have gone on and no manifest has it).  ``reason`` says why.

    Parameters
    ----------
    inventory : pandas.DataFrame
        The inventory's manifest: every scan that was found.
    manifests : iterable of StageManifest
        Those of later stages, in any order.
    variants : sequence of str, optional
        Defaults to those that the manifests are tagged with.

    Raises
    ------
    ValueError
        If a manifest names an unknown stage.
    """
    found, tagged = _index(manifests)
    variants = list(variants) if variants is not None else tagged
    final = max((MEASURING.index(s) for s, _ in found if s in MEASURING), default=0)
    scans = inventory.sort_values("scan", kind="stable").to_dict("records")
    rows = []
    for variant in variants:
        chain = _chain(variant, found)
        for scan in scans:
            end = _follow(scan, chain, variant, MEASURING[final])
            rows.append({**{k: scan.get(k, "") for k in IDENTITY}, "variant": variant, **end})
    return frame("flow", rows)


IDENTITY = ("dataset", "scan", "participant", "session", "split", "role")


def _index(manifests) -> tuple[dict, list[str]]:
    """Return rows by (stage, variant) and scan, and the variants in order of appearance."""
    found: dict[tuple[str, str], dict[str, list[dict]]] = {}
    tagged: dict[str, None] = {}
    for item in manifests:
        if item.stage not in STAGES:
            raise ValueError(f"unknown stage '{item.stage}' (known: {', '.join(STAGES)})")
        shared = item.stage in SHARED
        if not shared:
            tagged.setdefault(item.variant)
        scans = found.setdefault((item.stage, "" if shared else item.variant), {})
        for row in item.table.to_dict("records"):
            scans.setdefault(row["scan"], []).append(row)
    return found, list(tagged)


def _chain(variant: str, found: dict) -> list[tuple[str, dict]]:
    """Return the stages after the inventory that a variant goes through, with their rows."""
    defacer, refacer = split_variant(variant)
    owner = {"prepare": "", "deface": defacer, "segment": variant, "measure": variant}
    if refacer:
        owner["reface"] = variant
    keys = [(stage, owner[stage]) for stage in MEASURING if stage in owner]
    return [(stage, found[stage, name]) for stage, name in keys if (stage, name) in found]


def _follow(scan: dict, chain, variant: str, final: str) -> dict:
    """Return stage, status and reason of where one scan ended."""
    last = "inventory"
    if scan.get("status", OK) != OK:
        return {"stage": last, "status": scan["status"], "reason": scan.get("reason", "")}
    for stage, rows in chain:
        here = rows.get(scan["scan"], [])
        stopped = [row for row in here if row["status"] != OK]
        if stopped:
            return _stopped(stopped, stage, len(here))
        if here:
            last = stage
    purpose = _purpose(scan)
    yardstick = variant == "original" and scan.get("role") == RESCAN and last == "segment"
    if last == final or yardstick:
        return {"stage": last, "status": OK, "reason": f"not compared: {purpose}" * bool(purpose)}
    unused = variant != "original" or scan.get("split") in ("train", "validation")
    if purpose and (unused or scan.get("role") != RESCAN):
        return {"stage": last, "status": NOT_USED, "reason": purpose}
    return {"stage": last, "status": MISSING, "reason": f"in no {final} manifest of {variant}"}


def _stopped(rows: list[dict], stage: str, total: int) -> dict:
    """Return the end of a scan that failed, in one or in several segmenters."""
    reasons = list(dict.fromkeys(str(row.get("reason", "")) for row in rows))
    if len(rows) < total or len(reasons) > 1:
        reasons = [f"{row.get('segmenter', '')}: {row.get('reason', '')}" for row in rows]
    if len(rows) < total:
        reasons.append("other segmenters ok")
    own = rows[0].get("stage", "")
    statuses = {row["status"] for row in rows}
    return {
        "stage": own if own in STAGES else stage,
        "status": statuses.pop() if len(statuses) == 1 else FAILED,
        "reason": one_line("; ".join(reasons)),
    }


def _purpose(scan: dict) -> str:
    """Return what a scan is there for if not to be compared; empty for the others."""
    role = scan.get("role")
    if scan.get("split") in ("train", "validation"):
        use = "a later session, not used" if role in _LATER else "serves to fit models"
        return f"{scan['split']} split, {use}"
    return _LATER.get(role, "")


#: What the later sessions are there for.
_LATER = {
    RESCAN: "rescan, only its original serves as the yardstick",
    FOLLOWUP: "a later session and no declared rescan, there for the attacks at most",
}


def without_age(inventory: pd.DataFrame, flows: pd.DataFrame) -> pd.DataFrame:
    """Return a flow row for each measured scan that brain age cannot use for want of an age."""
    ages = inventory["age"] if "age" in inventory else pd.Series(None, index=inventory.index)
    unknown = inventory[pd.to_numeric(ages, errors="coerce").isna()].set_index("scan")
    notes = unknown["age_note"].fillna("") if "age_note" in unknown else {}
    usable = flows[(flows["variant"] == "original") & (flows["status"] != EXCLUDED)]
    usable = usable[usable["scan"].isin(unknown.index) & ~usable["role"].isin(_LATER)]
    usable = usable[~usable["status"].isin([FAILED, MISSING])]
    reasons = [
        f"{notes.get(scan) or 'no usable age in participants.tsv'}, so not in the brain-age results"
        for scan in usable["scan"]
    ]
    return usable.assign(stage="brainage", status=NOT_USED, reason=reasons)


def flow_counts(table: pd.DataFrame, stages: Sequence[str] = MEASURING) -> pd.DataFrame:
    """Return how many scans entered and left each stage, for each variant.

    ``n_in = n_ok + n_excluded + n_failed + n_unavailable``; of ``n_ok``, the
    ``n_not_used`` (those that had done their part among them) and ``n_missing``
    do not enter the next stage.

    Parameters
    ----------
    table : pandas.DataFrame
        One row a scan and variant.
    stages : sequence of str
        Those of the table, in their order.
    """
    rows = []
    for variant, scans in table.groupby("variant", sort=False):
        place = scans["stage"].map(stages.index)
        last = int(place.max())
        for stage in [s for s in stages[: last + 1] if _applies(s, variant)]:
            number = stages.index(stage)
            here = scans[place == number]["status"].value_counts()
            done = here.get(OK, 0) if number < last else 0
            entered = int((place >= number).sum())
            ends = (EXCLUDED, FAILED, UNAVAILABLE)
            stopped = {f"n_{name}": int(here.get(name, 0)) for name in ends}
            rows.append(
                {
                    "variant": variant,
                    "stage": stage,
                    "n_in": entered,
                    "n_ok": entered - sum(stopped.values()),
                    **stopped,
                    "n_not_used": int(here.get(NOT_USED, 0) + done),
                    "n_missing": int(here.get(MISSING, 0)),
                }
            )
    return frame("flow_counts", rows)


def _applies(stage: str, variant: str) -> bool:
    """Tell whether a variant goes through a stage at all."""
    if stage == "deface":
        return variant != "original"
    return stage != "reface" or split_variant(variant)[1] is not None


def summary(table: pd.DataFrame) -> str:
    """Return one line: how many scans there are and how many were left out, and why."""
    if table.empty:
        return "no scans"
    everything = table
    table = table[table["stage"].isin(MEASURING)]
    without = list(pd.unique(table.loc[table["status"] == UNAVAILABLE, "variant"]))
    table = table[~table["variant"].isin(without)]
    scans = table.drop_duplicates("scan")
    parts = [f"{len(scans)} scans of {scans['participant'].nunique()} participants"]
    for status in (EXCLUDED, FAILED, MISSING, NOT_USED):
        hit = table[table["status"] == status]
        if len(hit):
            everywhere = hit.groupby("scan")["variant"].nunique() == table["variant"].nunique()
            word = status.replace("_", " ")
            parts.append(
                f"{hit['scan'].nunique()} {word} in at least one variant "
                f"({int(everywhere.sum())} in every one)"
            )
    complete = table.groupby("scan")["status"].agg(lambda status: (status == OK).all())
    parts.append(f"{int(complete.sum())} measured in every variant")
    lost = losses.on_the_way(everything[everything["stage"].isin(ATTACKING)], everything)
    if lost:
        parts.append(lost)
    if without:
        parts.append(f"not counted, as their programs were unavailable: {', '.join(without)}")
    return "; ".join(parts) + "."
