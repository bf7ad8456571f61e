"""Whether the people of a run are enough for the verdict "go", said before it starts.

The rule of the verdicts is that of :mod:`~refacebench.results.decisions`; of it counts here what
depends on numbers alone.  How many people it takes: :mod:`~refacebench.statistics.planning`, as
``refacebench sample-size`` says.
Opens no image; reads the lists of scans.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from refacebench.run.graph import Run
from refacebench.statistics import planning
from refacebench.statistics.criteria import Criteria
from refacebench.statistics.protocol import Protocol
from refacebench.vocabulary import MEASURED, UNDEFACED, split_contrast, split_variant

#: How often a method that deserves "go" should get it.
POWER = 0.8
#: One-sided level of the bound of failures.
FAILURES_LEVEL = 0.95


@dataclass(frozen=True)
class Reach:
    """What "go" takes.

    Attributes
    ----------
    scans, people : int
        With fewer no method can get it, even if no scan fails and nobody is identified.
    needed : int
        With so many people, and ``scans``, a method gets it in at least :data:`POWER` of all
        studies, if all attacks are at chance and no scan fails.
    """

    scans: int
    people: int
    needed: int


def go(
    people: int, attacks: int, protocol: Protocol, failures_pct: float, level: float = 0.95
) -> Reach:
    """Return how many people and scans the verdict "go" takes.

    Parameters
    ----------
    people : int
        Who are compared; of rank 1 they are the gallery, until more are needed.
    attacks : int
        How many attacks are made on a method, each of which must be within the margin.
    protocol : Protocol
    failures_pct : float
        More percent of the scans with a failure are too many (``decision``).
    level : float
        Of the one-sided bound of an attack's rate.

    Raises
    ------
    ValueError
        If no number of people is enough.

    Examples
    --------
    >>> go(20, 1, Protocol(), 5.0)
    Reach(scans=59, people=11, needed=463)
    """
    if failures_pct <= 0:
        raise ValueError(
            "decision.failures_pct is 0: no number of scans can rule out every failure"
        )
    unfailing = planning.nobody(failures_pct / 100, FAILURES_LEVEL) if failures_pct < 100 else 1
    margin = protocol.margin_points / 100
    power = planning.power_of_each(POWER, attacks)

    def within(chance: float) -> int:
        return planning.people_within(chance, margin, level, power) if chance + margin < 1 else 1

    if protocol.measure == "rank1":
        needed = _gallery(people, within)
        limit = margin + 1 / max(people, 2)
    else:
        needed = within(1 / protocol.options)
        limit = margin + 1 / protocol.options
    unnamed = planning.nobody(limit, level) if limit < 1 else 1
    return Reach(unfailing, unnamed, needed)


def _gallery(people: int, within: Callable[[float], int]) -> int:
    """Return how many people are enough, where they are the gallery: the more, the less chance."""
    least, most = max(people, 2), max(within(1 / max(people, 2)), 2)
    while least < most:
        middle = (least + most) // 2
        least, most = (least, middle) if within(1 / middle) <= middle else (middle + 1, most)
    return least


def notes(run: Run) -> Iterator[str]:
    """Yield a sentence for each data set whose people are too few for the verdict "go"."""
    for dataset in run.datasets:
        if dataset in run.brought or dataset in run.to_fetch:
            continue
        said = _note(run, dataset)
        if said:
            yield f"{dataset}: {said}" if len(run.datasets) > 1 else said


def _note(run: Run, dataset: str) -> str:
    people, scans = _compared(run, dataset)
    numbers = attacks_on_methods(run)
    if not people or not numbers:
        return ""
    if not numbers[0]:
        return (
            'No method can get the verdict "go": the config has no attackers that look at faces '
            "(`attackers`)."
        )
    level = Criteria.from_config(run.config).level
    protocol, failures_pct = (
        Protocol.from_config(run.config),
        run.config["decision"]["failures_pct"],
    )
    try:
        found = {n: go(people, n, protocol, failures_pct, level) for n in numbers}
    except ValueError as error:
        return f'No method can get the verdict "go": {error}.'
    return _said(found, people, scans)


def _said(found: Mapping[int, Reach], people: int, scans: int) -> str:
    """Return the sentence, by the number of attacks on a method; empty where there are enough."""
    # Failures are counted by scan, and attacks by person.
    if all(people >= reach.needed and scans >= reach.scans for reach in found.values()):
        return ""
    with_them = f"With {people} {'person' if people == 1 else 'people'}"
    needed = " and ".join(
        f"{max(reach.needed, reach.scans)} for a method that meets "
        f"{attacks} attack{'s' if attacks > 1 else ''}"
        for attacks, reach in found.items()
    )
    how_many = (
        f"it takes {needed} (if no attack does better than chance, power {100 * POWER:g} %; see "
        f"`refacebench sample-size --attacks {max(found)}`)."
    )
    # That does not depend on the number of attacks.
    reach = next(iter(found.values()))
    if scans < reach.scans or people < reach.people:
        return f'{with_them} no method can get the verdict "go": {how_many}'
    return f'{with_them} a method may miss the verdict "go" that it deserves: {how_many}'


def attacks_on_methods(run: Run) -> list[int]:
    """Return how many attacks are made on a method: each number once, the smallest first.

    By each attacker that looks at faces, on the method's images and on all that are made from
    the same defaced ones; by some of them on images of other contrasts.
    """
    attackers = len(run.attackers) - len(run.floors())
    routes = Counter(split_variant(variant)[0] for variant in _methods(run))
    contrasts = [
        len({split_contrast(name)[1] for name in run.other_contrasts(d)}) for d in run.datasets
    ]
    others = len(run.contrast_attackers) * min(contrasts, default=0)
    return sorted({attackers * n + others for n in routes.values()})


def _methods(run: Run) -> list[str]:
    return [variant for variant in run.variants if variant not in UNDEFACED]


def _compared(run: Run, dataset: str) -> tuple[int, int]:
    """Return how many people are compared, and how many of their scans."""
    batches = run.batches(dataset, "test", MEASURED)
    texts = (run.lists[dataset].text(batch) for batch in batches)
    rows = [row for t in texts for row in csv.DictReader(io.StringIO(t), delimiter="\t")]
    return len({row["participant"] for row in rows}), len(rows)
