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
    secondary : bool
        Whether it is folded away.
    """

    caption: str
    columns: list[str]
    rows: list[list[str]]
    link: str = ""
    secondary: bool = False


@dataclass(frozen=True)
class Picture:
    """A figure as the page shows it: an embedded PNG with its caption and alternative text.

    ``vector`` is the relative address of the same figure as SVG, empty where there is none;
    ``title`` a few words for a list; ``secondary`` says whether it is folded away.  ``message``
    stands in place of a picture where there is nothing to draw.
    """

    name: str
    source: str
    caption: str
    alt: str
    vector: str = ""
    title: str = ""
    secondary: bool = False
    message: str = ""


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

    def of(self, secondary: bool) -> tuple[list[Picture], list[Table]]:
        """Return the pictures and tables that are folded away, or those that are not."""
        return (
            [picture for picture in self.pictures if picture.secondary == secondary],
            [table for table in self.tables if table.secondary == secondary],
        )

    @property
    def more(self) -> str:
        """What is folded away, in a few words; empty where nothing is."""
        pictures, tables = self.of(secondary=True)
        pictures = [picture for picture in pictures if not picture.message]
        many = [f"{n} {noun}{'' if n == 1 else 's'}" for n, noun in
                ((len(pictures), "figure"), (len(tables), "table")) if n]  # fmt: skip
        titles = [picture.title for picture in pictures if picture.title]
        named = f": {'; '.join(titles)}" if titles else ""
        return f"More: {' and '.join(many)}{named}" if many else ""
