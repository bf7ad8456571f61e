"""Reference labels of a real head, made by software: brain, tissue classes, ventricles.

Pure functions of one image.  They label the one head that the ``demo`` cohort
grows from; that the labels are good matters, that they are perfect does not,
because every person's labels are these, deformed exactly like the image.
"""

from __future__ import annotations

import tempfile

import numpy as np

from refacebench import lazy
from refacebench.head import atlas_labels
from refacebench.head.atlas import load_atlas
from refacebench.image import geometry, nifti
from refacebench.image.nifti import Volume
from refacebench.image.tissue import BIAS_KNOTS_MM, BIAS_LEVELS, BIAS_VOXEL_MM
from refacebench.vocabulary import TRUTH, TRUTH_REGIONS

# antspyx takes long to load.
itk = lazy.load("refacebench.image.itk")


def tissue_classes(data: np.ndarray, brain: np.ndarray) -> np.ndarray:
    """Return 0 outside, else 1 CSF, 2 grey, 3 white: a Gaussian mixture of three classes.

    The posterior probabilities are smoothed by half a voxel before the largest
    one wins, which takes single noisy voxels away.
    """
    from scipy.ndimage import gaussian_filter
    from sklearn.mixture import GaussianMixture

    values = data[brain].astype(np.float64)
    low, high = np.percentile(values, [0.5, 99.5])
    values = np.clip(values, low, high)[:, None]
    start = np.percentile(values, [5, 45, 85])[:, None]
    model = GaussianMixture(3, means_init=start, random_state=0, max_iter=200)
    model.fit(values[:: max(1, len(values) // 100_000)])
    order = np.argsort(model.means_.ravel())
    posterior = model.predict_proba(values)[:, order].astype(np.float32)
    best = np.full(brain.shape, -1.0, np.float32)
    classes = np.zeros(brain.shape, np.uint8)
    for label in (1, 2, 3):
        field = np.zeros(brain.shape, np.float32)
        field[brain] = posterior[:, label - 1]
        field = gaussian_filter(field, 0.5)
        classes[brain & (field > best)] = label
        best = np.maximum(best, field)
    return classes


def label_head(
    volume: Volume, head: np.ndarray, brain: np.ndarray, voxel_mm: float = 2.0
) -> np.ndarray:
    """Label a head as :data:`refacebench.vocabulary.TRUTH` says.

    Tissue classes come from :func:`tissue_classes`; the atlas of the native
    segmenter, brought to this brain by an affine and SyN, says where CSF is
    ventricle and where the subcortical structures and the brainstem lie.

    Parameters
    ----------
    volume : Volume
        Bias-corrected T1w image, RAS+ axes.
    head, brain : numpy.ndarray of bool
        Masks on its grid.
    voxel_mm : float
        Voxel size at which the atlas is registered.

    Returns
    -------
    numpy.ndarray of uint8
        0 air, 1 CSF, 2 grey, 3 white, 4 ventricles, 5 the rest of the head,
        11 .. 23 subcortical structures and brainstem.
    """
    from scipy.ndimage import binary_dilation

    classes = tissue_classes(volume.data, brain)
    atlas = load_atlas()
    regions, ventricles = _bring(
        volume,
        brain,
        atlas.intensities,
        [atlas.regions, atlas.csf == atlas_labels.VENTRICLE],
        voxel_mm,
    )
    labels = np.where(head, TRUTH["other_head"], 0).astype(np.uint8)
    labels[brain] = classes[brain]
    csf = classes == TRUTH["csf"]
    near = binary_dilation(ventricles > 0, iterations=3)
    labels[_touching(csf & near, ventricles > 0)] = TRUTH["vcsf"]
    found = 10 + regions
    nuclei = brain & (regions >= 1) & (found <= TRUTH_REGIONS["brainstem"]) & ~csf
    labels[nuclei] = found[nuclei]
    return labels


def _touching(mask: np.ndarray, core: np.ndarray) -> np.ndarray:
    """Keep the components of a mask that reach into a core."""
    from scipy.ndimage import label

    parts, count = label(mask)
    keep = np.zeros(count + 1, bool)
    keep[np.unique(parts[mask & core])] = True
    keep[0] = False
    return keep[parts]


def flattened(volume: Volume, mask: np.ndarray) -> np.ndarray:
    """Return intensities divided by the bias field that antspyx's N4 finds inside a mask.

    The reference is not to be made by the measured segmenter's own code
    (:mod:`refacebench.image.n4`).
    """
    factors = np.maximum(1, np.round(BIAS_VOXEL_MM / volume.spacing)).astype(int)
    weight = geometry.block_mean(mask.astype(np.float32), factors)
    inside = volume.with_data(np.where(mask, volume.data, 0).astype(np.float32))
    mean = geometry.blocks(inside, factors)
    small = mean.with_data(mean.data / np.maximum(weight, 1e-6) * (weight > 0))
    field = itk.ants.n4_bias_field_correction(
        nifti.to_ants(small),
        mask=nifti.to_ants(small.with_data((weight > 0.5).astype(np.float32))),
        shrink_factor=max(1, round(8.0 / float(small.spacing.mean()))),
        convergence={"iters": [50] * BIAS_LEVELS, "tol": 1e-7},
        spline_param=BIAS_KNOTS_MM,
        return_bias_field=True,
    ).numpy()
    logs = np.log(np.clip(field, 0.05, 20.0))
    # The outer voxels once more, so that interpolation reaches the grid's edge.
    affine = small.affine.copy()
    affine[:3, 3] -= affine[:3, :3].sum(axis=1)
    smooth = nifti.resample(Volume(np.pad(logs, 1, mode="edge"), affine), volume).data
    smooth -= smooth[mask].mean()
    return (volume.data * np.exp(-smooth)).astype(np.float32)


def _bring(
    volume: Volume, brain: np.ndarray, template: Volume, maps, voxel_mm: float
) -> list[np.ndarray]:
    """Register a template brain to a brain and bring label maps along (nearest label)."""
    part = volume.with_data(np.where(brain, volume.data, 0.0).astype(np.float32))
    fixed = geometry.coarse(part, voxel_mm)
    moving = geometry.coarse(template, voxel_mm)
    with tempfile.TemporaryDirectory() as folder:
        common = {"fixed": nifti.to_ants(fixed), "moving": nifti.to_ants(moving)}
        affine = itk.ants.registration(
            **common, type_of_transform="AffineFast", outprefix=f"{folder}/a_", random_seed=1
        )["fwdtransforms"]
        warp = itk.ants.registration(
            **common,
            type_of_transform="SyNOnly",
            initial_transform=affine[-1],
            outprefix=f"{folder}/s_",
            random_seed=1,
        )["fwdtransforms"]
        like = nifti.to_ants(volume)
        return [
            np.rint(
                itk.ants.apply_transforms(
                    like,
                    nifti.to_ants(template.with_data(labels)),
                    warp,
                    interpolator="nearestNeighbor",
                ).numpy()
            ).astype(np.uint8)
            for labels in maps
        ]
