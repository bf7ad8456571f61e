"""What every dataset keeps: its index."""

from __future__ import annotations

from functools import cached_property

import pandas as pd

from refacebench.checking.bench import Bench, expect
from refacebench.vocabulary import EXCLUDED, OK

SEED = 2
COLUMNS = (*("participant", "session", "scan", "path", "site", "age", "sex", "status", "reason"),)


class DatasetBench(Bench):
    """A dataset with its options; its scans are listed and not opened."""

    @cached_property
    def table(self) -> pd.DataFrame:
        """The index."""
        return self.method.index(self.options, SEED)


def columns(bench: DatasetBench) -> None:
    """Its index is a table with the columns that a run needs."""
    found = bench.table
    expect(isinstance(found, pd.DataFrame), f"it returns {type(found).__name__}")
    lacks = [name for name in COLUMNS if name not in found]
    expect(not lacks, f"there is no column {', '.join(lacks)}")
    expect(len(found), "it has no row")


def ids(bench: DatasetBench) -> None:
    """No two scans have one id, and ids name their participant."""
    found = bench.table
    twice = found.loc[found["scan"].duplicated(), "scan"]
    expect(twice.empty, f"two scans have the same id {next(iter(twice), '')}")
    wrong = [name for name in found["participant"] if not str(name).lower().startswith("sub-")]
    expect(not wrong, f"a participant is called {next(iter(wrong), '')}, not sub-...")
    wrong = [s for s in found["session"] if s and not str(s).startswith("ses-")]
    expect(not wrong, f"a session is called {next(iter(wrong), '')}, not ses-...")


def order(bench: DatasetBench) -> None:
    """Its rows are sorted by scan."""
    expect(bench.table["scan"].is_monotonic_increasing, "sort_values('scan')")


def statuses(bench: DatasetBench) -> None:
    """Every row is usable or says why not."""
    found = bench.table
    unknown = set(found["status"]) - {OK, EXCLUDED}
    expect(not unknown, f"status is {', '.join(map(str, unknown))}; use ok or excluded")
    silent = found[(found["status"] == EXCLUDED) & (found["reason"].fillna("") == "")]
    expect(silent.empty, f"{len(silent)} excluded rows have no reason")
    lost = found[(found["status"] == OK) & (found["path"].fillna("") == "")]
    expect(bench.method.synthetic or lost.empty, f"{len(lost)} usable scans have no path")


def same(bench: DatasetBench) -> None:
    """The same options and seed give the same table."""
    expect(bench.table.equals(bench.method.index(bench.options, SEED)), "two calls differ")


CHECKS = (columns, ids, order, statuses, same)
