"""What a run will take: hours, memory and disk, from measured costs of every stage.

The costs stand in :data:`COSTS` and nowhere else.  They were measured on one core of a common
server with scans of 1.5 and of 9 to 17 million voxels and the default options
(``docs/validation/estimate.md``); another machine is faster or slower by one factor.  What was not
measured is named and not counted.
Opens no image; reads the headers of a few scans.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from refacebench import manifest
from refacebench.image import nifti
from refacebench.run import configuration
from refacebench.run.graph import Run
from refacebench.vocabulary import FOLLOWUP, MEASURED, RESCAN, split_contrast


@dataclass(frozen=True)
class Cost:
    """What one scan costs: a fixed part and one for each million voxels.

    Attributes
    ----------
    seconds, seconds_per_mvox : float
        Of one core.
    mb, mb_per_mvox : float
        Peak memory of the job, megabytes.
    disk_per_mvox : float
        Megabytes that stay on the disk.
    start : float
        Seconds that a job takes before its first scan: starting Python, importing packages.
    """

    seconds: float
    seconds_per_mvox: float
    mb: float
    mb_per_mvox: float
    disk_per_mvox: float = 0.0
    start: float = 2.0


#: By stage, or by stage and method where these differ much.
COSTS = {
    "grow": Cost(0.5, 1.7, 300, 90, 2.6),
    "grow/labelmaps": Cost(0.5, 1.4, 300, 160, 2.6),
    "inventory": Cost(0.2, 0.04, 280, 12),
    "prepare": Cost(5.3, 0.35, 700, 27, 0.2, start=10),
    "deface": Cost(0.6, 0.4, 300, 45, 1.3),
    "deface/mri_reface": Cost(5.0, 1.2, 1100, 30, 1.3, start=20),
    "deface/afni_refacer": Cost(1.0, 0.4, 1100, 30, 1.3, start=15),
    "deface/skull_strip": Cost(0.1, 0.18, 300, 55, 0.3),
    "reface": Cost(4.0, 0.5, 850, 30, 1.3, start=6),
    "segment": Cost(5.3, 0.34, 900, 48, 0.3, start=6.5),
    "measure": Cost(0.5, 0.45, 330, 33),
    "render": Cost(0.5, 0.16, 320, 22, 0.1),
    # Of an image of another contrast; the voxels are those of the scan it belongs to.
    "align": Cost(9.0, 0.4, 300, 30, start=6),
    "carry": Cost(0.8, 0.5, 300, 30, 0.7),
    # Of an attacker that looks at the heads' surface, for each scan.
    "attack": Cost(0.2, 0.1, 200, 0),
}
#: Of an external program nobody knows: minutes, as most of them take.
PROGRAM = Cost(180.0, 0.0, 3000, 0.0, 1.3)
#: Attackers whose costs are those of pictures: seconds for each picture of a head.
PICTURE_S = {"face_recognition": 0.25, "siamese": 0.25}
#: Tables, figures and the page of one data set, which wait for everything else, in seconds.
END_S, END_PER_VARIANT_S = 40.0, 8.0
#: Millions of voxels of a synthetic scan of 1 mm, and of one whose header cannot be read.
SYNTHETIC_MVOX, TYPICAL_MVOX = 12.5, 12.0
#: So many headers of a data set are read.
HEADERS = 9


#: The share of a variant's files that stays, by the config's ``keep`` and the stage that made
#: them; all of what is not named (docs/cluster.md has the bytes).
STAYING = {
    "all": {},
    "segmentations": {"deface": 0.02, "reface": 0.0},
    "measures": {"deface": 0.0, "reface": 0.0, "segment": 0.0, "render": 0.0},
}
#: Megabytes of a scan and variant: the pictures for quality control, which are made before images
#: are deleted; its records and rows in tables.
PICTURES_MB, RECORDS_MB = 0.1, 0.012


def cost_of(stage: str, method: str = "") -> Cost:
    """Return the measured cost of a stage, of a method's own where it was measured."""
    return COSTS.get(f"{stage}/{method}", COSTS[stage])


@dataclass(frozen=True)
class Work:
    """The jobs of one stage with one method on one data set."""

    stage: str
    cost: Cost
    jobs: int
    scans: int
    mvox: float
    largest_job: int = 0
    #: Share of the files that are not deleted in the end.
    staying: float = 1.0

    @property
    def seconds(self) -> float:
        """Seconds on one core."""
        return self.jobs * self.cost.start + self.scans * self._of_one

    @property
    def longest(self) -> float:
        """Seconds of the job with the most scans."""
        return self.cost.start + self.largest_job * self._of_one if self.jobs else 0.0

    @property
    def mb(self) -> float:
        """Peak memory of one job, megabytes."""
        return self.cost.mb + self.cost.mb_per_mvox * self.mvox

    @property
    def disk_mb(self) -> float:
        """Megabytes that stay on the disk."""
        return self.staying * self.scans * self.cost.disk_per_mvox * self.mvox

    @property
    def _of_one(self) -> float:
        return self.cost.seconds + self.cost.seconds_per_mvox * self.mvox


@dataclass(frozen=True)
class Estimate:
    """What a run takes.

    Attributes
    ----------
    hours : float
        From the first job to the page.
    memory_gb, disk_gb : float
        At the same time; below ``results``.
    cores : int
    scans, variants : int
    stage_hours : dict of str to float
        Of one core, by stage.
    left_out : list of str
        What is not counted.
    keep : str
        What stays on the disk.
    """

    hours: float
    memory_gb: float
    disk_gb: float
    cores: int
    scans: int
    variants: int
    stage_hours: Mapping[str, float] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)
    keep: str = "all"


def estimate(
    run: Run, cores: int, left: Mapping[str, float] | None = None, keep: str = "all"
) -> Estimate:
    """Return what a run takes.

    Parameters
    ----------
    run : Run
    cores : int
        Jobs at a time.
    left : mapping of str to float, optional
        The share of each rule's jobs that is still to be done; all where it is left out.
    keep : str
        The config's: what stays on the disk.
    """
    groups: dict[str, list[Work]] = {}
    for dataset in run.datasets:
        for part in work(run, dataset, keep):
            groups.setdefault(part.stage, []).append(part)
    seconds, mb, disk = 0.0, 0.0, 0.0
    by_stage: dict[str, float] = {}
    for stage, parts in groups.items():
        share = 1.0 if left is None else left.get(stage, 0.0)
        jobs = math.ceil(share * sum(part.jobs for part in parts))
        if not jobs:
            continue
        total = share * sum(part.seconds for part in parts)
        # A job is never shared out: with few of them, cores are idle.
        seconds += max(total / cores, max(part.longest for part in parts))
        mb = max(mb, min(cores, jobs) * max(part.mb for part in parts))
        disk += share * sum(part.disk_mb for part in parts)
        by_stage[stage] = total / 3600
    if keep != "all":
        compared = sum(_count(run, d, "test", MEASURED) for d in run.datasets)
        disk += (PICTURES_MB + RECORDS_MB) * compared * len(run.variants)
    seconds += len(run.datasets) * (END_S + END_PER_VARIANT_S * len(run.variants)) / min(cores, 2)
    return Estimate(
        seconds / 3600,
        mb / 1000,
        disk / 1000,
        cores,
        sum(_count(run, d, "test", MEASURED) for d in run.datasets),
        len(run.variants),
        by_stage,
        list(_not_counted(run, left)),
        keep,
    )


def told(found: Estimate, remaining: bool = False) -> str:
    """Return an estimate as one sentence.

    >>> told(Estimate(2.9, 13.6, 21.0, 8, 100, 7))
    'This run will take about 3 h on 8 cores, 14 GB of memory and 21 GB of disk (100 scans compared in 7 variants; on a typical server).'
    """  # noqa: E501
    what = "What is left of this run" if remaining else "This run"
    cores, scans, variants = (
        f"{count} {noun}{'s' if count != 1 else ''}"
        for count, noun in (
            (found.cores, "core"), (found.scans, "scan"), (found.variants, "variant")
        )
    )  # fmt: skip
    kept = f" with keep: {found.keep}, more while it runs" if found.keep != "all" else ""
    text = (
        f"{what} will take about {duration(found.hours)} on {cores}, {_size(found.memory_gb)} of "
        f"memory and {_size(found.disk_gb)} of disk{kept} ({scans} compared in "
        f"{variants}; on a typical server)."
    )
    if found.left_out:
        text += f" Not counted: {', '.join(found.left_out)}."
    return text


def duration(hours: float) -> str:
    """Return a time as a person says it.

    >>> [duration(h) for h in (0.01, 0.3, 2.9, 15.2, 80.0)]
    ['1 min', '20 min', '3 h', '15 h', '3 days']
    """
    if hours < 0.95:
        minutes = max(1, round(hours * 60))
        return f"{minutes if minutes < 10 else 5 * round(minutes / 5)} min"
    if hours < 48:
        return f"{hours:.1f}".removesuffix(".0") + " h" if hours < 2.5 else f"{round(hours)} h"
    return f"{round(hours / 24)} days"


def _size(gb: float) -> str:
    return f"{max(gb, 0.1):.1f} GB" if gb < 2 else f"{round(gb)} GB"


# the work -----------------------------------------------------------------------------------


def work(run: Run, dataset: str, keep: str = "all") -> Iterator[Work]:
    """Yield the work on a data set, stage by stage, in the order of the run."""
    if dataset in run.brought or dataset in run.to_fetch:
        return  # seconds; and nothing is known of what is yet to be downloaded
    mvox = megavoxels(run, dataset)
    every = [b for b in run.batches(dataset) if b not in run.unused_batches(dataset)]
    measured = [b for b in every if f"-{MEASURED}-" in b]
    test = run.batches(dataset, "test", MEASURED)

    def part(
        stage: str,
        batches: list[str],
        times: float = 1,
        cost: Cost | None = None,
        of_originals: float = 1.0,
        contrasts: Sequence[str] | None = None,
    ) -> Work:
        counts = [_images(run, dataset, batch, contrasts) for batch in batches]
        share = STAYING[keep].get(stage, 1.0)
        return Work(
            stage,
            cost or COSTS[stage],
            round(times * len(batches)),
            round(times * sum(counts)),
            mvox,
            max(counts, default=0),
            of_originals + (1 - of_originals) * share,
        )

    if configuration.is_synthetic(run.config, dataset):
        yield part("grow", every, 1, cost_of("grow", run.config["datasets"][dataset]["type"]))
    yield part("inventory", every)
    yield part("prepare", measured)
    for defacer in run.config["defacers"]:
        if defacer in run.variants:
            trained = any(v.startswith(f"{defacer}+") for v in run.trainings)
            yield part("deface", measured if trained else test, 1, _defacing(run, defacer), 0.0)
    if others := run.contrasts(dataset):
        yield part("align", test, contrasts=others)
        yield part("carry", test, len(run.carrying), contrasts=others)
    refaced = sum("+" in variant for variant in run.variants)
    yield part("reface", test, refaced, None, 0.0)
    originals = run.batches(dataset, "test", RESCAN) + run.batches(dataset, "train", MEASURED)
    for segmenter in run.segmenters:
        cost = PROGRAM if _is_program(run.config["segmenters"][segmenter]) else None
        yield part("segment", test, len(run.variants), cost, 1 / len(run.variants))
        yield part("segment", originals, 1, cost)
        yield part("measure", test, len(run.variants))
    if run.attackers:
        later = [b for r in (RESCAN, FOLLOWUP) for b in run.batches(dataset, "test", r)]
        yield part("render", test, len(run.variants), None, 1 / len(run.variants))
        yield part("render", later)
    for shown in run.other_contrasts(dataset):
        yield part("render", test, contrasts=[split_contrast(shown)[1]])
    for attacker in run.attackers:
        yield from _attacks(run, dataset, attacker, mvox)


def _images(run: Run, dataset: str, batch: str, contrasts: Sequence[str] | None = None) -> int:
    """Return how many scans a batch has, or images of other contrasts beside them."""
    if contrasts is None:
        return run.lists[dataset].count([batch])
    if configuration.is_synthetic(run.config, dataset):
        return len(contrasts) * run.lists[dataset].count([batch])
    return sum(
        found["contrast"] in contrasts and bool(found["path"])
        for row in _rows(run, dataset, batch)
        for found in manifest.companions(row)
    )


def _attacks(run: Run, dataset: str, attacker: str, mvox: float) -> Iterator[Work]:
    """Yield what an attacker does: jobs of one variant or control each, whatever the batches."""
    chosen = run.chosen("attackers", attacker)
    method = (run.config["attackers"][attacker] or {}).get("method", attacker)
    rendered = run.config["rendering"]
    views = min(rendered["views"], int(chosen.options.get("views") or rendered["views"]))
    cost = COSTS["attack"]
    if method in PICTURE_S:
        cost = replace(cost, seconds=views * rendered["lights"] * PICTURE_S[method])
    test = run.batches(dataset, "test", MEASURED)
    scans = run.lists[dataset].count(test)
    targets = len(run.attacked(attacker))
    yield Work("enrol", cost, 1, scans, mvox, scans)
    yield Work("attack", cost, targets, targets * scans, mvox, scans)
    if attacker in run.contrast_attackers:
        for shown in run.other_contrasts(dataset):
            images = sum(_images(run, dataset, b, [split_contrast(shown)[1]]) for b in test)
            yield Work("attack", cost, 1, images, mvox, images)


def _defacing(run: Run, defacer: str) -> Cost:
    entry = run.config["defacers"][defacer] or {}
    if _is_program(entry):
        return PROGRAM
    return cost_of("deface", str(entry.get("method", defacer)))


def _is_program(entry: Mapping[str, Any] | None) -> bool:
    return bool({"program", "command"} & set(entry or {}))


def _not_counted(run: Run, left: Mapping[str, float] | None) -> Iterator[str]:
    due = [v for v in run.trainings if (left.get("train") if left else not _is_trained(run, v))]
    if due:
        yield f"the training of {', '.join(due)}"
    if run.to_fetch:
        yield f"the download of {', '.join(run.to_fetch)} and all that follows it"
    if run.age_models and (left is None or left.get("train_age") or left.get("age")):
        yield f"the age models {', '.join(run.age_models)}"


def _is_trained(run: Run, variant: str) -> bool:
    """Tell whether a model lies there for every data set."""
    return all(Path(card).is_file() for card in run.cards() if Path(card).parent.name == variant)


def _count(run: Run, dataset: str, split: str, role: str) -> int:
    return run.lists[dataset].count(run.batches(dataset, split, role))


# voxels -------------------------------------------------------------------------------------


def megavoxels(run: Run, dataset: str) -> float:
    """Return the voxels of a typical scan of a data set, in millions."""
    if configuration.is_synthetic(run.config, dataset):
        return SYNTHETIC_MVOX / run.chosen("datasets", dataset).options["voxel_mm"] ** 3
    paths = [path for batch in run.batches(dataset) for path in _paths(run, dataset, batch)]
    chosen = paths[:: max(1, len(paths) // HEADERS)][:HEADERS]
    sizes = [size for size in map(_voxels, chosen) if size]
    return float(np.median(sizes)) / 1e6 if sizes else TYPICAL_MVOX


def largest_mvox(run: Run, dataset: str, batch: str) -> float:
    """Return the voxels of a batch's largest scan, in millions, from some of the headers."""
    paths = _paths(run, dataset, batch)
    sizes = map(_voxels, paths[:: max(1, len(paths) // HEADERS)][:HEADERS])
    return max(sizes, default=0) / 1e6 or TYPICAL_MVOX


def _paths(run: Run, dataset: str, batch: str) -> list[str]:
    return [row["path"] for row in _rows(run, dataset, batch) if row["path"]]


def _rows(run: Run, dataset: str, batch: str) -> Iterator[dict[str, str]]:
    return csv.DictReader(io.StringIO(run.lists[dataset].text(batch)), delimiter="\t")


def _voxels(path: str) -> int:
    """Return the voxels that a header names; 0 where it cannot be read."""
    try:
        return nifti.claimed_voxels(path)
    except Exception:  # whatever is wrong with the scan, the run itself will say it
        return 0
