"""Which parts of a report stand on which page, where one page would be too large.

The first page keeps the verdicts; sections with their pictures, and whole tables, go to pages of
their own, as many of them to a page as its size allows.  Pure: what the template takes in and out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Any, TypeVar

from refacebench.report.blocks import Section

#: Folder of the further pages, beside the first one.
FOLDER = "report"
#: What every page has beside its sections: style, script, glossary.
OVERHEAD_BYTES = 60_000
T = TypeVar("T")


@dataclass(frozen=True)
class Part:
    """A further page: its address, what the first page calls it, and what it shows."""

    address: str
    title: str
    dataset: dict[str, Any]


def alone(dataset: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the only page shows: its links to tables lead to the whole tables on it."""
    return _linked(dataset, dict.fromkeys(dataset["data"], ""))


def head_of(dataset: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the first page shows of a data set: its verdicts."""
    return {**dataset, "shown": False, "first": False, "sections": [], "data": {}}


def parts(datasets: Iterable[Mapping[str, Any]], most_bytes: float) -> list[Part]:
    """Return the further pages of all data sets, none larger than need be.

    A table that alone is larger is left in its file, to which the page leads.
    """
    return [part for dataset in datasets for part in _parts(dataset, most_bytes)]


def _parts(dataset: Mapping[str, Any], most_bytes: float) -> list[Part]:
    name, room = dataset["name"], max(0, most_bytes - OVERHEAD_BYTES)
    found = []
    texts = [item for item in dataset["data"].items() if len(item[1].encode()) <= room]
    packed = list(enumerate(_packed(texts, lambda item: len(item[1].encode()), room)))
    # Pages of the folder lead to each other by their names alone.
    holders = {
        table: PurePosixPath(_address(f"{name}-tables", n)).name
        for n, some in packed
        for table, _ in some
    }
    for n, sections in enumerate(_packed(dataset["sections"], _size, room) or [[]]):
        titles = ["Scans", "Methods"] if n == 0 else []
        titles += [section.title for section in sections]
        mine = {**dataset, "first": n == 0, "sections": sections, "data": {}}
        mine = _linked(mine, holders, "../")
        found.append(Part(_address(name, n), f"{name}: {', '.join(titles)}", mine))
    for n, some in packed:
        mine = {**dataset, "shown": False, "first": False, "sections": [], "data": dict(some)}
        mine["files"] = [link for link in dataset["files"] if link.name in mine["data"]]
        title = f"{name}: whole tables" + (f", part {n + 1}" if n else "")
        mine = _linked(mine, dict.fromkeys(mine["data"], ""), "../")
        found.append(Part(_address(f"{name}-tables", n), title, mine))
    return found


def _address(name: str, n: int) -> str:
    return f"{FOLDER}/{name}{f'-{n + 1}' if n else ''}.html"


def _packed(items: Sequence[T], size: Callable[[T], int], room: float) -> list[list[T]]:
    """Return items in their order, as many together as there is room for; never none.

    >>> _packed([3, 4, 9, 1], int, 8)
    [[3, 4], [9], [1]]
    """
    found: list[list[T]] = []
    left = 0.0
    for item in items:
        if not found or size(item) > left:
            found.append([])
            left = room
        found[-1].append(item)
        left -= size(item)
    return found


def _size(section: Section) -> int:
    """Return about how many bytes a section has on a page."""
    cells = sum(len(cell) + 10 for t in section.tables for row in t.rows for cell in row)
    return cells + sum(len(picture.source) + 1000 for picture in section.pictures)


def _linked(dataset: Mapping[str, Any], holders: Mapping[str, str], up: str = "") -> dict[str, Any]:
    """Return what a page shows, with links that work from there.

    Parameters
    ----------
    holders : mapping of str to str
        The page that holds a whole table, by the table's name; empty for this very page.  A link
        leads there and not to the file, which is missing where the page was mailed alone.
    up : str
        What leads from the page to the folder of the first one.
    """

    def there(address: str) -> str:
        name = PurePosixPath(address).stem
        if name in holders:
            return f"{holders[name]}#d{dataset['number']}-file-{name}"
        return up + address

    def link(found):
        return replace(found, address=there(found.address))

    def table(found):
        return replace(found, link=there(found.link)) if found and found.link else found

    def picture(found):
        return replace(found, vector=up + found.vector) if found.vector else found

    flow = {k: table(v) if k in ("counts", "left_out") else v for k, v in dataset["flow"].items()}
    return {
        **dataset,
        "files": [link(found) for found in dataset["files"]],
        "flow": {**flow, "links": [link(found) for found in dataset["flow"]["links"]]},
        "sections": [
            replace(
                s,
                pictures=[picture(found) for found in s.pictures],
                tables=[table(t) for t in s.tables],
                links=[link(found) for found in s.links],
            )
            for s in dataset["sections"]
        ],
    }
