"""Look at the head surface of a variant: pictures and depth maps, which show faces."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from refacebench.head import masks, matrices, registration, rendering, values
from refacebench.run import batch
from refacebench.run.stage import Stage
from refacebench.vocabulary import OK, split_contrast

STAGE = Stage(
    "render",
    follows=("inventory", "prepare", "deface", "reface", "align", "carry"),
    given={"variant": "what is looked at", "template_path": "empty for a later session"},
    reads=("scan", "path", "template_path"),
    # Of a companion, whose `scan` is that of its T1w scan here.
    may_read=("align_path",),
    adds={
        "views_path": "pictures and depth maps, see refacebench.head.rendering",
        "template_path": "JSON with the 4 x 4 matrix from the scan to the template head, mm",
        "surface_share": "share of the frontal view's pixels that show a surface",
    },
)


#: Columns with the files that a rendering is made from.
_FILES = ("path", "template_path", "align_path")


def companions(rows: pd.DataFrame, contrast: str) -> pd.DataFrame:
    """Return the companions of one contrast under the names of their T1w scans, one of each.

    Parameters
    ----------
    rows : pandas.DataFrame
        A manifest of the stages ``align`` or ``carry``.
    contrast : str
        A BIDS suffix.

    Returns
    -------
    pandas.DataFrame
        Of several images of one session and contrast the first that is usable.  A session
        without any has no row: there is nothing that could be looked at.
    """
    if not len(rows):
        return rows
    mine = rows[(rows["contrast"] == contrast) & (rows["path"].fillna("") != "")]
    mine = mine.assign(scan=mine["t1w"])
    usable = (mine["status"] == OK).sort_values(ascending=False, kind="stable").index
    return mine.loc[usable].drop_duplicates("scan").sort_index()


def run(
    row: Mapping[str, Any], out_folder: str | Path, options: Mapping[str, Any]
) -> dict[str, Any]:
    """Render one image and write the result.

    Parameters
    ----------
    row : mapping
        ``template_path`` is the original's matrix.  A rescan has none, for only its picture
        is needed: its pose is registered here, quickly (thoroughly where that fails, see
        :func:`refacebench.head.registration.register`), and written beside the rendering.
    out_folder : str or Path
        Gets ``<scan>.npz``.
    options : mapping
        Any of :data:`refacebench.head.rendering.OPTIONS`.

    Returns
    -------
    dict
        The columns of :data:`STAGE`.
    """
    path = Path(out_folder) / f"{row['scan']}.npz"
    volume = values.read(row["path"]).volume
    matrix_path = row["template_path"] or path.with_name(f"{row['scan']}_pose.json")
    if not row["template_path"]:
        head = masks.head_mask(volume)
        matrices.write_matrix(registration.register(volume, head, schedule="quick"), matrix_path)
    matrix = matrices.read_matrix(matrix_path)
    if row.get("align_path"):  # from a companion to its T1w scan, whose pose is known
        matrix = matrix @ matrices.read_matrix(row["align_path"])
    seen = rendering.render(volume, matrix, options)
    rendering.write(seen, path)
    share = float(np.isfinite(seen.depth[0]).mean())
    return {
        "views_path": str(path),
        "template_path": str(matrix_path),
        "surface_share": round(share, 5),
    }


def run_batch(
    rows: pd.DataFrame,
    out: str | Path,
    out_folder: str | Path,
    *,
    variant: str,
    options: Mapping[str, Any],
    version: str = rendering.VERSION,
    timeout: float = 3600.0,
) -> pd.DataFrame:
    """Render the images of one variant and batch and write the manifest."""
    _, contrast = split_contrast(variant)
    rows = companions(rows, contrast) if contrast else rows
    rows = rows.assign(variant=variant)
    if "template_path" not in rows:  # rescans come from the inventory: their pose is found here
        rows["template_path"] = ""
        registration.load()
    return batch.run_batch(
        STAGE,
        rows,
        lambda row: run(row, out_folder, options),
        out,
        method="rendering",
        version=version,
        params=options,
        inputs=lambda row: [row[name] for name in _FILES if row.get(name)],
        timeout=timeout,
        preload=("scipy.ndimage", "skimage.filters.thresholding"),
    )
