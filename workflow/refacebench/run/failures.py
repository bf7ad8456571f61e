"""Which jobs are done once more because scans failed in them, and what a run says at its end.

Reads the files that :func:`refacebench.manifest.note_failures` writes beside a stage's
outputs, and manifests.  The main process decides (:class:`Attempts`); its jobs, which may
start while others change those files, read what was decided.
"""

from __future__ import annotations

import csv
import functools
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from refacebench import manifest
from refacebench.run import dropped, records
from refacebench.vocabulary import OK

#: With more scans x variants than this, output files are looked for only when all failed scans
#: are tried again: asking a file server for a million files takes longer than most runs.
MOST_LOOKED_FOR = 2000
#: Stages whose outputs are deleted with the faces (:mod:`refacebench.run.forgetting`), and the
#: file below ``results`` that says when that was.
WITH_FACES = ("render", "enrol", "qc")
FORGOTTEN = "plan/forgotten.txt"


class Attempts:
    """How often each output was, or is to be, made because scans failed before.

    Snakemake makes an output again when a parameter of its rule changed: this number is one.

    Parameters
    ----------
    saved : mapping of str to int
        By output, what was decided at the last run.
    look : bool
        Decide anew, by what failed since.  Off in a job: the main process decided.
    retry : bool
        Try all failed scans again, not only those whose failure may pass.
    files : bool
        Look for missing output files, too.
    """

    def __init__(
        self, saved: Mapping[str, int], look: bool = True, retry: bool = False, files: bool = False
    ):
        self.counts = dict(saved)
        self._to_forget: list[str] = []
        self._decided: dict[str, int] = {}
        self._asked: frozenset[str] = frozenset()
        self._look, self._retry, self._files = look, retry, files
        self._exists = functools.lru_cache(None)(os.path.exists)
        self._listed = functools.lru_cache(None)(listed)

    def of(self, out: str) -> str:
        """Return an output's number in words, for its rule's parameters."""
        if out not in self._decided:
            number = self.counts.get(out, 0)
            if self._look and self._again(out):
                number += 1
                self.counts[out] = number
            self._decided[out] = number
        return f"attempt {self._decided[out] + 1}"

    def ask(self, outputs: Iterable[str]) -> None:
        """Have outputs made once more, whatever came of them."""
        self._asked = frozenset(outputs)

    def _again(self, out: str) -> bool:
        return out in self._asked or self._failed(out) or self._interrupted(out)

    def _interrupted(self, out: str) -> bool:
        """Tell whether a job began and left no output, as it was killed or stopped.

        Snakemake then notes the job as done with its inputs of that time.  Where what follows
        was made in an earlier run, it would miss nothing, and old results would stay.
        """
        log = log_of(out)
        folder, name = os.path.split(log)
        if os.path.basename(out) in self._listed(os.path.dirname(out)):
            return False
        return name in self._listed(folder) and not _forgotten(out, log)

    def _failed(self, out: str) -> bool:
        if manifest.failures_path(out).name in self._listed(os.path.dirname(out)):
            failed = manifest.read_failures(out)
            if self._retry and failed["final"]:
                self._to_forget.append(out)
            if failed["again"] or (self._retry and failed["final"]):
                return True
        return self._files and self._lost_files(out)

    def forget(self) -> None:
        """Delete the records of failed scans where all are to be tried again."""
        for out in self._to_forget:
            records.forget_failures(out)

    def _lost_files(self, out: str) -> bool:
        """Tell whether a file that a manifest names is gone, and nobody deleted it on purpose."""
        if not out.endswith(".tsv") or not os.path.isfile(out):
            return False
        return any(
            not self._exists(path) and dropped.find(path) is None
            for row in rows(out)
            if row.get("status") == OK
            for column, path in row.items()
            if path and (column == "path" or column.endswith("_path"))
        )


def log_of(out: str) -> str:
    """Return the log of the job that makes an output.

    >>> log_of("results/attack/d/surface/null.npz")
    'results/logs/attack/d/surface/null.log'
    >>> log_of("results/train/d/null+model/card.json")
    'results/logs/train/d/null+model.log'
    >>> log_of("results/kit/d/page/index.html")
    'results/logs/kit/d.log'
    """
    stem = out.removesuffix("/card.json").removesuffix("/page/index.html")
    name = os.path.splitext(stem)[0] if stem == out else stem
    return name.replace("results/", "results/logs/", 1) + ".log"


def _forgotten(out: str, log: str) -> bool:
    """Tell whether an output was deleted with the faces, and no job began since."""
    head, stage, *_ = out.split("/")
    mark = Path(head, FORGOTTEN)
    if stage not in WITH_FACES or not mark.is_file():
        return False
    return os.path.getmtime(log) <= mark.stat().st_mtime


def listed(folder: str) -> frozenset[str]:
    """Return the names in a folder; none if there is no such folder."""
    try:
        return frozenset(os.listdir(folder))
    except OSError:
        return frozenset()


def rows(path: str | Path) -> list[dict[str, str]]:
    """Read a manifest as plain text; pandas takes ten times as long."""
    with open(path, newline="") as handle:
        return list(csv.DictReader(handle, delimiter="\t"))


class Place(NamedTuple):
    """Where scans failed: what the job's rule and wildcards say; empty where there is no such part.

    Attributes
    ----------
    stage, dataset, segmenter : str
    variant : str
        Or the attacker, and the variant that it is set on.
    """

    stage: str
    dataset: str
    segmenter: str = ""
    variant: str = ""

    @classmethod
    def of(cls, rule: str, wildcards: Mapping[str, str]) -> Place:
        """Return the place of a job.

        >>> Place.of("attack", {"dataset": "d", "attacker": "surface", "target": "null"}).variant
        'surface, null'
        >>> Place.of("train", {"dataset": "d", "defacer": "a", "refacer": "m"}).variant
        'a+m'
        """
        w = dict(wildcards)
        made = "+".join(w[name] for name in ("defacer", "refacer") if name in w)
        attack = ", ".join(w[name] for name in ("attacker", "target") if name in w)
        variant = w.get("variant") or w.get("shown") or made or attack
        return cls(rule, w.get("dataset", ""), w.get("segmenter", ""), variant)


class Failed(NamedTuple):
    """What failed in one stage of one method.

    Attributes
    ----------
    place : Place
        Stage, dataset, segmenter, variant.
    again, final : dict of str to str
        Reason by scan, of failures that may pass and of the others.
    total : int
        Scans that the stage worked on, excluded ones aside.
    """

    place: Place
    again: dict[str, str]
    final: dict[str, str]
    total: int

    @property
    def share(self) -> float:
        """The share of the scans that failed."""
        return (len(self.again) + len(self.final)) / max(self.total, 1)

    def line(self) -> str:
        """Say in one line where how many scans failed, with one reason."""
        reasons = list((self.again | self.final).values())
        where = ", ".join(filter(None, [self.place.variant, self.place.segmenter]))
        method = f" ({where})" if where else ""
        common = max(reasons, key=reasons.count)
        example = f"; {'most often' if len(set(reasons)) > 1 else 'reason'}: {common}"
        return (
            f"{self.place.stage}{method}, dataset {self.place.dataset}: "
            f"{len(reasons)} of {self.total} failed{example}"
        )


def collect(outputs: Iterable[tuple[Place, str]]) -> list[Failed]:
    """Return what failed in the stages and methods that a run's outputs belong to.

    Outputs that share a list of failures (an attack and its manifest) count once.
    """
    look = functools.lru_cache(None)(listed)
    groups: dict[Place, dict[Path, str]] = {}
    for place, out in outputs:
        groups.setdefault(place, {}).setdefault(manifest.failures_path(out), out)
    found = []
    for place, paths in ((place, list(group.values())) for place, group in groups.items()):
        hit = {
            path: manifest.read_failures(path)
            for path in paths
            if manifest.failures_path(path).name in look(os.path.dirname(path))
        }
        again: dict[str, str] = {}
        final: dict[str, str] = {}
        for failed in hit.values():
            again |= failed["again"]
            final |= failed["final"]
        if again or final:
            passed = sum(_passed(path) for path in paths if path not in hit)
            total = passed + sum(failed["total"] for failed in hit.values())
            found.append(Failed(place, again, final, total))
    return found


def _passed(path: str) -> int:
    """Return how many scans of a manifest without failures got through its stage."""
    if not path.endswith(".tsv"):
        return 0
    if not os.path.isfile(path):
        # Deleted with the faces that it named; each scan has left its record.
        return len(records.scans(path))
    return sum(row.get("status") == OK for row in rows(path))


def within(found: Iterable[Failed], allowed: float) -> bool:
    """Tell whether in no stage and method a larger share of the scans failed than is allowed."""
    return all(item.share <= allowed for item in found)


def summary(found: Sequence[Failed]) -> str:
    """Say where scans failed and what to do; empty where none did."""
    if not found:
        return ""
    again = sum(len(item.again) for item in found)
    final = sum(len(item.final) for item in found)
    lines = ["Some scans failed:", *(f"  {item.line()}" for item in found)]
    if again:
        lines.append(
            f"{again} of them may have failed for a passing reason (memory, disk, time limit, a "
            "file that changed): run the same command again, and only these are tried again."
        )
    if final:
        lines.append(
            f"{final} failed in the method itself and are not tried again by themselves: look at "
            "the reasons, then run the same command with --config retry=true."
        )
    return "\n".join(lines)


def saved(path: str | Path) -> dict[str, int]:
    """Return what the last run decided."""
    path = Path(path)
    return json.loads(path.read_text()) if path.is_file() else {}
