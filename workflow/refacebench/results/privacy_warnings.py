"""What the controls of the attacks say; read it first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from refacebench.results import words
from refacebench.results.privacy import HEADING
from refacebench.results.result import ATTACKS, Result, View
from refacebench.statistics import galleries, paired
from refacebench.statistics.attack_tests import CHANCES
from refacebench.statistics.attacks import Evaluation
from refacebench.statistics.criteria import Criteria
from refacebench.statistics.protocol import Protocol
from refacebench.vocabulary import BLACK, BLURRED, ORIGINAL, OTHER_SESSION, SKULL_STRIP

#: What a warning is about.
LEAK, WEAK, BLIND, NOT_RUN, MISSING, SMALL, UNMATCHED, EASY, NO_LANDMARK = (
    "leak",
    "weak_attack",
    "blind_attack",
    "not_attacked",
    "missing_control",
    "small_gallery",
    "unmatched",
    "same_scan_only",
    "no_landmark",
)
#: Warnings that are shown in a banner; the others are notes.
LOUD = ("leak", "weak_attack", "blind_attack", "not_attacked", "missing_control")


def compute(results: Sequence[Evaluation], protocol: Protocol, criteria: Criteria) -> pd.DataFrame:
    """Return the table ``privacy_warnings``: what a reader must know before any number.

    ``weak_attack``: the attacker is not shown to recognise the ORIGINAL more often than
    chance (primary measure, Holm over the controls).  ``leak``: the attacker
    recognises the person from BLACK images, by the primary measure or by the ranks (Holm over
    both tests and all attackers and settings).  ``blind_attack``: more than half of the
    ORIGINAL could not be compared.  ``not_attacked``: an attacker has no score at all on a variant.
    ``unmatched``: half or more of the ORIGINAL had distractors of other sites, sexes and ages.
    ``missing_control``, ``same_scan_only``, ``small_gallery`` and
    ``no_landmark`` say what could not be checked or compared.
    """
    rows = []
    attackers = list(dict.fromkeys(r.row["attacker"] for r in results))
    for attacker in attackers:
        mine = [r.row for r in results if r.row["attacker"] == attacker]
        for name in (ORIGINAL, BLACK):
            if not any(row["variant"] == name and row["n_queries"] for row in mine):
                rows.append(_warning(MISSING, attacker, name, "", {}, _missing(attacker, name)))
        for row in mine:
            if row["variant"] == ORIGINAL and _attacked(row):
                rows += _original_warnings(row, criteria)
        rows += _not_run(attacker, mine)
        rows += _sessions_warning(attacker, mine)
        rows += _gallery_warning(attacker, mine, protocol)
    rows += _leaks(results, criteria) + _landmarks(results)
    rows += _unmatched(results, protocol)
    order = (LEAK, WEAK, BLIND, NOT_RUN, MISSING, SMALL, UNMATCHED, EASY, NO_LANDMARK)
    place = {kind: i for i, kind in enumerate(order)}
    return RESULT.frame(sorted(rows, key=lambda row: place[row["kind"]]))


def _missing(attacker: str, control: str) -> str:
    unknown = "whether it recognises anybody" if control == ORIGINAL else "whether it leaks"
    return f"{attacker} was not run on {control.upper()}: {unknown} is unknown."


def _landmarks(results: Sequence[Evaluation]) -> list[dict[str, Any]]:
    """Name the controls of which nobody's numbers are there to compare with."""
    seen = {r.row["variant"] for r in results}
    messages = {
        BLURRED: "no attacker was run on BLURRED pictures",
        SKULL_STRIP: f"no attacker was run on skull-stripped scans ({SKULL_STRIP}): what the "
        "brain alone gives away, which every defacer leaves, is unknown",
    }
    return [
        _warning(NO_LANDMARK, "", name, "", {}, f"{message}.")
        for name, message in messages.items()
        if name not in seen
    ]


def _unmatched(results: Sequence[Evaluation], protocol: Protocol) -> list[dict[str, Any]]:
    """Say of the setting that counts where too few people could be compared with people like them.

    Every attacker has the same people, so that one warning says it of all.
    """
    rows = [r.row for r in results if r.row["variant"] == ORIGINAL and _attacked(r.row)]
    rows = [row for row in rows if row["matched_on"] and np.isfinite(row["choice_completers"])]
    if not rows:
        return []
    row = max(rows, key=lambda row: (row["setting"] == OTHER_SESSION, row["n_queries"]))
    n = row["n_queries"] - row["n_failed"]
    if 2 * row["n_matched"] > n:
        return []
    if not np.isfinite(row["site_sex_choice"]):
        message = (
            "neither site nor sex of anybody is known, so that nobody was compared with people "
            "like them: an attack that sees only the scanner may look as if it knew faces. Give "
            "participants.tsv the columns site and sex"
        )
    else:
        wanted = words.listed([galleries.WORDS[name] for name in protocol.match])
        message = (
            "there are too few people to compare everybody with others of the same "
            f"{wanted}. Here, {words.matched(row['matched_on'])}. Where others differ from a "
            "person, an attack may be right because it sees the scanner, the sex or the age, and "
            "no face"
        )
    return [_warning(UNMATCHED, "", ORIGINAL, row["setting"], {}, message + ".")]


def _attacked(row: Mapping[str, Any]) -> bool:
    return row["n_queries"] > row["n_failed"]


def _not_run(attacker: str, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return one warning a reason for which variants have no score at all."""
    by_reason: dict[str, dict[str, None]] = {}
    for row in rows:
        if row["n_queries"] and not _attacked(row):
            by_reason.setdefault(row["note"], {})[row["variant"]] = None
    return [
        _warning(
            NOT_RUN,
            attacker,
            "",
            "",
            {},
            f"{attacker} has no score for {', '.join(variants)} ({reason}): nothing is known of "
            "what it would recognise there.",
        )
        for reason, variants in by_reason.items()
    ]


def _warning(
    kind: str, attacker: str, control: str, setting: str, row: pd.Series, message: str
) -> dict[str, Any]:
    return {
        "kind": kind,
        "attacker": attacker,
        "control": control,
        "setting": setting,
        "n": row.get("n_completers", np.nan),
        "measure": row.get("measure", ""),
        "rate": _rate(row)[0] if "measure" in row else np.nan,
        "chance": _rate(row)[1] if "measure" in row else np.nan,
        "p_holm": row.get("p_holm", np.nan),
        "message": message,
    }


def _rate(row: Mapping[str, Any]) -> tuple[float, float]:
    """Return the rate of the primary measure and its chance."""
    return row[f"{row['measure']}_completers"], row[CHANCES[row["measure"]]]


def _recognises(row: Mapping[str, Any], pictures: str) -> str:
    """Return what an attacker reaches, in words."""
    rate, chance = _rate(row)
    among = f", from {row['n_options']} pictures," if row["measure"] == "choice" else ""
    verb = "picks" if among else "names"
    return (
        f"{verb} {100 * rate:.0f} % of {row['n_completers']} participants{among} from {pictures} "
        f"(chance {100 * chance:.0f} %)"
    )


def _original_warnings(row: Mapping[str, Any], criteria: Criteria) -> list[dict[str, Any]]:
    found = []
    attacker, setting = row["attacker"], row["setting"]
    in_words = setting.replace("_", " ")
    if not row.get("p_holm", np.nan) < criteria.alpha:
        message = (
            f"this attack is not shown to work: that it fails protects nobody. {attacker} "
            f"({in_words}) "
            f"{_recognises(row, 'their ORIGINAL scans')}, which is not shown to be above chance"
        )
        if not np.isfinite(row.get("critical", np.nan)):
            message += "; with so few participants even all of them would not be"
        found.append(_warning(WEAK, attacker, ORIGINAL, setting, row, message + "."))
    if 2 * row["n_failed"] > row["n_queries"]:
        message = (
            f"{attacker} ({in_words}) could not compare {row['n_failed']} of {row['n_queries']} "
            "ORIGINAL scans: what it does not see it cannot recognise."
        )
        found.append(_warning(BLIND, attacker, ORIGINAL, setting, row, message))
    return found


def _sessions_warning(attacker: str, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    other = [row for row in rows if row["setting"] == OTHER_SESSION]
    if not other or any(row["n_queries"] for row in other):
        return []
    message = (
        f"{attacker}: no participant has two sessions, so queries are compared with the original "
        "of the very same scan (the setting same_scan), which is easier than reality."
    )
    return [_warning(EASY, attacker, "", OTHER_SESSION, {}, message)]


def _gallery_warning(
    attacker: str, rows: Sequence[Mapping[str, Any]], protocol: Protocol
) -> list[dict[str, Any]]:
    sizes = [row["n_gallery"] for row in rows if _attacked(row)]
    if not sizes or min(sizes) >= protocol.options:
        return []
    message = (
        f"{attacker}: a gallery of {min(sizes):g} people is too small for a choice among "
        f"{protocol.options}."
    )
    return [_warning(SMALL, attacker, "", "", {}, message)]


def _leaks(results: Sequence[Evaluation], criteria: Criteria) -> list[dict[str, Any]]:
    black = [r.row for r in results if r.row["variant"] == BLACK and _attacked(r.row)]
    p_values = [row.get(name, np.nan) for row in black for name in ("p", "p_area")]
    corrected = np.reshape(paired.correct(p_values, "holm"), (-1, 2))
    found = []
    for row, pair in zip(black, corrected, strict=True):
        if not (pair < criteria.alpha).any():
            continue
        message = (
            f"the protocol leaks: {row['attacker']} ({row['setting'].replace('_', ' ')}) "
            f"{_recognises(row, 'BLACK images')}; mean place in the "
            f"ranking {1 - row['area']:.2f}, chance 0.5. Something other than the "
            "picture gives them away: trust no number of this attacker."
        )
        found.append(_warning(LEAK, row["attacker"], BLACK, row["setting"], row, message))
    return found


def caption(view: View) -> str:
    """Return the caption of the warnings."""
    return (
        "What the controls of the attacks say: read this before any rate. An attack that is not "
        "shown to recognise the ORIGINAL better than chance proves nothing; one that names people "
        "from BLACK pictures leaks."
    )


def warning_lines(tables: Mapping[str, pd.DataFrame], loud: bool = True) -> list[str]:
    """Return what the controls of the attacks say; the quieter notes with ``loud=False``."""
    table = tables.get("privacy_warnings")
    if table is None or table.empty:
        return []
    told = [str(m) for m in table.loc[table["kind"].isin(LOUD) == loud, "message"]]
    # Some begin with the name of an attacker, which stays as it is.
    named = set(table["attacker"].dropna()) - {""} if "attacker" in table else set()
    return [m if m.startswith(tuple(named)) else m[:1].upper() + m[1:] for m in told]


RESULT = Result(
    "privacy_warnings",
    about=__doc__,
    empty="the controls of the attacks gave no cause for one",
    job=ATTACKS,
    columns="kind attacker control setting n measure rate chance p_holm message",
    compute=lambda given, _: compute(given.evaluations, given.protocol, given.criteria),
    caption=caption,
    latex="kind attacker control setting message",
    heading=HEADING,
    order=160,
)
