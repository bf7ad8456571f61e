"""What lies in ``results/`` and is not of this config: named on the page, counted nowhere.

A folder keeps what earlier configs have left there.  No table is made from it, for rules name
their inputs one by one, but somebody who looks for a variant's scans may take old ones for new.

Reads the names of files and folders; opens and deletes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from refacebench.run.graph import Run
from refacebench.vocabulary import ORIGINAL, PICTURE_CONTROLS

#: What the folders of each stage are named after, from the outside in.  Stages that are not listed
#: keep no results (logs, plan, scratch).
LAYOUT = {
    **dict.fromkeys(("cohort", "brainage", "kit", "fetch"), ("dataset",)),
    **dict.fromkeys(("grow", "inventory", "prepare", "align", "bring"), ("dataset", "batch")),
    **dict.fromkeys(("deface", "reface", "carry", "qc"), ("dataset", "variant", "batch")),
    "render": ("dataset", "shown", "batch"),
    **dict.fromkeys(("segment", "measure"), ("dataset", "segmenter", "variant", "batch")),
    **dict.fromkeys(("derivatives", "train", "curves"), ("dataset", "variant")),
    "attack": ("dataset", "attacker", "target"),
    "enrol": ("dataset", "attacker"),
    "tidy": ("dataset", "variant", "batch"),
    "tidy_views": ("dataset", "variant"),
    "train_age": ("dataset", "age_model"),
    "age": ("dataset", "age_model", "variant", "batch"),
    "tables": ("dataset", "table"),
    "figures": ("dataset", "figure"),
    "study": ("dataset", "figure"),
    "pages": ("dataset", "table"),
}
#: Stages of which a run keeps the measured costs of jobs in a file per dataset.
_WHOLE = ("base", "statistics", "privacy", "flow", "figures", "slices", "surfaces", "study")
#: What stages keep beside the folders that are named after something.
_OWN = ("shared", "views", "captions")
#: Files of ``tables/`` that stand beside the folders of the data sets.
_BESIDE = ("costs",)


@dataclass(frozen=True)
class Names:
    """The names that a config's outputs go by.

    Attributes
    ----------
    known : mapping of str to sequence of str
        By what a folder may be named after (see :data:`LAYOUT`); what is not in it is not judged.
    batches : mapping of str to sequence of str
        By data set.
    """

    known: Mapping[str, Iterable[str]]
    batches: Mapping[str, Iterable[str]]

    @classmethod
    def of(cls, run: Run, tables: Iterable[str] = (), figures: Iterable[str] = ()) -> Self:
        """Return those of a run.

        Parameters
        ----------
        tables, figures : iterable of str
            Names of all tables and figures that the run makes, or may be asked to make.
        """
        variants = [ORIGINAL, *run.listed, *run.trainings]
        others = [name for dataset in run.datasets for name in run.other_contrasts(dataset)]
        known = {
            "dataset": run.datasets,
            "segmenter": run.segmenters,
            "attacker": run.attackers,
            "age_model": run.age_models,
            "variant": list(dict.fromkeys(variants)),
            "target": list(dict.fromkeys([*variants, *others, *PICTURE_CONTROLS])),
            "shown": list(dict.fromkeys([*variants, *others])),
        }
        made = {"table": list(tables), "figure": list(figures)}
        known |= {kind: names for kind, names in made.items() if names}
        return cls(known, {name: run.batches(name) for name in run.datasets})

    def has(self, kind: str, dataset: str, entry: str) -> bool:
        """Tell whether a file or folder belongs to the config, by what it should be named after."""
        names = self.batches.get(dataset, ()) if kind == "batch" else self.known.get(kind)
        if names is None:
            return True
        return any(entry == name or entry.startswith(f"{name}.") for name in names)

    def knows(self, parts: tuple[str, ...]) -> bool:
        """Tell whether the benchmark of a job is one of this config's jobs.

        Parameters
        ----------
        parts : tuple of str
            Its path below ``results/benchmarks``, the stage first.
        """
        stage, *rest = parts
        kinds = ("dataset",) if stage in _WHOLE else LAYOUT.get(stage, ())
        dataset = rest[0].removesuffix(".tsv") if rest else ""
        return all(self.has(kind, dataset, entry) for kind, entry in zip(kinds, rest, strict=False))


def find(names: Names, results: str | Path = "results") -> list[str]:
    """Return what earlier configs have left, as paths below ``results/``, outermost folders only.

    Parameters
    ----------
    names : Names
        Those of this config.
    results : path
        The folder of the results.
    """
    found: list[str] = []
    for stage, kinds in LAYOUT.items():
        folder = Path(results) / stage
        if folder.is_dir():
            found += [p.relative_to(results).as_posix() for p in _strange(folder, kinds, names)]
    return sorted(found)


def _strange(
    folder: Path, kinds: tuple[str, ...], names: Names, dataset: str = ""
) -> Iterator[Path]:
    """Yield what in a folder has none of the names, then what in its folders has none."""
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path.name in _OWN:
            continue
        if path.is_file() and ("." not in path.name or kinds[0] == "variant"):
            continue  # unfinished files, a README, what describes all variants of a data set
        if kinds[0] == "dataset" and path.stem in _BESIDE:
            continue
        of = path.name if kinds[0] == "dataset" else dataset
        if not names.has(kinds[0], of, path.name):
            yield path
        elif path.is_dir() and len(kinds) > 1:
            yield from _strange(path, kinds[1:], names, of)
