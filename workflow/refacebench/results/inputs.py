"""What the results of each rule are computed from, and how it is read from manifests."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any

import pandas as pd

from refacebench import brainage, manifest
from refacebench.results import catalogue, companions
from refacebench.results.attacked import attacked
from refacebench.results.flow import LOST, StageManifest, absent_manifests, follow, without_age
from refacebench.results.scan_warnings import of_scan
from refacebench.run import configuration, methods, people, plan
from refacebench.statistics import comparisons, sides, unavailable
from refacebench.statistics.attacks import Evaluation, evaluate_all
from refacebench.statistics.cohort import assemble, check, once, segmenters_of, variants_of
from refacebench.statistics.comparisons import Comparisons
from refacebench.statistics.criteria import Criteria
from refacebench.statistics.galleries import people_of
from refacebench.statistics.protocol import Protocol
from refacebench.vocabulary import BROUGHT, MEASURING, split_contrast


@dataclass(frozen=True)
class Measured:
    """The measurements of one dataset, for the results of the rule ``statistics``.

    Attributes
    ----------
    measurements : pandas.DataFrame
        The measurement table; with the columns of
        :func:`refacebench.brainage.add_predictions` where models are given, and rows of
        unavailable variants (:func:`refacebench.statistics.unavailable.rows`).
    criteria : Criteria
    variants : sequence of str
        The variants that there should be; see
        :func:`refacebench.statistics.cohort.variants_of`.
    brainage_models : mapping of str to dict
        The model of each segmenter, or ``{"note": why there is none}``.
    carried : pandas.DataFrame, optional
        One row per companion, with ``made_by``, the defacer.
    inventory : pandas.DataFrame, optional
        All scans of the dataset.
    trained_on_variants : pandas.DataFrame, optional
        What brain-age models say that were trained on the variants
        (:func:`refacebench.brainage.trained_on_variants`).
    image_ages : mapping of str to (pandas.DataFrame, mapping)
        Of each age model that sees images, the measurement table with its predictions, and its
        card by segmenter, as ``measurements`` and ``brainage_models`` are.
    thresholds : mapping of str to float
        The config's ``thresholds``.

    passed_over : collection of str
        Results that nobody asked for: their tables stay empty.

    Raises
    ------
    ValueError
        If the table mixes datasets or has a scan twice.
    """

    measurements: pd.DataFrame
    criteria: Criteria = field(default_factory=Criteria)
    variants: Sequence[str] | None = None
    brainage_models: Mapping[str, dict[str, Any]] = field(default_factory=dict)
    carried: pd.DataFrame | None = None
    inventory: pd.DataFrame | None = None
    trained_on_variants: pd.DataFrame | None = None
    image_ages: Mapping[str, tuple[pd.DataFrame, Mapping[str, dict[str, Any]]]] = field(
        default_factory=dict
    )
    thresholds: Mapping[str, float] = field(default_factory=dict)
    passed_over: Collection[str] = ()

    def __post_init__(self) -> None:
        """Check the rows and order the variants."""
        check(self.measurements)
        object.__setattr__(self, "variants", variants_of(self.measurements, self.variants))

    @cached_property
    def once(self) -> pd.DataFrame:
        """The table with one row per scan and variant, segmenter ``any``."""
        return once(self.measurements)

    @cached_property
    def absent(self) -> dict[str, str]:
        """Why variants are unavailable, by variant."""
        return unavailable.reasons_of(self.measurements)


@dataclass(frozen=True)
class Followed:
    """The manifests of all stages of one dataset, for the results of the rule ``flow``.

    Attributes
    ----------
    inventory : pandas.DataFrame
        Every scan that was found.
    manifests : sequence of StageManifest
    variants : sequence of str
    attacks : pandas.DataFrame, optional
        The manifests of enrolment and attack; none where no attacker is configured.
    absent : mapping of str to str
        Why variants are unavailable, by variant.
    carried : pandas.DataFrame, optional
        The manifests of the carry stage, with ``made_by``, the defacer.
    contrasts : pandas.DataFrame, optional
        The manifests of attacks on other contrasts.
    orientation : str
        One of :data:`refacebench.statistics.sides.POLICIES`.
    """

    inventory: pd.DataFrame
    manifests: Sequence[StageManifest]
    variants: Sequence[str] | None = None
    attacks: pd.DataFrame | None = None
    absent: Mapping[str, str] = field(default_factory=dict)
    orientation: str = sides.EXCLUDE
    carried: pd.DataFrame | None = None
    contrasts: pd.DataFrame | None = None

    @cached_property
    def measured(self) -> pd.DataFrame:
        """Where scans ended on the way to the measures."""
        return follow(self.inventory, self.manifests, self.variants)

    @cached_property
    def stages(self) -> tuple[str, ...]:
        """The stages that scans went through: of brought measures there are no others."""
        brought = any(_is_brought(found.table) for found in self.manifests)
        return ("inventory", "measure") if brought else MEASURING

    @cached_property
    def branch(self) -> pd.DataFrame | None:
        """Where scans ended on the way to the attacks; None without any."""
        if self.attacks is None:
            return None
        return attacked(self.inventory, self.attacks, self.variants or ())

    @property
    def flow(self) -> pd.DataFrame:
        """Both, of the second way the lost scans alone; scans without an age; lost companions."""
        parts = [self.measured, without_age(self.inventory, self.measured)]
        if self.branch is not None:
            parts.append(self.branch[self.branch["status"].isin(LOST)])
        parts.append(companions.lost(self.inventory, self.carried, self.contrasts))
        flow = pd.concat(parts, ignore_index=True)
        warnings = {row["scan"]: of_scan(row) for row in self.inventory.to_dict("records")}
        said = ["; ".join(warnings.get(scan, [])) for scan in flow["scan"]]
        return flow.assign(warnings=said)


@dataclass(frozen=True)
class Attacked:
    """What attackers did to one dataset, for the results of the rule ``privacy``.

    Attributes
    ----------
    evaluations : sequence of Evaluation
        Of all attackers, variants and settings.
    contrasts : sequence of Evaluation
        The same of images of other contrasts, which are shared along with the variants; their
        tests are corrected together.
    more : sequence of Comparisons
        Those that say more than distances.
    gallery, queries : pandas.DataFrame
        The manifests of enrolment and of all attacks, other contrasts included.
    volumes : pandas.DataFrame
        The table ``volumes``.
    protocol : Protocol
    criteria : Criteria
    floors : collection of str
        The attackers that look at no face.
    absent : mapping
        Empty: what is unavailable was not attacked.
    """

    evaluations: Sequence[Evaluation]
    more: Sequence[Comparisons]
    gallery: pd.DataFrame
    queries: pd.DataFrame
    volumes: pd.DataFrame
    protocol: Protocol
    criteria: Criteria
    floors: Collection[str] = ()
    absent: Mapping[str, str] = field(default_factory=dict)
    contrasts: Sequence[Evaluation] = ()

    @property
    def all_attacks(self) -> Sequence[Evaluation]:
        """The attacks on all images that are shared: the variants', and those of companions."""
        return [*self.evaluations, *self.contrasts]


@dataclass(frozen=True)
class Answered:
    """What human raters answered, for the results of the rule ``raters``."""

    answers: pd.DataFrame
    problems: pd.DataFrame
    key: pd.DataFrame
    criteria: Criteria
    absent: Mapping[str, str] = field(default_factory=dict)


# reading ------------------------------------------------------------------------------------


def measurements(paths: Iterable[str], about: pd.DataFrame | None = None) -> pd.DataFrame:
    """Return the measurement table from manifests; no rows without any.

    Parameters
    ----------
    paths : iterable of str
        Manifests of the stages ``segment`` and ``measure``.
    about : pandas.DataFrame, optional
        Age and sex (:func:`refacebench.run.people.read`), which the table then has.
    """
    tables = [manifest.read(path) for path in paths]
    if about is not None:
        tables = [people.known(table, about) for table in tables]
    if not tables:
        return pd.DataFrame(columns=[*manifest.COLUMNS, *manifest.OF_PEOPLE, "segmenter"])
    return assemble((_the("segmenter", table), _the("variant", table), table) for table in tables)


def _the(column: str, table: pd.DataFrame) -> str:
    """Return what all rows of a manifest have in common; a batch has one row at least."""
    return table[column].iloc[0]


def read_measured(given: Any, asked: Any) -> Measured:
    """Read what the rule ``statistics`` is given.

    Parameters
    ----------
    given
        Paths: ``measured``, ``rescans``, ``inventory``, ``carried``, ``brain_age``, ``ages`` and
        ``age_cards``.
    asked
        ``config`` with ``statistics``, ``thresholds``, ``seed``, ``brain_age`` and
        ``orientation``; ``variants``;
        ``unavailable``, reasons by variant; ``unused``, the lists of scans that nothing uses;
        ``carried_by``, the defacer behind each manifest of ``carried``; ``age_models``, the
        name behind each of ``age_cards``; and ``people``, the path of the table of age and sex.
    """
    chosen = methods.choose("brainage", configuration.BRAIN_AGE, asked.config["brain_age"])
    criteria, models = Criteria.from_config(asked.config), brainage.load(given.brain_age)
    about = people.read(asked.people)
    table = measurements([*given.measured, *given.rescans], about)
    added = unavailable.rows(table, asked.unavailable)
    table = brainage.add_predictions(table, chosen.method, models)
    # Whoever brings measures and no train split did not ask for brain age.
    no_age = _is_brought(table) and not any("correction" in model for model in models.values())
    trained = brainage.trained_on_variants(
        table, chosen.method, chosen.options, asked.config["seed"], criteria.splits
    )
    table = sides.held(table, asked.config.get("orientation", sides.EXCLUDE))
    return Measured(
        pd.concat([table, added], ignore_index=True),
        criteria,
        asked.variants,
        models,
        _read_carried(given, asked),
        plan.read_all(given.inventory, asked.unused, asked.people),
        trained,
        _image_ages(given, asked, table),
        asked.config.get("thresholds") or {},
        passed_over=("brainage", "brainage_accuracy") if no_age else (),
    )


def _read_carried(given: Any, asked: Any) -> pd.DataFrame | None:
    """Return the manifests of the carry stage, with the defacer of each; None without any."""
    tables = [
        manifest.read(path).assign(made_by=defacer)
        for path, defacer in zip(given.get("carried", []), asked.carried_by, strict=True)
    ]
    return pd.concat(tables, ignore_index=True) if tables else None


def _image_ages(given: Any, asked: Any, table: pd.DataFrame) -> dict[str, Any]:
    """Return what age models say that see images, by the model's name.

    They know the brain by the first segmenter's mask, so they are of its rows alone.
    """
    names = asked.get("age_models", [])
    if not names:
        return {}
    segmenter = segmenters_of(table)[0]
    mine = table[table["segmenter"] == segmenter]
    said = [manifest.read(path) for path in given.ages]
    found = {}
    for name, path in zip(names, given.age_cards, strict=True):
        card = json.loads(Path(path).read_text())
        own = [one for one in said if len(one) and _the("age_model", one) == name]
        ages = pd.concat(own, ignore_index=True) if own else pd.DataFrame()
        found[name] = (brainage.add_image_ages(mine, ages, card), {segmenter: card})
    return found


def read_followed(given: Any, asked: Any) -> Followed:
    """Read what the rule ``flow`` is given.

    Parameters
    ----------
    given
        Paths: ``measured``, ``rescans``, ``training``, ``refacing``, ``inventory``, ``enrolled``
        and ``attacked``; where there are companions ``carried`` and ``contrasts_attacked``.
    asked
        ``variants``, ``unavailable``, ``unused``, ``carried_by`` and ``people`` as for
        :func:`read_measured`; ``config`` with ``orientation``.
    """
    about = people.read(asked.people)
    made = {"measure": given.measured, "segment": [*given.rescans, *given.training]}
    made["deface"] = given.refacing
    read = [(stage, manifest.read(path)) for stage, paths in made.items() for path in paths]
    stages = [
        StageManifest(
            "measure" if _is_brought(table) else stage,
            _the("variant", table),
            people.known(table, about),
        )
        for stage, table in read
    ]
    originals = [
        (_the("segmenter", found.table), found.variant, found.table)
        for found in stages
        if found.variant == "original"
    ]
    added = unavailable.rows(assemble(originals), asked.unavailable)
    ledgers = [
        people.known(manifest.read(path), about) for path in [*given.enrolled, *given.attacked]
    ]
    contrasts = given.get("contrasts_attacked", [])
    return Followed(
        plan.read_all(given.inventory, asked.unused, asked.people),
        [*stages, *absent_manifests(added)],
        asked.variants,
        pd.concat(ledgers, ignore_index=True) if ledgers else None,
        unavailable.reasons_of(added),
        asked.config.get("orientation", sides.EXCLUDE),
        _read_carried(given, asked),
        manifest.read_many(contrasts) if contrasts else None,
    )


def _is_brought(table: pd.DataFrame) -> bool:
    """Tell whether a manifest holds measures that were made elsewhere."""
    return "engine" in table and bool((table["engine"] == BROUGHT).any())


def read_attacked(given: Any, asked: Any) -> Attacked:
    """Read what the rule ``privacy`` is given.

    Parameters
    ----------
    given
        Paths: ``attacks``, ``enrolled``, ``attacked`` and ``volumes``; where there are companions
        ``contrasts`` and ``contrasts_attacked``.
    asked
        ``config`` with ``statistics``, ``privacy`` and ``seed``; ``floors`` as for
        :class:`Attacked`; ``people`` as for :func:`read_measured`.
    """
    protocol, criteria = Protocol.from_config(asked.config), Criteria.from_config(asked.config)
    more: list[Comparisons] = []
    about = people.read(asked.people)
    attacked_ = [*given.attacked, *given.get("contrasts_attacked", [])]
    gallery, queries = (
        people.known(manifest.read_many(paths), about) for paths in (given.enrolled, attacked_)
    )
    found = evaluate_all(
        chain(_each(given.attacks, more), map(comparisons.read, given.get("contrasts", []))),
        protocol,
        criteria,
        asked.floors,
        people_of(gallery, queries),
    )
    apart = [bool(split_contrast(one.row["variant"])[1]) for one in found]
    return Attacked(
        [one for one, other in zip(found, apart, strict=True) if not other],
        more,
        gallery,
        queries,
        catalogue.read(given.volumes),
        protocol,
        criteria,
        asked.floors,
        contrasts=[one for one, other in zip(found, apart, strict=True) if other],
    )


def _each(paths: Iterable[str], more: list[Comparisons]) -> Iterator[Comparisons]:
    """Read what attackers compared, one file at a time; those that say more are kept in a list."""
    for path in paths:
        item = comparisons.read(path)
        if item.extra:
            more.append(item)
        yield item
