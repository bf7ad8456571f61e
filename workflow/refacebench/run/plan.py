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
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from refacebench import files, manifest, reasons, vocabulary
from refacebench.bids import in_order
from refacebench.run import methods, spares, splits, stamps
from refacebench.run.configuration import ConfigError
from refacebench.vocabulary import FOLLOWUP, MEASURED, RESCAN, SPLITS

#: The list of the scans that the index has left out: no job opens them.
LEFT_OUT = "excluded-000"
#: The names of the others, as a regular expression: split, role and number.
BATCH = rf"({'|'.join(SPLITS)})-({MEASURED}|{RESCAN}|{FOLLOWUP})-\d+"


def scans(config: Mapping[str, Any], dataset: str) -> pd.DataFrame:
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
    chosen = methods.choose("datasets", dataset, entry)
    try:
        table = chosen.method.index(chosen.options, config["seed"])
    except (OSError, ValueError) as error:
        raise ConfigError(f"datasets.{dataset}: {error}") from None
    _check_index(table, dataset)
    try:
        table = taken(table, entry.get("only_participants"), entry.get("limit"))
    except ValueError as error:
        raise ConfigError(f"datasets.{dataset}: {error}") from None
    table["dataset"] = dataset
    # Thousands of rows may have one reason.
    table["reason"] = table["reason"].map({r: reasons.clean(r) for r in table["reason"].unique()})
    table["variant"], table["stage"] = "original", "inventory"
    usable = table[table["status"] == vocabulary.OK]
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
    if not (table["status"] == vocabulary.OK).any():
        reasons = table["reason"].value_counts()
        raise ConfigError(
            f"datasets.{dataset}: none of its {len(table)} scans and participants can be used; "
            f"most often: {reasons.index[0]} ({reasons.iloc[0]} of them)"
        )


def taken(
    table: pd.DataFrame,
    participants: Sequence[str | int] | None = None,
    limit: int | None = None,
) -> pd.DataFrame:
    """Return the list of scans with those excluded that the user does not want this time.

    Parameters
    ----------
    table : pandas.DataFrame
        One row a scan: ``participant``, ``status``, ``reason``.
    participants : sequence of str, optional
        Only these, with or without ``sub-``.
    limit : int, optional
        Only so many of those who have a usable scan: the first ones by their names.

    Raises
    ------
    ValueError
        If a named participant has no scan.
    """
    usable = table["status"] == vocabulary.OK
    wanted = {f"sub-{str(label).removeprefix('sub-')}" for label in participants or ()}
    unknown = sorted(wanted - set(table["participant"]))
    if unknown:
        raise ValueError(f"only_participants: there is no scan of {', '.join(unknown[:8])}")
    table = table.copy()
    if wanted:
        others = usable & ~table["participant"].isin(wanted)
        _leave(table, others, "not taken: the config's `only_participants` does not name this one")
        usable &= ~others
    if limit is not None:
        first = sorted(table.loc[usable, "participant"].unique())[:limit]
        beyond = usable & ~table["participant"].isin(first)
        _leave(
            table, beyond, f"not taken: the config's `limit` takes the first {limit} participants"
        )
    return table


def _leave(table: pd.DataFrame, rows: pd.Series, reason: str) -> None:
    table.loc[rows, "status"] = vocabulary.EXCLUDED
    table.loc[rows, "reason"] = reason


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
    usable = table[table["status"] == vocabulary.OK]
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
    usable = table[table["status"] == vocabulary.OK]
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
    usable = table[table["status"] == vocabulary.OK]
    ages = usable.groupby(["participant", "session"])["age"].first()
    for index, row in usable[(usable["rescan_of"] != "") & usable["age"].isna()].iterrows():
        table.loc[index, "age"] = ages[row["participant"], row["rescan_of"]]
        if "age_note" in table and pd.notna(table.loc[index, "age"]):
            table.loc[index, "age_note"] = ""
    return table


def batches(table: pd.DataFrame, size: int) -> pd.Series:
    """Number the scans of each split and role in batches of ``size``; all left out are one.

    Where it takes all scans of a session to know which one counts (:mod:`.spares`), they are
    in one batch, which may be larger then.
    """
    groups = table.groupby(["split", "role"])
    if spares.matter(table):
        place = pd.concat([_sessions_together(rows, size) for _, rows in groups])
    else:
        place = groups.cumcount() // size
    numbered = table["split"] + "-" + table["role"] + "-" + place.map("{:03d}".format)
    return numbered.where(table["status"] == vocabulary.OK, LEFT_OUT)


def _sessions_together(rows: pd.DataFrame, size: int) -> pd.Series:
    """Return the number of the batch of each row; a session's rows have one."""
    session = rows.groupby(["participant", "session"], sort=False).ngroup()
    numbers, filled = [0], 0
    for count in session.value_counts(sort=False).sort_index():
        numbers.append(numbers[-1] + (filled > 0 and filled + count > size))
        filled = count if numbers[-1] > numbers[-2] else filled + count
    return session.map(dict(enumerate(numbers[1:])))


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
        See :class:`refacebench.run.stamps.Stamps`.
    """

    def __init__(
        self,
        folder: str | Path,
        table: pd.DataFrame | None = None,
        settled: Mapping[str, str] | None = None,
    ):
        self.folder = Path(folder)
        self._settled = dict(settled or {})
        self._texts: dict[str, str] = {}
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

    def first(self, column: str) -> str:
        """Return what the first row says in a column that says the same in all rows."""
        for batch in self.names:
            for row in csv.DictReader(io.StringIO(self.text(batch)), delimiter="\t"):
                return row.get(column) or ""
        return ""

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


def write_json(found: Mapping[str, Any], path: str | Path) -> None:
    """Write what jobs need to know; a file that holds it already keeps its time."""
    _write_changed(json.dumps(found, indent=1) + "\n", Path(path))


def _write_changed(text: str, path: Path) -> None:
    if not path.is_file() or path.read_text() != text:
        files.write_text(text, path)


def nothing(dataset: str, results: str = "results") -> Lists:
    """Return the lists of a dataset whose scans are not known yet."""
    return Lists(Path(results) / "plan" / dataset, pd.DataFrame({"batch": []}))


def load(config: Mapping[str, Any], dataset: str, index: bool, results: str = "results") -> Lists:
    """Return a dataset's batch lists.

    With ``index`` its scans are listed anew, each with the stamp of its file
    (:mod:`refacebench.run.stamps`); without (in a job) the lists of the main process are used.
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
