"""How much the mask of changed voxels gives away of the face that was taken out.

    python benchmarks/changed_masks.py --labelmaps FOLDER --out FOLDER           # 2 mm, 17 minutes
    python benchmarks/changed_masks.py --labelmaps FOLDER --out FOLDER --table   # what is there

FOLDER holds SynthSeg's training label maps with their priors.  Maps with a whole face are painted
as people, and as many again are blends of them; everybody is scanned twice.  The first scan goes
through every native defacer with its options at their defaults.  The attacker ``surface`` is given
the mask of changed voxels alone; its gallery is everybody's second scan.  It looks with the camera
that the original's registration gives, which is to its advantage, and at three surfaces of each
mask: ``outer``, what is seen of the mask from the front; ``first``, where a line of sight leaves
the mask for the first time; ``last``, where it leaves it for good.  Columns:

``border``     share of the mask's border, within 10 mm of the face, that lies within one voxel of
               the face's surface
``traced``     share of the face's surface that has the mask's border within one voxel
``outer``, ``first``, ``last``   how many people the surface names (rank 1; ties are shared)
``rate``       the best of the three, with its Clopper-Pearson interval ``low`` to ``high``
``p``          one-sided, of the best against chance, times three for the choice among surfaces
``image``      how many people the same attacker names from the defaced image itself

Rows beside the defacers: ``head`` (the head's own mask: what a mask could tell at most),
``original`` (the scan itself), ``box`` (the same corner of the template for everybody: what size
and field of view alone tell), and ``region:...``, for each defacer the smallest level of the
template's face and ears that holds its whole mask, which has one number of the person in it.

What is there already is not done again.  Writes only to the folder that it is told to.
"""

import argparse
import json
import os
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd

# This checkout's library, from whatever folder and whether or not another one is installed.
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow"))

from refacebench.attackers import surface
from refacebench.contracts import defaults
from refacebench.datasets import labelmaps
from refacebench.head import masks, region, registration, rendering
from refacebench.head import surface as head_surface
from refacebench.image import nifti
from refacebench.metrics.face import face_surface
from refacebench.run import methods
from refacebench.stages import deface, prepare
from refacebench.statistics.intervals import clopper_pearson

#: Label maps whose head is whole down to the chin.
WHOLE = ("02", "06", "08", "10", "12", "15")
SURFACES = ("outer", "first", "last")
VIEWS = {"views": 1, "lights": 1}
SEED = 1
#: Regions of the row ``region``.
FACE = (*region.face("brow"), *region.ears())


def cohort(folder: Path, labels: Path, people: int, voxel_mm: float) -> list[dict]:
    """Paint everybody twice; return a row a scan."""
    maps = folder / "maps"
    maps.mkdir(parents=True, exist_ok=True)
    for number in WHOLE:
        link = maps / f"training_seg_{number}.nii.gz"
        if not link.exists():
            link.symlink_to((labels / link.name).resolve())
    options = {
        **defaults(labelmaps.OPTIONS),
        "folder": str(maps),
        "priors": str(labels / "labels_classes_priors"),
        "participants": people,
        "sessions": 2,
        "sites": ["siteA"],
        "voxel_mm": voxel_mm,
    }
    base = folder.parent / f"base-{people}"
    if not (base / "done").exists():
        labelmaps.base(options, SEED, base)
        (base / "done").touch()
    rows = []
    for row in labelmaps.index(options, SEED).to_dict("records"):
        grown = kept(
            folder / "rows" / f"{row['scan']}.json",
            lambda row=row: labelmaps.grow(row, options, SEED, base, folder / "bids"),
        )
        rows.append({**row, **grown})
    return rows


def kept(path: Path, make) -> dict:
    """Return a document that was made before, or make and keep it."""
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(make(), default=str))
    return json.loads(path.read_text())


def seen(volume: nifti.Volume, matrix: np.ndarray) -> np.ndarray:
    """Return the frontal depth map in mm; nothing but NaN where there is no surface to look at."""
    try:
        return rendering.render(volume, matrix, VIEWS).depth[0]
    except ValueError:
        size = rendering.OPTIONS["pixels"]
        return np.full((size, size), np.nan, np.float32)


def surfaces(mask: nifti.Volume, matrix: np.ndarray) -> dict[str, np.ndarray]:
    """Return the depth maps of a mask's three surfaces."""
    grid = head_surface._head_grid(1.5)
    rigid = head_surface.rigid(matrix)
    inside = nifti.resample(
        nifti.Volume(mask.data.astype(np.float32), rigid @ mask.affine), grid
    ).data
    there = inside[:, ::-1] > 0.5  # the first along the second axis is the foremost
    met = np.maximum.accumulate(there, axis=1)
    left = np.maximum.accumulate(met & ~there, axis=1)
    gone = ~np.maximum.accumulate(there[:, ::-1], axis=1)[:, ::-1] & met
    shown = {"outer": there, "first": left, "last": gone}
    return {
        name: seen(grid.with_data(100 * what[:, ::-1].astype(np.float32)), np.eye(4))
        for name, what in shown.items()
    }


def near(mask: np.ndarray, scan, face: np.ndarray) -> tuple[float, float]:
    """Return the shares ``border`` and ``traced`` of a mask."""
    from scipy import ndimage

    skin = (face_surface(scan.head, face) > 0) & (face != 0)
    # Not the edge of the field of view, where a mask has no neighbour.
    border = mask & ~ndimage.binary_erosion(mask, border_value=1)
    border |= ndimage.binary_dilation(mask) & ~mask
    spacing = scan.volume.spacing
    voxel = float(np.max(spacing)) * 1.01
    from_skin = ndimage.distance_transform_edt(~skin, spacing)
    from_border = ndimage.distance_transform_edt(~border, spacing)
    there = border & (ndimage.distance_transform_edt(face == 0, spacing) <= 10.0)
    share = [(from_skin[there] <= voxel).mean() if there.any() else np.nan]
    return float(share[0]), float((from_border[skin] <= voxel).mean())


def ask(row: dict, name: str, folder: Path) -> dict:
    """Make one mask of one person; keep its depth maps, return its shares."""
    scan = deface.prepared(row)
    place = folder / "depth" / f"{row['scan']}_{name}.npz"
    place.parent.mkdir(parents=True, exist_ok=True)
    found, image = {}, None
    if name == "head":
        mask = scan.head
    elif name == "original":
        mask, image = np.zeros(scan.head.shape, bool), scan.volume
    elif name == "box":
        corner = [((-80.0, 80.0), (50.0, 175.0), (-200.0, 0.0))]
        mask = region.distance(scan.volume, scan.to_template, [region.Region(c) for c in corner])
        mask = mask <= 0
    elif name.startswith("region:"):
        own = nifti.read_mask(made(row, name.partition(":")[2], folder)["changed_path"])
        far = region.distance(scan.volume, scan.to_template, FACE)
        found["level_mm"] = float(far[own].max()) if own.any() else 0.0
        mask = far <= found["level_mm"]
    else:
        result = made(row, name, folder)
        mask, image = nifti.read_mask(result["changed_path"]), nifti.read(result["path"])
    depths = surfaces(scan.volume.with_data(mask), scan.to_template) if mask.any() else {}
    if image is not None:
        depths["image"] = seen(image, scan.to_template)
    np.savez_compressed(place, **depths)
    face = nifti.read(row["face_path"]).data.astype(int)
    found["border"], found["traced"] = near(mask, scan, face)
    return found


def made(row: dict, name: str, folder: Path) -> dict:
    """Deface one scan, once."""

    def work():
        chosen = methods.choose("defacers", name, {})
        chosen.method.prepare(chosen.options)
        return deface.run(row, chosen, folder / "derivatives" / name, seed=SEED)

    return kept(folder / "defaced" / f"{row['scan']}_{name}.json", work)


def rescanned(row: dict, folder: Path) -> np.ndarray:
    """Return the depth map of a second scan, in its own pose."""
    path = folder / "gallery" / f"{row['scan']}.npz"
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        volume = nifti.read(row["path"])
        matrix = registration.register(volume, masks.head_mask(volume), schedule="quick")
        np.savez_compressed(path, depth=seen(volume, matrix))
    with np.load(path) as found:
        return found["depth"]


def named(depths: np.ndarray, gallery: np.ndarray) -> float:
    """Return how many of the people, in the gallery's order, have rank 1; ties are shared."""
    pixel = 2 * rendering.OPTIONS["half_field_mm"] / rendering.OPTIONS["pixels"]
    slopes, options = surface.normals(gallery, pixel), surface.METHOD.defaults
    hits = 0.0
    for number, depth in enumerate(depths):
        far = surface.compare(depth, gallery, slopes, pixel, options)
        ties = np.isclose(far, far.min(), atol=1e-6)
        hits += ties[number] / ties.sum()
    return hits


def told(asked: pd.DataFrame, folder: Path, gallery: np.ndarray) -> pd.DataFrame:
    """Return one row a mask."""
    from scipy.stats import binom

    rows = []
    for name, group in asked.groupby("mask", sort=False):
        found: dict[str, list] = {}
        for scan in group["scan"]:
            with np.load(folder / "depth" / f"{scan}_{name}.npz") as kept_maps:
                for key in kept_maps.files:
                    found.setdefault(key, []).append(kept_maps[key])
        hits = {key: named(np.array(depths), gallery) for key, depths in found.items()}
        n, best = len(group), max((hits[s] for s in SURFACES if s in hits), default=np.nan)
        row = {"mask": name, **group[["border", "traced"]].mean().to_dict(), **hits, "n": n}
        if np.isfinite(best):
            low, high = clopper_pearson(best, n)
            p = min(1.0, 3 * float(binom.sf(np.ceil(best) - 1, n, 1 / n)))
            row |= {"rate": best / n, "low": low, "high": high, "p": p}
        rows.append(row)
    columns = ["mask", "n", "border", "traced", *SURFACES, "rate", "low", "high", "p", "image"]
    return pd.DataFrame(rows).reindex(columns=columns)


def main() -> None:
    """Make what is missing and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--labelmaps", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--people", type=int, default=12)
    parser.add_argument("--voxel-mm", type=float, default=2.0)
    parser.add_argument("--table", action="store_true", help="only what is there already")
    parser.add_argument("--masks", nargs="+", help="by default all")
    given = parser.parse_args()
    for name in ("OMP", "MKL", "OPENBLAS", "ITK_GLOBAL_DEFAULT"):
        os.environ.setdefault(f"{name}_NUM{'BER_OF' if 'ITK' in name else ''}_THREADS", "1")
    start = time.process_time()
    folder = given.out / f"{given.voxel_mm:g}mm"
    rows = cohort(folder, given.labelmaps, given.people, given.voxel_mm)
    first = [row for row in rows if row["session"] == "ses-1"]
    second = [row for row in rows if row["session"] == "ses-2"]
    gallery = np.array([rescanned(row, folder) for row in second])
    chosen = [
        methods.choose("defacers", name, {})
        for name in methods.available("defacers")
        if name not in ("command", "null")
    ]  # the null control takes nothing
    natives = [one.name for one in chosen if not one.method.missing(one.options)]
    wanted = given.masks or [*natives, "original", "head", "box", *(f"region:{n}" for n in natives)]
    asked = []
    for row in first:
        row |= kept(
            folder / "prepared" / f"{row['scan']}.json",
            lambda row=row: prepare.run(row, folder / "derivatives" / "original"),
        )
        row["original_path"] = row["path"]
    for name in wanted:
        for row in first:
            place = folder / "asked" / f"{row['scan']}_{name}.json"
            if given.table and not place.is_file():
                continue
            answer = kept(place, lambda row=row, name=name: ask(row, name, folder))
            asked.append({"scan": row["scan"], "mask": name, **answer})
        print(f"{name}: {time.process_time() - start:.0f} s", file=sys.stderr, flush=True)
    table = told(pd.DataFrame(asked), folder, gallery)
    print(table.round(3).to_string(index=False))
    print(f"chance: 1 of {len(first)}; {time.process_time() - start:.0f} s of CPU", flush=True)


if __name__ == "__main__":
    main()
