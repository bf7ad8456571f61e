"""Which questions are asked: balanced over variants, persons and places of the right answer.

Pure functions.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from refacebench.kit import VERSION
from refacebench.vocabulary import PICTURE_CONTROLS

OPTIONS = {
    "questions": 800,
    "block": 80,
    "view": 0,
    "light": 0,
    "variants": [],
    "answers": "",
}
#: Pictures that a rater chooses from when the config's ``privacy`` does not say.
CHOICES = 5
#: Columns of the key behind those of the options.
COLUMNS = ("question", "block", "variant", "setting", "participant", "query", "right")


def options(config: Mapping) -> dict:
    """Return the kit's options, the config's ``privacy.kit`` over the defaults."""
    given = (config.get("privacy") or {}).get("kit") or {}
    return {**OPTIONS, **given, "options": (config.get("privacy") or {}).get("options", CHOICES)}


def variants(config: Mapping, known: Sequence[str]) -> list[str]:
    """Return the variants whose renderings the kit needs, the original first.

    Raises
    ------
    ValueError
        If the config names a variant that there is not.
    """
    wanted = asked(config, known)
    return ["original", *(v for v in wanted if v not in ("original", *PICTURE_CONTROLS))]


def asked(config: Mapping, known: Sequence[str]) -> list[str]:
    """Return the variants that questions are about: all but the null control by default.

    Raises
    ------
    ValueError
        If the config names a variant that there is not.
    """
    wanted = list(options(config)["variants"]) or [v for v in known if v != "null"]
    unknown = [v for v in wanted if v not in (*known, *PICTURE_CONTROLS)]
    if unknown:
        raise ValueError(
            f"privacy.kit.variants: no variant {', '.join(unknown)} (there are: "
            f"{', '.join([*known, *PICTURE_CONTROLS])})"
        )
    return wanted


def questions(
    pictures: pd.DataFrame,
    asked: Sequence[str],
    *,
    originals: pd.DataFrame | None = None,
    count: int = 800,
    choices: int = CHOICES,
    block: int = 80,
    seed: int = 0,
) -> pd.DataFrame:
    """Return balanced questions: variants, persons, places of the right answer, distractors.

    Within each variant every person is the one asked for equally often (to
    within one), so is every place the right one, and distractors are drawn from
    those that were shown least.  The query is an original of *another* session
    than the right option where there is one (``setting``).

    Parameters
    ----------
    pictures : pandas.DataFrame
        What can be chosen from: ``variant``, ``participant``, ``session``, ``scan``.
    asked : sequence of str
        The variants that questions are about.
    originals : pandas.DataFrame, optional
        What can be asked with; by default the pictures of variant ``original``.
    count, choices, block : int
        Questions; options of each; questions of a block (every block has each
        variant equally often, to within one).
    seed : int
        Same pictures and seed, same questions.

    Returns
    -------
    pandas.DataFrame
        The key: :data:`COLUMNS` and ``option_1`` ... (scans of the variant);
        ``query`` is a scan, ``right`` the number of the right option.

    Raises
    ------
    ValueError
        If a variant has fewer persons than there are options.
    """
    rng = np.random.default_rng(seed)
    known = _scans_of(pictures if originals is None else originals, "original")
    rows = []
    for number, variant in enumerate(asked):
        share = count // len(asked) + (number < count % len(asked))
        rows += _of_variant(_scans_of(pictures, variant), known, variant, share, choices, rng)
    # One question of each variant after the other, so that every block has them all.
    rows.sort(key=lambda row: row.pop("round"))
    for place, row in enumerate(rows):
        row["block"] = place // block + 1
    table = pd.DataFrame(rows)
    order = rng.permutation(len(table))
    table = table.iloc[order].sort_values("block", kind="stable").reset_index(drop=True)
    table["question"] = [f"q{i + 1:04d}" for i in range(len(table))]
    return table[[*COLUMNS, *(f"option_{i + 1}" for i in range(choices))]]


def _scans_of(pictures: pd.DataFrame, variant: str) -> dict[str, list[tuple[str, str]]]:
    """Return each participant's (session, scan) in order."""
    rows = pictures[pictures["variant"] == variant]
    rows = rows.sort_values(["participant", "session", "scan"], kind="stable")
    found: dict[str, list[tuple[str, str]]] = {}
    for participant, session, scan in zip(
        rows["participant"], rows["session"], rows["scan"], strict=True
    ):
        found.setdefault(participant, []).append((session, scan))
    return found


def _pairs(mine, originals) -> list[tuple[str, int, str]]:
    """Return (query scan, place of the right option, setting): other sessions where there are."""
    other = [
        (scan, place, "other_session")
        for place, (session, own) in enumerate(mine)
        for asked_session, scan in originals
        if scan != own and asked_session != session
    ]
    same = [
        (scan, place, "same_scan")
        for place, (_, own) in enumerate(mine)
        for _, scan in originals
        if scan == own
    ]
    return other or same


def _of_variant(scans, originals, variant, count, choices, rng) -> list[dict]:
    pairs = {p: _pairs(scans[p], originals.get(p, [])) for p in scans}
    people = np.array([p for p in scans if pairs[p]])
    if len(scans) < choices or not len(people):
        raise ValueError(
            f"kit: {len(scans)} people of variant {variant} were rendered; a question needs "
            f"{choices} (lower `privacy.options` or leave it out of `privacy.kit.variants`)"
        )
    targets = _repeated(np.arange(len(people)), count, rng)
    places = _repeated(np.arange(choices), count, rng)
    everybody = np.array(list(scans))
    used = np.zeros(len(everybody))
    times = dict.fromkeys(people, 0)
    rows = []
    for number, (target, place) in enumerate(zip(targets, places, strict=True)):
        person = people[target]
        query, entry, setting = pairs[person][times[person] % len(pairs[person])]
        times[person] += 1
        # Least shown first, in random order where they tie.
        order = np.lexsort((rng.random(len(everybody)), used))
        others = [i for i in order if everybody[i] != person][: choices - 1]
        used[others] += 1
        shown = [everybody[i] for i in rng.permutation(others)]
        shown.insert(place, person)
        picked = [scans[p][entry % len(scans[p])][1] for p in shown]
        rows.append(
            {
                "round": number,
                "variant": variant,
                "setting": setting,
                "participant": person,
                "query": query,
                "right": int(place) + 1,
                **{f"option_{i + 1}": scan for i, scan in enumerate(picked)},
            }
        )
    return rows


def _repeated(values: np.ndarray, count: int, rng) -> np.ndarray:
    """Return ``count`` values, each equally often to within one, in random order."""
    whole = np.concatenate([rng.permutation(values) for _ in range(-(-count // len(values)))])
    return rng.permutation(whole[:count])


def identity(key: pd.DataFrame) -> str:
    """Return the name of a kit, by which answers are matched to its key."""
    text = key.to_csv(sep="\t", index=False, lineterminator="\n")
    return hashlib.sha256(f"{VERSION}\n{text}".encode()).hexdigest()[:12]


def used(key: pd.DataFrame) -> list[tuple[str, str]]:
    """Return the (variant, scan) of every picture that a kit shows, each once."""
    found = {("original", scan) for scan in key["query"]}
    for name in options_of(key):
        found |= set(zip(key["variant"], key[name], strict=True))
    return sorted(found)


def options_of(key: pd.DataFrame) -> list[str]:
    """Return the key's columns of the options."""
    return [name for name in key if name.startswith("option_")]
