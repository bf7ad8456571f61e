"""What the commands share: how they end, and how a method is named on a command line."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import yaml

from refacebench import environment, files
from refacebench.contracts import KINDS
from refacebench.run import methods, mistakes, settings
from refacebench.run.methods import Chosen

#: Exit codes: as asked; the method does not do what it should; nothing could be done.
GOOD, BAD, REFUSED = 0, 1, 2
#: So many scans or people are named for each reason.
MOST_NAMED = 5
SCHEMA = Path(__file__).resolve().parents[2] / "schemas" / "config.schema.yaml"
CODES = """exit codes:
  0  {good}
  1  {bad}
  2  nothing was done: a wrong argument, or a file that cannot be used
"""


class Refused(Exception):
    """Nothing can be done as asked; the message is one sentence for the user."""


def add_run(parser: argparse.ArgumentParser, also: str = "") -> None:
    """Add the arguments that say which run is meant: its config, or its folder."""
    parser.add_argument(
        "--configfile", type=Path, metavar="FILE",
        help=f"the config of the run, which says where its results are{also}",
    )  # fmt: skip
    parser.add_argument(
        "--scale", default="", metavar="NAME", help="the config's scale that was run"
    )
    parser.add_argument(
        "--results", type=Path, metavar="DIR", help="the run's folder of results (results)"
    )


def add_config(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that name a config by its file, for commands that come before a run."""
    parser.add_argument("config", type=Path, metavar="CONFIG", help="a config file")
    parser.add_argument(
        "--scale", default="", metavar="NAME", help="one of the config's scales, demo for example"
    )


def schema() -> dict[str, Any]:
    """Return what a config can hold.

    Raises
    ------
    Refused
        If it is not there.
    """
    if not SCHEMA.is_file():
        raise Refused(f"{SCHEMA} is missing: this command needs a checkout")
    return files.read_yaml(SCHEMA)


def by_reason(lost: Iterable[tuple[str, str]]) -> list[str]:
    """Return a line for each reason, with some of the names that it holds for.

    >>> by_reason([("a", "no face"), ("b", "empty"), ("c", "no face")])
    ['a, c: no face', 'b: empty']
    """
    found: dict[str, list[str]] = {}
    for name, reason in lost:
        found.setdefault(reason, []).append(name)
    lines = []
    for reason, names in found.items():
        further = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
        lines.append(f"{', '.join(names[:MOST_NAMED])}{further}: {reason}")
    return lines


def run_of(given: argparse.Namespace) -> tuple[Path, dict[str, Any]]:
    """Return the folder of results that a command line means, and the config if one is named.

    Raises
    ------
    Refused
        If the config cannot be read.
    """
    try:
        config = settings.read(given.configfile, given.scale) if given.configfile else {}
    except mistakes.ConfigError as error:
        raise Refused(str(error)) from None
    own = config.get("results")
    return given.results or (Path(own) if isinstance(own, str) else Path()) / "results", config


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add ``--option name=value`` to a command's arguments."""
    parser.add_argument(
        "--option",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        help="an option of the method, as the config has it; may be given again",
    )


def chosen(target: str, given: Sequence[str], kind: str = "") -> Chosen:
    """Return the method that a command line names.

    Parameters
    ----------
    target : str
        A Python file, or the name of a method that comes with the project.
    given : sequence of str
        ``name=value``, the value in YAML.
    kind : str
        The kind of method that is wanted; empty for any.

    Raises
    ------
    MethodError, Refused
        If there is no such method, or it cannot take the options.
    """
    entry = environment.hide(options(given))
    if target.endswith(".py") or Path(target).is_file():
        method = methods.read(target, kind)
        found = next(name for name, cls in KINDS.items() if isinstance(method, cls))
        return methods.choose(found, Path(target).stem, {**entry, "file": target})
    kinds = [name for name in KINDS if target in methods.available(name)]
    wanted = [name for name in kinds if kind in ("", name)]
    if not wanted:
        known = methods.available(kind) if kind else []
        there = f"; there are: {', '.join(known)}" if known else "; `methods` lists all"
        raise Refused(f"no file and no method '{target}'{there}")
    return methods.choose(wanted[0], target, entry)


def options(given: Sequence[str]) -> dict[str, Any]:
    """Read ``name=value`` pairs.

    >>> options(["level=0.5", "ears=true", "mode=deface"])
    {'level': 0.5, 'ears': True, 'mode': 'deface'}
    """
    found = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not name or not equals:
            raise Refused(f"--option {text}: write it as NAME=VALUE")
        try:
            found[name.strip()] = yaml.safe_load(value)
        except yaml.YAMLError:
            raise Refused(
                f"--option {text}: the value is not valid YAML; put it in quotes"
            ) from None
    return found
