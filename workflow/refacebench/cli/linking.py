"""``refacebench link``: a BIDS folder of links to a config's scans."""

from __future__ import annotations

import argparse
from pathlib import Path

from refacebench import files, links
from refacebench.cli import common, estimating
from refacebench.results import studied, words
from refacebench.run import mistakes, plan, settings

DESCRIPTION = """Make a BIDS folder of links to the scans that a config names, for other software.

For data sets that come in another layout (IXI, OASIS-3, ADNI, Kirby 21): T1w images, the contrasts
that `carry` names, participants.tsv and ages at each session. No image is copied, nothing is
written into the folder of the data. Scans that cannot be used are left out, with their reasons.

The images are the originals: they show faces. `refacebench export` writes a data set to give
away."""
EXAMPLES = """examples:
  refacebench link config/mine.yaml --to ../mine_bids
  refacebench link config/studies/vandergoten2021.yaml --dataset adni --to ../adni_bids

""" + common.CODES.format(good="all scans are linked", bad="linked, but some scans were left out")


def add(commands) -> None:
    """Add the command to a parser's."""
    parser = commands.add_parser(
        "link",
        help="a BIDS folder of links to the scans, for other software",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("config", type=Path, metavar="CONFIG", help="a config file")
    parser.add_argument(
        "--scale", default="", metavar="NAME", help="one of the config's scales, demo for example"
    )
    parser.add_argument("--dataset", default="", help="of the config, if it has several")
    parser.add_argument(
        "--to", required=True, type=Path, metavar="DIR",
        help="the folder; what it holds already stays",
    )  # fmt: skip
    parser.set_defaults(run=run)


def run(given: argparse.Namespace) -> int:
    """Write the links and say how many there are, and what was left out."""
    asked: dict = {}
    to = given.to.absolute()
    try:
        asked = settings.read(given.config, given.scale)
        schema = files.read_yaml(estimating.SCHEMA)
        settled = settings.settle(asked, schema, [given.config], also=studied.faults)
        name = _dataset(list(settled.config["datasets"]), given.dataset)
        with settings.at_home(settled.config) as config:
            scans = plan.scans(config, name)
            usable = scans[scans["status"] == "ok"]
            if not usable["path"].astype(bool).all():
                raise common.Refused(f"datasets.{name}: its scans are made by the run; there are "
                                     "no images to link yet")  # fmt: skip
            made = links.write(scans, to, name)
    except mistakes.ConfigError as error:
        raise common.Refused(mistakes.told(error, [given.config], asked)) from None
    except OSError as error:
        raise common.Refused(f"not all links were made: {error}") from None
    people = words.plural(usable["participant"].nunique(), "participant")
    print(f"{words.plural(made, 'image')} of {people} are linked in {given.to}.")
    left_out = scans.loc[scans["status"] != "ok", "reason"].value_counts()
    for reason, count in left_out.items():
        print(f"Left out, {count}: {reason}")
    return common.BAD if len(left_out) else common.GOOD


def _dataset(names: list[str], wanted: str) -> str:
    if wanted in names or (not wanted and len(names) == 1):
        return wanted or names[0]
    what = f"there is no dataset '{wanted}'" if wanted else "the config has several datasets"
    raise common.Refused(f"{what}; name one with --dataset: {', '.join(names)}")
