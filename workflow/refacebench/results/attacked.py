"""Where each scan ended on the way to the attacks, which leads past the measures.

All originals of the test split are rendered and enrolled by every attacker (the gallery); the
scans of every variant that are measured are rendered, enrolled and attacked (the queries), and so
are the pictures of the controls; an attacker that is trained takes originals and the variant of
the train split.  A scan that was stopped before its rendering has its row in the measures'
flow and none here.  Pure functions of the manifests of enrolment and attack.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import pandas as pd

from refacebench.reasons import one_line
from refacebench.results import flow
from refacebench.results.flow import IDENTITY
from refacebench.vocabulary import (
    ATTACKING,
    FAILED,
    MISSING,
    NOT_USED,
    OK,
    UNAVAILABLE,
    split_contrast,
)

_MEASURED = ("", "measured")
_FIT = ("train", "validation")


def attacked(
    inventory: pd.DataFrame, rows: pd.DataFrame, variants: Iterable[str] = ()
) -> pd.DataFrame:
    """Return one row for each scan that was to be attacked or enrolled, and each variant.

    Parameters
    ----------
    inventory : pandas.DataFrame
        Every scan that was found.
    rows : pandas.DataFrame
        The manifests of enrolment (variant ``original``) and of the attacks on all variants and
        controls; ``method`` is the attacker.
    variants : iterable of str
        Their order.

    Returns
    -------
    pandas.DataFrame
        Columns as in ``flow``.  ``stage`` is the first that stopped the scan for any
        attacker, or the last it passed; ``reason`` names the attackers where not all
        were stopped alike.  An attacker that is not installed stops no scan unless all are.
    """
    scans = {scan["scan"]: scan for scan in inventory.to_dict("records")}
    by_key: dict[tuple[str, str], dict[str, list[dict[str, Any]]]] = {}
    for row in rows.to_dict("records"):
        key = row["variant"], row["scan"]
        by_key.setdefault(key, {}).setdefault(row["method"], []).append(row)
    attackers: dict[str, dict[str, Any]] = {}
    for (variant, _), found in by_key.items():
        attackers.setdefault(variant, {}).update(dict.fromkeys(found))
    result = []
    for variant in dict.fromkeys([*variants, *attackers]):
        if variant not in attackers:
            continue
        for name in sorted(scans):
            found = by_key.get((variant, name), {})
            wanted = attackers[variant] if _expected(scans[name], variant) else found
            end = _end(scans[name], {a: found.get(a, []) for a in wanted})
            if end:
                identity = {k: scans[name].get(k, "") for k in IDENTITY}
                result.append({**identity, "variant": variant, **end})
    return flow.RESULT.frame(result)


def _expected(scan: dict[str, Any], variant: str) -> bool:
    """Tell whether a scan must be in every attacker's manifest of a variant."""
    if scan.get("status", OK) != OK or scan.get("split", "") in _FIT:
        return False
    if split_contrast(variant)[1]:  # not every session has an image of that contrast
        return False
    return variant == "original" or scan.get("role", "") in _MEASURED


def _end(scan: dict[str, Any], found: dict[str, list[dict[str, Any]]]) -> dict[str, Any] | None:
    """Return stage, status and reason of one scan; None where it never came to a rendering."""
    if not found:
        return None
    ends = {attacker: _of_attacker(rows, attacker) for attacker, rows in found.items()}
    if any(end["status"] != OK and end["stage"] not in ATTACKING for end in ends.values()):
        return None
    able = {a: end for a, end in ends.items() if end["status"] != UNAVAILABLE} or ends
    stopped = {a: end for a, end in able.items() if end["status"] != OK}
    if not stopped:
        last = max((end["stage"] for end in able.values()), key=ATTACKING.index)
        return {"stage": last, **_purpose(scan, list(able))}
    first = min((end["stage"] for end in stopped.values()), key=ATTACKING.index)
    statuses = {end["status"] for end in stopped.values()}
    return {
        "stage": first,
        "status": statuses.pop() if len(statuses) == 1 else FAILED,
        "reason": _reason(stopped, len(able)),
    }


def _of_attacker(rows: Sequence[dict[str, Any]], attacker: str) -> dict[str, Any]:
    """Return where one attacker left a scan, as gallery, query or training scan."""
    if not rows:
        reason = f"in no manifest of {attacker}"
        return {"stage": ATTACKING[0], "status": MISSING, "reason": reason}
    stopped = [row for row in rows if row["status"] != OK]
    if stopped:
        return min(stopped, key=_place)
    return max(rows, key=_place)


def _place(row: dict[str, Any]) -> int:
    return ATTACKING.index(row["stage"]) if row["stage"] in ATTACKING else -1


def _reason(stopped: dict[str, dict[str, Any]], total: int) -> str:
    reasons = list(dict.fromkeys(str(end["reason"]) for end in stopped.values()))
    # What happened before anybody looked at the scan has nothing to do with one attacker.
    common = all(end["stage"] == ATTACKING[0] for end in stopped.values())
    if len(reasons) > 1 or not common:
        reasons = [f"{attacker}: {end['reason']}" for attacker, end in stopped.items()]
    if len(stopped) < total:
        reasons.append("other attackers ok")
    return one_line("; ".join(reasons))


def _purpose(scan: dict[str, Any], attackers: list[str]) -> dict[str, Any]:
    """Return status and reason of a scan that nothing stopped."""
    if scan.get("split", "") in _FIT:
        reason = f"{scan['split']} split, serves to train {', '.join(attackers)}"
        return {"status": NOT_USED, "reason": reason}
    if scan.get("role", "") not in _MEASURED:
        reason = "not attacked: another session, only its original is in the gallery"
        return {"status": OK, "reason": reason}
    return {"status": OK, "reason": ""}
