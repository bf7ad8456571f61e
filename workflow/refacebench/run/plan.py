"""From a config to the list of work: datasets, scans, splits, batches, variants.

Runs whenever the Snakefile is parsed, so it opens no image and writes nothing.  When
jobs are about to start, the main process writes what they need to know of the plan
below ``results/plan`` (:meth:`Lists.write`, :func:`write_json`).
"""

from __future__ import annotations

import contextlib
import csv
import hashlib
import io
import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from refacebench import files, manifest, reasons, vocabulary
from refacebench.bids import in_order
from refacebench.manifest import LEFT_OUT
from refacebench.run import kept, methods, people, spares, splits, stamps, wanted
from refacebench.run.mistakes import ConfigError, Gathered
from refacebench.vocabulary import FOLLOWUP, MEASURED, RESCAN


def scans(
    config: Mapping[str, Any], dataset: str, before: kept.Kept = kept.NOTHING
) -> pd.DataFrame:
    """List a dataset's scans with split, role and batch.

    Parameters
    ----------
    config : mapping
        Checked and filled up.
    dataset : str
    before : refacebench.run.kept.Kept
        What earlier runs decided.

    Returns
    -------
    pandas.DataFrame
        One row per scan, the manifest's columns that are known before any image
        is opened, and ``batch``.  A batch holds scans of one split and role.

    Raises
    ------
    ConfigError
        If the dataset's folder is missing or unusable.
    """
    entry = config["datasets"][dataset]
    chosen = methods.choose("datasets", dataset, entry)
    with _said_of(dataset):
        table = chosen.method.index(chosen.options, config["seed"])
    _check_index(table, dataset)
    found = Gathered()
    with found.more(), _said_of(dataset):
        table = wanted.taken(table, entry.get("only_participants"), entry.get("limit"))
    table["dataset"] = dataset
    # Thousands of rows may have one reason.
    table["reason"] = table["reason"].map({r: reasons.clean(r) for r in table["reason"].unique()})
    table["variant"], table["stage"] = "original", "inventory"
    usable = table[table["status"] == vocabulary.OK]
    # Who has no usable scan takes no place in a split.
    present = usable.groupby("participant", as_index=False)[["site", "age"]].first()
    try:
        split = splits.assign(present, config["splits"], config["seed"], before.splits)
    except ValueError as error:
        raise ConfigError(f"config: {error}") from None
    table["split"] = table["participant"].map(split).fillna("")
    measured = entry.get("sessions_measured", "all")
    with found.more(), _said_of(dataset):
        declared = rescans(table, entry.get("rescan_sessions") or (), entry.get("rescan_max_days"))
    found.refuse()
    if entry.get("rescan_max_days") is not None and not _dated(usable):
        print(
            f"WARNING: datasets.{dataset}: rescan_max_days finds no rescan, as no table gives the "
            "dates of two sessions of one participant",
            file=sys.stderr,
        )
    table["rescan_of"] = declared
    table["role"] = roles(table, measured)
    table = _with_rescan_ages(table)
    table["batch"] = batches(table, config["batch_size"], before.batches)
    return table


@contextlib.contextmanager
def _said_of(dataset: str) -> Iterator[None]:
    """Turn what is wrong with a data set into a complaint about it."""
    try:
        yield
    except (OSError, ValueError) as error:
        raise ConfigError(f"datasets.{dataset}: {error}") from None


def _check_index(table: pd.DataFrame, dataset: str) -> None:
    """Check that a dataset has a usable scan, and that all ids differ."""
    twice = table.loc[table["scan"].duplicated(), "scan"]
    if len(twice):
        raise ConfigError(f"datasets.{dataset}: two scans have the same id '{twice.iloc[0]}'")
    if not (table["status"] == vocabulary.OK).any():
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
        One row per scan: ``participant``, ``session``, ``status`` and, where known, ``days``.
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


def batches(table: pd.DataFrame, size: int, before: Mapping[str, str] | None = None) -> pd.Series:
    """Number the scans of each split and role in batches of ``size``; all left out are one.

    A scan that has a batch stays in it.  Those that join get batches of their own, numbered
    on, so that nothing is done again for the others.  Where it takes all scans of a session
    to know which one counts (:mod:`.spares`), they are in one batch, which may be larger then.
    """
    together = spares.matter(table)
    found = pd.Series(LEFT_OUT, index=table.index)
    usable = table[table["status"] == vocabulary.OK]
    for (split, role), rows in usable.groupby(["split", "role"]):
        name = f"{split}-{role}-"
        own = _known_batches(rows, before or {}, name, together)
        first = max((int(batch.removeprefix(name)) + 1 for batch in own if batch), default=0)
        joining = rows[own == ""]
        place = (
            _sessions_together(joining, size)
            if together
            else pd.Series(range(len(joining)), index=joining.index) // size
        )
        found[rows.index] = own
        found[joining.index] = [f"{name}{first + number:03d}" for number in place]
    return found


def _known_batches(
    rows: pd.DataFrame, before: Mapping[str, str], name: str, together: bool
) -> pd.Series:
    """Return the batch that each scan has, empty for those that join.

    Where a session's scans belong together, one that joins a session joins its batch.
    """
    own = [before.get(scan, "") for scan in rows["scan"]]
    own = [batch if batch.startswith(name) else "" for batch in own]
    if together:
        sessions = list(zip(rows["participant"], rows["session"], strict=True))
        of_session: dict[tuple[str, str], str] = {}
        for session, batch in zip(sessions, own, strict=True):
            if batch:
                of_session.setdefault(session, batch)
        own = [of_session.get(session, "") for session in sessions]
    return pd.Series(own, index=rows.index, dtype=object)


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
    splits : str
        What ``splits.tsv`` is to hold (:mod:`refacebench.run.kept`).
    anew : bool
        Whether everyone was assigned to a split just now.
    """

    def __init__(
        self,
        folder: str | Path,
        table: pd.DataFrame | None = None,
        settled: Mapping[str, str] | None = None,
        splits: str = "",
        anew: bool = False,
    ):
        self.folder = Path(folder)
        self._settled = dict(settled or {})
        self._splits, self.anew = splits, anew
        self._texts: dict[str, str] = {}
        self._people = "" if table is None else manifest.to_text(people.of(table))
        if table is None:
            self.names = [path.stem for path in manifest.lists(self.folder)]
        else:
            table = people.without(table)
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

    def scans(self, batches: Iterable[str]) -> dict[str, str]:
        """Return the scans of some batches, each with the stamp of its file, if it has one."""
        texts = (csv.DictReader(io.StringIO(self.text(b)), delimiter="\t") for b in batches)
        return {row["scan"]: row.get("stamp", "") for rows in texts for row in rows}

    def people_digest(self, batches: Iterable[str] | None = None) -> str:
        """Return what changes with the people of some batches, as a parameter of rules."""
        if not self._people and (self.folder / people.FILE).is_file():
            self._people = (self.folder / people.FILE).read_text()
        return people.digest(self._people, None if batches is None else self.scans(batches).keys())

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
        for path in manifest.lists(self.folder):
            if path.stem not in self.names:
                path.unlink()
        _write_changed(self._people, self.folder / people.FILE)
        if self._splits:
            _write_changed(self._splits, self.folder / kept.SPLITS_FILE)
        write_json(self._settled, self.folder / "settled.json")


def read_list(path: str | Path) -> pd.DataFrame:
    """Read a batch list as the first manifest; its stamps serve the plan alone."""
    return manifest.read(path).drop(columns="stamp", errors="ignore")


def read_all(
    checked: Iterable[str | Path],
    unused: Iterable[str | Path],
    people_path: str | Path,
) -> pd.DataFrame:
    """Return every scan of a dataset, from its inventory and the lists that nothing uses."""
    tables = [*map(manifest.read, checked), *map(_unused, unused)]
    return people.known(pd.concat(tables, ignore_index=True), people.read(people_path))


def _unused(path: str | Path) -> pd.DataFrame:
    """Read a list that nothing uses; who joined a training set too late is told why."""
    table = read_list(path)
    late = table["split"].isin(("train", "validation")) & (table["role"] == MEASURED)
    return table.assign(reason=table["reason"].mask(late, vocabulary.JOINED_LATE))


def write_json(found: Mapping[str, Any], path: str | Path) -> None:
    """Write what jobs need to know; a file that holds it already keeps its time."""
    _write_changed(json.dumps(found, indent=1) + "\n", Path(path))


def _write_changed(text: str, path: Path) -> None:
    if not path.is_file() or path.read_text() != text:
        files.write_text(text, path)


def nothing(dataset: str, results: str = "results") -> Lists:
    """Return the lists of a dataset whose scans are not known yet."""
    return Lists(Path(results) / "plan" / dataset, pd.DataFrame({"batch": [], "scan": []}))


def load(config: Mapping[str, Any], dataset: str, index: bool, results: str = "results") -> Lists:
    """Return a dataset's batch lists.

    With ``index`` its scans are listed anew, each with the stamp of its file
    (:mod:`refacebench.run.stamps`); without (in a job) the lists of the main process are used.
    """
    home = Path(results) / "plan" / dataset
    if not index:
        return Lists(home)
    before = kept.read(home, config["splits"], config["seed"])
    table = scans(config, dataset, before)
    inventory = Path(results) / "inventory" / dataset
    found = stamps.find(table, stamps.saved(home), lambda: stamps.checked(inventory))
    if any(found.listed.values()):  # not where the scans are yet to be grown
        table["stamp"] = table["scan"].map(found.listed)
    assigned = table.loc[table["split"] != "", ["participant", "split"]]
    everyone = before.splits | dict(assigned.itertuples(index=False))
    text = kept.text(everyone, config["splits"], config["seed"])
    return Lists(home, table, found.settled, text, anew=not before.splits)
