"""``refacebench ratings``: what raters saved on the page for quality control, read back."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import pandas as pd

from refacebench import manifest
from refacebench.cli import common
from refacebench.qc import ratings

DESCRIPTION = """Read the files that raters saved on the page for quality control (`snakemake qc`).

Prints how well the raters agree (Cohen's kappa), a work list of the scans that at least one rater
did not find ok, and how many of the scans that nobody looked at may still fail. With --out the same
is written as tables: ratings.tsv, agreement.tsv, worklist.tsv and unseen.tsv.

WHAT NOBODY LOOKED AT. The most doubtful scans say nothing about the others. A random sample does
(the page's order "random sample"): it bounds how many of the unseen scans may fail (exact,
hypergeometric, one-sided, for each line by itself). The bound holds if the size of the sample was
fixed beforehand, and it counts what raters saw: a failure that the eye misses is in no number here.

IMAGES MADE AGAIN. A rating belongs to one image. If the scan was defaced again since, the rating is
left out and the scan counts as not looked at. That is known from the list of scans beside the
page, results/qc/DATASET/scans.tsv, which is read where it is found. --configfile names the run's
config, if that has a folder of its own (`results`); --scans names any other place.

NAMES. Scans are named as on the page. Where that was made with pseudonyms, the file
results/pseudonyms/mapping.tsv says who is meant."""
EXAMPLES = """examples:
  refacebench ratings ratings_mine_anna.json
  refacebench ratings ratings_mine_anna.json ratings_mine_ben.json --out qc_tables

""" + common.CODES.format(good="printed", bad="(not used)")


def add(commands) -> None:
    """Add the command to a parser's."""
    parser = commands.add_parser(
        "ratings",
        help="what raters saved on the page for quality control: agreement, work list, bounds",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("files", nargs="+", metavar="FILE", help="saved by the page (JSON or TSV)")
    parser.add_argument("--scans", metavar="FILE", help="the list of scans beside the page")
    common.add_run(parser)
    parser.add_argument("--out", metavar="DIR", help="a folder to write tables to")
    parser.add_argument(
        "--level", type=float, default=95.0, metavar="PERCENT", help="of intervals and bounds (95)"
    )
    parser.set_defaults(run=run)


def run(given: argparse.Namespace) -> int:
    """Print what was found, and write tables where that is wanted."""
    if not 50 <= given.level < 100:
        raise common.Refused("--level must be 50 or more and less than 100")
    level = given.level / 100
    rated, problems = ratings.read(given.files)
    for problem in problems:
        print(f"left out: {problem}", file=sys.stderr)
    if rated.empty:
        raise common.Refused("there is no rating in these files that can be used")
    datasets = sorted(rated["dataset"].unique())
    if len(datasets) > 1:
        raise common.Refused(f"the files are of several data sets: {', '.join(datasets)}")
    scans = _scans(given.scans, datasets[0], common.run_of(given)[0])
    people: dict[str, str] = {}
    if scans is not None:
        people = dict(zip(scans["scan"], scans["participant"], strict=True))
        rated, old = ratings.of_list(rated, scans)
        if len(old):
            print(
                f"left out: {len(old)} ratings of images that are not on the list, as the scan was "
                "defaced again or is no longer in the run",
                file=sys.stderr,
            )
    tables = {
        "ratings": rated,
        "agreement": ratings.agreement(rated, people, level),
        "worklist": ratings.work_list(rated),
    }
    if scans is not None:
        tables["unseen"] = ratings.unseen(rated, scans, level)
    print("\n".join(_told(datasets[0], tables, level)))
    if given.out:
        for name, table in tables.items():
            manifest.write(table, Path(given.out) / f"{name}.tsv")
        print(f"\nTables: {given.out}")
    return common.GOOD


def _scans(path: str | None, dataset: str, results: Path) -> pd.DataFrame | None:
    """Read the list of scans; none where it is not named and not in its place."""
    usual = results / "qc" / dataset / "scans.tsv"
    if path is None and (Path(dataset).name != dataset or not usual.is_file()):
        return None
    try:
        return ratings.read_list(path or usual)
    except (OSError, ValueError) as error:
        raise common.Refused(f"the list of scans cannot be used: {error}") from None


def _told(dataset: str, tables: dict[str, pd.DataFrame], level: float):
    """Yield the lines that are printed."""
    rated, work = tables["ratings"], tables["worklist"]
    who = ratings.raters(rated)
    images = len(rated.drop_duplicates(["variant", "scan", "image"]))
    yield f"{dataset}: {len(rated)} ratings of {images} images by {', '.join(who) or 'nobody'}"
    if len(who) > 1:
        yield "\nAgreement"
        yield from (f"  {line}" for line in ratings.agreement_lines(tables["agreement"], level))
    yield "\nWork list"
    lines = ratings.work_lines(work)
    yield from (f"  {line}" for line in lines or ["Nothing: all that was rated is ok."])
    yield "\nWhat nobody looked at"
    if "unseen" not in tables:
        yield "  Not known without the list of scans beside the page; name it with --scans."
    else:
        yield from (f"  {line}" for line in ratings.unseen_lines(tables["unseen"], level))
