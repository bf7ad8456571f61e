"""Which heads find the template: painted label maps under hard conditions, pose against truth.

    python benchmarks/registration.py --folder data/labelmaps

Paints each label map at 2 mm and puts it under every condition (tilted, cut below the nose, with
shoulders, far from the origin, ...).  The turn that was applied is known, so that each found pose
has an error: degrees, and mm at the camera's centre between the ears, against the untouched
head's pose.  That one comes from the brains alone, the true one laid on the mean head's, so that
neither a cut nor a neck has a part in it.  Two ways are tried: ``quick`` without a brain mask, as
later sessions are rendered, and ``full`` with head and true brain mask, as the prepare stage does.
Prints how many of each condition passed, how many of these were right (within 3 degrees and 3
mm), the largest errors, and seconds.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import pandas as pd

from refacebench.datasets import _freesurfer, _paint
from refacebench.head import extraction, masks, registration, space, surface
from refacebench.head import template as templates
from refacebench.head.labels import is_brain
from refacebench.image import geometry, linear, nifti
from refacebench.image.nifti import Volume

VOXEL_MM = 2.0
#: A found pose is right within these.
MOST_DEGREES, MOST_MM = 3.0, 3.0


def paint(path: Path, colours: _paint.Paint) -> tuple[Volume, np.ndarray]:
    """Return a T1w-like scan of a label map and its true brain mask (RAS+ axes)."""
    volume = nifti.reorient(nifti.read(path, dtype=None))
    labels = np.rint(volume.data).astype(np.int32)
    place = np.zeros(int(colours.labels.max()) + 1, np.int32)
    place[colours.labels] = np.arange(len(colours.labels))
    scan = geometry.coarse(volume.with_data(600 * colours.level[place[labels]]), VOXEL_MM)
    inside = volume.with_data(is_brain(_freesurfer.to_truth(labels)).astype(np.float32))
    brain = geometry.coarse(inside, VOXEL_MM).data > 0.5
    return scan, brain


def finish(scan: Volume, seed: int) -> Volume:
    """Put a receive field and Rician noise on a scan."""
    rng = np.random.default_rng(seed)
    shape = scan.shape
    i, j, k = (np.linspace(-1, 1, n).reshape([-1 if a == b else 1 for b in range(3)])
               for a, n in enumerate(shape))  # fmt: skip
    slope = rng.uniform(-0.25, 0.25, 3)
    field = np.exp(slope[0] * i + slope[1] * j + slope[2] * k)
    noise = rng.normal(0, 15, (2, *shape))
    return scan.with_data(np.hypot(scan.data * field + noise[0], noise[1]).astype(np.float32))


def turn(axis: int, degrees: float, center: np.ndarray) -> np.ndarray:
    """Return the 4 x 4 turn about an axis of RAS+ mm through a point."""
    angle = np.deg2rad(degrees)
    a, b = [n for n in range(3) if n != axis]
    matrix = np.eye(4)
    matrix[a, a] = matrix[b, b] = np.cos(angle)
    matrix[a, b], matrix[b, a] = -np.sin(angle), np.sin(angle)
    matrix[:3, 3] = center - matrix[:3, :3] @ center
    return matrix


class Case:
    """A scan on its way through the conditions: image, brain, and its true pose."""

    def __init__(self, scan: Volume, brain: np.ndarray, matrix: np.ndarray):
        self.scan, self.brain, self.matrix = scan, brain, matrix

    def turned(self, axis: int, degrees: float) -> "Case":
        """Turn the head itself within a grid that holds it."""
        center = geometry.mask_center(self.scan.data > 60, self.scan.affine)
        applied = turn(axis, degrees, center)
        padded = self.padded([(15, 15)] * 3)
        scan = nifti.resample(Volume(padded.scan.data, applied @ padded.scan.affine), padded.scan)
        brain = padded.scan.with_data(padded.brain.astype(np.float32))
        brain = nifti.resample(Volume(brain.data, applied @ brain.affine), padded.scan)
        return Case(scan, brain.data > 0.5, self.matrix @ np.linalg.inv(applied))

    def padded(self, pad) -> "Case":
        """Widen the field with air."""
        affine = self.scan.affine.copy()
        affine[:3, 3] = (affine @ [-pad[0][0], -pad[1][0], -pad[2][0], 1])[:3]
        data = np.pad(self.scan.data, pad)
        return Case(Volume(data, affine), np.pad(self.brain, pad), self.matrix)

    def cut(self, height: float) -> "Case":
        """End the field below a height of the template (mm) at the face."""
        place = np.linalg.inv(self.matrix @ self.scan.affine) @ [0, 100, height, 1]
        first = int(np.clip(np.rint(place[2]), 0, self.scan.shape[2] - 20))
        box = (slice(0, None), slice(0, None), slice(first, None))
        box = tuple(slice(*s.indices(n)) for s, n in zip(box, self.scan.shape, strict=True))
        return Case(geometry.crop(self.scan, box), self.brain[box], self.matrix)

    def with_shoulders(self) -> "Case":
        """Put a neck and shoulders of 400 mm width below the head."""
        wide = self.padded([(40, 40), (10, 10), (60, 0)])
        i, j, k = np.indices(wide.scan.shape, np.float32)
        low = np.argwhere(wide.brain).mean(axis=0)
        neck = (((i - low[0]) / 30) ** 2 + ((j - low[1] + 8) / 34) ** 2 < 1) & (k < 74)
        body = ((i - low[0]) / 100) ** 2 + ((j - low[1] + 8) / 42) ** 2 < 1
        body &= k < 48 - 0.0016 * (i - low[0]) ** 2
        fill = (neck | body) & (wide.scan.data < 40) & (k < 78)
        grain = np.random.default_rng(1).normal(300, 60, wide.scan.shape)
        return Case(wide.scan.with_data(np.where(fill, grain, wide.scan.data)),
                    wide.brain, wide.matrix)  # fmt: skip

    def moved(self, shift) -> "Case":
        """Give the header another origin."""
        applied = np.eye(4)
        applied[:3, 3] = shift
        scan = Volume(self.scan.data, applied @ self.scan.affine)
        return Case(scan, self.brain, self.matrix @ np.linalg.inv(applied))

    def coil(self) -> "Case":
        """Let the signal fall by a factor of eight from front to back."""
        place = np.linspace(0, 1, self.scan.shape[1])[None, :, None]
        return Case(self.scan.with_data(self.scan.data * 8.0 ** (place - 0.5)),
                    self.brain, self.matrix)  # fmt: skip

    def defaced(self) -> "Case":
        """Set everything before and below a slanted plane to zero."""
        y, z = (space.template_axis(self.scan, self.matrix, a) for a in (1, 2))
        gone = (z < -20 + 0.9 * (y - 60)) & (y > 20) & ~self.brain
        return Case(self.scan.with_data(np.where(gone, 0, self.scan.data)),
                    self.brain, self.matrix)  # fmt: skip


CONDITIONS = {
    "as it is": lambda c: c,
    "chin up 20": lambda c: c.turned(0, 20),
    "chin up 30": lambda c: c.turned(0, 30),
    "chin down 20": lambda c: c.turned(0, -20),
    "chin down 30": lambda c: c.turned(0, -30),
    "turned 25": lambda c: c.turned(2, 25),
    "leaning 25": lambda c: c.turned(1, 25),
    "cut": lambda c: c.cut(-80),
    "cut, chin up 25": lambda c: c.turned(0, 25).cut(-80),
    "cut, chin down 25": lambda c: c.turned(0, -25).cut(-80),
    "shoulders": lambda c: c.with_shoulders(),
    "shoulders, chin up 25": lambda c: c.turned(0, 25).with_shoulders(),
    "shoulders, chin down 25": lambda c: c.turned(0, -25).with_shoulders(),
    "wide field": lambda c: c.padded([(30, 30), (70, 70), (70, 70)]),
    "far origin, chin up 20": lambda c: c.turned(0, 20).moved([150, -2200, 900]),
    "surface coil, chin up 20": lambda c: c.turned(0, 20).coil(),
    "defaced, chin up 25": lambda c: c.turned(0, 25).defaced(),
}


def error(found: np.ndarray, true: np.ndarray) -> tuple[float, float]:
    """Return degrees between two poses and mm between them at the camera's centre."""
    between = surface.rigid(found) @ np.linalg.inv(surface.rigid(true))
    cosine = np.clip((np.trace(between[:3, :3]) - 1) / 2, -1, 1)
    center = np.append(surface.CENTER, 1.0)
    return float(np.rad2deg(np.arccos(cosine))), float(
        np.linalg.norm((between @ center - center)[:3])
    )


def ways(case: Case, scan: Volume) -> dict:
    """Return the ways of calling the registration."""
    head = masks.head_mask(scan)
    return {
        "quick": lambda: registration.register(scan, head, schedule="quick"),
        "full": lambda: registration.register(scan, head | case.brain, case.brain),
    }


def reference(scan: Volume, brain: np.ndarray, template: Volume) -> np.ndarray:
    """Return the pose of an untouched head: its brain, registered to the mean head's brain."""
    own = geometry.coarse(scan.with_data(scan.data * brain), 4.0)
    center = geometry.mask_center(brain, scan.affine)
    matrix = np.eye(4)
    matrix[:3, 3] = templates.BRAIN_CENTER - center
    for kind in ("Rigid", "Similarity", "Affine"):
        steps = registration.SCHEDULES["quick"][1:]
        matrix = linear.linear_stage(kind, template, own, matrix, *steps)
    return matrix


def mean_brain() -> Volume:
    """Return the mean head without all but its brain, on 4 mm."""
    head = templates.mean_head()
    return geometry.coarse(head.with_data(head.data * extraction.brain_mask(head)), 4.0)


def tried(case: Case, seed: int, wanted) -> list[dict]:
    """Register a case in each way and return a row each."""
    scan = finish(case.scan, seed)
    rows = []
    for name, way in ways(case, scan).items():
        if name not in wanted:
            continue
        start = time.process_time()
        try:
            degrees, mm = error(way(), case.matrix)
            reason = ""
        except ValueError as refused:
            degrees, mm, reason = np.nan, np.nan, str(refused)
        rows.append({"way": name, "degrees": degrees, "mm": mm, "reason": reason,
                     "seconds": time.process_time() - start})  # fmt: skip
    return rows


def table(rows: pd.DataFrame) -> pd.DataFrame:
    """Return a line for each way and condition."""
    lines = []
    for (way, condition), mine in rows.groupby(["way", "condition"], sort=False):
        right = (mine["degrees"] <= MOST_DEGREES) & (mine["mm"] <= MOST_MM)
        lines.append({
            "way": way, "condition": condition, "heads": len(mine),
            "passed": int(mine["degrees"].notna().sum()), "right": int(right.sum()),
            "wrong": int((mine["degrees"].notna() & ~right).sum()),
            "degrees_max": mine["degrees"].max(), "mm_max": mine["mm"].max(),
            "seconds_median": mine["seconds"].median(), "seconds_max": mine["seconds"].max(),
        })  # fmt: skip
    return pd.DataFrame(lines)


def main() -> None:
    """Run all heads."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", required=True, type=Path, help="label maps")
    parser.add_argument("--out", type=Path, help="TSV of every registration")
    parser.add_argument("--heads", nargs="+", help="label maps with these in their names")
    parser.add_argument("--ways", nargs="+", default=["quick", "full"])
    parser.add_argument("--only", nargs="+", help="these conditions")
    given = parser.parse_args()
    colours = _paint.read_paint(given.folder / "labels_classes_priors")
    rows, template = [], mean_brain()
    for number, path in enumerate(sorted(given.folder.glob("*.nii.gz"))):
        if given.heads and not any(name in path.name for name in given.heads):
            continue
        scan, brain = paint(path, colours)
        true = reference(scan, brain, template)
        for condition, change in CONDITIONS.items():
            if given.only and condition not in given.only:
                continue
            case = change(Case(scan, brain, true))
            for row in tried(case, number, given.ways):
                rows.append({"map": path.name, "condition": condition, **row})
                print({k: v if isinstance(v, str) else round(v, 2) for k, v in rows[-1].items()},
                      flush=True)  # fmt: skip
    rows = pd.DataFrame(rows)
    if given.out:
        rows.to_csv(given.out, sep="\t", index=False)
    print(table(rows).round(1).to_string(index=False))


if __name__ == "__main__":
    main()
