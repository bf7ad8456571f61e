"""From tissue shares and a placed atlas to structures and volumes: what native segmenters share.

Arrays in, arrays out; the atlas comes from :func:`refacebench.head.atlas.load_atlas`.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from refacebench.contracts import Segmentation
from refacebench.head import atlas_labels
from refacebench.head.atlas import load_atlas
from refacebench.head.locating import Located, sample_labels
from refacebench.image import geometry
from refacebench.image.nifti import Volume, reorient_like
from refacebench.vocabulary import GLOBALS, REGIONS, TISSUES

#: Regions 1 .. 12 are grey nuclei, 13 is the brainstem, 14 .. 17 are lobes.
NUCLEI = REGIONS.index("brainstem")


def scaled(part: Volume, model: dict) -> Volume:
    """Return intensities with CSF at 0, grey matter at 0.5 and white matter at 1."""
    return part.with_data(np.interp(part.data, model["means"], (0.0, 0.5, 1.0)).astype(np.float32))


def segmentation(
    part: Volume,
    mask: np.ndarray,
    fractions: np.ndarray,
    model: dict,
    place: Located,
    growth_mm: float,
    whole: Callable[[np.ndarray], np.ndarray],
) -> Segmentation:
    """Read structures off the atlas where it was placed, and sum them to volumes.

    Parameters
    ----------
    part : Volume
        The box around the brain, its intensities :func:`scaled`.
    mask : numpy.ndarray of bool
        Brain mask in it.
    fractions, model
        From :func:`refacebench.image.tissue.tissue_fractions`.
    place : Located
        Where the atlas lies.
    growth_mm : float
        How far a ventricle may reach beyond the atlas's.
    whole : callable
        Puts an array of the box on the scan's own grid (:func:`put_back`).
    """
    atlas = load_atlas()
    labels, csf_labels = sample_labels(atlas, place, part, mask)
    occupancy = occupancy_of(labels)
    fractions = follow_convention(fractions, mask, occupancy)
    vcsf = ventricles(fractions[0], mask, csf_labels, part.spacing, growth_mm)
    nuclei = np.zeros(mask.shape, dtype=bool)
    nuclei[mask] = occupancy[:NUCLEI].sum(axis=0) > 0.5
    fractions, vcsf = ventricle_walls(fractions, vcsf, part.data, mask & ~nuclei)
    tissue = np.where(mask, fractions.argmax(axis=0) + 1, 0).astype(np.uint8)
    volumes = volumes_of(fractions, occupancy, mask, vcsf, part.voxel_ml)
    volumes["tiv"] = atlas.cavity_ml / float(np.linalg.det(place.affine[:3, :3]))
    return Segmentation(
        brain=whole(mask),
        tissue=whole(tissue),
        vcsf=whole(vcsf),
        regions=whole(region_map(occupancy, tissue, mask)),
        volumes={name: volumes[name] for name in (*GLOBALS, *REGIONS)},
        quality=quality_of(model, place, mask, part.voxel_ml),
    )


def put_back(array: np.ndarray, box: tuple[slice, ...], of: Volume, like: Volume) -> np.ndarray:
    """Return an array of a box of one volume on the grid of another, 0 outside the box."""
    full = np.zeros(of.shape, dtype=array.dtype)
    full[box] = array
    return reorient_like(of.with_data(full), like).data


def quality_of(model: dict, place: Located, mask: np.ndarray, voxel_ml: float) -> dict[str, float]:
    """Return what tells a good segmentation from a poor one."""
    means, noise = model["means"], model["sigma"]
    return {
        "mask_ml": float(mask.sum() * voxel_ml),
        "grey_white_contrast_to_noise": float((means[2] - means[1]) / noise),
        "csf_grey_contrast_to_noise": float((means[1] - means[0]) / noise),
        "atlas_similarity": place.similarity,
    }


def occupancy_of(labels: np.ndarray) -> np.ndarray:
    """Share of each mask voxel that each region takes, shape (17, voxels)."""
    shares = np.empty((len(REGIONS), labels.shape[1]), np.float32)
    for number, share in enumerate(shares, 1):
        share[:] = (labels == number).sum(axis=0, dtype=np.uint16) / len(labels)
    return shares


def follow_convention(fractions: np.ndarray, mask: np.ndarray, occupancy: np.ndarray) -> np.ndarray:
    """Count the nuclei's tissue as grey and the brainstem's as white.

    Thalamus and pallidum look almost like white matter on T1w; by convention
    they are grey.  CSF stays CSF.

    Parameters
    ----------
    fractions : numpy.ndarray
        Shape (3, i, j, k).
    occupancy : numpy.ndarray
        Shape (17, voxels of the mask).
    """
    result = fractions.copy()
    inside = fractions[:, mask]
    nuclei = np.clip(occupancy[:NUCLEI].sum(axis=0), 0, 1)
    stem = np.clip(occupancy[NUCLEI], 0, 1 - nuclei)
    moved = inside[2] * nuclei - inside[1] * stem
    inside[1] += moved
    inside[2] -= moved
    result[:, mask] = inside
    return result


def ventricles(
    csf: np.ndarray, mask: np.ndarray, labels: np.ndarray, spacing, growth_mm: float
) -> np.ndarray:
    """Return the ventricular CSF: CSF nearer to the atlas's ventricles than to its other CSF.

    Ventricles that are larger than the atlas's are followed as far as
    ``growth_mm``; every component must meet the atlas's ventricles.

    Parameters
    ----------
    csf : numpy.ndarray
        Share of CSF.
    mask : numpy.ndarray of bool
        Brain mask.
    labels : numpy.ndarray
        Samples of the atlas's CSF map, shape (samples, voxels of the mask).
    """
    from scipy import ndimage

    core, outer = (np.zeros(mask.shape, dtype=bool) for _ in range(2))
    core[mask] = (labels == atlas_labels.VENTRICLE).mean(axis=0) >= 0.5
    outer[mask] = (labels == atlas_labels.OUTER_CSF).mean(axis=0) >= 0.5
    if not core.any():
        raise ValueError("the atlas does not fit: its ventricles lie outside the brain mask")
    # What lies further from a voxel than the growth decides nothing about it.
    box = geometry.box_within(core, spacing, 2 * growth_mm + float(np.max(spacing)))
    core, outer = core[box], (outer | ~mask)[box]
    to_core = ndimage.distance_transform_edt(~core, sampling=spacing)
    candidate = (csf[box] > 0.5) & mask[box] & (to_core <= growth_mm)
    if outer.any():
        candidate &= to_core < ndimage.distance_transform_edt(~outer, sampling=spacing)
    parts, _ = ndimage.label(candidate)
    kept = np.unique(parts[core & candidate])
    found = np.zeros(mask.shape, bool)
    found[box] = np.isin(parts, kept[kept > 0])
    return found


def ventricle_walls(
    fractions: np.ndarray, vcsf: np.ndarray, scaled: np.ndarray, allowed: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Read the voxels between ventricle and white matter as a mixture of just these two.

    Half CSF and half white matter has the intensity of grey matter; the mixture
    model, which has no such kind, would line the ventricles with cortex.

    Parameters
    ----------
    fractions : numpy.ndarray
        Shape (3, i, j, k).
    vcsf : numpy.ndarray of bool
        Ventricular CSF.
    scaled : numpy.ndarray
        Intensities with CSF 0, grey matter 0.5, white matter 1.
    allowed : numpy.ndarray of bool
        Mask without the nuclei, which do border on ventricles.

    Returns
    -------
    fractions, vcsf : numpy.ndarray
        Both with the walls read anew.
    """
    from scipy import ndimage

    near_white = ndimage.binary_dilation(fractions[2] > 0.7)
    wall = ndimage.binary_dilation(vcsf) & ~vcsf & near_white & allowed
    white = np.clip(scaled[wall], 0, 1)
    result = fractions.copy()
    result[:, wall] = np.stack([1 - white, np.zeros_like(white), white])
    return result, vcsf | (wall & (result[0] > 0.5))


def region_map(occupancy: np.ndarray, tissue: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Most likely region of each voxel: nuclei without CSF, lobes where there is grey matter."""
    best = occupancy.argmax(axis=0)
    value = np.where(occupancy.max(axis=0) >= 0.5, best + 1, 0)
    inside = tissue[mask]
    lobe = value > NUCLEI + 1
    value[lobe & (inside != TISSUES["gm"])] = 0
    value[inside == TISSUES["csf"]] = 0
    regions = np.zeros(mask.shape, dtype=np.uint8)
    regions[mask] = value
    return regions


def volumes_of(fractions, occupancy, mask, vcsf, voxel_ml) -> dict[str, float]:
    """Sum fractions to millilitres."""
    from scipy import ndimage

    csf, grey, white = (float(f.sum(dtype=np.float64)) for f in fractions)
    inside = fractions[:, mask]
    # The rim voxels of a ventricle are part CSF; those that are mostly CSF belong elsewhere.
    rim = ndimage.binary_dilation(vcsf) & mask & (fractions[0] <= 0.5)
    volumes = {
        "brain": grey + white,
        "gm": grey,
        "wm": white,
        "csf": csf,
        "vcsf": float(fractions[0][vcsf | rim].sum(dtype=np.float64)),
    }
    for number, name in enumerate(REGIONS):
        share = inside[1] if number > NUCLEI else 1 - inside[0]
        volumes[name] = float((occupancy[number] * share).sum(dtype=np.float64))
    return {name: value * voxel_ml for name, value in volumes.items()}
