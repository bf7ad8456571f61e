"""BibTeX of the works that a run follows, from what methods and programs name as their sources.

One file, ``references.bib``, holds the entries that are known; any other source (a user's own
method names its works too) becomes an entry made of its text.  Reads that file and nothing else.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

KNOWN = Path(__file__).with_name("references.bib")
#: What names no work: folders of the package itself.
_OWN = "refacebench/"


@dataclass(frozen=True)
class Entry:
    """An entry of a BibTeX file: its key, its text, and the sources that mean it."""

    key: str
    text: str
    sources: tuple[str, ...] = ()


@lru_cache(maxsize=1)
def known() -> tuple[Entry, ...]:
    """Return the entries of the file, in its order."""
    texts = re.findall(r"^@.*?^\}", KNOWN.read_text(encoding="utf-8"), re.M | re.S)
    return tuple(_entry(text) for text in texts)


def _entry(text: str) -> Entry:
    key = text[text.index("{") + 1 : text.index(",")]
    given = dict(re.findall(r"^\s*(\w+) = \{(.*)\},?$", text, re.M))
    sources = [part.strip() for part in given.get("source", "").split(" | ")]
    sources += [given.get("url", "")]
    sources += [f"https://doi.org/{given['doi']}"] if "doi" in given else []
    sources += [f"https://arxiv.org/abs/{given['eprint']}"] if "eprint" in given else []
    shown = re.sub(r",\n\s*source = \{.*\}(?=,?\n)", "", text)
    return Entry(key, shown, tuple(filter(None, sources)))


def cite(source: str) -> Entry | None:
    r"""Return the entry of a source: a paper's DOI, a page or a text; None for one of our own.

    >>> cite("https://doi.org/10.1002/hbm.20312").key
    'bischoffgrethe2007'
    >>> print(cite("Doe & Roe, 2031").text)
    @misc{cited-75b2,
      title = {Doe \& Roe, 2031}
    }
    """
    if not source or source.startswith(_OWN):
        return None
    for entry in known():
        if source == entry.key or source in entry.sources:
            return entry
    key = f"cited-{hashlib.sha256(source.encode()).hexdigest()[:4]}"
    fields = [f"  title = {{{escape(source) or 'Untitled'}}}"]
    if found := re.fullmatch(r"(?:https?://(?:dx\.)?doi\.org/|doi:)(10\.\d+/\S+)", source):
        fields.append(f"  doi = {{{_bare(found[1])}}}")
    elif re.fullmatch(r"https?://\S+", source):
        fields.append(f"  url = {{{_bare(source)}}}")
    return Entry(key, f"@misc{{{key},\n" + ",\n".join(fields) + "\n}")


def escape(text: str) -> str:
    r"""Return a text as it may stand in a BibTeX field.

    >>> escape("a_b {c} 5 % & more")
    'a\\_b c 5 \\% \\& more'
    """
    return re.sub(r"([&%$#_])", r"\\\1", re.sub(r"[{}\\\"]", "", text))


def _bare(address: str) -> str:
    return re.sub(r"[{}\\\"]", "", address)


def bibliography(entries: Iterable[Entry]) -> str:
    """Return a BibTeX file of entries, each once, sorted by key."""
    found = {entry.key: entry.text for entry in entries}
    return "\n\n".join(found[key] for key in sorted(found)) + "\n" if found else ""
