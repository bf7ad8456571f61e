"""``refacebench try``: one defacer on one scan, with a picture and a verdict."""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from refacebench import faces, files
from refacebench.checking import suite
from refacebench.cli import common
from refacebench.contracts import ScanExcluded
from refacebench.head import matrices, rendering
from refacebench.image import nifti
from refacebench.image.nifti import Volume
from refacebench.run.methods import Chosen
from refacebench.stages import deface, inventory, measure, prepare

DESCRIPTION = """Run one defacer on one scan as the workflow does, and say what came of it.

The scan is checked and prepared (head, brain, registration), defaced, and judged: how much of
the face is left, and is the brain as it was. The folder gets the defaced scan, the mask of
changed voxels, and before_after.png.

THE PICTURE AND THE SCANS IN THE FOLDER SHOW A FACE. The folder is open to you alone (mode
0700); keep it so, and delete it when you are done."""
EXAMPLES = """examples:
  refacebench try mask_face sub-01_T1w.nii.gz
  refacebench try my_defacer.py sub-01_T1w.nii.gz --out tried/mine --option level=0.5
  refacebench try command sub-01_T1w.nii.gz --option program=mideface

""" + common.CODES.format(
    good="the face is gone and the brain intact (or there was no face)",
    bad="the defacer failed, left the face, or cut the brain",
)
#: What each verdict says, in words.
VERDICTS = {
    "success": "the face's surface is gone and the brain is intact",
    "failure_1": "a part of the face is left",
    "failure_2": "a part of the brain is removed or replaced",
    "failure_1+2": "a part of the face is left, and a part of the brain removed or replaced",
    "untouched": "nothing was done to the face",
    "no_face": "the scan came without a face, so that there was none to remove",
    "crash": "the output is not an image: constant, or not finite",
}
#: The verdicts that a defacer need not be ashamed of.
FINE = ("success", "no_face")
#: The one scan's name in the folder: nothing of the file's own.
SCAN = "sub-tried"
INSIDE = "a scan of a head before and after a defacer, and a picture of both"
#: How the heads in the picture are rendered: seen from the front and from one side.
PIXELS, VIEWS = 192, 2
_RENDERING = {"pixels": PIXELS, "views": VIEWS, "lights": 1, "voxel_mm": 1.5}


def add(commands) -> None:
    """Add the command to a parser's."""
    parser = commands.add_parser(
        "try",
        help="run one defacer on one scan",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("method", metavar="FILE_OR_NAME", help="a Python file, or a defacer's name")
    parser.add_argument("scan", metavar="SCAN", help="a T1w scan, .nii or .nii.gz")
    parser.add_argument(
        "--out", metavar="DIR", help="a new folder for the results (default: tried/<method>)"
    )
    parser.add_argument("--seed", type=int, default=1, help="of random numbers (default: 1)")
    common.add_options(parser)
    parser.set_defaults(run=run)


def run(given: argparse.Namespace) -> int:
    """Deface the scan, draw the picture, print the verdict."""
    chosen = common.chosen(given.method, given.option, "defacers")
    lacks = chosen.method.missing(chosen.options)
    if lacks:
        raise common.Refused(lacks)
    began = time.monotonic()
    row = usable(given.scan)
    out = private(Path(given.out or f"tried/{chosen.name}"))
    print(f"{chosen.title} ({chosen.engine}) on {given.scan}", flush=True)
    row |= ready(row, out)
    prepared = time.monotonic()
    try:
        chosen.method.prepare(chosen.options)
        row = {**row, **deface.run(row, chosen, out / chosen.name, seed=given.seed)}
    except Exception as error:
        print(f"FAILED     {suite.told(error)}")
        return common.BAD
    defaced = time.monotonic()
    found = measure.judge({"truth_path": "", **row})
    picture = out / "before_after.png"
    draw(row, chosen.title, picture)
    seconds = {"prepare": prepared - began, "deface": defaced - prepared}
    for line in report(row, found, seconds, chosen):
        print(line)
    print(f"written    {row['path']}")
    print(f"picture    {picture}: IT SHOWS A FACE; keep the folder {out} to yourself")
    return common.GOOD if found["quality"] in FINE else common.BAD


def private(out: Path) -> Path:
    """Make a folder that its owner alone can open.

    Raises
    ------
    Refused
        If there is something in it that this command has not put there: its mode would change.
    """
    if out.exists() and not out.is_dir():
        raise common.Refused(f"{out} is not a folder")
    if out.is_dir() and any(out.iterdir()) and not (out / faces.README).is_file():
        raise common.Refused(f"{out} holds other files; give a new folder with --out")
    try:
        faces.protect(out, INSIDE)
    except OSError as error:
        raise common.Refused(f"{out} cannot be made: {error.strerror}") from None
    return out


def usable(scan: str) -> dict[str, Any]:
    """Check a scan's file, before any folder is made; return its row.

    Raises
    ------
    Refused
        If it cannot be used.
    """
    row: dict[str, Any] = {"scan": SCAN, "path": scan, "variant": "original"}
    try:
        return row | inventory.run(row)
    except ScanExcluded as reason:
        raise common.Refused(f"{scan} cannot be used: {reason}") from None


def ready(row: Mapping[str, Any], out: Path) -> dict[str, Any]:
    """Find brain and pose of a scan; return what its row gets.

    Raises
    ------
    Refused
        If there is none to be found.
    """
    try:
        return prepare.run(row, out / "original")
    except ScanExcluded as reason:
        raise common.Refused(f"{row['path']} cannot be used: {reason}") from None


def report(
    row: Mapping[str, Any], found: Mapping[str, Any], seconds: Mapping[str, float], chosen: Chosen
) -> list[str]:
    """Return the lines that say what came of it."""
    left = [f"{part} {_percent(found[f'face_left_{part}'])}" for part in measure.PARTS]
    brain = f"{row['brain_voxels']} voxels, {found['brain_changed']} changed"
    brain += f", {found['brain_removed']} removed, {found['brain_replaced']} replaced"
    times = ", ".join(f"{name} {spent:.1f} s" for name, spent in seconds.items())
    return [
        f"verdict    {found['quality']}: {VERDICTS[found['quality']]}",
        f"face left  {_percent(found['face_left'])} of its surface ({', '.join(left)})",
        f"brain      {brain}",
        f"changed    {row['changed_voxels']} voxels of the scan",
        f"version    {row['version'] or chosen.version}",
        f"took       {times}",
    ]


def _percent(share: float) -> str:
    return "none to judge" if np.isnan(share) else f"{100 * share:.0f} %"


def draw(row: Mapping[str, Any], title: str, path: Path) -> None:
    """Draw the head before and after: from the front, from one side, and cut in the middle."""
    from matplotlib.figure import Figure

    matrix = matrices.read_matrix(row["template_path"])
    volumes = {"before": nifti.read(row["original_path"]), "after": nifti.read(row["path"])}
    brain = nifti.read_mask(row["brain_path"])
    figure = Figure(figsize=(9, 6.6), layout="constrained")
    figure.suptitle(f"{title}: shows a face, keep it private", fontsize=11)
    axes = figure.subplots(2, 3)
    top = float(np.percentile(volumes["before"].data[brain], 99.5))
    for line, (label, volume) in zip(axes, volumes.items(), strict=True):
        views = _views(volume, matrix)
        for place, picture in zip(line, (*views, middle(volume, brain)), strict=True):
            flat = picture.dtype == np.uint8
            place.imshow(picture, cmap="gray", vmin=0, vmax=255 if flat else top)
            place.set_xticks([])
            place.set_yticks([])
        line[0].set_ylabel(label, fontsize=11)
    with files.replacing(path) as part:
        figure.savefig(part, dpi=110, metadata={"Software": None})


def _views(volume: Volume, matrix: np.ndarray) -> list[np.ndarray]:
    """Return the pictures of a head; black where nothing is left to look at."""
    try:
        return list(rendering.render(volume, matrix, _RENDERING).views[:, 0])
    except ValueError:
        return [np.zeros((PIXELS, PIXELS), np.uint8)] * VIEWS


def middle(volume: Volume, brain: np.ndarray) -> np.ndarray:
    """Return the sagittal slice through the brain's middle, front to the right, top up."""
    ras = nifti.reorient(volume)
    where = nifti.reorient(volume.with_data(brain)).data > 0
    at = int(np.median(np.nonzero(where)[0])) if where.any() else ras.shape[0] // 2
    across, along, up = ras.spacing
    picture = ras.data[at].T[::-1]
    # Square pixels: rows and columns are repeated, which no interpolation blurs.
    repeat = np.round(np.array([up, along]) / min(along, up) * 2).astype(int)
    return picture.repeat(repeat[0], axis=0).repeat(repeat[1], axis=1)
