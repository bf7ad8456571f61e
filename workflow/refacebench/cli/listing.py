"""``refacebench methods``: what there is, with every option."""

from __future__ import annotations

import argparse
import shutil
import textwrap
from collections.abc import Iterator

from refacebench.cli import common
from refacebench.contracts import Dataset, Method, Option
from refacebench.programs import catalogue
from refacebench.run import methods

DESCRIPTION = """List the methods that come with the project, one per line. Of those that are named,
and with --all of every one: the options with meaning, default and bounds, the papers and pages that
the method follows, and licences.

A config names a method under its kind and gives it options:

  defacers:
    mask_face: {filter: blur}"""
EXAMPLES = """examples:
  refacebench methods
  refacebench methods --kind defacers
  refacebench methods mask_face quickshear
  refacebench methods --all

""" + common.CODES.format(good="listed", bad="(not used)")


#: What the kinds are called, in the order in which a reader meets them.
TITLES = {
    "defacers": "Defacers",
    "refacers": "Refacing models",
    "segmenters": "Segmenters",
    "attackers": "Attackers",
    "brainage": "Brain age from volumes",
    "age_models": "Age from the image",
    "datasets": "Dataset types",
}


def add(commands) -> None:
    """Add the command to a parser's."""
    parser = commands.add_parser(
        "methods",
        help="list all methods; one with its options, sources and licence",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", metavar="NAME", nargs="*", help="all there is to know of these")
    parser.add_argument("--kind", choices=list(TITLES), help="only this kind")
    parser.add_argument("--all", action="store_true", help="all there is to know of every method")
    parser.set_defaults(run=run)


def run(given: argparse.Namespace) -> int:
    """Print the list."""
    kinds = [given.kind] if given.kind else list(TITLES)
    unknown = [n for n in given.names if not any(n in methods.available(k) for k in kinds)]
    if unknown:
        of = f" among the {given.kind}" if given.kind else ""
        raise common.Refused(f"no method {', '.join(unknown)}{of}; `methods` lists all")
    whole = given.all or bool(given.names)
    for kind in kinds:
        names = [n for n in methods.available(kind) if not given.names or n in given.names]
        for line in section(kind, names, whole, programs=not given.names):
            print(line)
    if not whole:
        print("Options, sources and licences: `refacebench methods NAME`; of all: `--all`.")
    return common.GOOD


def section(kind: str, names: list[str], whole: bool, programs: bool) -> Iterator[str]:
    """Yield the lines about some methods of a kind: all that is known of each, or a line."""
    if not names:
        return
    yield f"{TITLES[kind]} (in a config: `{kind}`)"
    yield ""
    for name in names:
        method = methods.declared(kind, name)
        yield from [*about(name, method), ""] if whole else _wrapped("  ", _headed(name, method))
    if not whole:
        yield ""
    if kind == "defacers" and programs:
        yield from _programs(whole)


def _programs(whole: bool) -> Iterator[str]:
    """Yield the lines about released programs that only need an entry."""
    yield "Released programs, where installed (in a config: `defacers: {a_name: {program: NAME}}`)"
    yield ""
    for name in catalogue.catalogue():
        program = catalogue.describe({"program": name})
        more = f". {program.page} ({program.terms})" if whole else ""
        yield from _wrapped("" if whole else "  ", f"{name}: {program.title}{more}")
    yield ""


def _headed(name: str, method: Method) -> str:
    """Return the line that says what a method is, and whose code runs; data have none."""
    title = f"{name}: {method.title_of(method.defaults)}"
    if isinstance(method, Dataset):
        return title
    return f"{title} [{method.engine if isinstance(method.engine, str) else 'native or official'}]"


def about(name: str, method: Method) -> Iterator[str]:
    """Yield the lines about one method."""
    yield from _wrapped("", _headed(name, method))
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
