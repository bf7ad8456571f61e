"""``refacebench link``: a BIDS folder of links to a config's scans."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import pandas as pd

from refacebench import links
from refacebench.cli import common
from refacebench.results import studied, words
from refacebench.run import mistakes, plan, settings
from refacebench.vocabulary import OK

DESCRIPTION = """Make a BIDS folder of links to the scans that a config names, for other software.

For data sets that come in another layout (IXI, OASIS-3, ADNI, Kirby 21): T1w images, the contrasts
that `carry` names, participants.tsv and ages at each session. No image is copied, nothing is
written into the folder of the data. Scans that the data set's tables or the config exclude are left
out, with their reasons; whether an image can be read is not tried. Whose age or sex is not known is
named.

DIR is new, empty, or a folder of links from before. From such a one, links to scans that are not in
the data any more are taken away.

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
    common.add_config(parser)
    parser.add_argument("--dataset", default="", help="of the config, if it has several")
    parser.add_argument("--to", required=True, type=Path, metavar="DIR", help="the folder of links")
    parser.set_defaults(run=run)


def run(given: argparse.Namespace) -> int:
    """Write the links and say how many there are, and what was left out."""
    asked: dict = {}
    schema = common.schema()
    if not str(given.to).strip(". "):
        raise common.Refused("--to: name a folder of its own")
    to = given.to.absolute()
    try:
        asked = settings.read(given.config, given.scale)
        settled = settings.settle(asked, schema, [given.config], also=studied.faults)
        name = _dataset(list(settled.config["datasets"]), given.dataset)
        with settings.at_home(settled.config) as config:
            scans = plan.scans(config, name)
            _check(scans, name, to)
            made = links.write(scans, to, name)
    except mistakes.ConfigError as error:
        raise common.Refused(mistakes.told(error, [given.config], asked)) from None
    except FileExistsError as error:
        raise common.Refused(str(error)) from None
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise common.Refused(f"cannot write in {given.to} ({why}); name another folder") from None
    usable = scans[scans["status"] == OK]
    people = words.plural(usable["participant"].nunique(), "participant")
    print(f"{words.plural(made, 'image')} of {people} are linked in {given.to}. They show faces.")
    for line in common.by_reason(_not_known(usable)):
        print(f"Note: {line}")
    left_out = scans[scans["status"] != OK]
    once = left_out[["participant", "reason"]].drop_duplicates()
    for line in common.by_reason(once.itertuples(index=False, name=None)):
        print(f"Left out: {line}")
    return common.BAD if len(left_out) else common.GOOD


def _not_known(usable: pd.DataFrame) -> list[tuple[str, str]]:
    """Return who is linked without an age or a sex, as the tables beside the links will say."""
    lost = []
    for column in ("age", "sex"):
        unknown = usable[usable[column].isna() | (usable[column] == "")]
        lost += [(who, f"{column} is not known") for who in unknown["participant"].unique()]
    return lost


def _check(scans: pd.DataFrame, name: str, to: Path) -> None:
    """Refuse where there is nothing to link, or the folder of the data is named."""
    paths = [path for path in scans.loc[scans["status"] == OK, "path"] if path]
    if not paths:
        raise common.Refused(
            f"datasets.{name}: its scans are made by the run; there are no images to link yet"
        )
    home = os.path.realpath(to)
    if any(os.path.realpath(path).startswith(home + os.sep) for path in paths):
        raise common.Refused(f"--to: {to} is the folder of the data; name another one")


def _dataset(names: list[str], wanted: str) -> str:
    if wanted in names or (not wanted and len(names) == 1):
        return wanted or names[0]
    what = f"there is no dataset '{wanted}'" if wanted else "the config has several datasets"
    raise common.Refused(f"{what}; name one with --dataset: {', '.join(names)}")
