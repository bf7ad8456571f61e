"""From a config to the list of work: datasets, scans, splits, batches, variants.

Runs whenever the Snakefile is parsed, so it opens no image and writes nothing.  When
jobs are about to start, the main process writes what they need to know of the plan
below ``results/plan`` (:meth:`Lists.write`, :func:`write_json`).
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import pandas as pd

from . import manifest, reasons, registry, splits, stamps
from .manifest import UNAVAILABLE
from .names import in_order, split_variant

#: Roles of a scan, by its session: it goes through all variants; it is segmented as it is, for
#: what two scans of one person differ by; only the attacks look at it.
MEASURED, RESCAN, FOLLOWUP = "measured", "rescan", "followup"
#: The list of the scans that the index has left out: no job opens them.
LEFT_OUT = "excluded-000"
CONTROLS = ("original",)
#: Stands with every figure and printed table of a cohort that was grown at run time.
SYNTHETIC_NOTE = "Synthetic cohort: no evidence about real people."
#: The brain-age model where the config names none.
BRAIN_AGE = "ridge"


class ConfigError(Exception):
    """The config cannot be carried out; the message is one sentence for the user."""


def read_yaml(path: str | Path) -> dict:
    """Read a YAML file."""
    import yaml

    return yaml.safe_load(Path(path).read_text())


def validate(config: Mapping, schema: Mapping) -> None:
    """Check a config against the JSON schema.

    Raises
    ------
    ConfigError
        With the most telling of the schema's complaints as one sentence.
    """
    import jsonschema

    errors = jsonschema.Draft202012Validator(schema).iter_errors(config)
    error = jsonschema.exceptions.best_match(errors)
    if error is not None:
        place = ".".join(str(part) for part in error.absolute_path) or "top level"
        raise ConfigError(f"config, {place}: {error.message}")


def check(config: Mapping) -> None:
    """Check what a JSON schema cannot: methods, their options, names, folders.

    Raises
    ------
    ConfigError
        With one sentence that names the key and what to do.
    """
    kinds = {k: config.get(k) or {} for k in ("datasets", "defacers", "segmenters", "attackers")}
    kinds["refacers"] = refacers(config)
    for kind, entries in kinds.items():
        for name, entry in entries.items():
            if name is None:
                raise ConfigError(f'{kind}: a bare null is no name in YAML; write "null" in quotes')
            if "+" in name or not name.replace("_", "").replace("-", "").isalnum():
                raise ConfigError(f"{kind}: the name '{name}' may hold letters, digits, _ and -")
            try:
                registry.options(kind, name, entry)
            except registry.MethodError as error:
                raise ConfigError(f"config: {error}") from None
    for name, entry in config["defacers"].items():
        _check_options("defacers", name, entry)
    _check_settings(config)
    _check_splits(config)
    if "original" in config["defacers"]:
        raise ConfigError("defacers: 'original' is always measured and cannot be listed")
    _check_rendering(config)
    for name, entry in kinds["refacers"].items():
        unknown = set((entry or {}).get("defacers") or []) - set(config["defacers"])
        if unknown:
            raise ConfigError(
                f"refacers.{name}.defacers: {', '.join(sorted(unknown))} is not among the defacers"
            )
    _check_shared_models(config)


def _check_splits(config: Mapping) -> None:
    """Check that the splits that something is fitted or picked on are not empty."""
    weights = config.get("splits")
    empty = [n for n in ("train", "validation") if weights is not None and not weights.get(n, 0)]
    trained = [name for name, entry in refacers(config).items() if "model" not in entry]
    if empty and trained:
        raise ConfigError(
            f"splits: {' and '.join(empty)} must have a weight above 0, for {', '.join(trained)} "
            "is trained and picked on them; or leave the refacers out"
        )


def _check_rendering(config: Mapping) -> None:
    """Check how heads are rendered, and that no defacer has the name of a control."""
    from . import rendering

    try:
        rendering.check_options(config.get("rendering"))
    except ValueError as error:
        raise ConfigError(f"config: {error}") from None
    taken = sorted(set(rendering.CONTROLS) & set(config["defacers"]))
    if taken:
        raise ConfigError(f"defacers: '{taken[0]}' is the name of a control; choose another one")


def refacers(config: Mapping) -> dict[str, dict]:
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
                f"refacers.{name}.model: '{entry['model']}' is no entry that trains a model"
            )
        if "model" in entry:
            entry = {**base, "method": base.get("method", entry["model"]), **entry}
        found[name] = entry
    return found


def with_controls(config: Mapping) -> dict:
    """Return the config with what the attacks are compared with: skull stripping is run.

    Without attackers, or with a defacer of that name, the config as it is.  Refacers
    are set on the defacers that they had before: nobody asked for a face on a bare brain.

    >>> found = with_controls(
    ...     {"defacers": {"a": {}}, "refacers": {"m": {}}, "attackers": {"surface": {}}}
    ... )
    >>> variants(found)
    ['original', 'a', 'a+m', 'skull_strip']
    """
    from .statistics.privacy import SKULL_STRIP

    if not config.get("attackers") or SKULL_STRIP in config["defacers"]:
        return dict(config)
    fixed = {
        name: {**entry, "defacers": refaced_defacers(config, entry)}
        for name, entry in refacers(config).items()
    }
    defacers = {**config["defacers"], SKULL_STRIP: {}}
    return {**config, "refacers": fixed, "defacers": defacers}


def trained_as(config: Mapping, refacer: str) -> str:
    """Return the entry whose training a refacer applies: its own or that of its ``model``."""
    return refacers(config)[refacer].get("model", refacer)


def trainings(config: Mapping) -> list[str]:
    """Return the variants for which a model is trained."""
    refaced = [variant for variant in variants(config) if "+" in variant]
    return [v for v in refaced if trained_as(config, v.partition("+")[2]) == v.partition("+")[2]]


def _check_shared_models(config: Mapping) -> None:
    """Check that an entry with ``model`` differs only in what needs no training of its own."""
    found = refacers(config)
    for name, entry in found.items():
        if "model" not in entry:
            continue
        module = registry.load("refacers", name, entry)
        free = {"model", "method", "file", "defacers", *getattr(module, "APPLIED", ())}
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


def _check_options(kind: str, name: str, entry: Mapping | None) -> None:
    """Let a method check its own options; it does not look at the machine."""
    module, options = registry.load(kind, name, entry), registry.options(kind, name, entry)
    when = options.get("on_missing", "stop")
    if when not in ("stop", "skip"):
        raise ConfigError(f"{kind}.{name}: on_missing: '{when}' is neither stop nor skip")
    if hasattr(module, "check"):
        try:
            module.check(options)
        except ValueError as error:
            raise ConfigError(f"{kind}.{name}: {error}") from None


def programs(config: Mapping, look: bool, folder: str = "results/plan") -> dict[str, dict]:
    """Return what runs behind each defacer: decided once, by the main process.

    Parameters
    ----------
    look : bool
        Look for the programs.  Without (in a job, which may run on another machine)
        what the main process found is read.

    Returns
    -------
    dict of str to dict
        By the defacer's name: ``engine`` (native, official or unavailable), ``version``
        of the external program (empty if there is none), ``reason``, what is
        missing where it is unavailable, and ``inputs``, a digest of its own files.

    Raises
    ------
    ConfigError
        If a program is missing whose entry does not say ``on_missing: skip``.
    """
    if not look:
        return json.loads((Path(folder) / "programs.json").read_text())
    found, stopping = {}, []
    for name, entry in config["defacers"].items():
        found[name] = _program(name, entry)
        options = registry.options("defacers", name, entry)
        if found[name]["reason"] and options.get("on_missing", "stop") != "skip":
            stopping.append(f"defacers.{name}: {found[name]['reason']}")
        # Whoever starts the run is told the whole path, tables are not.
        found[name]["reason"] = reasons.clean(found[name]["reason"])
    if stopping:
        raise ConfigError(f"{'; '.join(stopping)}; or set on_missing: skip there")
    return found


def _program(name: str, entry: Mapping | None) -> dict:
    from . import defacers

    module = registry.load("defacers", name, entry)
    options = registry.options("defacers", name, entry)
    reason = module.missing(options) if hasattr(module, "missing") else ""
    if reason:
        found = {"engine": UNAVAILABLE, "version": "", "reason": manifest.one_line(reason)}
        return {**found, "inputs": ""}
    files = module.inputs(options) if hasattr(module, "inputs") else []
    return {
        "engine": defacers.engine_of(module, options),
        "version": defacers.version_of(module, options),
        "reason": "",
        "inputs": manifest.make_key({}, files) if files else "",
    }


def decided(name: str, entry: Mapping | None, found: Mapping[str, dict]) -> dict:
    """Return a defacer's entry with ``engine: auto`` replaced by what was decided for it."""
    options = registry.options("defacers", name, entry)
    chosen = {"engine": found[name]["engine"]} if options.get("engine") == "auto" else {}
    return {**(entry or {}), **chosen}


def unavailable(names: Iterable[str], found: Mapping[str, dict]) -> dict[str, str]:
    """Return the variants that cannot be made here, with the reason.

    >>> found = {"a": {"reason": "no program a"}, "b": {"reason": ""}}
    >>> unavailable(["original", "a", "a+m", "b"], found)
    {'a': 'no program a', 'a+m': 'no program a'}
    """
    reasons = {name: found.get(split_variant(name)[0], {}).get("reason") for name in names}
    return {name: reason for name, reason in reasons.items() if reason}


def _check_settings(config: Mapping) -> None:
    """Check the keys whose names live in the modules that use them."""
    from . import checks, kit
    from .metrics import quality
    from .statistics.privacy import Protocol
    from .statistics.settings import Settings

    try:
        registry.options("brainage", BRAIN_AGE, config.get("brain_age"))
        quality.thresholds(quality_thresholds(config))
        Settings.from_config(config)
        Protocol.from_config(config)
        kit.asked(config, variants(config))
    except (registry.MethodError, TypeError, ValueError) as error:
        raise ConfigError(f"config: {error}") from None
    unknown = sorted(set(config.get("checks") or {}) - set(checks.LIMITS))
    if unknown:
        raise ConfigError(
            f"checks: unknown {', '.join(unknown)} (known: {', '.join(checks.LIMITS)})"
        )


def quality_thresholds(config: Mapping) -> dict:
    """Return the thresholds of the quality verdict (the others belong to the statistics)."""
    given = dict(config.get("thresholds") or {})
    given.pop("volume_change_pct", None)
    return given


def variants(config: Mapping) -> list[str]:
    """Return all variants in the order of every table: original, defacers, refaced.

    >>> variants({"defacers": {"null": {}, "a": {}}, "refacers": {"m": {"defacers": ["a"]}}})
    ['original', 'null', 'a', 'a+m']
    """
    names = list(CONTROLS)
    for defacer in config["defacers"]:
        names.append(defacer)
        for refacer, entry in refacers(config).items():
            if defacer in refaced_defacers(config, entry):
                names.append(f"{defacer}+{refacer}")
    return names


def refaced_defacers(config: Mapping, entry: Mapping | None) -> list[str]:
    """Return the defacers whose scans a refacer is trained on."""
    chosen = (entry or {}).get("defacers")
    return list(chosen) if chosen else [d for d in config["defacers"] if d != "null"]


def scans(config: Mapping, dataset: str) -> pd.DataFrame:
    """List a dataset's scans with split, role and batch.

    Returns
    -------
    pandas.DataFrame
        One row a scan, the manifest's columns that are known before any image
        is opened, and ``batch``.  A batch holds scans of one split and role.

    Raises
    ------
    ConfigError
        If the dataset's folder is missing or unusable.
    """
    entry = config["datasets"][dataset]
    module = registry.load("datasets", dataset, entry)
    options = registry.options("datasets", dataset, entry)
    try:
        table = module.index(options, config["seed"])
    except (OSError, ValueError) as error:
        raise ConfigError(f"datasets.{dataset}: {error}") from None
    _check_index(table, dataset)
    table["dataset"] = dataset
    table["reason"] = table["reason"].map(reasons.clean)
    table["variant"], table["stage"] = "original", "inventory"
    usable = table[table["status"] == manifest.OK]
    # Who has no usable scan takes no place in a split.
    people = usable.groupby("participant", as_index=False)[["site", "age"]].first()
    try:
        split = splits.assign(people, config["splits"], config["seed"])
    except ValueError as error:
        raise ConfigError(f"config: {error}") from None
    table["split"] = table["participant"].map(split).fillna("")
    measured = entry.get("sessions_measured", "all")
    try:
        declared = rescans(table, entry.get("rescan_sessions") or (), entry.get("rescan_max_days"))
    except ValueError as error:
        raise ConfigError(f"datasets.{dataset}: {error}") from None
    if entry.get("rescan_max_days") is not None and not _dated(usable):
        print(
            f"WARNING: datasets.{dataset}: rescan_max_days finds no rescan, as no table gives the "
            "dates of two sessions of one participant",
            file=sys.stderr,
        )
    table["rescan_of"] = declared
    table["role"] = roles(table, measured)
    table = _with_rescan_ages(table)
    table["batch"] = batches(table, config["batch_size"])
    return table


def _check_index(table: pd.DataFrame, dataset: str) -> None:
    """Check that a dataset has a usable scan, and that all ids differ."""
    twice = table.loc[table["scan"].duplicated(), "scan"]
    if len(twice):
        raise ConfigError(f"datasets.{dataset}: two scans have the id '{twice.iloc[0]}'")
    if not (table["status"] == manifest.OK).any():
        reasons = table["reason"].value_counts()
        raise ConfigError(
            f"datasets.{dataset}: none of its {len(table)} scans and participants can be used; "
            f"most often: {reasons.index[0]} ({reasons.iloc[0]} of them)"
        )


def _dated(usable: pd.DataFrame) -> bool:
    """Tell whether the days of two sessions of any participant are known."""
    known = usable[usable["days"].notna()] if "days" in usable else usable.iloc[:0]
    return bool((known.groupby("participant")["session"].nunique() > 1).any())


def session_order(rows: pd.DataFrame) -> list[str]:
    """Return a participant's sessions in order, from the rows of usable scans."""
    days = rows["days"] if "days" in rows else pd.Series(float("nan"), index=rows.index)
    return in_order(days.groupby(rows["session"]).min().astype(float).to_dict())


def rescans(
    table: pd.DataFrame, labels: Sequence[str | int] = (), max_days: float | None = None
) -> pd.Series:
    """Return, for each scan in a declared rescan, the session that it repeats; else nothing.

    A session is a rescan of the last one before it that is none itself, if its label
    is declared or the two lie no more than ``max_days`` apart.  Nothing is a rescan
    by itself: between two sessions years may lie, and a brain's ageing is no noise.

    Parameters
    ----------
    table : pandas.DataFrame
        One row a scan: ``participant``, ``session``, ``status`` and, where known, ``days``.
    labels : sequence of str
        Sessions that are rescans, with or without ``ses-``.
    max_days : float, optional
        Most days between two sessions for the later one to be a rescan.

    Raises
    ------
    ValueError
        If no scan has a declared session.
    """
    declared = {f"ses-{str(label).removeprefix('ses-')}" for label in labels}
    unknown = sorted(declared - set(table["session"]))
    if unknown:
        there = sorted(set(table["session"]) - {""})
        raise ValueError(
            f"rescan_sessions: no scan has the session '{unknown[0]}' (there are: "
            f"{', '.join(there[:8]) or 'none'}{', ...' if len(there) > 8 else ''})"
        )
    found = pd.Series("", index=table.index)
    usable = table[table["status"] == manifest.OK]
    for _, rows in usable.groupby("participant") if declared or max_days is not None else ():
        if rows["session"].nunique() < 2:
            continue
        days = rows.groupby("session")["days"].min() if "days" in rows else {}
        base = None
        for session in session_order(rows):
            near = (
                base is not None
                and max_days is not None
                and abs(days.get(session, _UNKNOWN) - days.get(base, _UNKNOWN)) <= max_days
            )
            if base is not None and (near or session in declared):
                found[rows.index[rows["session"] == session]] = base
            else:
                base = session
    return found


_UNKNOWN = float("nan")


def roles(table: pd.DataFrame, measured: int | str) -> pd.Series:
    """Return the role of each scan; empty for those that the index has left out.

    A participant's first sessions are ``measured``.  A later one is a ``rescan`` if it is
    declared as one (``rescan_of``) of a measured session, else a ``followup``.
    """
    found = pd.Series("", index=table.index)
    usable = table[table["status"] == manifest.OK]
    found[usable.index] = MEASURED
    if measured == "all":
        return found
    for _, rows in usable.groupby("participant"):
        if rows["session"].nunique() < 2:
            continue
        first = session_order(rows)[: int(measured)]
        later = rows[~rows["session"].isin(first)]
        found[later.index] = later["rescan_of"].isin(first).map({True: RESCAN, False: FOLLOWUP})
    return found


def _with_rescan_ages(table: pd.DataFrame) -> pd.DataFrame:
    """Give a rescan of unknown age the age at the session that it repeats."""
    table = table.copy()
    usable = table[table["status"] == manifest.OK]
    ages = usable.groupby(["participant", "session"])["age"].first()
    for index, row in usable[(usable["rescan_of"] != "") & usable["age"].isna()].iterrows():
        table.loc[index, "age"] = ages[row["participant"], row["rescan_of"]]
        if "age_note" in table and pd.notna(table.loc[index, "age"]):
            table.loc[index, "age_note"] = ""
    return table


def batches(table: pd.DataFrame, size: int) -> pd.Series:
    """Number the scans of each split and role in batches of ``size``; all left out are one."""
    place = table.groupby(["split", "role"]).cumcount() // size
    numbered = table["split"] + "-" + table["role"] + "-" + place.map("{:03d}".format)
    return numbered.where(table["status"] == manifest.OK, LEFT_OUT)


def is_opened(batch: str, attacked: bool) -> bool:
    """Tell whether any job opens the scans of a batch; the others are only listed.

    Parameters
    ----------
    attacked : bool
        Whether there are attackers, who look at all sessions of the test split.

    >>> [is_opened(b, False) for b in ("train-measured-000", "test-rescan-000", LEFT_OUT)]
    [True, True, False]
    >>> [is_opened("test-followup-000", attacked) for attacked in (True, False)]
    [True, False]
    """
    split, role = batch.split("-")[:2]
    return role == MEASURED or (split == "test" and (role == RESCAN or attacked))


class Lists:
    """A dataset's batch lists: in memory, or those that the main process wrote (for jobs).

    Parameters
    ----------
    folder : str or Path
        Where they lie, one TSV a batch.
    table : pandas.DataFrame, optional
        All scans with their ``batch``.
    settled : mapping, optional
        See :class:`refacebench.stamps.Stamps`.
    """

    def __init__(self, folder, table: pd.DataFrame | None = None, settled: Mapping | None = None):
        self.folder = Path(folder)
        self._settled = dict(settled or {})
        self._texts = {}
        if table is None:
            self.names = sorted(path.stem for path in self.folder.glob("*.tsv"))
        else:
            groups = table.groupby("batch", sort=True)
            self._texts = {b: manifest.to_text(rows.drop(columns="batch")) for b, rows in groups}
            self.names = list(self._texts)

    def text(self, batch: str) -> str:
        """Return one list as TSV."""
        if batch not in self._texts:
            self._texts[batch] = (self.folder / f"{batch}.tsv").read_text()
        return self._texts[batch]

    def count(self, batches: Iterable[str]) -> int:
        """Return the number of scans in some batches."""
        texts = (csv.reader(io.StringIO(self.text(batch)), delimiter="\t") for batch in batches)
        return sum(sum(1 for _ in rows) - 1 for rows in texts)

    def digest(self, batch: str) -> str:
        """Return what changes with a list, as a parameter of the rules that read it."""
        found = hashlib.sha256(self.text(batch).encode()).hexdigest()
        return f"{self.count([batch])} scans, list {found[:12]}"

    def write(self) -> None:
        """Write what differs from the files, and delete the lists of batches that are no more."""
        for batch in self.names:
            _write_changed(self.text(batch), self.folder / f"{batch}.tsv")
        for path in self.folder.glob("*.tsv"):
            if path.stem not in self.names:
                path.unlink()
        write_json(self._settled, self.folder / "settled.json")


def read_list(path: str | Path) -> pd.DataFrame:
    """Read a batch list as the first manifest; its stamps serve the plan alone."""
    return manifest.read(path).drop(columns="stamp", errors="ignore")


def read_all(checked: Iterable[str | Path], unused: Iterable[str | Path]) -> pd.DataFrame:
    """Return every scan of a dataset, from its inventory and the lists that nothing uses."""
    return pd.concat([*map(manifest.read, checked), *map(read_list, unused)], ignore_index=True)


def write_json(found: Mapping, path: str | Path) -> None:
    """Write what jobs need to know; a file that holds it already keeps its time."""
    _write_changed(json.dumps(found, indent=1) + "\n", Path(path))


def _write_changed(text: str, path: Path) -> None:
    if not path.is_file() or path.read_text() != text:
        manifest.write_text(text, path)


def statement(dataset: str, entry: Mapping) -> str:
    """Return the sentence that says that a dataset is synthetic; empty for real ones."""
    module = registry.load("datasets", dataset, entry)
    return f"{module.STATEMENT} {SYNTHETIC_NOTE}" if getattr(module, "SYNTHETIC", False) else ""


def is_synthetic(config: Mapping, dataset: str) -> bool:
    """Tell whether a dataset's scans are grown at run time."""
    module = registry.load("datasets", dataset, config["datasets"][dataset])
    return bool(getattr(module, "SYNTHETIC", False))


def load(config: Mapping, dataset: str, index: bool, results: str = "results") -> Lists:
    """Return a dataset's batch lists.

    With ``index`` its scans are listed anew, each with the stamp of its file
    (:mod:`refacebench.stamps`); without (in a job) the lists of the main process are used.
    """
    home = Path(results) / "plan" / dataset
    if not index:
        return Lists(home)
    table = scans(config, dataset)
    inventory = Path(results) / "inventory" / dataset
    found = stamps.find(table, stamps.saved(home), lambda: stamps.checked(inventory))
    if any(found.listed.values()):  # not where the scans are yet to be grown
        table["stamp"] = table["scan"].map(found.listed)
    return Lists(home, table, found.settled)


def alternatives(names) -> str:
    r"""Return a regular expression that matches just these names.

    >>> alternatives(["a", "a+b"])
    'a|a\\+b'
    """
    return "|".join(re.escape(str(name)) for name in names) or "(?!)"
