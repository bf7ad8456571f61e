"""The labels of the segmenter's atlas: which structures, lobes and ventricles there are, and where.

Translates the group Desikan-Killiany atlas into the regions of
:mod:`refacebench.vocabulary` on the template's grid.  Arrays in, arrays out.
"""

from __future__ import annotations

import numpy as np

from refacebench.image.geometry import box_around
from refacebench.vocabulary import REGIONS

#: Names of the Desikan-Killiany structures behind the first thirteen regions.
STRUCTURES = {
    "thalamusproper": "thalamus",
    "caudate": "caudate",
    "putamen": "putamen",
    "pallidum": "pallidum",
    "hippocampus": "hippocampus",
    "amygdala": "amygdala",
    "brainstem": "brainstem",
}
#: Lobes as FreeSurfer joins the Desikan-Killiany labels: the anterior cingulate is
#: frontal, the posterior parietal; the insula belongs to no lobe.
LOBES = {
    "frontal": "superiorfrontal rostralmiddlefrontal caudalmiddlefrontal parsopercularis "
    "parstriangularis parsorbitalis lateralorbitofrontal medialorbitofrontal precentral "
    "paracentral frontalpole rostralanteriorcingulate caudalanteriorcingulate",
    "parietal": "superiorparietal inferiorparietal supramarginal postcentral precuneus "
    "posteriorcingulate isthmuscingulate",
    "temporal": "superiortemporal middletemporal inferiortemporal bankssts fusiform "
    "transversetemporal entorhinal temporalpole parahippocampal",
    "occipital": "lateraloccipital lingual cuneus pericalcarine",
}
#: What competes with the lobes for grey matter but is no region of ours.
OTHER = len(REGIONS) + 1
#: A point deep in each cerebellar hemisphere and in the vermis, MNI mm.
CEREBELLUM_MM = ((-25.0, -65.0, -40.0), (25.0, -65.0, -40.0), (0.0, -62.0, -22.0))
#: How far a cortical label reaches into unlabelled tissue of the template.
REACH_MM = 4.0
#: Where the template's CSF is ventricle, besides the lateral ventricles' bodies, which
#: are a component of their own: boxes in MNI mm (low, high corner), and the depth
#: under the brain's surface that keeps cisterns out.
VENTRICLES_MM = {
    "third": ((-8.0, -22.0, -10.0), (8.0, 4.0, 8.0), 10.0),
    "fourth": ((-14.0, -50.0, -42.0), (14.0, -33.0, -16.0), 10.0),
    "left temporal horn": ((-42.0, -32.0, -28.0), (-24.0, 0.0, -6.0), 10.0),
    "right temporal horn": ((24.0, -32.0, -28.0), (42.0, 0.0, -6.0), 10.0),
}
#: A point in the body of each lateral ventricle, MNI mm.
LATERAL_MM = ((-8.0, 5.0, 16.0), (8.0, 5.0, 16.0))
#: Least smoothed (1 mm) membership of a nucleus's voxel, by the name's first letters.
#: Set on three of the label-map heads (02, 08, 12) so that mean volumes fit theirs; the
#: other six were kept for checking.
TRIM = {
    "thal": 0.68,
    "caud": 0.64,
    "puta": 0.55,
    "pall": 0.68,
    "hipp": 0.64,
    "amyg": 0.76,
    "brai": 0.55,
}
#: Values of the CSF map.
VENTRICLE, OUTER_CSF = 1, 2


def region_values(table: list[dict]) -> dict[int, int]:
    """Map the atlas's label numbers to 1 .. 17, and the rest of its labels to 18.

    >>> region_values([{"id": "35", "label": "thalamusproper", "hemisphere": "L"}])
    {35: 1}
    """
    sides = {"L": "_left", "R": "_right", "B": ""}
    lobe_of = {label: lobe for lobe, labels in LOBES.items() for label in labels.split()}
    values = {}
    for row in table:
        label = row["label"]
        if label in STRUCTURES:
            name: str | None = STRUCTURES[label] + sides[row["hemisphere"]]
        else:
            name = lobe_of.get(label, "")
        values[int(row["id"])] = REGIONS.index(name) + 1 if name else OTHER
    return values


def _voxel(point_mm, affine: np.ndarray) -> tuple[int, ...]:
    where = np.linalg.inv(affine) @ np.append(point_mm, 1.0)
    return tuple(int(v) for v in np.rint(where[:3]))


def regions_of(labels, table, tissue, affine) -> np.ndarray:
    """Translate the labels; let the cortex reach out, but not into the cerebellum."""
    from scipy import ndimage
    from skimage.segmentation import watershed

    lookup = np.zeros(int(labels.max()) + 1, dtype=np.uint8)
    for number, value in region_values(table).items():
        lookup[number] = value
    regions = lookup[labels]
    seeds = np.zeros_like(regions)
    for point in CEREBELLUM_MM:
        seeds[_voxel(point, affine)] = 1
    seeds = ndimage.binary_dilation(seeds, iterations=6) & (regions == 0)
    # The dark cleft of the tentorium is the ridge at which the flood from below stops.
    below = tuple(slice(None) for _ in range(2)) + (slice(0, _voxel((0, 0, 8), affine)[2]),)
    markers = regions.astype(np.int32)
    markers[seeds] = OTHER + 1
    flooded = watershed(1 - tissue[below], markers[below], mask=tissue[below] > 0.3)
    cerebellum = np.zeros(regions.shape, dtype=bool)
    cerebellum[below] = flooded == OTHER + 1
    regions[cerebellum] = OTHER
    return _reach_out(regions)


def _reach_out(regions: np.ndarray) -> np.ndarray:
    """Give unlabelled voxels near a label the nearest one, unless that is a nucleus."""
    from scipy import ndimage

    result = regions.copy()
    box = box_around(regions > 0, (int(REACH_MM) + 1,) * 3)  # the atlas has voxels of 1 mm
    regions = regions[box]
    distance, nearest = ndimage.distance_transform_edt(regions == 0, return_indices=True)
    grown = regions[tuple(nearest)]
    cortex = (grown > REGIONS.index("brainstem") + 1) & (distance <= REACH_MM)
    result[box] = np.where((regions == 0) & ~cortex, 0, grown)
    return result


def trim_nuclei(regions, tissue, white) -> np.ndarray:
    """Take the partial-volume rim off the nuclei, and what is CSF or white matter there.

    A group atlas of largest probability is fatter than any of its persons'
    structures: its nuclei have a quarter more volume than those of single brains
    that are brought to the template's size.
    """
    from scipy import ndimage

    trimmed = regions.copy()
    for name in REGIONS[: REGIONS.index("brainstem") + 1]:
        own = regions == REGIONS.index(name) + 1
        box = box_around(own, (5, 5, 5))  # no further does the Gaussian reach
        if box is None:
            continue
        own = own[box]
        keep = ndimage.gaussian_filter(own.astype(np.float32), 1.0) > TRIM.get(name[:4], 0.5)
        keep &= tissue[box] > 0.5
        if not name.startswith(("thalamus", "pallidum", "brainstem")):
            keep &= white[box] < 0.7
        trimmed[box][own & ~keep] = 0
    return trimmed


def csf_map(cavity, csf, affine) -> np.ndarray:
    """Tell the template's ventricles from the CSF around the brain."""
    from scipy import ndimage

    csf = csf & cavity
    depth = np.zeros(cavity.shape)
    whole = box_around(cavity, (1, 1, 1))
    depth[whole] = ndimage.distance_transform_edt(cavity[whole])
    labels, _ = ndimage.label(csf)
    inside = np.isin(labels, [labels[_voxel(p, affine)] for p in LATERAL_MM]) & (labels > 0)
    if not 10e3 < inside.sum() < 40e3:
        raise ValueError("the template's lateral ventricles were not found: other file version?")
    for low, high, least in VENTRICLES_MM.values():
        start, stop = _voxel(low, affine), _voxel(high, affine)
        box = tuple(slice(a, b + 1) for a, b in zip(start, stop, strict=True))
        inside[box] |= csf[box] & (depth[box] > least)
    return np.where(inside, VENTRICLE, np.where(csf, OUTER_CSF, 0)).astype(np.uint8)
