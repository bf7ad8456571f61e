"""Explains the words that only insiders know: at their first use in a section, and in a list.

The words stand in ``glossary.yaml``, but for the names of attackers, which say themselves how they
go about it.  Reads that file and nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from markupsafe import Markup, escape

WORDS = Path(__file__).with_name("glossary.yaml")


@dataclass(frozen=True)
class Word:
    """A word with its explanation, the id of its place in the list, and how it is found."""

    name: str
    meaning: str
    id: str
    forms: tuple[str, ...]
    exact: bool = False


@lru_cache(maxsize=1)
def words() -> tuple[Word, ...]:
    """Return all words, in the order of the alphabet."""
    import yaml

    given = yaml.safe_load(WORDS.read_text(encoding="utf-8"))
    found = [
        Word(
            str(name),
            entry["is"],
            "word-" + re.sub(r"[^a-z0-9]+", "-", str(name).lower()).strip("-"),
            (str(name), *map(str, entry.get("also", ()))),
            bool(entry.get("exact")),
        )
        for name, entry in given.items()
    ]
    return tuple(sorted(found, key=lambda word: word.name.lower()))


def attacker(name: str, about: str) -> Word:
    """Return the word for an attacker, with its own sentence on how it goes about it.

    The bare name of one may be a common word (``surface``), so it is found behind "attacker".
    """
    return Word(f"attacker {name}", about, f"word-attacker-{name}", (f"attacker {name}",), True)


@lru_cache(maxsize=8)
def _finder(more: tuple[Word, ...] = ()) -> tuple[re.Pattern[str], dict[str, Word]]:
    """Return a pattern of all forms, the longest first, and the word of each form."""
    of: dict[str, Word] = {}
    parts = []
    for word in (*words(), *more):
        for form in word.forms:
            of[form if word.exact else form.lower()] = word
            text = re.escape(form)
            parts.append((len(form), text if word.exact else f"(?i:{text})"))
    listed = "|".join(text for _, text in sorted(parts, reverse=True))
    # Not within a name: `null` in `null_space`, `native` in a path.
    return re.compile(rf"(?<![\w/.+-])(?P<form>{listed})(?P<more>s?)(?![\w/+]|-\w)"), of


def find(text: str, more: tuple[Word, ...] = ()) -> Iterable[tuple[int, int, Word]]:
    """Yield begin, end and meaning of every known word in a text; ``more`` are known too."""
    pattern, of = _finder(more)
    for hit in pattern.finditer(text):
        form = hit["form"]
        word = of.get(form) or of.get(form.lower())
        if word:
            yield hit.start(), hit.end(), word


class Marker:
    """Marks words in the texts of a page: each once in every section.

    Parameters
    ----------
    more : iterable of Word
        Words of this page alone, each once by name.

    Attributes
    ----------
    used : set of str
        Names of the words that were marked anywhere; the list at the end has these.
    """

    def __init__(self, more: Iterable[Word] = ()) -> None:
        self._more = tuple({word.name: word for word in more}.values())
        self.used: set[str] = set()
        self._here: set[str] = set()

    def section(self) -> str:
        """Begin a section, in which every word is explained anew; return nothing to print."""
        self._here = set()
        return ""

    def __call__(self, text: str) -> Markup:
        """Return a text as HTML in which known words lead to their explanation.

        >>> Marker()("Dice of the brain")
        Markup('<a class="term" href="#word-dice">Dice</a> of the brain')
        """
        text, parts, end = str(text), [], 0
        for begin, stop, word in find(text, self._more):
            if word.name in self._here:
                continue
            self._here.add(word.name)
            self.used.add(word.name)
            link = Markup('<a class="term" href="#{}">{}</a>')
            parts += [escape(text[end:begin]), link.format(word.id, text[begin:stop])]
            end = stop
        return Markup("").join([*parts, escape(text[end:])])

    def listed(self) -> list[Word]:
        """Return the words that were marked, in the order of the alphabet."""
        known = sorted((*words(), *self._more), key=lambda word: word.name.lower())
        return [word for word in known if word.name in self.used]
