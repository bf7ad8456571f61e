"""Which parts of a report stand on which page, where one page would be too large.

The first page keeps the verdicts; sections with their pictures, and whole tables, go to pages of
their own, as many of them to a page as its size allows.  Pure: what the template takes in and out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
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
    for n, sections in enumerate(_packed(dataset["sections"], _size, room) or [[]]):
        titles = ["Scans", "Methods"] if n == 0 else []
        titles += [section.title for section in sections]
        mine = {**dataset, "first": n == 0, "sections": sections, "data": {}}
        found.append(Part(_address(name, n), f"{name}: {', '.join(titles)}", _seen_below(mine)))
    texts = [item for item in dataset["data"].items() if len(item[1].encode()) <= room]
    for n, some in enumerate(_packed(texts, lambda item: len(item[1].encode()), room)):
        mine = {**dataset, "shown": False, "first": False, "sections": [], "data": dict(some)}
        mine["files"] = [link for link in dataset["files"] if link.name in mine["data"]]
        title = f"{name}: whole tables" + (f", part {n + 1}" if n else "")
        found.append(Part(_address(f"{name}-tables", n), title, _seen_below(mine)))
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


def _seen_below(dataset: dict[str, Any]) -> dict[str, Any]:
    """Return what a page in the folder shows, with links to files that lie one folder higher."""

    def link(found):
        return replace(found, address=f"../{found.address}")

    def table(found):
        return replace(found, link=f"../{found.link}") if found and found.link else found

    def picture(found):
        return replace(found, vector=f"../{found.vector}") if found.vector else found

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
