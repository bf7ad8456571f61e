"""Where each scan of the inventory ended, for each variant; nothing drops out silently.

One row per scan of the inventory and variant: ``stage`` that stopped it
or the last one that it passed, ``status`` (ok, excluded, failed,
unavailable = the defacer's program is not on this machine,
not_used = left out on purpose, missing = lost), ``reason``.  These rows
end in inventory ... measure.  Beside them stand rows of scans that were
lost elsewhere, whose measures may be whole: stage brainage (no age), and
render, enrol and attack (lost on the way to the attacks, in a variant, a
control, or as an original of another session; ``reason`` names the attacker).
Images of other contrasts that were lost have a row too: ``contrast`` says which (T2w), ``scan``
is the image's own name, and the stages align and carry are theirs; one that the session does not
have was not lost.
``warnings`` names what is odd about the scan's file (table ``scan_warnings``).

Two ways lead from a variant's image: it is segmented and measured (here), and rendered,
enrolled and attacked (:mod:`~refacebench.results.attacked`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import pandas as pd

from refacebench.reasons import one_line
from refacebench.results import words
from refacebench.results.result import FLOW, Printed, Result, Tables, View
from refacebench.statistics import losses
from refacebench.statistics.losses import of_scans
from refacebench.vocabulary import (
    ATTACKING,
    EXCLUDED,
    FAILED,
    FOLLOWUP,
    JOINED_LATE,
    MEASURING,
    MISSING,
    NOT_USED,
    NOT_WRITTEN,
    OK,
    RESCAN,
    SHARED,
    STAGES,
    UNAVAILABLE,
    split_variant,
)

#: Statuses that mean that a scan was lost.
LOST = (EXCLUDED, FAILED, NOT_WRITTEN, MISSING)
#: Left-out scans that the page lists; the others stand in flow.tsv.
MOST_LEFT_OUT = 60
IDENTITY = ("dataset", "scan", "participant", "session", "split", "role")


class StageManifest(NamedTuple):
    """A manifest with the stage and the variant that it belongs to.

    The tags are needed beside the table's own columns because rows that failed
    earlier pass through later manifests unchanged.

    Attributes
    ----------
    stage : str
        One of ``vocabulary.STAGES``; those of ``ATTACKING`` take no part in :func:`follow`.
    variant : str
        Ignored for the stages in ``SHARED``.
    table : pandas.DataFrame
        One batch or many; several segmenters' rows may stand in one.
    """

    stage: str
    variant: str
    table: pd.DataFrame


def follow(
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
            identity = {k: scan.get(k, "") for k in IDENTITY}
            rows.append({**identity, "variant": variant, "contrast": "", **end})
    return RESULT.frame(rows)


#: Rows of a manifest by scan, of which several segmenters may have one each; and by stage and
#: variant.
_Rows = dict[str, list[dict[str, Any]]]
_Found = dict[tuple[str, str], _Rows]


def _index(manifests: Iterable[StageManifest]) -> tuple[_Found, list[str]]:
    """Return rows by (stage, variant) and scan, and the variants in order of appearance."""
    found: _Found = {}
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
    _add_prepared(found)
    return found, list(tagged)


def _add_prepared(found: _Found) -> None:
    """Add to the rows of the preparation every scan that a later stage of images tells of.

    All variants share it, and of itself it hands nothing to this table: without that, a scan that
    only one variant needs would count as prepared there alone.
    """
    prepared = found.setdefault(("prepare", ""), {})
    begin = MEASURING.index("prepare")
    for (stage, _), scans in list(found.items()):
        if stage not in MEASURING or stage == "measure" or MEASURING.index(stage) <= begin:
            continue
        for scan, rows in scans.items():
            went_on = [r for r in rows if r["status"] == OK or _later(r, begin)]
            if went_on and scan not in prepared:
                prepared[scan] = [{**went_on[0], "status": OK, "stage": "prepare"}]
    if not prepared:
        del found["prepare", ""]


def _later(row: dict[str, Any], begin: int) -> bool:
    """Tell whether a scan stopped at a stage of the measuring way after a given one."""
    own = row.get("stage")
    return own in MEASURING and MEASURING.index(own) > begin


def _chain(variant: str, found: _Found) -> list[tuple[str, _Rows]]:
    """Return the stages after the inventory that a variant goes through, with their rows."""
    defacer, refacer = split_variant(variant)
    owner = {"prepare": "", "deface": defacer, "segment": variant, "measure": variant}
    if refacer:
        owner["reface"] = variant
    keys = [(stage, owner[stage]) for stage in MEASURING if stage in owner]
    return [(stage, found[stage, name]) for stage, name in keys if (stage, name) in found]


def _follow(
    scan: dict[str, Any], chain: list[tuple[str, _Rows]], variant: str, final: str
) -> dict[str, Any]:
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


def _stopped(rows: list[dict[str, Any]], stage: str, total: int) -> dict[str, Any]:
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


def _purpose(scan: dict[str, Any]) -> str:
    """Return what a scan is there for if not to be compared; empty for the others."""
    role = scan.get("role")
    if scan.get("reason") == JOINED_LATE:
        return f"{scan['split']} split, {JOINED_LATE}"
    if scan.get("split") in ("train", "validation"):
        use = "a later session, not used" if role in _LATER else "serves to fit models"
        return f"{scan['split']} split, {use}"
    return _LATER.get(str(role), "")


#: What the later sessions are there for.
_LATER = {
    RESCAN: "rescan, only its original serves as the yardstick",
    FOLLOWUP: "a later session and no declared rescan, there for the attacks at most",
}


def absent_manifests(added: pd.DataFrame) -> list[StageManifest]:
    """Return rows of unavailable variants as manifests of the deface stage, for the scans' flow."""
    return [
        StageManifest("deface", variant, part.drop_duplicates("scan"))
        for variant, part in added.groupby("variant", sort=False)
        if split_variant(variant)[1] is None
    ]


def without_age(inventory: pd.DataFrame, flows: pd.DataFrame) -> pd.DataFrame:
    """Return a flow row for each measured scan that brain age cannot use for want of an age."""
    ages = inventory["age"] if "age" in inventory else pd.Series(None, index=inventory.index)
    unknown = inventory[pd.to_numeric(ages, errors="coerce").isna()].set_index("scan")
    notes = unknown["age_note"].fillna("") if "age_note" in unknown else {}
    usable = flows[(flows["variant"] == "original") & (flows["status"] != EXCLUDED)]
    usable = usable[usable["scan"].isin(unknown.index) & ~usable["role"].isin(_LATER)]
    usable = usable[~usable["status"].isin([FAILED, NOT_WRITTEN, MISSING])]
    reasons = [
        f"{notes.get(scan) or 'no usable age in participants.tsv'}, so not in the brain-age results"
        for scan in usable["scan"]
    ]
    return usable.assign(stage="brainage", status=NOT_USED, reason=reasons)


def summary(table: pd.DataFrame) -> str:
    """Return one line: how many scans there are and how many were left out, and why."""
    if table.empty:
        return "no scans"
    contrasts, everything = lost_contrasts(table), of_scans(table)
    table = everything[everything["stage"].isin(MEASURING)]
    without = list(pd.unique(table.loc[table["status"] == UNAVAILABLE, "variant"]))
    table = table[~table["variant"].isin(without)]
    scans = table.drop_duplicates("scan")
    parts = [f"{len(scans)} scans of {scans['participant'].nunique()} participants"]
    for status in (EXCLUDED, FAILED, NOT_WRITTEN, MISSING, NOT_USED):
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
    if contrasts:
        parts.append(contrasts)
    if without:
        parts.append(f"not counted, as their programs were unavailable: {', '.join(without)}")
    return "; ".join(parts) + "."


def lost_contrasts(flow: pd.DataFrame) -> str:
    """Return how many images of other contrasts were lost; empty for none."""
    count = flow.drop(of_scans(flow).index)["scan"].nunique()
    images = words.plural(count, "image")
    return f"{images} of other contrasts lost in at least one variant" if count else ""


def scan_numbers(flow: pd.DataFrame) -> dict[str, int]:
    """Return how many scans came in and what became of them.

    Returns
    -------
    dict
        ``scans``, ``participants``; ``compared``, ``other`` (training,
        validation, later sessions) and ``left_out`` split the scans by what happened
        to the original; ``unused`` of the others serve nothing (later sessions of people that
        models are fitted on); ``incomplete`` of the compared ones were lost by at
        least one variant; ``not_attacked`` were lost on the way to the attacks
        in at least one variant, whether they were measured or not.
    """
    flow = of_scans(flow)
    attacks = flow["stage"].isin(ATTACKING)
    not_attacked = flow.loc[attacks & flow["status"].isin(LOST), "scan"].nunique()
    flow = flow[~attacks]
    original = flow[flow["variant"] == "original"].drop_duplicates("scan")
    lost = original["status"].isin(LOST)
    compared = (original["status"] == "ok") & (original["reason"].fillna("") == "")
    known = original.reindex(columns=["role", "split"])
    later = known["role"].isin((RESCAN, FOLLOWUP)) & known["split"].isin(("train", "validation"))
    scans = set(original.loc[compared, "scan"])
    stopped = flow[flow["status"].isin(LOST) & flow["scan"].isin(scans)]
    return {
        "scans": len(original),
        "participants": original["participant"].nunique(),
        "compared": int(compared.sum()),
        "other": int((~compared & ~lost).sum()),
        "unused": int((later & ~lost).sum()),
        "left_out": int(lost.sum()),
        "incomplete": stopped["scan"].nunique(),
        "not_attacked": not_attacked,
    }


def other_words(flow: pd.DataFrame) -> tuple[str, str]:
    """Return what the scans that are neither compared nor left out are there for, and those unused.

    In the words that follow a count.
    """
    later = "later sessions" if FOLLOWUP in set(flow.get("role", ())) else "rescans"
    return f"used for training, validation or as {later}", "not used"


def caption(view: View) -> str:
    """Return the caption of the scans' flow."""
    return words.join(
        f"Where each scan ended, for each variant: {total(view.tables)}",
        "Rows of the stages render, enrol and attack are of scans that were lost on the way to the "
        "attacks; their measures have rows of their own.",
    )


def total(tables: Tables) -> str:
    """Return the line of :func:`summary` as a sentence."""
    return summary(tables["flow"]).rstrip(".") + "."


def printed(view: View) -> Printed:
    """Return the scans that were left out, and why; one row per scan and reason."""
    flow = view.rows("flow")
    lost = flow[flow["status"].isin(LOST)]
    # Not the pictures of controls, which are only attacked.
    everywhere = set(flow.loc[~flow["stage"].isin(ATTACKING), "variant"])
    rows = []
    keys = ["scan", "stage", "status", "reason"]
    for key, group in lost.groupby(keys, sort=False, dropna=False):
        variants = view.look.sort(group["variant"])
        where = "every variant" if everywhere <= set(variants) else ", ".join(variants)
        rows.append([str(key[0]), where, str(key[1]), str(key[2]), str(key[3])])
    return ["Scan", "Variant", "Stage", "Status", "Reason"], rows


RESULT = Result(
    "flow",
    about=__doc__,
    job=FLOW,
    columns="dataset scan participant session split role variant contrast "
    "stage status reason warnings",
    compute=lambda given, _: given.flow,
    caption=caption,
    order=10,
    printed=printed,
)
