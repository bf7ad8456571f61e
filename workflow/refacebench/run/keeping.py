"""What of a variant stays on the disk when it has been measured: the config's ``keep``.

Says which outputs must be there before files of a batch may go, which files these are, and, of
jobs that are about to run, which of the deleted files they need.  What was made of originals is
never deleted: every later variant is measured against it.

Reads notes and records (:mod:`refacebench.run.dropped`), and writes down what is asked for; deletes
no volume.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from refacebench import files, manifest, pseudonyms
from refacebench.run import dropped, records
from refacebench.run.graph import Run
from refacebench.run.mistakes import ConfigError
from refacebench.vocabulary import (
    MEASURED,
    NULL,
    OK,
    ORIGINAL,
    PICTURE_CONTROLS,
    UNDEFACED,
    split_variant,
)

#: What stays: everything; all but the images; numbers, tables and pictures.
ALL, SEGMENTATIONS, MEASURES = LEVELS = ("all", "segmentations", "measures")
#: So many scans of the example figures keep their files.
EXAMPLES = 3
#: Columns of a segmenter's images.
SEGMENTED = ("seg_path", "brainseg_path", "regions_path")
BRAINS = "brainseg_path"

#: By a stage's manifest, the scans whose files are not needed.
Needs = dict[str, set[str]]


class Batch(NamedTuple):
    """A batch of one variant."""

    dataset: str
    variant: str
    batch: str


class Keeping:
    """What a run deletes, and when.

    Parameters
    ----------
    run : Run
    keep : str
        One of :data:`LEVELS`.
    pictures : bool
        Whether pictures for quality control are made first, so that they outlive the images.
    """

    def __init__(self, run: Run, keep: str, pictures: bool):
        self.run, self.keep, self.pictures = run, keep, pictures
        self._asked: dict[str, list[str]] = {}

    def outputs(self) -> list[str]:
        """Return the marks of all that is to be deleted."""
        if self.keep == ALL:
            return []
        marks = [
            f"results/tidy/{b.dataset}/{b.variant}/{b.batch}.txt"
            for dataset in self._with_images()
            for b in self._batches(dataset)
        ]
        if self.keep == MEASURES and self.run.attackers:
            marks += [
                f"results/tidy_views/{dataset}/{variant}.txt"
                for dataset in self._with_images()
                for variant in self._changed()
            ]
        return marks

    def _with_images(self) -> list[str]:
        return [
            d for d in self.run.datasets if d not in self.run.brought and d not in self.run.to_fetch
        ]

    def _changed(self) -> list[str]:
        return [v for v in self.run.variants if v != ORIGINAL]

    def _batches(self, dataset: str) -> list[Batch]:
        """Return the batches of a dataset whose images a run makes."""
        found = [
            Batch(dataset, variant, batch)
            for variant in self._changed()
            for batch in self.run.batches(dataset, "test", MEASURED)
        ]
        for variant in self._changed():
            for split in ("train", "validation"):
                batches = self.run.batches(dataset, split, MEASURED)
                here = [Batch(dataset, variant, batch) for batch in batches]
                found += [b for b in here if self.before(*b)]
        return found

    # before anything goes -----------------------------------------------------------------

    def before(self, dataset: str, variant: str, batch: str) -> list[str]:
        """Return what must be there before a batch's images, or its segmentations, may go."""
        run, split = self.run, batch.split("-")[0]
        defacer, refacer = split_variant(variant)
        refaced = [] if refacer else [v for v in run.variants if v.startswith(f"{defacer}+")]
        if split != "test":
            cards = [run.card(dataset, *v.split("+", 1)) for v in refaced]
            return sorted({*cards, *self._learnt_from(dataset, variant, refaced, batch)})
        found = [
            f"results/{stage}/{dataset}/{segmenter}/{variant}/{batch}.tsv"
            for segmenter in run.segmenters
            for stage in ("segment", "measure")
        ]
        found += [f"results/age/{dataset}/{m}/{variant}/{batch}.tsv" for m in run.age_models]
        found += [f"results/reface/{dataset}/{v}/{batch}.tsv" for v in refaced]
        if run.attackers:
            found.append(f"results/render/{dataset}/{variant}/{batch}.tsv")
        if run.config["datasets"][dataset].get("carry") and not refacer and variant != NULL:
            found.append(f"results/carry/{dataset}/{variant}/{batch}.tsv")
        if self.pictures and variant not in UNDEFACED:
            found.append(f"results/qc/{dataset}/{variant}/{batch}.tsv")
        return found

    def _learnt_from(
        self, dataset: str, variant: str, refaced: Sequence[str], batch: str
    ) -> list[str]:
        """Return what attackers that are trained need of the train split."""
        if not batch.startswith("train-") or not any(map(self.run.is_trained, self.run.attackers)):
            return []
        return [
            f"results/render/{dataset}/{variant}/{batch}.tsv",
            *(f"results/reface/{dataset}/{v}/{batch}.tsv" for v in refaced),
        ]

    def before_views(self, dataset: str, variant: str) -> list[str]:
        """Return the attacks that must be there before a variant's views may go."""
        run = self.run
        batches = run.batches(dataset, "test", MEASURED)
        return [
            *(
                f"results/attack/{dataset}/{attacker}/{variant}.npz"
                for attacker in run.attackers
                if variant in run.attacked(attacker)
            ),
            *(f"results/tidy/{dataset}/{variant}/{batch}.txt" for batch in batches),
        ]

    # what goes ----------------------------------------------------------------------------

    def images(self, dataset: str, variant: str, batch: str) -> dict[str, list[str]]:
        """Return the columns whose files go, by the manifest of the stage that made them."""
        made = self.run.variant_manifest(dataset, variant, batch)
        if self.keep != MEASURES:
            return {made: ["path"]}
        found = {made: ["path", "changed_path"]}
        if batch.startswith("test-"):
            for segmenter in self.run.segmenters:
                path = f"results/segment/{dataset}/{segmenter}/{variant}/{batch}.tsv"
                awaited = segmenter == self.run.segmenters[0] and self._brains_attacked()
                found[path] = [c for c in SEGMENTED if not (awaited and c == BRAINS)]
        return found

    def views(self, dataset: str, variant: str) -> dict[str, list[str]]:
        """Return the same of what only attackers look at."""
        run = self.run
        found = {
            path: ["views_path"]
            for path in run.manifests("render", dataset, variant, None, MEASURED)
        }
        if self._brains_attacked():
            name = f"{run.segmenters[0]}/{variant}"
            segmented = run.manifests("segment", dataset, name, "test", MEASURED)
            found |= {path: [BRAINS] for path in segmented}
        return found

    def _brains_attacked(self) -> bool:
        """Tell whether an attacker wants brain masks, which then stay as long as its views."""
        return any(self.run.chosen("attackers", a).method.brains for a in self.run.attackers)

    # what is needed again -----------------------------------------------------------------

    def wanted(self, jobs: Iterable[Job]) -> dict[str, list[str]]:
        """Return which deleted files jobs need: scans, by the manifest that is to be made again."""
        needs: Needs = {}
        for job in jobs:
            done = set() if job.anew else _done(job.outputs[0])
            for made in self._looked_at(job):
                needs[made] = needs.get(made, done) & done
        return self._deleted(needs)

    def wanted_of(self, variant: str) -> dict[str, list[str]]:
        """Return what makes a variant's images again, all of them.

        Raises
        ------
        ConfigError
            If there is no such variant, or nothing of it was deleted.
        """
        if variant not in self._changed():
            names = ", ".join(self._changed())
            raise ConfigError(f"remake: there is no variant '{variant}' (there are {names})")
        needs: Needs = {
            self.run.variant_manifest(dataset, variant, batch): set()
            for dataset in self._with_images()
            for batch in self.run.batches(dataset, "test", MEASURED)
        }
        found = self._deleted(needs)
        if not found:
            raise ConfigError(f"remake: no image of '{variant}' was deleted")
        return found

    def remade(self, remake: bool | str) -> list[str]:
        """Return the manifests whose deleted files a run makes again, and nothing else.

        Parameters
        ----------
        remake : bool or str
            True for what :meth:`check` asked for, or the name of a variant.

        Raises
        ------
        ConfigError
            As :meth:`wanted_of`.
        """
        if remake:
            asked_for = files.read_json(Path(dropped.WANTED)) or {}
            found = self.wanted_of(remake) if isinstance(remake, str) else asked_for
            known = {*self._changed()}
            self._asked = {made: s for made, s in found.items() if made.split("/")[-2] in known}
            self.run.attempts.ask(self._asked)
        return list(self._asked)

    def check(self, jobs: Iterable[Job]) -> None:
        """Note what a run makes again; ask for what its other jobs need beside that.

        Raises
        ------
        ConfigError
            If they need files that were deleted.  What they need is written down, for a run
            with ``remake``.
        """
        found = self.wanted(job for job in jobs if job.outputs[0] not in self._asked)
        lacking = {
            made: scans for made, scans in found.items() if {*scans} - {*self._asked.get(made, ())}
        }
        if lacking or self._asked:
            files.write_text(json.dumps(lacking or self._asked, indent=0) + "\n", dropped.WANTED)
        else:
            self.end()
        if lacking:
            raise ConfigError(asked(lacking))

    def end(self) -> None:
        """Forget what was to be made again."""
        Path(dropped.WANTED).unlink(missing_ok=True)

    def _looked_at(self, job: Job) -> list[str]:
        """Return the manifests whose files a job opens."""
        w, run = job.wildcards, self.run
        d, batch = w.get("dataset", ""), w.get("batch", "")
        variant = w.get("variant") or w.get("shown") or w.get("defacer", "")
        if job.rule in ("segment", "render", "qc_pictures", "carry", "reface"):
            return [run.variant_manifest(d, variant, batch)]
        if job.rule in ("measure", "age"):
            segmenter = w.get("segmenter") or run.segmenters[0]
            image = run.variant_manifest(d, variant, batch)
            return [image, f"results/segment/{d}/{segmenter}/{variant}/{batch}.tsv"]
        if job.rule == "attack" and w["target"] in (ORIGINAL, *PICTURE_CONTROLS):
            return []
        if job.rule in ("train", "attack", "kit_page"):
            return [path for path in job.inputs if path.endswith(".tsv")]
        return []

    def _deleted(self, needs: Needs) -> dict[str, list[str]]:
        """Return which of the needed files were deleted, and those that they are made from."""
        found: dict[str, set[str]] = {}
        todo = [(made, _noted(made) - done) for made, done in needs.items()]
        while todo:
            made, scans = todo.pop()
            gone = (scans & _noted(made)) - found.get(made, set())
            if gone:
                found.setdefault(made, set()).update(gone)
                todo += [(source, gone) for source in self._sources(made)]
        return {made: sorted(scans) for made, scans in sorted(found.items())}

    def _sources(self, made: str) -> list[str]:
        """Return the manifests whose images those of a manifest are made from."""
        _, stage, dataset, *names, file = made.split("/")
        batch = file.removesuffix(".tsv")
        if stage == "reface":
            return [self.run.variant_manifest(dataset, split_variant(names[0])[0], batch)]
        if stage in ("segment", "render"):
            return [self.run.variant_manifest(dataset, names[-1], batch)]
        return []


def examples(lists: Iterable[str | Path]) -> list[str]:
    """Return the scans that example figures may show: the first of a dataset, as these count.

    Parameters
    ----------
    lists : iterable of path
        The batch lists of the compared scans.
    """
    scans = [str(scan) for path in lists for scan in manifest.read(path)["scan"]]
    return sorted(scans, key=pseudonyms.active().scan)[:EXAMPLES]


def unfinished(inputs: Iterable[str]) -> set[str]:
    """Return the scans whose images stay, as a job that runs again has to look at them again.

    Those that some stage is to try again, and those that it could not finish and has no record
    of: images that only the segmenter failed on, for one.
    """
    tables = [path for path in inputs if path.endswith(".tsv")]
    again = {scan for path in tables for scan in manifest.read_failures(path)["again"]}
    judged = [path for path in tables if {"segment", "measure"} & set(Path(path).parts)]
    return again.union(*map(_without_record, judged))


def _without_record(out: str) -> set[str]:
    rows = manifest.read(out)
    return set(rows.loc[rows["status"] != OK, "scan"]) - records.scans(out)


class Job(NamedTuple):
    """A job that is about to run.

    Attributes
    ----------
    rule : str
    wildcards : mapping of str to str
    inputs, outputs : sequence of str
    anew : bool
        Whether it works on all scans again, and not only on those that are not done.
    """

    rule: str
    wildcards: Mapping[str, str]
    inputs: Sequence[str]
    outputs: Sequence[str]
    anew: bool = False


def _done(out: str) -> set[str]:
    """Return the scans that have a record of a stage; none of a training or an attack."""
    return records.scans(out) if out.endswith(".tsv") else set()


def _noted(made: str) -> set[str]:
    """Return the scans of a manifest with deleted files that could be made again."""
    notes = dropped.read(made)
    if not notes:
        return set()
    gone = {path for path, note in notes.items() if not note.reason}
    return {scan for scan, paths in dropped.of_scans(made).items() if gone & paths}


def asked(wanted: Mapping[str, Sequence[str]]) -> str:
    """Say which deleted files are needed, and ask for them."""
    by_stage: dict[str, int] = {}
    for made, scans in wanted.items():
        stage = made.split("/")[1]
        by_stage[stage] = by_stage.get(stage, 0) + len(scans)
    parts = ", ".join(f"{stage} {count}" for stage, count in sorted(by_stage.items()))
    variants = sorted({made.split("/")[-2] for made in wanted})
    return (
        f"keep: what this run is to do needs images of {', '.join(variants)} that were deleted "
        f"when they had been measured. To make them again (scans by stage: {parts}), run the same "
        "command once with --config remake=true added, and then once more without it."
    )


#: What a run that only made deleted files again ends with.
MADE_AGAIN = "The deleted images are there again: now the same command without `remake`."
