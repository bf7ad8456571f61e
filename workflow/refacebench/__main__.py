"""``python -m refacebench``: the command line beside Snakemake."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

import refacebench
from refacebench.cli import (
    attempt,
    check,
    common,
    estimating,
    exporting,
    linking,
    listing,
    planning,
    rating,
    starting,
)
from refacebench.run.methods import MethodError

DESCRIPTION = """Which way of hiding a face in a head MRI protects people, and what does it cost the
science? The benchmark itself is a Snakemake workflow; these commands help before and after a
run."""
EXAMPLES = """examples:
  refacebench methods --kind defacers             what there is to choose from
  refacebench config bids > config/mine.yaml      a commented config to start from
  refacebench estimate config/mine.yaml           what will a run of it take?
  refacebench try mask_face sub-01_T1w.nii.gz     one defacer on one scan, with a picture
  refacebench check my_defacer.py                 does my own method keep the contract?
  refacebench sample-size --options 5 --margin 5  how many people does a claim take?
  refacebench link config/mine.yaml --to out      a BIDS folder of links, for other software
  refacebench export --variant quickshear --to out  a BIDS data set without faces, after a run
  refacebench ratings ratings_mine_anna.json      what raters saved on the page of `snakemake qc`

  snakemake -n --quiet rules --configfile config/mine.yaml  then: what would a run do?

`refacebench COMMAND --help` says more. Without the console script, write
`python -m refacebench COMMAND` with workflow/ on the Python path.
"""


def parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    made = argparse.ArgumentParser(
        "refacebench",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("--version", action="version", version=refacebench.__version__)
    commands = made.add_subparsers(metavar="COMMAND", required=True)
    for command in (
        check,
        attempt,
        listing,
        starting,
        estimating,
        planning,
        linking,
        exporting,
        rating,
    ):
        command.add(commands)
    return made


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code; a user's mistake is one line on stderr."""
    try:
        given = parser().parse_args(argv)
    except SystemExit as ended:  # --help, --version, or a wrong argument
        return ended.code if isinstance(ended.code, int) else common.REFUSED
    try:
        return given.run(given)
    except (common.Refused, MethodError) as reason:
        print(f"refacebench: {reason}", file=sys.stderr)
        return common.REFUSED
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # the reader has seen enough: `refacebench methods | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return common.GOOD


if __name__ == "__main__":
    sys.exit(main())
