"""The privacy transform of CP-GAN as a defacer: the brain in the head's convex hull.

Brain voxels are kept; the rest is a constant grey within the convex hull of the
head and zero around it (:mod:`refacebench.head.hull`; Van der Goten et
al., BMVC 2021).  All of the scan outside the brain mask is replaced.  The hull
keeps the head's proportions and how far nose, chin and ears stick out.

What that does not cover: the brain mask and the threshold of the head mask were
found on the whole scan, and the header keeps grid, data type and scaling.

By itself a defacer at the safe end, as skull stripping; followed by the
refacer ``cpgan3d`` it is CP-GAN.

Differs from the paper: the brain mask is the prepare stage's (deepbet instead of
ROBEX), the head mask too (no specks in the air), and the hull is exact unless
``hull: sampled``.
"""

from __future__ import annotations

from refacebench.contracts import Defaced, Defacer, Option, PreparedScan
from refacebench.head import hull

VERSION = "2"
OPTIONS = {
    "hull": Option(
        "exact",
        "The head's convex hull, exact or sampled as in the paper.",
        choices=("exact", "sampled"),
    ),
    "surface": Option(
        "hull",
        "What sampled voxels are drawn from: the hull (shows nothing below it) or the head (the "
        "paper).",
        choices=("hull", "head"),
    ),
    "rotations": Option(8, "Rotations of the sampled hull (the paper does not state them)."),
    "triangles": Option(100, "Triangles of the sampled hull."),
    "grey": Option(0.5, "Level in the hull as a share of the brain's median."),
    "device": Option(
        "auto", "Where the sampled hull is computed; auto takes CUDA where there is one."
    ),
}


def deface(scan: PreparedScan, options: dict) -> Defaced:
    """Replace everything outside the brain by the grey convex hull of the head.

    Raises
    ------
    ValueError
        If brain or head are empty, the brain is dark, or an option is not known.
    """
    if options["rotations"] < 1 or options["triangles"] < 4:
        raise ValueError("cpgan_hull: needs at least 1 rotation and 4 triangles")
    gamma = hull.transform(
        scan.volume.data,
        scan.head,
        scan.brain,
        scan.volume.spacing,
        seed=scan.seed,
        device=_device(options),
        **{k: options[k] for k in ("hull", "surface", "rotations", "triangles")},
    )
    return Defaced(hull.to_image(gamma, float(options["grey"])), ~gamma.brain)


def _device(options: dict) -> str:
    """Return the device; torch is only asked where it is used."""
    if options["hull"] == "exact" or options["device"] != "auto":
        return options["device"]
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


METHOD = Defacer(
    version=VERSION,
    title="privacy transform of CP-GAN (brain in a convex hull)",
    options=OPTIONS,
    run=deface,
    preload=("scipy.spatial",),
    sources=("Van der Goten et al., BMVC 2021",),
)
