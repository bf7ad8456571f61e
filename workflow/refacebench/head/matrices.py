"""The files that keep an affine registration: a small JSON document, and a transform of ITK."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from refacebench.files import write_text


def write_matrix(matrix: np.ndarray, path: str | Path) -> None:
    """Write a scan-to-template matrix as JSON, all or nothing."""
    document = {
        "from": "RAS+ millimetres of the scan",
        "to": "RAS+ millimetres of pydeface's mean head (mean_reg2mean.nii.gz)",
        "matrix": np.asarray(matrix, float).tolist(),
    }
    write_text(json.dumps(document, indent=1) + "\n", path)
    write_itk(matrix, path)


def write_itk(matrix: np.ndarray, beside: str | Path) -> None:
    """Write a matrix as ITK's programs read it, beside its JSON document ``*_xfm.json``.

    ITK's transforms take points of the *resulting* image to points of the one that is moved, in LPS
    millimetres: the inverse of the matrix, with x and y turned round.  ANTs applies the file to the
    image that ``from-`` names.

    Parameters
    ----------
    matrix : numpy.ndarray
        4 x 4, RAS+ millimetres of the moved image to those of the other one.
    beside : str or Path
        The document; nothing is written where its name is another one.
    """
    path = Path(beside)
    if not path.name.endswith("_xfm.json"):
        return
    turn = np.diag([-1.0, -1.0, 1.0, 1.0])
    back = turn @ np.linalg.inv(matrix) @ turn
    numbers = " ".join(f"{value:.17g}" for value in (*back[:3, :3].ravel(), *back[:3, 3]))
    lines = [
        "#Insight Transform File V1.0",
        "#Transform 0",
        "Transform: AffineTransform_double_3_3",
        f"Parameters: {numbers}",
        "FixedParameters: 0 0 0",
    ]
    write_text("\n".join(lines) + "\n", path.with_suffix(".txt"))


def read_matrix(path: str | Path) -> np.ndarray:
    """Read a matrix that :func:`write_matrix` wrote.

    Raises
    ------
    ValueError
        If the file holds no invertible 4 x 4 matrix.
    """
    try:
        matrix = np.asarray(json.loads(Path(path).read_text())["matrix"], float)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: not a registration matrix ({error}); prepare it again") from None
    if matrix.shape != (4, 4) or not np.linalg.det(matrix):
        raise ValueError(f"{path}: not an invertible 4 x 4 matrix; run prepare again")
    return matrix
