"""How right is the automatic verdict: good and deliberately bad outputs on label-map heads.

    python benchmarks/verdicts.py --folder data/labelmaps --out /tmp/verdicts --others

Some thresholds of the automatic verdict were chosen on heads that are these maps as they are.
With ``--others`` it judges as many people who are none of them: deformed and blended from the
maps, as the ``labelmaps`` data set makes them.

Paints one head a label map, prepares it as the pipeline does, and makes outputs whose
failures are known because they were put there: face kept, half or one part of it kept, brain
cut by a little or a lot, noise, rescaling, a constant image, and outputs without a fault.  Each
is judged automatically (masks and registration of the prepare stage) and from the true labels.
Prints how often each of the two finds what was done, and the two against each other, with
sensitivity, specificity and exact 95 % intervals, and writes every row as TSV.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

from refacebench import manifest
from refacebench.datasets import labelmaps
from refacebench.head import face_parts, space
from refacebench.image import nifti
from refacebench.image.nifti import Volume
from refacebench.metrics import truth
from refacebench.results import verdict_agreement
from refacebench.stages import measure, prepare
from refacebench.statistics.criteria import Criteria


class Head:
    """A prepared scan with what the bad outputs are made from: its true labels alone."""

    def __init__(self, row: dict, seed: int):
        self.row = row
        self.scan = nifti.read(row["path"])
        labels = nifti.read(row["truth_path"], dtype=None)
        self.brain = truth.brain_of(labels.data)
        self.inside = self.brain | (labels.data == 1)
        self.head = labels.data > 0
        self.matrix = truth.to_template(nifti.reorient(labels))
        self.rng = np.random.default_rng(seed)
        self.level = float(np.median(self.scan.data[self.brain]))

    def box(self, low, high) -> np.ndarray:
        """Return the voxels of a box in template mm, outside the brain and its CSF."""
        box = tuple(zip(low, high, strict=True))
        return space.inside_box(self.scan, self.matrix, box) & ~self.inside

    @property
    def face(self) -> np.ndarray:
        """The whole face, chin to brow, with the air in front of it."""
        return self.box((-75, 45, -190), (75, 200, -14))

    def part(self, name: str) -> np.ndarray:
        """One part of the face with the air around it."""
        low, high = np.array(face_parts.FACE_BOXES[name]).transpose(2, 0, 1)
        return self.box(low.min(axis=0) - 2, high.max(axis=0) + (2, 60, 2))

    def with_values(self, where, values=0.0) -> np.ndarray:
        """Return the scan with other values in some voxels."""
        data = self.scan.data.copy()
        data[where] = np.broadcast_to(values, data.shape)[where]
        return data

    def frontmost(self, share: float) -> np.ndarray:
        """Return this share of the brain, from its front end backwards."""
        place = space.template_axis(self.scan, self.matrix, 1)
        return self.brain & (place >= np.quantile(place[self.brain], 1 - share))


def outputs(head: Head) -> dict[str, tuple[np.ndarray, float, float]]:
    """Return name -> (image, whether the face is kept, whether brain is removed)."""
    face, none = head.face, np.zeros(head.scan.shape, bool)
    x = space.template_axis(head.scan, head.matrix, 0)
    noise = head.rng.uniform(0, head.level, head.scan.shape)
    faint = head.scan.data + 0.02 * head.level * head.rng.standard_normal(head.scan.shape)
    scan = head.scan.data
    found = {
        "nothing done": (scan.copy(), 1, 0),
        "noise only": (np.where(head.brain, scan, faint), 1, 0),
        "rescaled only": (1.7 * scan + 3, 1, 0),
        "right half kept": (head.with_values(face & (x < truth.MIDLINE)), 1, 0),
        "air cleared only": (head.with_values(face & ~head.head), 1, 0),
        "face removed": (head.with_values(face), 0, 0),
        "face filled with noise": (head.with_values(face, noise), 0, 0),
        "face removed, rescaled": (0.6 * head.with_values(face), 0, 0),
        "constant": (0 * scan, np.nan, np.nan),
    }
    for name in face_parts.FACE_BOXES:
        found[f"{name} kept"] = (head.with_values(face & ~head.part(name)), 1, 0)
    for share, cut in ((0.0001, 0), (0.002, 1), (0.02, 1)):
        gone = face | head.frontmost(share)
        found[f"face and {100 * share:g} % of the brain"] = (head.with_values(gone), 0, cut)
    replaced = head.with_values(face | head.frontmost(0.02), noise + 1.5 * head.level)
    found["face and 2 % of the brain replaced"] = (replaced, 0, 1)
    found["2 % of the brain only"] = (head.with_values(none | head.frontmost(0.02)), 1, 1)
    return found


def judged(head: Head, folder: Path) -> list[dict]:
    """Write each output, judge it as the measure stage does, and return a row each."""
    rows = []
    for name, (data, kept, cut) in outputs(head).items():
        path = folder / f"{head.row['scan']}.nii.gz"
        nifti.write(Volume(np.asarray(data, np.float32), head.scan.affine), path)
        found = measure.judge({**head.row, "variant": name, "path": str(path)})
        keep = {k: v for k, v in found.items() if "face_left" in k or "brain" in k}
        facts = {k: found[k] for k in ("quality", *truth.COLUMNS[-3:])}
        rows.append({"scan": head.row["scan"], "output": name, "done_failure_1": kept,
                     "done_failure_2": cut, **facts, **keep})  # fmt: skip
        path.unlink()
    return rows


def rates(table: pd.DataFrame, said: str, true: str) -> pd.DataFrame:
    """Return sensitivity and specificity of one source of verdicts against another."""
    rows = []
    for failure in ("failure_1", "failure_2"):
        pair = table[[f"{said}_{failure}", f"{true}_{failure}"]]
        pair.columns = [failure, f"truth_{failure}"]
        rows.append({"said": said, "true": true, "failure": failure,
                     **verdict_agreement.rates(pair, failure, Criteria())})  # fmt: skip
    return pd.DataFrame(rows)


def main() -> None:
    """Run all heads."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", required=True, help="label maps")
    parser.add_argument("--out", required=True, type=Path)
    parser.add_argument("--voxel-mm", type=float, default=2.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--others", action="store_true", help="people who are none of the maps")
    given = parser.parse_args()
    options = {**labelmaps.METHOD.defaults, "folder": given.folder, "voxel_mm": given.voxel_mm,
               "sessions": 1}  # fmt: skip
    maps = len(labelmaps.index(options, given.seed))
    options["participants"] = 2 * maps if given.others else maps
    labelmaps.base(options, given.seed, given.out / "base")
    rows = []
    people = labelmaps.index(options, given.seed).to_dict("records")
    for number, row in enumerate(people[maps:] if given.others else people):
        row |= labelmaps.grow(row, options, given.seed, given.out / "base", given.out / "bids")
        row["original_path"] = row["path"]
        row |= prepare.run(row, given.out / "original")
        head = Head(row, number)
        if head.matrix is None:
            print(f"{row['scan']}: no nose in view, left out", flush=True)
            continue
        rows += judged(head, given.out)
        print(f"{row['scan']}: judged", flush=True)
    table = pd.DataFrame(rows)
    auto = [truth.failures(verdict) for verdict in table["quality"]]
    table[["auto_failure_1", "auto_failure_2"]] = auto
    manifest.write(table, given.out / "verdicts.tsv")
    pairs = (("auto", "done"), ("truth", "done"), ("auto", "truth"))
    result = pd.concat([rates(table, *pair) for pair in pairs], ignore_index=True)
    manifest.write(result, given.out / "agreement.tsv")
    print(result.round(3).to_string(index=False))
    wrong = table[(table["auto_failure_1"] != table["done_failure_1"])
                  | (table["auto_failure_2"] != table["done_failure_2"])]  # fmt: skip
    print("\nWrongly judged by the automatic verdict (constant images are crashes):")
    print(wrong[["scan", "output", "quality", "truth_quality"]].to_string(index=False))


if __name__ == "__main__":
    main()
