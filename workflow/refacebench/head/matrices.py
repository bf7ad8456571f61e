"""The file that keeps a scan's matrix to the template head: a small JSON document."""

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
