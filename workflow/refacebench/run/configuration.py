"""The config: checked, filled up, and what follows from it alone (variants, trainings, programs).

Runs whenever the Snakefile is parsed: opens no image and writes nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from refacebench import files, reasons
from refacebench.head import checks, rendering
from refacebench.kit import questions
from refacebench.metrics.verdict import THRESHOLDS
from refacebench.run import elsewhere, methods
from refacebench.run.mistakes import ConfigError, Gathered, refuse
from refacebench.statistics.criteria import Criteria
from refacebench.statistics.protocol import Protocol
from refacebench.vocabulary import (
    ORIGINAL,
    PICTURE_CONTROLS,
    SKULL_STRIP,
    SYNTHETIC_NOTE,
    UNAVAILABLE,
    split_variant,
)

#: The brain-age model where the config names none.
BRAIN_AGE = "ridge"


def check(config: Mapping[str, Any], doubtful: Collection[str] = ()) -> None:
    """Check what a JSON schema cannot: methods, their options, names.

    Parameters
    ----------
    doubtful : collection of str
        Keys of the config of which something is missing here, as it was wrong: nothing is
        concluded from what they do not hold.

    Raises
    ------
    ConfigError
        With one sentence for each mistake, which names the key and what to do.
    """
    found = Gathered()
    for kind, entries in entries_of(config).items():
        for name, entry in entries.items():
            found.complaints += faults(kind, name, entry)
    for keys, checked in _CHECKS:
        if not set(keys) & set(doubtful):
            with found.more():
                checked(config)
    found.refuse()


def entries_of(config: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the entries of all kinds of methods; refacers filled up where that can be done."""
    plain = ("datasets", "defacers", "segmenters", "attackers", "age_models")
    kinds = {k: dict(config.get(k) or {}) for k in plain}
    try:
        kinds["refacers"] = dict(refacers(config))
    except ConfigError:  # said where entries are compared
        kinds["refacers"] = {
            k: v for k, v in config["refacers"].items() if "model" not in (v or {})
        }
    return kinds


def faults(kind: str, name: Any, entry: Any) -> list[str]:
    """Return what is wrong with one method's entry."""
    if name is None:
        return [f'{kind}: a bare null is not a name in YAML; write "null" in quotes']
    if "+" in name or not name.replace("_", "").replace("-", "").isalnum():
        return [f"{kind}: the name '{name}' may hold letters, digits, _ and -"]
    try:
        methods.choose(kind, name, entry)
    except methods.MethodError as error:
        own = f"{kind}.{name}: "
        plain = (said.removeprefix(own).removeprefix(f"{kind}: ") for said in error.complaints)
        meant = methods.as_meant(kind, name, entry)
        further = faults(kind, name, meant) if meant else []
        return [*(f"{own}{said}" for said in plain), *further]
    return []


def _check_names(config: Mapping[str, Any]) -> None:
    """Check that no defacer has the name of an original or of a control."""
    if "original" in config["defacers"]:
        raise ConfigError("defacers: 'original' is always measured and cannot be listed")
    taken = sorted(set(PICTURE_CONTROLS) & set(config["defacers"]))
    if taken:
        raise ConfigError(f"defacers: '{taken[0]}' is the name of a control; choose another one")


def _check_refaced(config: Mapping[str, Any]) -> None:
    """Check that what refacers are set on is there."""
    found = Gathered()
    for name, entry in refacers(config).items():
        unknown = set((entry or {}).get("defacers") or []) - set(config["defacers"])
        if unknown:
            found.complaints.append(
                f"refacers.{name}.defacers: {', '.join(sorted(unknown))} is not among the defacers"
            )
    found.refuse()


def _check_defaced(config: Mapping[str, Any]) -> None:
    """Check that there is something to compare, where no measures of it are brought."""
    if config["defacers"]:
        return
    entries = config["datasets"].items()
    known = all(not faults("datasets", name, entry) for name, entry in entries)
    if known and not any(elsewhere.brings_measures(config, name) for name in config["datasets"]):
        raise ConfigError(
            "defacers: none is named, so that nothing would be compared; name at least one, "
            "{quickshear: {}} for example"
        )


def _check_test(config: Mapping[str, Any]) -> None:
    """Check that there is somebody to compare."""
    weights = config.get("splits")
    if weights is not None and not weights.get("test", 0):
        raise ConfigError("splits: test must have a weight above 0, or nobody is compared")


def _check_splits(config: Mapping[str, Any]) -> None:
    """Check that there is somebody to fit on and to pick on."""
    weights = config.get("splits")
    empty = [n for n in ("train", "validation") if weights is not None and not weights.get(n, 0)]
    trained = [name for name, entry in refacers(config).items() if "model" not in entry]
    trained += list(config.get("age_models") or {})
    if empty and trained:
        raise ConfigError(
            f"splits: {' and '.join(empty)} must have a weight above 0, for {', '.join(trained)} "
            "is trained and picked on them; or leave it out"
        )


def _check_rendering(config: Mapping[str, Any]) -> None:
    """Check how heads are rendered."""
    rendering.check_options(config.get("rendering"))


def refacers(config: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the refacers' entries, those that name another's ``model`` filled up from it.

    >>> found = refacers({"refacers": {"m": {"size": 96}, "raw": {"model": "m", "composite": 0}}})
    >>> found["raw"] == {"size": 96, "method": "m", "model": "m", "composite": 0}
    True

    Raises
    ------
    ConfigError
        If the named entry is missing or names a model itself.
    """
    given = {name: dict(entry or {}) for name, entry in (config.get("refacers") or {}).items()}
    found = {}
    for name, entry in given.items():
        base = given.get(entry.get("model", name))
        if base is None or ("model" in entry and "model" in base):
            raise ConfigError(
                f"refacers.{name}.model: '{entry['model']}' is not an entry that trains a model"
            )
        if "model" in entry:
            entry = {**base, "method": base.get("method", entry["model"]), **entry}
        found[name] = entry
    return found


def with_controls(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the config with what the attacks are compared with: skull stripping is run.

    Without attackers, or with a defacer of that name, the config as it is.  Refacers
    are set on the defacers that they had before: nobody asked for a face on a bare brain.

    >>> found = with_controls(
    ...     {"defacers": {"a": {}}, "refacers": {"m": {}}, "attackers": {"surface": {}}}
    ... )
    >>> variants(found)
    ['original', 'a', 'a+m', 'skull_strip']
    """
    if not config.get("attackers") or SKULL_STRIP in config["defacers"]:
        return dict(config)
    fixed = {
        name: {**entry, "defacers": refaced_defacers(config, entry)}
        for name, entry in refacers(config).items()
    }
    defacers = {**config["defacers"], SKULL_STRIP: {}}
    return {**config, "refacers": fixed, "defacers": defacers}


def trained_as(config: Mapping[str, Any], refacer: str) -> str:
    """Return the entry whose training a refacer applies: its own or that of its ``model``."""
    return refacers(config)[refacer].get("model", refacer)


def sites_of_models(config: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return the sites of models that are trained on some sites alone, by entry."""
    return {
        name: [str(site) for site in entry["sites"]]
        for name, entry in refacers(config).items()
        if entry.get("sites") and "model" not in entry
    }


def trainings(config: Mapping[str, Any]) -> list[str]:
    """Return the variants for which a model is trained."""
    refaced = [variant for variant in variants(config) if "+" in variant]
    return [v for v in refaced if trained_as(config, v.partition("+")[2]) == v.partition("+")[2]]


def _check_shared_models(config: Mapping[str, Any]) -> None:
    """Check that an entry with ``model`` differs only in what needs no training of its own."""
    found = refacers(config)
    for name, entry in found.items():
        if "model" not in entry:
            continue
        try:
            applied = methods.declared("refacers", name, entry).applied
        except methods.MethodError:
            continue  # said of the entry itself
        free = {"model", "method", "file", "defacers", *applied}
        base = found[entry["model"]]
        fixed = sorted(k for k, v in entry.items() if k not in free and base.get(k) != v)
        if fixed:
            raise ConfigError(
                f"refacers.{name}: {', '.join(fixed)} belong to the training of "
                f"'{entry['model']}' and cannot differ; train it by itself (without model)"
            )
        extra = set(refaced_defacers(config, entry)) - set(refaced_defacers(config, base))
        if extra:
            raise ConfigError(
                f"refacers.{name}.defacers: '{entry['model']}' is not trained on "
                f"{', '.join(sorted(extra))}"
            )


#: Where it is written down what runs behind each method of a kind that may be a program.
PROGRAM_FILES = {"defacers": "programs.json", "segmenters": "segmenters.json"}


def programs(
    config: Mapping[str, Any],
    look: bool,
    folder: str = "results/plan",
    kind: str = "defacers",
) -> dict[str, dict[str, Any]]:
    """Return what runs behind each defacer or segmenter: decided once, by the main process.

    Parameters
    ----------
    look : bool
        Look for the programs.  Without (in a job, which may run on another machine)
        what the main process found is read.
    kind : str
        A key of :data:`PROGRAM_FILES`.

    Returns
    -------
    dict of str to dict
        By the method's name: ``engine`` (native, official or unavailable), ``version``
        of the external program (empty if there is none), ``reason``, what is
        missing where it is unavailable, and ``inputs``, a digest of its own files.

    Raises
    ------
    ConfigError
        If a program is missing whose entry does not say ``on_missing: skip``.
    """
    if not look:
        return json.loads((Path(folder) / PROGRAM_FILES[kind]).read_text())
    found, stopping = {}, []
    for name, entry in config[kind].items():
        found[name] = _program(kind, name, entry)
        options = methods.choose(kind, name, entry).options
        if found[name]["reason"] and options.get("on_missing", "stop") != "skip":
            stopping.append(f"{kind}.{name}: {found[name]['reason']}")
        # Whoever starts the run is told the whole path, tables are not.
        found[name]["reason"] = reasons.clean(found[name]["reason"])
    if stopping:
        raise ConfigError(*(f"{said}; or set on_missing: skip there" for said in stopping))
    return found


def present(config: Mapping[str, Any], found: Mapping[str, dict[str, Any]]) -> list[str]:
    """Return the segmenters that run here, and say which do not.

    Parameters
    ----------
    found : mapping
        Of :func:`programs`, kind ``segmenters``; empty if nothing was looked for.

    Raises
    ------
    ConfigError
        If none is left.
    """
    absent = {name: told["reason"] for name, told in found.items() if told["reason"]}
    left = [name for name in config["segmenters"] if name not in absent]
    if not left:
        why = "; ".join(absent.values())
        raise ConfigError(f"segmenters: none of them can run here ({why}); add deepbet_atlas")
    return left


def _program(kind: str, name: str, entry: Mapping[str, Any] | None) -> dict[str, Any]:
    chosen = methods.choose(kind, name, entry)
    method, options = chosen.method, chosen.options
    reason = method.missing(options)
    if reason:
        found = {
            "engine": UNAVAILABLE,
            "version": "",
            "reason": reasons.one_line(reason, reasons.WORDS),
        }
        return {**found, "inputs": ""}
    own = method.inputs(options)
    return {
        "engine": chosen.engine,
        "version": method.program_version(options),
        "reason": "",
        "inputs": files.make_key({}, own) if own else "",
    }


def decided(
    name: str, entry: Mapping[str, Any] | None, found: Mapping[str, dict[str, Any]]
) -> dict[str, Any]:
    """Return a defacer's entry with ``engine: auto`` replaced by what was decided for it."""
    options = methods.choose("defacers", name, entry).options
    chosen = {"engine": found[name]["engine"]} if options.get("engine") == "auto" else {}
    return {**(entry or {}), **chosen}


def unavailable(names: Iterable[str], found: Mapping[str, dict[str, Any]]) -> dict[str, str]:
    """Return the variants that cannot be made here, with the reason.

    >>> found = {"a": {"reason": "no program a"}, "b": {"reason": ""}}
    >>> unavailable(["original", "a", "a+m", "b"], found)
    {'a': 'no program a', 'a+m': 'no program a'}
    """
    reasons = {name: found.get(split_variant(name)[0], {}).get("reason") for name in names}
    return {name: reason for name, reason in reasons.items() if reason}


def _settled(settle: Callable[[Mapping[str, Any]], Any]) -> Callable[[Mapping[str, Any]], None]:
    """Return a check by a module that uses some keys and knows their names and bounds."""

    def checked(config: Mapping[str, Any]) -> None:
        try:
            settle(config)
        except (methods.MethodError, TypeError, ValueError) as error:
            raise ConfigError(f"config: {error}") from None

    return checked


def _check_known(place: str, given: Mapping[str, Any], known: Collection[str]) -> None:
    """Check that a mapping of the config has no keys but the known ones."""
    refuse(
        f"{place}: unknown key '{key}' (known: {', '.join(known)}){reasons.meant(key, known)}"
        for key in sorted(set(map(str, given)) - set(known))
    )


def _check_checks(config: Mapping[str, Any]) -> None:
    _check_known("checks", config.get("checks") or {}, checks.LIMITS)


def _check_thresholds(config: Mapping[str, Any]) -> None:
    _check_known("thresholds", quality_thresholds(config), THRESHOLDS)


def _brain_age(config: Mapping[str, Any]) -> None:
    """Check the options of the brain-age model, whose entry has a name of its own."""
    try:
        methods.choose("brainage", BRAIN_AGE, config.get("brain_age"))
    except methods.MethodError as error:
        own = f"brainage.{BRAIN_AGE}: "
        raise ConfigError(
            *(f"brain_age: {said.removeprefix(own)}" for said in error.complaints)
        ) from None


def quality_thresholds(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the thresholds of the quality verdict (the others belong to the statistics)."""
    given = dict(config.get("thresholds") or {})
    given.pop("volume_change_pct", None)
    return given


def variants(config: Mapping[str, Any]) -> list[str]:
    """Return all variants in the order of every table: original, defacers, refaced.

    >>> variants({"defacers": {"null": {}, "a": {}}, "refacers": {"m": {"defacers": ["a"]}}})
    ['original', 'null', 'a', 'a+m']
    """
    names = [ORIGINAL]
    for defacer in config["defacers"]:
        names.append(defacer)
        for refacer, entry in refacers(config).items():
            if defacer in refaced_defacers(config, entry):
                names.append(f"{defacer}+{refacer}")
    return names


def refaced_defacers(config: Mapping[str, Any], entry: Mapping[str, Any] | None) -> list[str]:
    """Return the defacers whose scans a refacer is trained on."""
    chosen = (entry or {}).get("defacers")
    return list(chosen) if chosen else [d for d in config["defacers"] if d != "null"]


def statement(dataset: str, entry: Mapping[str, Any]) -> str:
    """Return the sentence that says that a dataset is synthetic; empty for real ones."""
    method = methods.declared("datasets", dataset, entry)
    said = method.statement if method.synthetic else "The measures are made up."
    return f"{said} {SYNTHETIC_NOTE}" if method.synthetic or entry.get("made_up") else ""


def is_synthetic(config: Mapping[str, Any], dataset: str) -> bool:
    """Tell whether a dataset's scans are grown at run time."""
    return methods.declared("datasets", dataset, config["datasets"][dataset]).synthetic


#: Checks, each with the keys of the config that it draws conclusions from.
_CHECKS: tuple[tuple[tuple[str, ...], Callable[[Mapping[str, Any]], None]], ...] = (
    (("brain_age",), _brain_age),
    (("thresholds",), _check_thresholds),
    (("statistics", "thresholds", "seed"), _settled(Criteria.from_config)),
    (("privacy",), _settled(Protocol.from_config)),
    (
        ("privacy", "defacers", "refacers"),
        _settled(lambda c: questions.asked(c, variants(c))),
    ),
    (("checks",), _check_checks),
    (("splits",), _check_test),
    (("splits", "refacers", "age_models"), _check_splits),
    (("defacers", "datasets"), _check_defaced),
    (("defacers",), _check_names),
    (("rendering",), _settled(_check_rendering)),
    (("defacers", "refacers"), _check_refaced),
    (("defacers", "refacers"), _check_shared_models),
)
