"""What the page is made of: tables, pictures, sections; text only."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Table:
    """A table as the page prints it: text only.

    Attributes
    ----------
    caption : str
    columns : list of str
    rows : list of list of str
        The first cell of a row is its heading.
    link : str
        Relative address of the full table; empty for none.
    """

    caption: str
    columns: list[str]
    rows: list[list[str]]
    link: str = ""


@dataclass(frozen=True)
class Picture:
    """A figure as the page shows it: an embedded PNG with its caption and alternative text.

    ``vector`` is the relative address of the same figure as SVG, empty where there is none.
    """

    name: str
    source: str
    caption: str
    alt: str
    vector: str = ""


@dataclass(frozen=True)
class Link:
    """The file of a table: its name, its relative address and what is in it."""

    name: str
    address: str
    about: str


@dataclass(frozen=True)
class Section:
    """A part of a dataset's results, with the files of all its tables."""

    id: str
    title: str
    lead: str = ""
    pictures: list[Picture] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    links: list[Link] = field(default_factory=list)
