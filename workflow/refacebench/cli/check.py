"""``refacebench check``: whether a method keeps its contract."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from refacebench.checking import suite
from refacebench.cli import common
from refacebench.contracts import KINDS

DESCRIPTION = """Run the project's own checks on a method: yours, or one that comes along.

The file must declare one value METHOD (see refacebench/contracts.py). The checks run it on
small made-up data: does its result lie on the scan's grid, is the brain left as it was, does
the same seed give the same bytes, does it refuse an empty scan in a clear sentence, and so on.
Each check is one line: PASS, FAIL with the reason, or SKIP with the reason."""
EXAMPLES = """examples:
  refacebench check my_defacer.py
  refacebench check my_defacer.py --option level=0.5
  refacebench check my_refacer.py --option epochs=1 --option size=32
  refacebench check quickshear

A training on made-up heads takes as long as your options make it: give small ones.

""" + common.CODES.format(good="every check passed, or could not be done here", bad="one failed")


def add(commands) -> None:
    """Add the command to a parser's."""
    parser = commands.add_parser(
        "check",
        help="run the project's checks on a method",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("method", metavar="FILE", help="a Python file, or a method's name")
    parser.add_argument("--kind", choices=KINDS, default="", help="if a name stands for two kinds")
    common.add_options(parser)
    parser.set_defaults(run=run)


def run(given: argparse.Namespace) -> int:
    """Run the checks and print one line per check."""
    chosen = common.chosen(given.method, given.option, given.kind)
    print(f"{chosen.kind.removesuffix('s')} {chosen.name}, version {chosen.version}", flush=True)
    count = {suite.PASS: 0, suite.FAIL: 0, suite.SKIP: 0}
    with tempfile.TemporaryDirectory(prefix="refacebench-check-") as folder:
        for found in suite.run(chosen, Path(folder)):
            count[found.status] += 1
            print(found, flush=True)
    print(f"{count[suite.PASS]} passed, {count[suite.FAIL]} failed, {count[suite.SKIP]} not done")
    return common.BAD if count[suite.FAIL] else common.GOOD
