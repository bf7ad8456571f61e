"""Programs that segment: which of their labels are which of our structures, and their numbers.

A description is one of :mod:`refacebench.programs.catalogue` with two options more:

``labels``
    By structure, the values in the program's label image that make it up: a number or a list.
    Structures are the regions of :mod:`refacebench.vocabulary` and ``gm``, ``wm``, ``csf`` and
    ``vcsf`` for the rest of each tissue: nuclei and lobes count as grey matter and the brainstem
    as white by themselves, and ``vcsf`` as CSF.  ``like: <table>`` begins with a ready-made
    table of ``programs/labels``.  What is not named has no volume (NaN).  ``csf`` stands for
    all CSF around the brain: leave it out where the program labels only a part.
``measures``
    By structure, where the program itself writes a volume, which replaces the sum of voxels:
    ``{file: volumes.csv, column: total intracranial}`` or ``{file: aseg.stats, pattern: 'a
    regular expression (with one group)'}``; ``ml`` is what one unit of it is in millilitres
    (0.001 for mm3, the default); with ``inverse: true`` the volume is ``ml`` over the number.

Ready-made descriptions are the files ``programs/segmenters/<name>.yaml``.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from refacebench.contracts import Option, Segmentation
from refacebench.image import nifti
from refacebench.image.nifti import Volume
from refacebench.programs import catalogue, runner
from refacebench.programs.catalogue import Program, ProgramError, placeholders_in
from refacebench.vocabulary import GLOBALS, REGIONS, TISSUES

FOLDER = catalogue.CATALOGUE / "segmenters"
TABLES = catalogue.CATALOGUE / "labels"
#: Options of the catalogue that say what a defaced image is: a segmenter makes none.
_DEFACING = ("mask", "output_is")
OPTIONS = {name: opt for name, opt in catalogue.OPTIONS.items() if name not in _DEFACING} | {
    "labels": Option(None, "Values of its label image by structure.", kind=object),
    "measures": Option(None, "Where it writes volumes itself, by structure.", kind=object),
}
#: Tissue of everything that may be named.
TISSUE_OF = {
    **dict.fromkeys(REGIONS, "gm"),
    "brainstem": "wm",
    **{name: name for name in TISSUES},
    "vcsf": "csf",
}
#: What a program must be told to find.
NEEDED = ("gm", "wm")


@dataclass(frozen=True)
class Measure:
    """A volume that a program writes into a text file."""

    file: str
    column: str = ""
    pattern: str = ""
    ml: float = 0.001
    inverse: bool = False

    def read(self, text: str) -> float:
        """Return millilitres.

        Raises
        ------
        RuntimeError
            If the file does not hold the number.
        """
        found = self._column(text) if self.column else self._pattern(text)
        try:
            value = float(found)
        except ValueError:
            what = self.column or self.pattern
            raise RuntimeError(f"the program's file {self.file} has no number {what!r}") from None
        return self.ml / value if self.inverse else self.ml * value

    def _column(self, text: str) -> str:
        rows = [[cell.strip() for cell in row] for row in csv.reader(text.splitlines())]
        names = [name.lower() for name in rows[0]] if rows else []
        if self.column.lower() not in names or len(rows) < 2:
            return ""
        place = names.index(self.column.lower())
        return rows[1][place] if place < len(rows[1]) else ""

    def _pattern(self, text: str) -> str:
        hit = re.search(self.pattern, text, re.M)
        return hit.group(hit.lastindex or 0) if hit else ""


@dataclass(frozen=True)
class Labelling:
    """A program with what its output means.

    Attributes
    ----------
    program : Program
    labels : dict of str to tuple of int
        Label values by structure.
    measures : dict of str to Measure
    """

    program: Program
    labels: dict[str, tuple[int, ...]]
    measures: dict[str, Measure]


def describe(options: Mapping[str, Any]) -> Labelling:
    """Return the segmenting program that options describe.

    Raises
    ------
    ProgramError
        If there is no such program or an option is wrong: one sentence.
    """
    own = ("labels", "measures")
    program = catalogue.describe(options, FOLDER, own)
    for text in (*program.command, *program.environment.values()):
        for name in ("brain_mask", "mask"):
            if name in placeholders_in(text):
                raise ProgramError(f"{text!r}: a segmenter gets a single image, no {{{name}}}")
    entry = options.get("program")
    given = catalogue.read(catalogue.catalogue_file(str(entry), FOLDER)) if entry else {}
    told = {key: options[key] if options.get(key) is not None else given.get(key) for key in own}
    return Labelling(program, labels_of(told["labels"]), measures_of(told["measures"]))


def labels_of(given: Any) -> dict[str, tuple[int, ...]]:
    """Return a table of labels as the option gives it.

    >>> labels_of({"gm": [3, 42], "wm": 2})
    {'gm': (3, 42), 'wm': (2,)}

    Raises
    ------
    ProgramError
        If a structure is not known, a label stands twice, or a tissue has none.
    """
    if isinstance(given, str):
        given = {"like": given}
    if not isinstance(given, Mapping):
        raise ProgramError("labels: must be structures with the values of their labels")
    given = dict(given)
    like = given.pop("like", None)
    table = dict(catalogue.read(catalogue.catalogue_file(str(like), TABLES))) if like else {}
    found: dict[str, tuple[int, ...]] = {}
    owner: dict[int, str] = {}
    for name, values in {**table, **given}.items():
        if name not in TISSUE_OF:
            raise ProgramError(f"labels: no structure '{name}'; there are: {', '.join(TISSUE_OF)}")
        several = values if isinstance(values, list | tuple) else [values]
        if not all(isinstance(v, int) and not isinstance(v, bool) and v > 0 for v in several):
            raise ProgramError(f"labels.{name}: {values!r} must be whole numbers above 0")
        for value in several:
            if value in owner:
                raise ProgramError(f"labels: {value} belongs to {owner[value]} and to {name}")
            owner[value] = name
        found[name] = tuple(several)
    for tissue in NEEDED:
        if not any(TISSUE_OF[name] == tissue for name, values in found.items() if values):
            raise ProgramError(f"labels: no label belongs to {tissue}")
    return found


def measures_of(given: Any) -> dict[str, Measure]:
    """Return where a program writes volumes itself.

    Raises
    ------
    ProgramError
        If it says too little or what cannot be.
    """
    if given is not None and not isinstance(given, Mapping):
        raise ProgramError("measures: must be structures with a file and a column or pattern")
    found = {}
    for name, where in (given or {}).items():
        if name not in (*GLOBALS, *REGIONS):
            raise ProgramError(f"measures: no volume '{name}'")
        try:
            measure = Measure(**where)
            re.compile(measure.pattern)
            usable = float(measure.ml) > 0 and bool(measure.column) != bool(measure.pattern)
        except (TypeError, ValueError, re.error) as error:
            raise ProgramError(f"measures.{name}: {error}") from None
        inside = not Path(measure.file).is_absolute() and ".." not in Path(measure.file).parts
        if not usable or not inside:
            raise ProgramError(
                f"measures.{name}: give a file in the working directory, either column or "
                "pattern, and ml above 0"
            )
        found[name] = measure
    return found


def segment(labelling: Labelling, volume: Volume, path: Path) -> Segmentation:
    """Run a program on one image and read what it found.

    Parameters
    ----------
    volume : Volume
        The image, for its grid.
    path : Path
        Its file.

    Raises
    ------
    RuntimeError
        As :func:`refacebench.programs.runner.deface`; or if the output holds no brain, or a
        file of numbers lacks one.
    """
    program = labelling.program
    # Who is not told where to write makes the folder itself; recon-all takes one for an old run.
    told = any("output" in placeholders_in(text) for text in program.command)
    with runner.finished(program, path, folders=told) as written:
        image = written(program.output)
        here = np.rint(runner.on_grid(program, image, volume, order=0)).astype(np.int64)
        own = nifti.read(image)
        numbers = {
            name: measure.read(runner.start_of(written(measure.file)))
            for name, measure in labelling.measures.items()
        }
    values, counts = np.unique(np.rint(own.data).astype(np.int64), return_counts=True)
    ml = dict(zip(values.tolist(), (counts * own.voxel_ml).tolist(), strict=True))
    sizes = volumes(labelling.labels, ml) | numbers
    if not sizes["brain"] > 0:
        raise RuntimeError(f"{program.name} found no grey and white matter in this image")
    found = masks(labelling.labels, here)
    return Segmentation(
        brain=found["brain"],
        tissue=found["tissue"],
        vcsf=found["vcsf"],
        regions=found["regions"],
        volumes=sizes,
    )


def volumes(labels: Mapping[str, tuple[int, ...]], ml: Mapping[int, float]) -> dict[str, float]:
    """Add labels up to volumes; NaN for what has no label.

    Parameters
    ----------
    labels : mapping
        Label values by structure.
    ml : mapping of int to float
        Volume of each label that occurs.
    """
    own = {name: sum(ml.get(value, 0.0) for value in values) for name, values in labels.items()}
    tissue = {
        kind: sum(size for name, size in own.items() if TISSUE_OF[name] == kind) for kind in TISSUES
    }
    found = dict.fromkeys((*GLOBALS, *REGIONS), float("nan"))
    found |= {name: size for name, size in own.items() if name in REGIONS or name == "vcsf"}
    found |= {"gm": tissue["gm"], "wm": tissue["wm"], "brain": tissue["gm"] + tissue["wm"]}
    return found | ({"csf": tissue["csf"]} if "csf" in labels else {})


def masks(labels: Mapping[str, tuple[int, ...]], image: np.ndarray) -> dict[str, np.ndarray]:
    """Translate a label image: brain, tissue, ventricles and regions."""
    image = np.maximum(image, 0)
    top = max(int(image.max()), *(max(values, default=0) for values in labels.values())) + 1
    tissue, region = (np.zeros(top, np.uint8) for _ in range(2))
    ventricle = np.zeros(top, bool)
    for name, values in labels.items():
        for value in values:
            tissue[value] = TISSUES[TISSUE_OF[name]]
            region[value] = REGIONS.index(name) + 1 if name in REGIONS else 0
            ventricle[value] = name == "vcsf"
    found = {"tissue": tissue[image], "vcsf": ventricle[image], "regions": region[image]}
    return {"brain": found["tissue"] > 0, **found}
