"""What a result is: a table, its words, its figures and its place on the page."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import Any

import pandas as pd

from refacebench.faces import may_show
from refacebench.plot.style import Look, look_of
from refacebench.statistics.criteria import Criteria

#: The rules that compute results.  Results of measurements, the scans' flow, results of attacks,
#: answers of human raters, a published study's tables beside ours, and what the run cost;
#: results without a table are only drawn.
STATISTICS, FLOW, ATTACKS, RATERS = "statistics", "flow", "privacy", "raters"
STUDY, COSTS, DRAWN = "study", "costs", ""
Tables = Mapping[str, pd.DataFrame]
#: Columns and rows of text, as the page prints them.
Printed = tuple[list[str], list[list[str]]]


@dataclass(frozen=True)
class View:
    """What a result is told, drawn and printed from.

    Attributes
    ----------
    tables : mapping of str to pandas.DataFrame
        Result tables of one dataset by name; missing ones were not made.
    criteria : Criteria
        Those that the tables were made with.
    segmenter : str, optional
        Whose rows are meant; those of all segmenters where it is left out.
    thresholds : mapping
        The config's ``thresholds``.
    decision : mapping
        The config's ``decision``: the rule of the verdicts.
    faces : str
        The dataset's ``faces``.
    look : Look
        Order, names and colours of the variants; for figures and the page.
    measures : pandas.DataFrame, optional
        The measurement table; for figures with one point per scan.
    scans : pandas.DataFrame, optional
        All scans of the dataset with their participants; those of the table ``flow`` where
        it is left out.
    """

    tables: Tables
    criteria: Criteria = field(default_factory=Criteria)
    segmenter: str | None = None
    thresholds: Mapping[str, float] = field(default_factory=dict)
    decision: Mapping[str, float] = field(default_factory=dict)
    faces: str = "private"
    look: Look = field(default_factory=lambda: look_of({}))
    measures: pd.DataFrame | None = None
    scans: pd.DataFrame | None = None

    def rows(self, name: str) -> pd.DataFrame:
        """Return the segmenter's rows of a table; an empty table where there is none."""
        table = self.tables.get(name)
        return pd.DataFrame() if table is None else of_segmenter(table, self.segmenter)

    def of(self, segmenter: str | None) -> View:
        """Return the view of one segmenter."""
        return replace(self, segmenter=segmenter)

    @property
    def by(self) -> str:
        """Whose segmentations are meant, as a caption says it; empty for those of all."""
        return f" by {self.segmenter}" if self.segmenter else ""

    @property
    def public(self) -> bool:
        """Whether the dataset's faces may be shown."""
        return may_show(self.faces)


def of_segmenter(table: pd.DataFrame, segmenter: str | None) -> pd.DataFrame:
    """Return the rows of one segmenter; all rows where none is named or known."""
    if segmenter is None or "segmenter" not in table:
        return table
    return table[table["segmenter"] == segmenter]


@dataclass(frozen=True)
class Heading:
    """A section of the page, under which results stand in their order.

    Attributes
    ----------
    id, title, lead : str
        Anchor; heading; the sentence below it.
    order : int
        Sections stand by it, then by their ids.
    by_segmenter : bool
        Whether there is a section for each segmenter.
    """

    id: str
    title: str
    lead: str = ""
    order: int = 1000
    by_segmenter: bool = False


@dataclass(frozen=True)
class Figure:
    """A figure of a result.

    Attributes
    ----------
    name : str
        That of its files; for further segmenters ``<name>-<segmenter>``.
    alt : str
        What it shows, for a reader who does not see it.
    draw : callable, optional
        Takes a :class:`View` and returns a ``matplotlib.figure.Figure``.  Without it a rule of
        its own draws it, once or many times: as ``<name>.png`` or ``<name>-<which>.png``.
    caption : callable, optional
        Takes a :class:`View`, that of a figure without ``draw`` also which one it is; the
        result's by default.
    by_segmenter : bool
        Whether there is one for each segmenter.
    first_segmenter : bool
        Whether it is of the first segmenter alone.
    heads : bool
        Whether it could show faces: the page takes it only with the label that its dataset's
        ``faces`` ask for.
    title : str
        A few words by which it is found in a list; its name by default.
    secondary : bool
        Whether the page folds it away, since a reader decides without it.
    """

    name: str
    alt: str
    draw: Callable[[View], Any] | None = None
    caption: Callable[..., str] | None = None
    by_segmenter: bool = False
    first_segmenter: bool = False
    heads: bool = False
    title: str = ""
    secondary: bool = False


@dataclass(frozen=True)
class Result:
    """A result: declared in one file, found by :mod:`refacebench.results.catalogue`.

    Attributes
    ----------
    name : str
        That of the table's files.
    about : str
        What the table's columns mean, for the reference; the module's docstring.
    job : str
        The rule that computes it.
    columns : str
        Names of the table's columns in their order, between blanks.  A column ``note`` is added
        where a table of measurements has a line per variant, for variants that are unavailable.
    texts : str
        Which of them are text even where every entry looks like a number, beside
        :data:`TEXTS`.
    compute : callable, optional
        Takes what the job was given (:mod:`refacebench.results.inputs`) and the tables that
        this one ``needs``, by name; returns the table.
    needs : tuple of str
        Tables of the same job that must be there first.
    reads : str
        Columns of the measurement table between blanks, ``vol_*`` for all that begin so: where
        not one of them is there, because nobody measured it, the table is empty.
    caption : callable, optional
        Takes a :class:`View`, returns plain text.
    latex : str
        Columns that are printed where the table is too wide for a page; all by default.
    in_latex : bool
        Whether it is printed at all.
    source : str
        The table without whose rows the figures are left out; its own by default.
    heading : Heading, optional
        Where it stands on the page; nowhere without.
    order : int
        Results stand by it, then by name.
    printed : callable, optional
        Takes a :class:`View` (with ``look``) and returns the columns and rows of the page's
        table; none without.
    numbers : callable, optional
        Takes a :class:`View`; the caption of the page's table where it stands below its
        figure.
    figures : tuple of Figure
    secondary : bool
        Whether the page folds its table and all its figures away.
    empty : str
        Why the table may have no rows, in a few words.
    """

    name: str
    about: str = ""
    job: str = DRAWN
    columns: str | tuple[str, ...] = ()
    texts: str = ""
    compute: Callable[[Any, Tables], pd.DataFrame] | None = None
    needs: tuple[str, ...] = ()
    reads: str = ""
    caption: Callable[[View], str] | None = None
    latex: str | tuple[str, ...] = ()
    in_latex: bool = True
    source: str = ""
    heading: Heading | None = None
    order: int = 1000
    printed: Callable[[View], Printed] | None = None
    numbers: Callable[[View], str] | None = None
    figures: Sequence[Figure] = ()
    secondary: bool = False
    empty: str = "there was nothing to compute it from"

    def __post_init__(self) -> None:
        """Take the names apart."""
        for name in ("columns", "latex"):
            given = getattr(self, name)
            object.__setattr__(
                self, name, tuple(given.split() if isinstance(given, str) else given)
            )
        wants = self.job in (STATISTICS, FLOW) and "variant" in self.columns
        if wants and not {"note", "reason"} & set(self.columns):
            object.__setattr__(self, "columns", (*self.columns, "note"))

    def can_read(self, columns: Iterable[str]) -> bool:
        """Tell whether a measurement table with such columns has anything to compute from."""
        patterns = self.reads.split()
        return not patterns or any(
            fnmatchcase(str(name), pattern) for name in columns for pattern in patterns
        )

    def frame(self, rows: list[dict[str, Any]]) -> pd.DataFrame:
        """Return rows as this table: its columns, in its order, none more.

        Raises
        ------
        ValueError
            If a row has a column that the table does not declare.
        """
        unknown = sorted({key for row in rows for key in row} - set(self.columns))
        if unknown:
            raise ValueError(f"table {self.name} has no columns {', '.join(unknown)}")
        return pd.DataFrame(rows, columns=list(self.columns))

    def said(self, view: View) -> str:
        """Return the caption of the table.

        Raises
        ------
        ValueError
            If there is none.
        """
        if self.caption is None:
            raise ValueError(f"result {self.name} has no caption")
        return self.caption(view)

    def words(self, figure: Figure) -> Callable[..., str]:
        """Return the caption of one of the figures."""
        found = figure.caption or self.caption
        if found is None:
            raise ValueError(f"figure {figure.name} has no caption")
        return found


#: Columns that are text in every table.
TEXTS = """
    dataset scan participant session split role variant stage status reason segmenter engine
    version structure measure region family site step margin_source correction note
    part made_by failure contrast
    attacker trained_on setting curve kind control message worst_attacker worst_route floor_attacker
    worst_volume file rater question shortfall matched_on swapped_within
"""
