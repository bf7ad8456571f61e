"""Other contrasts of a grown scan: its companions, made from the scan and its labels.

They show the same head on the same grid.  Nothing more is asked of them than that the head's
surface and the edges of tissues are where they are in the T1w scan, and that their brightness is
another one.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from refacebench import bids
from refacebench.datasets._people import Site
from refacebench.head.labels import is_brain
from refacebench.image import nifti
from refacebench.image.nifti import Volume
from refacebench.vocabulary import TRUTH

#: The contrasts that can be made.
KNOWN = ("T2w", "FLAIR")
#: In a T2w image what is bright in a T1w one is dark: the brightness, in white matter's of the T1w
#: scan, that stands on the other side of it.
MIRROR = 1.6
#: Brightness of all that is no brain, as a share of that in the T1w scan.
OUTSIDE = 0.8
#: Brightness of fluid in a FLAIR image, in white matter's of the T1w scan.
NO_FLUID = 0.3


def check(contrasts: Sequence[str]) -> None:
    """Check the names of contrasts.

    Raises
    ------
    ValueError
        If one cannot be made.
    """
    unknown = [name for name in contrasts if name not in KNOWN]
    if unknown:
        raise ValueError(f"carry: {unknown[0]!r} cannot be grown (known: {', '.join(KNOWN)})")


def of(scan: np.ndarray, labels: np.ndarray, contrast: str) -> np.ndarray:
    """Return a scan's head in another contrast.

    Parameters
    ----------
    scan : numpy.ndarray of float
        T1w, in the site's units.
    labels : numpy.ndarray of int
        Of :data:`refacebench.vocabulary.TRUTH`.
    contrast : str
        One of :data:`KNOWN`.

    Returns
    -------
    numpy.ndarray of float
        Not negative; noise and receive field are the scan's.
    """
    white = np.float32(np.median(scan[labels == TRUTH["wm"]]))
    inside = np.maximum(np.float32(MIRROR) * white - scan, 0)
    if contrast == "FLAIR":
        fluid = np.isin(labels, (TRUTH["csf"], TRUTH["vcsf"]))
        inside = np.where(fluid, np.float32(NO_FLUID) * white, inside)
    return np.where(is_brain(labels), inside, np.float32(OUTSIDE) * scan).astype(np.float32)


def write(
    name: str,
    grid: Volume,
    scan: np.ndarray,
    labels: np.ndarray,
    site: Site,
    contrasts: Sequence[str],
    out: Path,
) -> str:
    """Write a scan's companions beside it; return them as the column ``companions`` has them."""
    found = []
    for contrast in contrasts:
        path = bids.derivative(out, name, contrast)
        made = grid.with_data(of(scan, labels, contrast))
        nifti.write(nifti.reorient(made, site.axes), path, dtype=site.dtype)
        found.append(
            {"contrast": contrast, "name": f"{name}_{contrast}", "path": str(path), "reason": ""}
        )
    return json.dumps(found)
