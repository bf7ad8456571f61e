"""``refacebench estimate``: what a run of a config will take."""

from __future__ import annotations

import argparse
import os
import sys

from refacebench.cli import common
from refacebench.results import studied
from refacebench.run import estimate, graph, mistakes, place, reach, settings

DESCRIPTION = """Say how long a run of a config will take, with how much memory and disk space.

The numbers come from measured costs per scan and number of voxels, on a typical server; another
machine may be twice as fast or as slow. Nothing runs and nothing is written. The config is checked
as for a run, and its folders must be there. Scans that are already finished are counted all the
same; the run itself prints, before it starts, what is left to do.

If the config compares too few people for the verdict "go", that is said too."""
EXAMPLES = """examples:
  refacebench estimate config/mine.yaml
  refacebench estimate config/mine.yaml --cores 32
  refacebench estimate config/studies/abramian2019.yaml --scale demo

""" + common.CODES.format(good="printed", bad="(not used)")


def add(commands) -> None:
    """Add the command to a parser's."""
    parser = commands.add_parser(
        "estimate",
        help="time, memory and disk that a run will take",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    common.add_config(parser)
    parser.add_argument(
        "--cores", type=int, default=os.cpu_count() or 1, metavar="N", help="jobs at a time (all)"
    )
    parser.set_defaults(run=run)


def run(given: argparse.Namespace) -> int:
    """Print the estimate and its parts."""
    if given.cores < 1:
        raise common.Refused("--cores must be at least 1")
    schema = common.schema()
    asked: dict = {}
    try:
        asked = settings.read(given.config, given.scale)
        lines = _told(asked, schema, given)
    except mistakes.ConfigError as error:
        raise common.Refused(mistakes.told(error, [given.config], asked)) from None
    for line in lines:
        print(line)
    return common.GOOD


def _told(asked: dict, schema: dict, given: argparse.Namespace) -> list[str]:
    """Return the estimate's lines; of a run in the folder that the config names."""
    for line in place.twice(asked, [given.config]):
        print(line, file=sys.stderr)
    settled = settings.settle(asked, schema, [given.config], also=studied.faults)
    with settings.at_home(settled.config) as config:
        planned = graph.Run.load(config, look=True)
        found = estimate.estimate(planned, given.cores, keep=settled.of_the_run["keep"])
        stages = sorted(found.stage_hours.items(), key=lambda item: -item[1])
        return [
            estimate.told(found),
            *(f"  {stage:<10} {estimate.duration(hours)} of one core" for stage, hours in stages),
            *reach.notes(planned),
        ]
