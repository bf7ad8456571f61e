"""From a config to the list of work: datasets, scans, splits, batches, variants.

Runs whenever the Snakefile is parsed, so it opens no image.  It writes nothing
but the batch lists under ``results/plan`` (:func:`write_batches`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from . import manifest, registry, splits

MEASURED, RESCAN = "measured", "rescan"
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
    for kind in ("datasets", "defacers", "refacers", "segmenters"):
        for name, entry in (config.get(kind) or {}).items():
            if name is None:
                raise ConfigError(f'{kind}: a bare null is no name in YAML; write "null" in quotes')
            if "+" in name or not name.replace("_", "").replace("-", "").isalnum():
                raise ConfigError(f"{kind}: the name '{name}' may hold letters, digits, _ and -")
            try:
                registry.options(kind, name, entry)
            except registry.MethodError as error:
                raise ConfigError(f"config: {error}") from None
    _check_settings(config)
    if "original" in config["defacers"]:
        raise ConfigError("defacers: 'original' is always measured and cannot be listed")
    for name, entry in (config.get("refacers") or {}).items():
        unknown = set((entry or {}).get("defacers") or []) - set(config["defacers"])
        if unknown:
            raise ConfigError(
                f"refacers.{name}.defacers: {', '.join(sorted(unknown))} is not among the defacers"
            )


def _check_settings(config: Mapping) -> None:
    """Check the keys whose names live in the modules that use them."""
    from . import checks
    from .metrics import quality
    from .statistics.settings import Settings

    try:
        registry.options("brainage", BRAIN_AGE, config.get("brain_age"))
        quality.thresholds(quality_thresholds(config))
        Settings.from_config(config)
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
        for refacer, entry in (config.get("refacers") or {}).items():
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
    table["dataset"] = dataset
    table["variant"], table["stage"] = "original", "inventory"
    people = table.drop_duplicates("participant")[["participant", "site", "age"]]
    split = splits.assign(people, config["splits"], config["seed"])
    table["split"] = table["participant"].map(split)
    table["role"] = roles(table, entry.get("sessions_measured", "all"))
    table["batch"] = batches(table, config["batch_size"])
    return table


def roles(table: pd.DataFrame, measured: int | str) -> pd.Series:
    """Return ``measured`` for a participant's first sessions, ``rescan`` for the others.

    A rescan is segmented as it is and never defaced: it tells how much two
    scans of one person differ.
    """
    if measured == "all":
        return pd.Series(MEASURED, index=table.index)
    rank = table.groupby("participant")["session"].transform(
        lambda s: s.rank(method="dense").astype(int)
    )
    return (rank <= int(measured)).map({True: MEASURED, False: RESCAN})


def batches(table: pd.DataFrame, size: int) -> pd.Series:
    """Number the scans of each split and role in batches of ``size``."""
    place = table.groupby(["split", "role"]).cumcount() // size
    return table["split"] + "-" + table["role"] + "-" + place.map("{:03d}".format)


def write_batches(table: pd.DataFrame, folder: str | Path) -> None:
    """Write one list a batch; a list that did not change keeps its file time."""
    folder = Path(folder)
    for batch, rows in table.groupby("batch", sort=True):
        path = folder / f"{batch}.tsv"
        new = manifest.to_text(rows.drop(columns="batch"))
        if not path.is_file() or path.read_text() != new:
            manifest.write_text(new, path)
    for path in folder.glob("*.tsv"):
        if path.stem not in set(table["batch"]):
            path.unlink()


def batch_names(folder: str | Path) -> list[str]:
    """Return the batches of a dataset from its lists (for jobs, which index nothing anew)."""
    return sorted(path.stem for path in Path(folder).glob("*.tsv"))


def statement(dataset: str, entry: Mapping) -> str:
    """Return the sentence that says that a dataset is synthetic; empty for real ones."""
    module = registry.load("datasets", dataset, entry)
    return f"{module.STATEMENT} {SYNTHETIC_NOTE}" if getattr(module, "SYNTHETIC", False) else ""


def is_synthetic(config: Mapping, dataset: str) -> bool:
    """Tell whether a dataset's scans are grown at run time."""
    module = registry.load("datasets", dataset, config["datasets"][dataset])
    return bool(getattr(module, "SYNTHETIC", False))


def load(config: Mapping, dataset: str, index: bool, folder: str = "results/plan") -> list[str]:
    """Return a dataset's batches.

    With ``index`` its scans are listed anew and the batch lists brought up to
    date; without (in a job) the lists of the main process are used.
    """
    home = Path(folder) / dataset
    if index:
        write_batches(scans(config, dataset), home)
    return batch_names(home)


def alternatives(names) -> str:
    r"""Return a regular expression that matches just these names.

    >>> alternatives(["a", "a+b"])
    'a|a\\+b'
    """
    return "|".join(re.escape(str(name)) for name in names) or "(?!)"
