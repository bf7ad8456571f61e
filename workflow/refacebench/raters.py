"""A program of its own: from the answer files of human raters to rates of identification.

::

    python -m refacebench.raters --key key.tsv --out tables/ answers/*.json
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from refacebench import manifest
from refacebench.results import answers, catalogue
from refacebench.results.result import RATERS
from refacebench.statistics.criteria import Criteria


def write(paths: Sequence[str | Path], key: str | Path, folder: str | Path, criteria) -> str:
    """Read answers and write ``raters.tsv`` and ``raters_problems.tsv``; return a line about it."""
    given = answers.collect(paths, key, criteria)
    for name, table in catalogue.compute(RATERS, given).items():
        manifest.write(table, Path(folder) / f"{name}.tsv")
    return answers.line(given, len(list(paths)))


def main(arguments: Sequence[str] | None = None) -> None:
    """Run as a program."""
    parser = argparse.ArgumentParser(prog="python -m refacebench.raters", description=__doc__)
    parser.add_argument("answers", nargs="+", help="files that raters saved (.json, .csv)")
    parser.add_argument("--key", required=True, help="key.tsv beside the kit's page")
    parser.add_argument("--out", default=".", help="folder of the tables")
    parser.add_argument("--seed", type=int, default=0, help="seed of the bootstrap")
    given = parser.parse_args(arguments)
    try:
        print(write(given.answers, given.key, given.out, Criteria(seed=given.seed)))
    except (OSError, ValueError) as error:
        sys.exit(f"raters: {error}")


if __name__ == "__main__":
    main()
