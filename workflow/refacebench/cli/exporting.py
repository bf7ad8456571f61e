"""``refacebench export``: the scans of one variant as a BIDS data set to give away."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from refacebench import faces, files, pseudonyms
from refacebench.cli import common
from refacebench.release import dataset, scans
from refacebench.report import provenance
from refacebench.results import catalogue, decisions, findings

DESCRIPTION = """Write the scans of one variant as a raw BIDS data set, under their own names.

Comes after a run: it takes the images that snakemake made below results/, and only those on which
the checks found neither a face left nor a brain cut. A method with the verdict "do not share" is
refused; the rule of the verdicts is that of the run, as results/run.json has it. Images that lost
their faces with the T1w scan (dataset option `carry`) come along.

Sidecars are kept except for names, dates, comments and archive numbers, and say how the face was
removed (DeidentificationMethod). participants.tsv and *_sessions.tsv keep numbers and a few short
words; ages above 89 become 89; dates, remarks, free text and whatever is named like an identifier
are left out (--keep and --drop overrule that). The README of the new folder lists it all.

Nothing is written over: DIR must be new or empty. Look at the images before you share them: a check
does not see everything."""
EXAMPLES = """examples:
  refacebench export --variant quickshear --to ../shared_bids
  refacebench export --variant pydeface --to out --drop handedness --keep diagnosis
  refacebench export --variant pydeface --to out --others link
  refacebench export --variant quickshear --to out --pseudonyms
  refacebench export --variant quickshear --to out --accept failure_1
  refacebench export --variant quickshear --to out --configfile config/mine.yaml

""" + common.CODES.format(good="written", bad="written, but some scans were left out")


def add(commands) -> None:
    """Add the command to a parser's."""
    parser = commands.add_parser(
        "export",
        help="a BIDS data set without faces, to give away",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--variant", required=True, help="defacer, or defacer+refacer")
    parser.add_argument("--to", required=True, type=Path, metavar="DIR", help="new folder")
    parser.add_argument("--dataset", default="", help="of the config, if it has several")
    parser.add_argument("--name", default="", help="of the data set, if it has none yet")
    parser.add_argument(
        "--accept", action="append", default=[], choices=sorted(scans.WORDS), metavar="VERDICT",
        help=f"give these away too: {', '.join(sorted(scans.WORDS))}; may be given again",
    )  # fmt: skip
    parser.add_argument(
        "--others", choices=dataset.OTHERS, default="leave",
        help="images of other kinds (func, dwi...), which still show faces (leave)",
    )  # fmt: skip
    common.add_run(parser)
    parser.add_argument(
        "--anyway", action="store_true", help="also where the verdict is against it"
    )
    parser.add_argument("--keep", nargs="+", default=[], metavar="COLUMN", help="keep as they are")
    parser.add_argument("--drop", nargs="+", default=[], metavar="COLUMN", help="leave out")
    parser.add_argument(
        "--pseudonyms", action="store_true",
        help="new labels for participants (by a key in results/pseudonyms) and sessions",
    )  # fmt: skip
    parser.set_defaults(run=run)


def run(given: argparse.Namespace) -> int:
    """Write the data set and say what it holds."""
    if given.to.exists() and (not given.to.is_dir() or any(given.to.iterdir())):
        raise common.Refused(f"{given.to} is there already and not empty; name a new folder")
    results, config = common.run_of(given)
    name = given.dataset or _only_dataset(results)
    verdict = _verdict(results, given.variant, name, _config_of_the_run(results, config))
    if verdict[0] == decisions.NO and not given.anyway:
        raise common.Refused(
            f"{given.variant}: {verdict[0]} ({verdict[1]}); see report.html. --anyway writes the "
            "data set all the same"
        )
    try:
        images, left_out = scans.choose(
            results, name, given.variant, {*scans.ACCEPTED, *given.accept}
        )
    except scans.Nothing as reason:
        raise common.Refused(str(reason)) from None
    if not images:
        raise common.Refused(
            f"no scan of '{given.variant}' may be given away. The first reason: "
            f"{left_out[0].scan}: {left_out[0].reason}"
            if left_out
            else f"'{given.variant}' has no scans"
        )
    numbered = dataset.numbered_sessions(images, always=given.pseudonyms)
    labels = _pseudonyms(images, results / pseudonyms.FOLDER.name) if given.pseudonyms else {}
    wishes = dataset.Wishes(
        given.name or name,
        given.variant,
        _lower(given.keep),
        _lower(given.drop),
        given.others,
        given.pseudonyms,
        lambda participant, session: (
            labels.get(participant, participant),
            numbered.get((participant, session), session),
        ),
    )
    try:
        written = dataset.write(images, left_out, given.to, wishes)
    except (OSError, ValueError) as reason:
        raise common.Refused(f"nothing was written to {given.to}: {reason}") from None
    for line in told(given, written, left_out, bool(numbered), verdict):
        print(line)
    if labels:
        print(_write_who(labels, results / pseudonyms.FOLDER.name, given.to))
    return common.BAD if left_out else common.GOOD


def _pseudonyms(images: Sequence[scans.Released], folder: Path) -> dict[str, str]:
    """Return new labels of participants, by the run's own key, which is made if there is none."""
    faces.protect(folder)
    pseudonyms.make_key(folder)
    made = pseudonyms.Pseudonyms(pseudonyms.read_key(folder))
    people = dict.fromkeys(image.within.parts[0] for image in images)
    return {name: f"sub-{made.participant(name).removeprefix('p-')}" for name in people}


def _write_who(labels: Mapping[str, str], folder: Path, out: Path) -> str:
    """Write who is who beside the key, for its owner alone; return a line about it."""
    place = folder / f"export_{out.name}.tsv"
    lines = ["participant\tparticipant_id", *("\t".join(pair) for pair in labels.items())]
    files.write_text("\n".join(lines) + "\n", place)
    place.chmod(0o600)
    return f"Participants have pseudonyms; {place} says who is who. Never share that folder."


def _lower(names: list[str]) -> set[str]:
    return {name.lower() for name in names}


def _only_dataset(results: Path) -> str:
    found = sorted({p.name for stage in ("deface", "reface") for p in results.glob(f"{stage}/*")})
    if len(found) != 1:
        what = f"name one with --dataset: {', '.join(found)}" if found else "run snakemake first"
        raise common.Refused(f"{results}/ has {len(found) or 'no'} datasets; {what}")
    return found[0]


def told(
    given: argparse.Namespace,
    written: dataset.Written,
    left_out: list[scans.LeftOut],
    numbered: bool,
    verdict: tuple[str, str],
) -> list[str]:
    """Return what the user reads at the end."""
    lines = [
        "",
        f"{written.images} images of {written.participants} participants are in {given.to}.",
    ]
    if left_out:
        lines.append(f"{len(left_out)} images of the original data set are not there:")
        named = common.by_reason((one.scan, one.reason) for one in left_out)
        lines += [f"  {line}" for line in named]
    lines += [
        f"Left out of the tables: {key}: {why}" for key, why in written.columns_left_out.items()
    ]
    lines += written.notes
    if numbered:
        lines.append("Sessions have numbers in place of their labels, in their order.")
    if written.alone:
        lines.append(
            f"{written.alone} participants are the only ones of their age, sex and site (as far as "
            "the tables have these): whoever knows that much of a person finds their row. Consider "
            "--drop."
        )
    lines.append(f"Verdict on {given.variant}: {verdict[0]} ({verdict[1]}).")
    if written.other_files:
        lines.append(f"{written.other_files} files of other kinds are as they were, faces and all.")
    lines.append(
        "Read README, CHANGES and dataset_description.json for names before you share the folder, "
        "look at the images, and run the bids-validator on it."
    )
    return lines


def _config_of_the_run(results: Path, config: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the config that the results were made with, which has the rule of the page's verdicts.

    A file may have been changed since: it counts only where the run has left no card.
    """
    return provenance.read(results / provenance.CARD).get("config") or config


def _verdict(results: Path, variant: str, name: str, config: Mapping[str, Any]) -> tuple[str, str]:
    """Return the page's verdict on a variant, and why."""
    known = {result.name for result in catalogue.everything()}
    tables = {
        path.stem: catalogue.read(path)
        for path in sorted((results / "tables" / name).glob("*.tsv"))
        if path.stem in known
    }
    rule = decisions.Rule.from_config(config)
    return decisions.verdict(findings.finding(tables, variant), rule)
