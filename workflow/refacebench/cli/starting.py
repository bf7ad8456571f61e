"""``refacebench config``: a commented config to start from."""

from __future__ import annotations

import argparse
import sys
import textwrap
from pathlib import Path

from refacebench.cli import common

#: Where the configs lie: beside the workflow's folder in a checkout.
FOLDER = Path(__file__).resolve().parents[3] / "config"
#: What a user calls the config that a run without --configfile takes.
DEMO, DEMO_FILE = "demo", "config"

DESCRIPTION = """Print a commented config to start from; without a name, list them.

Every key is described in workflow/schemas/config.schema.yaml; `refacebench methods` lists
what a config can name."""
EXAMPLES = """examples:
  refacebench config
  refacebench config bids > config/mine.yaml      # then change `path` below `datasets`
  snakemake -n --quiet rules --configfile config/mine.yaml   # what would run
  snakemake --cores all --configfile config/mine.yaml

""" + common.CODES.format(good="printed", bad="(not used)")


def add(commands) -> None:
    """Add the command to a parser's."""
    parser = commands.add_parser(
        "config",
        help="print a commented config to start from",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", metavar="NAME", nargs="?", help="one of those that are listed")
    parser.set_defaults(run=run)


def run(given: argparse.Namespace) -> int:
    """Print a config, or the list of them."""
    files = configs()
    if given.name is None:
        width = max(map(len, files))
        for name, path in files.items():
            print(f"{name:<{width}}  {about(path)}")
        return common.GOOD
    if given.name not in files:
        raise common.Refused(f"no config '{given.name}'; there are: {', '.join(files)}")
    sys.stdout.write(files[given.name].read_text())
    return common.GOOD


def configs() -> dict[str, Path]:
    """Return the shipped configs by name, the demo first.

    Raises
    ------
    Refused
        If they are not there.
    """
    found = {path.stem: path for path in sorted(FOLDER.glob("*.yaml"))}
    found |= {path.stem: path for path in sorted(FOLDER.glob("studies/*.yaml"))}
    if not found:
        raise common.Refused(f"there is no config in {FOLDER}: they come with a checkout")
    demo = {DEMO: found.pop(DEMO_FILE)} if DEMO_FILE in found else {}
    return {**demo, **found}


def about(path: Path) -> str:
    """Return the beginning of a config's comment."""
    lines = []
    for line in path.read_text().splitlines():
        if not line.startswith("#"):
            break
        lines.append(line.lstrip("# "))
    return textwrap.shorten(" ".join(lines), 110, placeholder=" ...")
