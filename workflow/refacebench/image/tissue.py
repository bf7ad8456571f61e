"""Bias field and tissue fractions of a T1w brain: arrays in, arrays out.

Three tissues (CSF, grey, white) with partial volumes, by a mixture model on the
histogram and a Markov field on the grid.  Touches no disk.
"""

from __future__ import annotations

import numpy as np

from refacebench.image import n4
from refacebench.image.geometry import block_mean, blocks
from refacebench.image.nifti import Volume

#: Voxel size to which the image is averaged for the bias field, and the spacing at which
#: N4 then samples it; the field is smooth on a far larger scale.
BIAS_VOXEL_MM, BIAS_SAMPLE_MM = 2.0, 8.0
#: Distance of the bias field's spline knots on its first level, and the number of levels,
#: each with half the distance.  Knots closer than 50 mm eat into the contrast of the
#: tissues: on a real 3 T head they turned cerebellar grey matter into white.
BIAS_KNOTS_MM, BIAS_LEVELS = 200.0, 3
#: The five kinds of voxel: pure tissues and the two mixtures that a T1w image has.
#: Each is the pair of pure classes (0 CSF, 1 grey, 2 white) that it mixes.
KINDS = ((0, 0), (0, 1), (1, 1), (1, 2), (2, 2))
#: How well two neighbouring kinds agree: 1 the same, 0.5 a tissue in common, 0 none.
AGREEMENT = np.array(
    [[1.0 if a == b else 0.5 * bool(set(a) & set(b)) for b in KINDS] for a in KINDS],
    dtype=np.float32,
)


def correct_bias(volume: Volume, mask: np.ndarray, iterations: int = 50) -> Volume:
    """Divide by the bias field that N4 finds inside a mask.

    Parameters
    ----------
    volume : Volume
        Intensities; only those in the mask count.
    mask : numpy.ndarray of bool
        Brain mask on the same grid.
    iterations : int
        Iterations on each level.

    Returns
    -------
    Volume
        Corrected intensities on the same grid; the mean in the mask is kept.

    Notes
    -----
    The field (:mod:`refacebench.image.n4`) is estimated on block means of about 2 mm, which
    costs the same at every resolution and has less noise than single voxels.
    """
    factors = np.maximum(1, np.round(BIAS_VOXEL_MM / volume.spacing)).astype(int)
    weight = block_mean(mask.astype(np.float32), factors)
    inside = volume.with_data(np.where(mask, volume.data, 0).astype(np.float32))
    mean = blocks(inside, factors)
    every = np.maximum(1, np.round(BIAS_SAMPLE_MM / mean.spacing)).astype(int)
    chosen = np.zeros(mean.shape, bool)
    chosen[tuple(slice(n // 2, None, n) for n in every)] = True
    chosen &= (weight > 0.5) & (mean.data > 0)
    if not chosen.any():
        raise ValueError("no intensity above zero in the mask: its bias field cannot be found")
    # The spline's domain: whole meshes, with the image in the middle.
    length = (np.array(mean.shape) - 1) * mean.spacing
    spans = np.maximum(1, np.ceil(length / BIAS_KNOTS_MM)).astype(int)
    size = spans * BIAS_KNOTS_MM

    def along(axis: int, voxels: np.ndarray) -> np.ndarray:
        """Return the places of voxels of the block means along an axis."""
        return (voxels * mean.spacing[axis] + (size - length)[axis] / 2) / size[axis]

    places = np.stack([along(axis, found) for axis, found in enumerate(np.nonzero(chosen))])
    values = mean.data[chosen] / weight[chosen]
    field = n4.fit(values, places, spans, BIAS_LEVELS, iterations)
    own = [(np.arange(n) - (f - 1) / 2) / f for n, f in zip(volume.shape, factors, strict=True)]
    smooth = n4.evaluate(field, [along(axis, voxels) for axis, voxels in enumerate(own)])
    smooth -= smooth[mask].mean()
    return volume.with_data((volume.data * np.exp(-smooth)).astype(np.float32))


def tissue_fractions(
    data: np.ndarray,
    mask: np.ndarray,
    spacing,
    smoothness: float = 0.6,
    sweeps: int = 5,
    bins: int = 256,
) -> tuple[np.ndarray, dict]:
    """Return the share of CSF, grey and white matter in each voxel of a mask.

    Parameters
    ----------
    data : numpy.ndarray
        Bias-corrected T1w intensities.
    mask : numpy.ndarray of bool
        Brain mask with the CSF around the brain.
    spacing : array-like
        Voxel edge lengths in mm; near neighbours weigh more (1 / distance).
    smoothness : float
        Weight of the Markov field, 0 for none.
    sweeps : int
        Mean-field sweeps.
    bins : int
        Grey levels into which the intensities are sorted.

    Returns
    -------
    fractions : numpy.ndarray
        Shape (3, i, j, k), float32: CSF, grey, white.  They sum to one in the
        mask and are zero outside.
    model : dict
        Means and noise of the tissues, see :func:`fit_mixture`.

    Raises
    ------
    ValueError
        If the histogram does not show three tissues.

    References
    ----------
    Voxels are pure or an even mixture of two tissues, and neighbours are alike:
    Shattuck DW et al. Magnetic resonance image tissue classification using a
    partial volume model. NeuroImage 2001, eq. 4-8.  Here the labels are not
    fixed by ICM but kept as probabilities (mean field), and a voxel's
    fractions are their expectation.
    """
    inside = data[mask]
    if inside.size < 1000:
        raise ValueError("too few brain voxels to tell the tissues apart")
    low, high = np.percentile(inside, [0.2, 99.8])
    if not high > low:
        raise ValueError("all brain voxels have the same intensity")
    step = (high - low) / bins
    index = np.clip((data - low) / step, 0, bins - 1).astype(np.int16)
    centers = low + step * (np.arange(bins) + 0.5)
    counts = np.bincount(index[mask], minlength=bins).astype(float)
    model = fit_mixture(centers, counts)
    likelihood, shares = _tables(centers, model)
    inside = index[mask]
    belief = _markov_field(likelihood[:, inside], mask, spacing, smoothness, sweeps)
    fractions = np.zeros((3, *data.shape), dtype=np.float32)
    for tissue in range(3):
        fractions[tissue][mask] = sum(
            belief[kind] * shares[kind, tissue][inside] for kind in range(len(KINDS))
        )
    return fractions, model


#: Fractions at which mixed voxels are evaluated: the middles of ten equal steps.
_MIX = (np.arange(10) + 0.5) / 10


def fit_mixture(centers: np.ndarray, counts: np.ndarray, steps: int = 200) -> dict:
    """Fit three pure and two mixed classes with one noise level to a histogram (EM).

    Parameters
    ----------
    centers, counts : numpy.ndarray
        Grey levels and how often each occurs.

    Returns
    -------
    dict
        ``means`` (3,), ``sigma``, ``weights`` (5,) in the order of ``KINDS``.

    Raises
    ------
    ValueError
        If the three means do not stay apart.
    """
    means = _first_means(centers, counts)
    sigma = np.diff(means).min() / 3
    weights = np.full(len(KINDS), 1 / len(KINDS))
    kind, part = _components()
    total = counts.sum()
    for _ in range(steps):
        places = part @ means
        density = _gauss(centers[None], places[:, None], sigma) * _spread(weights, kind)[:, None]
        posterior = density / np.maximum(density.sum(axis=0), 1e-300) * counts
        # Least squares for the means: each component's mean is a mixture of the three.
        mass = posterior.sum(axis=1)
        normal = (part * mass[:, None]).T @ part
        new = np.linalg.solve(normal + 1e-9 * total * np.eye(3), part.T @ (posterior @ centers))
        spread = (posterior * (centers[None] - (part @ new)[:, None]) ** 2).sum() / total
        change = np.abs(new - means).max() + abs(np.sqrt(spread) - sigma)
        means, sigma = new, float(np.sqrt(spread))
        weights = np.bincount(kind, mass, minlength=len(KINDS)) / total
        if change < 1e-4 * (centers[-1] - centers[0]):
            break
    if not (np.diff(means) > sigma).all():
        raise ValueError("the brain's histogram does not show three tissues (CSF, grey, white)")
    return {"means": means, "sigma": sigma, "weights": weights}


def _first_means(centers: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Means of the three classes of Otsu's method on the histogram."""
    from skimage.filters import threshold_multiotsu

    coarse = counts.reshape(-1, max(1, len(counts) // 64)).sum(axis=1)
    middle = centers.reshape(len(coarse), -1).mean(axis=1)
    cuts = threshold_multiotsu(hist=(coarse, middle), classes=3)
    group = np.digitize(centers, cuts)
    return np.array([np.average(centers[group == k], weights=counts[group == k] + 1e-9)
                     for k in range(3)])  # fmt: skip


def _components() -> tuple[np.ndarray, np.ndarray]:
    """Return each Gaussian's kind and its shares of the three tissues."""
    kind, part = [], []
    for number, (a, b) in enumerate(KINDS):
        for share in _MIX if a != b else (0.0,):
            row = np.zeros(3)
            row[a] += 1 - share
            row[b] += share
            kind.append(number)
            part.append(row)
    return np.array(kind), np.array(part)


def _spread(weights: np.ndarray, kind: np.ndarray) -> np.ndarray:
    return weights[kind] / np.bincount(kind)[kind]


def _gauss(x, mean, sigma):
    return np.exp(-0.5 * ((x - mean) / sigma) ** 2) / (sigma * np.sqrt(2 * np.pi))


def _tables(centers: np.ndarray, model: dict) -> tuple[np.ndarray, np.ndarray]:
    """Return, per grey level: log weight x likelihood of a kind; its expected shares."""
    kind, part = _components()
    density = _gauss(centers[None], (part @ model["means"])[:, None], model["sigma"]) + 1e-30
    likelihood = np.empty((len(KINDS), len(centers)), dtype=np.float32)
    shares = np.empty((len(KINDS), 3, len(centers)), dtype=np.float32)
    for number in range(len(KINDS)):
        own = kind == number
        likelihood[number] = np.log(density[own].mean(axis=0) * max(model["weights"][number], 1e-3))
        shares[number] = part[own].T @ (density[own] / density[own].sum(axis=0))
    return likelihood, shares


def _markov_field(evidence, mask, spacing, smoothness, sweeps) -> np.ndarray:
    """Mean-field probabilities of the five kinds in the voxels of a mask, shape (5, voxels).

    Plane by plane: what one plane needs stays in the processor's cache.
    """
    belief = _softmax(evidence)
    near = 1.0 / np.asarray(spacing, dtype=float)
    near = (near / (2 * near.sum())).astype(np.float32)  # the six neighbours' weights sum to one
    weight = np.float32(6 * smoothness) * AGREEMENT
    ends = np.concatenate([[0], np.cumsum(mask.sum(axis=(1, 2)))])
    planes = [(i, slice(*ends[i : i + 2])) for i in np.flatnonzero(np.diff(ends))]
    # One voxel of nothing around the mask's array, so that each has six neighbours.
    around = np.zeros((len(mask) + 2, len(KINDS), mask.shape[1] + 2, mask.shape[2] + 2), np.float32)
    for _ in range(sweeps if smoothness else 0):
        for i, own in planes:
            around[i + 1, :, 1:-1, 1:-1][:, mask[i]] = belief[:, own]
        for i, own in planes:
            here = around[i + 1]
            support = near[0] * (around[i] + around[i + 2])[:, 1:-1, 1:-1]
            support += near[1] * (here[:, :-2, 1:-1] + here[:, 2:, 1:-1])
            support += near[2] * (here[:, 1:-1, :-2] + here[:, 1:-1, 2:])
            belief[:, own] = _softmax(evidence[:, own] + weight @ support[:, mask[i]])
    return belief


def _softmax(energy: np.ndarray) -> np.ndarray:
    energy = np.exp(energy - energy.max(axis=0))
    return energy / energy.sum(axis=0)
