"""Smooth deformations of a head: velocity fields, their flow, and where they come from.

Pure functions of arrays.  All fields live on one coarse grid, the
:class:`Frame`, in *head millimetres*: RAS+ axes, x = 0 in the midsagittal
plane.  A field is a float32 array of shape (3, nx, ny, nz) in millimetres.

Velocities here are *backward*: their flow takes a point of the new head to the
point of the base head whose tissue it shows.  A push of the nose forwards is
therefore a velocity that points backwards.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

#: The longest step, in nodes of the frame, of one Euler step of the flow.
MAX_STEP = 0.25


@dataclass(frozen=True)
class Frame:
    """A regular grid of nodes in head millimetres, symmetric about x = 0.

    Attributes
    ----------
    low : numpy.ndarray
        Head mm of the first node, shape (3,).
    step : float
        Distance between nodes, mm.
    shape : tuple of int
        Number of nodes along x, y, z.
    """

    low: np.ndarray
    step: float
    shape: tuple[int, ...]

    @classmethod
    def around(cls, low, high, step: float) -> Frame:
        """Return the frame that covers a box of head millimetres."""
        low, high = np.array(low, float), np.array(high, float)
        half = np.ceil(max(-low[0], high[0]) / step) * step
        low[0], high[0] = -half, half
        x, y, z = (int(n) for n in np.ceil((high - low) / step - 1e-9) + 1)
        return cls(low, float(step), (x, y, z))

    @property
    def affine(self) -> np.ndarray:
        """4 x 4 matrix from node indices to head mm."""
        matrix = np.diag([self.step] * 3 + [1.0])
        matrix[:3, 3] = self.low
        return matrix

    def axes(self) -> list[np.ndarray]:
        """Return the coordinates of the nodes along x, y and z, mm, as open arrays."""
        line = [self.low[a] + self.step * np.arange(self.shape[a]) for a in range(3)]
        return [line[0][:, None, None], line[1][None, :, None], line[2][None, None, :]]


def sample(field: np.ndarray, frame: Frame, points: np.ndarray) -> np.ndarray:
    """Interpolate values of a frame linearly; beyond its edge the edge's value holds.

    Parameters
    ----------
    field : numpy.ndarray
        Shape (nx, ny, nz) or (components, nx, ny, nz).
    points : numpy.ndarray
        Head mm, shape (3, ...).

    Returns
    -------
    numpy.ndarray
        float32, shape (...) or (components, ...).
    """
    from scipy.ndimage import map_coordinates

    low = frame.low.astype(np.float32).reshape(3, *[1] * (points.ndim - 1))
    nodes = (points - low) / np.float32(frame.step)
    if field.ndim == 3:
        return map_coordinates(field, nodes, output=np.float32, order=1, mode="nearest")
    return np.stack(
        [map_coordinates(part, nodes, output=np.float32, order=1, mode="nearest") for part in field]
    )


def node_points(frame: Frame) -> np.ndarray:
    """Return the head mm of all nodes, shape (3, nx, ny, nz), float32."""
    return np.stack(np.broadcast_arrays(*frame.axes())).astype(np.float32)


def flow(velocity: np.ndarray, frame: Frame) -> np.ndarray:
    """Return the displacement of the flow of a stationary velocity over unit time.

    Scaling and squaring (Arsigny et al., MICCAI 2006): a small step, composed
    with itself until it is the whole; the result is a diffeomorphism up to
    interpolation error, and the flow of the negative velocity is its inverse.
    """
    longest = float(np.sqrt((velocity**2).sum(axis=0)).max()) / frame.step
    squarings = max(0, int(np.ceil(np.log2(max(longest, 1e-9) / MAX_STEP))))
    points = node_points(frame)
    displacement = (velocity / 2.0**squarings).astype(np.float32)
    for _ in range(squarings):
        displacement = displacement + sample(displacement, frame, points + displacement)
    return displacement


def jacobian(displacement: np.ndarray, frame: Frame) -> np.ndarray:
    """Return the determinant of the Jacobian of ``x + displacement(x)`` at the nodes."""
    gradient = np.stack([np.stack(np.gradient(part, frame.step)) for part in displacement])
    gradient += np.eye(3, dtype=gradient.dtype)[:, :, None, None, None]
    return np.linalg.det(np.moveaxis(gradient, (0, 1), (-2, -1)))


def mirror(velocity: np.ndarray) -> np.ndarray:
    """Reflect a velocity field of a frame about the midsagittal plane."""
    reflected = velocity[:, ::-1].copy()
    reflected[0] *= -1
    return reflected


def push(frame: Frame, center, sigma, direction, paired: bool) -> np.ndarray:
    """Return the velocity of a push: a Gaussian bump of tissue moved along a direction.

    Parameters
    ----------
    center : sequence of float
        Head mm; for a paired push the one on the right (x > 0).
    sigma : sequence of float
        Width of the bump along x, y, z, mm.
    direction : sequence of float
        Where the tissue moves, mm per unit.
    paired : bool
        Whether the same happens, mirrored, on the left.
    """
    bump = np.ones(frame.shape, np.float32)
    for line, middle, width in zip(frame.axes(), center, sigma, strict=True):
        bump = bump * np.exp(-((line - middle) ** 2) / (2 * width**2)).astype(np.float32)
    velocity = -np.array(direction, np.float32)[:, None, None, None] * bump
    return velocity + mirror(velocity) if paired else velocity


def random_velocity(
    rng: np.random.Generator, frame: Frame, scale_mm: float, symmetry: float
) -> np.ndarray:
    """Return a random smooth velocity with a standard deviation of 1 mm a component.

    Parameters
    ----------
    scale_mm : float
        Standard deviation of the Gaussian that smooths white noise.
    symmetry : float
        Share, 0 to 1, of the field that is its own mirror image.
    """
    from scipy.ndimage import gaussian_filter

    # White noise on a grid of two thirds of the scale is smooth enough to interpolate.
    high = frame.low + frame.step * (np.array(frame.shape) - 1)
    nodes = Frame.around(frame.low, high, max(frame.step, scale_mm / 1.5))
    width = scale_mm / nodes.step
    noise = rng.standard_normal((3, *nodes.shape)).astype(np.float32)
    smooth = np.stack([gaussian_filter(part, width, mode="reflect") for part in noise])
    smooth *= (2 * np.sqrt(np.pi) * width) ** 1.5  # the filter's loss of amplitude
    both = (smooth + mirror(smooth)) / np.sqrt(2)
    mixed = np.sqrt(symmetry) * both + np.sqrt(1 - symmetry) * smooth
    return mixed if nodes.step == frame.step else sample(mixed, nodes, node_points(frame))


def outward(mask: np.ndarray, sigma: float, step: float) -> np.ndarray:
    """Return the field that lies along the outward normal of a soft mask's surface.

    It is minus the gradient of the smoothed mask, scaled so that a plane
    surface has length 1 on the surface itself; it fades within about ``sigma``
    millimetres on both sides.
    """
    from scipy.ndimage import gaussian_filter

    smooth = gaussian_filter(np.asarray(mask, np.float32), sigma / step, mode="nearest")
    gradient = np.stack(np.gradient(smooth, step)).astype(np.float32)
    return -gradient * np.float32(np.sqrt(2 * np.pi) * sigma)


def velocity_of_warp(forward: np.ndarray, inverse: np.ndarray) -> np.ndarray:
    """Return an approximate logarithm of a diffeomorphism from it and its inverse.

    ``log(phi) = (phi - phi^-1) / 2`` up to third order: the flow of v is
    ``v + Dv v / 2 + ...`` and its inverse ``-v + Dv v / 2 - ...``.
    """
    return (0.5 * (forward - inverse)).astype(np.float32)


def low_order(rng: np.random.Generator, shape, order: int = 3) -> np.ndarray:
    """Return a random field of products of cosines, mean 0 and standard deviation 1.

    The usual shape of a coil's sensitivity: half a period to ``order`` halves along each axis.
    """
    waves = [
        np.cos(np.pi * np.outer(np.arange(order + 1), (np.arange(n) + 0.5) / n)) for n in shape
    ]
    falloff = 1.0 / (1 + sum(np.ogrid[tuple(slice(0, order + 1) for _ in range(3))])) ** 2
    weights = rng.standard_normal((order + 1,) * 3) * falloff
    weights[0, 0, 0] = 0.0
    field = np.einsum("abc,ai,bj,ck->ijk", weights, *waves, optimize=True)
    return (field / field.std()).astype(np.float32)
