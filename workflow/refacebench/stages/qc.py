"""Pictures of one scan for quality control: slices, face, and a small copy for the viewer.

They show faces, whatever the dataset's ``faces`` says, and stay below ``results/qc``.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from refacebench import files, pseudonyms
from refacebench.head import matrices, rendering, values
from refacebench.image import nifti
from refacebench.image.nifti import Volume, reorient
from refacebench.plot import before_after
from refacebench.plot.slices import grey_window
from refacebench.run import batch
from refacebench.run.stage import Stage
from refacebench.vocabulary import ORIGINAL

#: Raise its first part when a picture changes; it is part of every key.
VERSION = f"1/{rendering.VERSION}"
#: How heads are looked at: from the front, from the left and from the right, under one light.
LOOK = {"pixels": 220, "views": 3, "lights": 1, "half_field_mm": 115.0}
#: Edge of the viewer's voxels in mm unless the config says otherwise; 0 for no viewer.
VIEWER_MM = 2.0
QUALITY = 88
#: Digits of the checksum that a rating names its image by.
DIGITS = 12

STAGE = Stage(
    "qc",
    follows=("prepare", "deface", "reface"),
    given={"variant": "what is shown"},
    reads=("scan", "path", "original_path", "brain_path", "template_path", "variant"),
    adds={
        "slices_path": "JPEG: six slices, the same of every variant",
        "outline_path": "PNG: the brain's outline in them; of the original alone",
        "faces_path": "JPEG: the head's surface from three sides; empty where there is none",
        "viewer_path": "JavaScript that holds a small copy of the image; empty without a viewer",
        "image": "the first digits of the image's checksum: another image, another rating",
    },
)


def run(row: Mapping[str, Any], out_folder: str | Path, viewer_mm: float) -> dict[str, Any]:
    """Draw one image and write its pictures.

    Parameters
    ----------
    row : mapping
        The columns that :data:`STAGE` reads; ``template_path`` is the original's matrix.
    out_folder : str or Path
        Gets the files, named by the scan or its pseudonym.
    viewer_mm : float
        Voxel edge of the viewer's copy; 0 for none.

    Returns
    -------
    dict
        The columns of :data:`STAGE`.

    Raises
    ------
    ValueError
        If the image lies on another grid than its original, or there is no brain mask.
    """
    original = values.read(row["original_path"])
    volume = original.volume
    if row["variant"] != ORIGINAL:
        volume = values.like(_on_grid(row["path"], volume), original)
    brain = _on_grid(row["brain_path"], original.volume)
    turned = reorient(brain, "RAS")
    where, window = before_after.cuts(turned), grey_window(original.volume.data)
    stem = Path(out_folder) / pseudonyms.active().scan(str(row["scan"]))
    outline = ""
    if row["variant"] == ORIGINAL:
        outline = f"{stem}_outline.png"
        _write_outline(before_after.outlines(brain, where), outline)
    picture = before_after.slices(volume, where, window)
    _write(_lettered(picture, before_after.letters(turned.spacing, turned.shape, where)),
           f"{stem}_slices.jpg")  # fmt: skip
    return {
        "slices_path": f"{stem}_slices.jpg",
        "outline_path": outline,
        "faces_path": _faces(volume, row["template_path"], f"{stem}_face.jpg"),
        "viewer_path": _viewer(volume, window, viewer_mm, stem) if viewer_mm else "",
        "image": "i-" + files.checksum(row["path"])[:DIGITS],
    }


def run_batch(
    rows: pd.DataFrame,
    out: str | Path,
    out_folder: str | Path,
    *,
    variant: str,
    viewer_mm: float = VIEWER_MM,
    version: str = VERSION,
    timeout: float = 3600.0,
) -> pd.DataFrame:
    """Draw the images of one variant and batch and write the manifest."""
    # The files' names are part of what is made: pseudonyms, or another key, make it again.
    named = pseudonyms.active().scan("sub-1")
    return batch.run_batch(
        STAGE,
        rows.assign(variant=variant),
        lambda row: run(row, out_folder, viewer_mm),
        out,
        method="pictures",
        version=version,
        params={"viewer_mm": viewer_mm, "look": LOOK, "named": named},
        inputs=lambda row: [row[n] for n in ("path", "original_path", "brain_path",
                                             "template_path")],
        timeout=timeout,
        preload=("scipy.ndimage", "skimage.filters.thresholding", "PIL.Image"),
    )  # fmt: skip


def _on_grid(path: str, original: Volume) -> Volume:
    """Read an image that lies on the original's grid; axes in another order are put right."""
    volume = nifti.read(path)
    same = volume.shape == original.shape
    if same and np.allclose(volume.affine, original.affine, atol=1e-3):
        return volume
    return nifti.reorient_like(volume, original)


def _faces(volume: Volume, matrix_path: str, path: str) -> str:
    """Write what the head looks like from three sides; nothing where no surface is found."""
    try:
        seen = rendering.render(volume, matrices.read_matrix(matrix_path), LOOK)
    except ValueError:
        Path(path).unlink(missing_ok=True)
        return ""
    front, left, right = seen.views[:, 0]
    _write(np.hstack([right, front, left]), path)
    return path


def _viewer(volume: Volume, window: tuple[float, float], viewer_mm: float, stem: Path) -> str:
    """Write a small copy for the viewer, as a script: pages from a disk may read no other file."""
    low, high = window
    grey = np.clip((np.nan_to_num(volume.data) - low) / (high - low), 0.0, 1.0)
    small = volume.with_data(255 * grey)
    if viewer_mm > volume.spacing.min():
        small = nifti.resample(small, nifti.grid(volume.shape, volume.affine, viewer_mm))
    image = stem.with_name(f"{stem.name}.nii.gz")
    try:
        nifti.write(reorient(small, "RAS"), image, np.uint8)
        coded = base64.b64encode(image.read_bytes()).decode()
    finally:
        image.unlink(missing_ok=True)
    path = f"{stem}_viewer.js"
    files.write_text(f'QC.volume("{coded}");\n', path)
    return path


def _write(picture: np.ndarray, path: str) -> None:
    from PIL import Image

    with files.replacing(path) as part:
        Image.fromarray(picture).save(part, "JPEG", quality=QUALITY, optimize=True)


def _write_outline(edges: np.ndarray, path: str) -> None:
    """Write edges as yellow pixels on nothing."""
    from PIL import Image

    image = Image.fromarray((edges > 0).astype(np.uint8), mode="P")
    image.putpalette([0, 0, 0, 255, 210, 0])
    with files.replacing(path) as part:
        image.save(part, "PNG", optimize=True, transparency=0)


def _lettered(picture: np.ndarray, letters: list[tuple[str, int, int]]) -> np.ndarray:
    from PIL import Image, ImageDraw

    image = Image.fromarray(picture)
    draw = ImageDraw.Draw(image)
    for letter, column, row in letters:
        draw.text((column, row), letter, fill=190)
    return np.asarray(image)
