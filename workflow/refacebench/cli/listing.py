"""``refacebench methods``: what there is, with every option."""

from __future__ import annotations

import argparse
import shutil
import textwrap
from collections.abc import Iterator

from refacebench.cli import common
from refacebench.contracts import KINDS, Method, Option
from refacebench.programs import catalogue
from refacebench.run import methods

DESCRIPTION = """List the methods that come with the project: what each is, its options with
meaning, default and bounds, the papers and pages that it follows, and licences.

A config names a method under its kind and gives it options:

  defacers:
    mask_face: {filter: blur}"""
EXAMPLES = """examples:
  refacebench methods
  refacebench methods --kind defacers
  refacebench methods mask_face quickshear

""" + common.CODES.format(good="listed", bad="(not used)")


def add(commands) -> None:
    """Add the command to a parser's."""
    parser = commands.add_parser(
        "methods",
        help="list all methods with their options",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", metavar="NAME", nargs="*", help="only these")
    parser.add_argument("--kind", choices=KINDS, help="only this kind")
    parser.set_defaults(run=run)


def run(given: argparse.Namespace) -> int:
    """Print the list."""
    kinds = [given.kind] if given.kind else list(KINDS)
    unknown = [n for n in given.names if not any(n in methods.available(k) for k in kinds)]
    if unknown:
        of = f" among the {given.kind}" if given.kind else ""
        raise common.Refused(f"no method {', '.join(unknown)}{of}; `methods` lists all")
    for kind in kinds:
        names = [n for n in methods.available(kind) if not given.names or n in given.names]
        for line in section(kind, names, programs=not given.names):
            print(line)
    return common.GOOD


def section(kind: str, names: list[str], programs: bool) -> Iterator[str]:
    """Yield the lines about some methods of a kind."""
    if not names:
        return
    yield kind.upper()
    yield ""
    for name in names:
        yield from about(name, methods.declared(kind, name))
        yield ""
    if kind == "defacers" and programs:
        yield "PROGRAMS (defacers: {a_name: {program: NAME}})"
        yield ""
        for name in catalogue.catalogue():
            program = catalogue.describe({"program": name})
            yield from _wrapped(f"{name}: ", f"{program.title}. {program.page} ({program.terms})")
        yield ""


def about(name: str, method: Method) -> Iterator[str]:
    """Yield the lines about one method."""
    engine = method.engine if isinstance(method.engine, str) else "native or official"
    yield from _wrapped("", f"{name}: {method.title_of(method.defaults)} [{engine}]")
    for option_name, option in method.options.items():
        yield from _wrapped(f"    {option_name} = {shown(option)}: ", option.meaning)
    weights = f"{method.weights}'s released ones" if method.weights else ""
    for label, text in (
        ("sources", "; ".join(method.sources)),
        ("licence", method.licence),
        ("weights", weights),
    ):
        if text:
            yield from _wrapped(f"  {label}: ", text)


def shown(option: Option) -> str:
    """Return an option's default, unit and range.

    >>> shown(Option(2.0, "Width.", unit="mm", least=0))
    '2.0 mm (0 or more)'
    """
    if option.default is None or option.default == "":
        return " ".join(part for part in ("none", _range(option)) if part)
    text = str(option.default).lower() if isinstance(option.default, bool) else str(option.default)
    return " ".join(part for part in (text, option.unit, _range(option)) if part)


def _range(option: Option) -> str:
    if option.choices:
        return f"({' | '.join(map(str, option.choices))})"
    if option.least is not None and option.most is not None:
        return f"({option.least} to {option.most})"
    if option.least is not None:
        return f"({option.least} or more)"
    return f"(up to {option.most})" if option.most is not None else ""


def _wrapped(start: str, text: str) -> list[str]:
    width = min(shutil.get_terminal_size((100, 24)).columns, 100)
    later = " " * (len(start) - len(start.lstrip()) + 4)
    return textwrap.wrap(
        start + text,
        max(width, 40),
        subsequent_indent=later,
        break_long_words=False,
        break_on_hyphens=False,
    )
