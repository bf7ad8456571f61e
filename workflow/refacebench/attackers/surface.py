"""Surface: how far, in millimetres, two faces are from each other after rigid registration.

The depth maps of two frontal views are registered by trimmed iterative closest
points (point to plane, with the pixel underneath as the closest point: Blais &
Levine 1995, Rusinkiewicz & Levoy 2001) over the front of the head, and compared
over the face region alone.  Nothing is learned.  All of a query's comparisons
are made at once.

Beside the distances the attack keeps, for figures and for the question of Gao
et al. 2025 (is a rebuilt face closer to the true one than an average face is?):

``query_true_mm`` (queries,)
    Distance of the query to its own scan's original.
``query_average_mm`` (queries,)
    Distance to that original of the average face of all *other* participants.
``changed_mm`` (pixels, pixels)
    The same distance by pixel of the frontal view, mean over the queries: registered, and
    ``cap_mm`` where it is larger or the query has no surface; NaN where no original has one.
``changed_n`` (pixels, pixels)
    Number of queries of which both the variant and its own original have a surface there.
``cap_mm``
    The option of that name.
``average_depth`` (pixels, pixels)
    Depth map of the average face of the gallery (mm, NaN off the head).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from refacebench.contracts import Attacker, Context, Enrolled, Option, Scores, Subject
from refacebench.head import camera, surface

VERSION = "2"
OPTIONS = {
    "rounds": Option(8, "Rounds of registration.", least=0),
    "trim": Option(
        0.7,
        "Share of the points (the closest) that each round listens to.",
        least=0,
        most=1,
    ),
    "stride": Option(2, "Every so many-th pixel takes part in the registration.", least=1),
    "cap_mm": Option(
        10.0,
        "A surface farther away than this, or missing, counts as this far.",
        unit="mm",
        least=0,
    ),
    "chunk": Option(64, "Gallery scans that are compared at a time.", least=1),
}
#: The face in the frontal view (head mm: x to the right, z upwards): brows to below the chin;
#: corners of a convex outline, clockwise.
FACE = np.array(
    [(-52, -20), (52, -20), (60, -40), (54, -85), (36, -125), (15, -140)]
    + [(-15, -140), (-36, -125), (-54, -85), (-60, -40)],
    float,
)
#: What takes part in the registration: the front of the head down to the chin ...
FRONT_Z = (-140.0, 90.0)
#: ... and no farther back than this (head mm, y).
FRONT_Y = 5.0
#: A registration that turns or shifts more than this has lost its way and is taken back.
MOST_TURN, MOST_SHIFT_MM = np.deg2rad(15.0), 25.0


def enrol(subject: Subject, options: Mapping) -> dict[str, np.ndarray]:
    """Keep the frontal depth map."""
    seen = subject.rendering()
    return {"depth": seen.depth[0], "pixel_mm": np.float64(seen.pixel_mm)}


def score(queries: Enrolled, gallery: Enrolled, options: Mapping, context: Context) -> Scores:
    """Return mean distances over the face region, in mm, capped."""
    pixel = float(gallery.features["pixel_mm"][0])
    targets, asked = gallery.features["depth"], queries.features["depth"]
    slopes = normals(targets, pixel)
    distance = np.full((len(queries), len(gallery)), np.nan)
    for first in range(0, len(gallery), int(options["chunk"])):
        part = slice(first, first + int(options["chunk"]))
        for number, depth in enumerate(asked):
            distance[number, part] = compare(depth, targets[part], slopes[part], pixel, options)
    return Scores(distance, extra=_extra(queries, gallery, distance, slopes, pixel, options))


def normals(depth: np.ndarray, pixel_mm: float) -> np.ndarray:
    """Return the outward normals (right, up, towards) of depth maps (n, p, p), (n, p, p, 3)."""
    down, right = np.gradient(depth, pixel_mm, axis=(1, 2))
    result = np.stack([-right, down, np.ones_like(depth)], axis=-1)
    return (result / np.linalg.norm(result, axis=-1, keepdims=True)).astype(np.float32)


def face_pixels(pixels: int, pixel_mm: float) -> np.ndarray:
    """Return the pixels of the frontal view that show the face region."""
    right, up = camera.pixel_grid(pixels, pixels * pixel_mm / 2)
    x, z = surface.CENTER[0] - right, surface.CENTER[2] + up
    inside = np.ones((pixels, pixels), bool)
    for here, there in zip(FACE, np.roll(FACE, -1, axis=0), strict=True):
        along = there - here
        inside &= along[0] * (z - here[1]) - along[1] * (x - here[0]) <= 0
    return inside


def compare(
    depth: np.ndarray, targets: np.ndarray, slopes: np.ndarray, pixel_mm: float, options: Mapping
) -> np.ndarray:
    """Register one depth map to several and return the distances over the face, in mm.

    Parameters
    ----------
    depth : numpy.ndarray
        The query's frontal depth map, (p, p); NaN off the head.
    targets, slopes : numpy.ndarray
        The gallery's depth maps, (n, p, p), and their normals.

    Returns
    -------
    numpy.ndarray
        Shape (n,).  Mean over the face region of the target of the distance
        along the target's normal; ``cap_mm`` where the query has no surface.
        NaN for a target without a face.
    """
    gaps = capped(depth, targets, slopes, pixel_mm, options)
    face = face_pixels(len(depth), pixel_mm) & np.isfinite(slopes[..., 2])
    count = face.sum(axis=(1, 2))
    total = np.where(face, gaps, 0).sum(axis=(1, 2))
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def capped(
    depth: np.ndarray, targets: np.ndarray, slopes: np.ndarray, pixel_mm: float, options: Mapping
) -> np.ndarray:
    """Register one depth map to several and return the distance in each of their pixels, in mm.

    Parameters as for :func:`compare`.

    Returns
    -------
    numpy.ndarray
        Shape (n, p, p); no more than ``cap_mm``, and that where there is no surface.
    """
    pose = _register(depth, targets, slopes, pixel_mm, options)
    gaps = _gaps(depth, targets, slopes, pose, pixel_mm)
    return np.where(np.isfinite(gaps), np.minimum(gaps, options["cap_mm"]), options["cap_mm"])


def _places(depth: np.ndarray, pixel_mm: float, stride: int = 1):
    """Return the points (right, up, towards) of a depth map's pixels, (n, 3), NaN off the head."""
    right, up = camera.pixel_grid(len(depth), len(depth) * pixel_mm / 2)
    points = np.stack([right, up, depth], axis=-1)[stride // 2 :: stride, stride // 2 :: stride]
    return points.reshape(-1, 3)


def _register(depth, targets, slopes, pixel_mm, options) -> np.ndarray:
    """Return the 3 x 4 motions (n, 3, 4) that lay the query on each target."""
    points = _places(depth, pixel_mm, int(options["stride"]))
    height, front = points[:, 1] + surface.CENTER[2], points[:, 2] + surface.CENTER[1]
    kept = (height > FRONT_Z[0]) & (height < FRONT_Z[1]) & (front > FRONT_Y)
    points = points[kept]
    pose = np.tile(np.eye(3, 4), (len(targets), 1, 1))
    for _ in range(int(options["rounds"]) if len(points) > 50 else 0):
        moved = points @ pose[:, :, :3].transpose(0, 2, 1) + pose[:, None, :, 3]
        below, slope = _below(targets, slopes, moved, pixel_mm)
        gap = (moved[..., 2] - below) * slope[..., 2]
        weight = _closest(np.abs(gap), float(options["trim"]))
        pose = _step(pose, moved, slope, np.where(weight, gap, 0), weight)
    turn = np.arccos(np.clip((np.trace(pose[:, :, :3], axis1=1, axis2=2) - 1) / 2, -1, 1))
    lost = (turn > MOST_TURN) | (np.linalg.norm(pose[:, :, 3], axis=1) > MOST_SHIFT_MM)
    pose[lost] = np.eye(3, 4)
    return pose


def _closest(gap: np.ndarray, share: float) -> np.ndarray:
    """Return which points of each row, (n, points), are among the closest share of those seen."""
    filled = np.where(np.isfinite(gap), gap, np.inf)
    order = np.sort(filled, axis=1)
    count = np.isfinite(gap).sum(axis=1)
    last = np.maximum((share * count).astype(int) - 1, 0)
    return filled <= np.take_along_axis(order, last[:, None], axis=1)


def _below(targets, slopes, points, pixel_mm):
    """Return depth (interpolated) and normal (nearest) of each target under points (n, m, 3)."""
    size = targets.shape[-1]
    half = size * pixel_mm / 2
    column = (points[..., 0] + half) / pixel_mm - 0.5
    row = (half - points[..., 1]) / pixel_mm - 0.5
    # A place off the head is looked up anywhere; its depth is NaN.
    lost = ~np.isfinite(column + row)
    column, row = np.where(lost, 0, column), np.where(lost, 0, row)
    left = np.clip(np.floor(column).astype(int), 0, size - 2)
    top = np.clip(np.floor(row).astype(int), 0, size - 2)
    across, down = np.clip(column - left, 0, 1), np.clip(row - top, 0, 1)
    which = np.arange(len(targets))[:, None]
    upper = targets[which, top, left] * (1 - across) + targets[which, top, left + 1] * across
    lower = (
        targets[which, top + 1, left] * (1 - across) + targets[which, top + 1, left + 1] * across
    )
    nearest = (which, top + np.rint(down).astype(int), left + np.rint(across).astype(int))
    below = upper * (1 - down) + lower * down
    # At the edge of the surface the nearest pixel speaks alone.
    below = np.where(np.isfinite(below), below, targets[nearest])
    return np.where(lost, np.nan, below), None if slopes is None else slopes[nearest]


def _step(pose, moved, slope, gap, weight) -> np.ndarray:
    """Do one point-to-plane step (six unknowns a target, all targets at once)."""
    turn = np.cross(moved, slope)
    jacobian = np.concatenate([turn, slope], axis=-1) * weight[..., None]
    jacobian = np.nan_to_num(jacobian)
    gap = np.nan_to_num(gap)
    matrix = np.einsum("nmi,nmj->nij", jacobian, jacobian) + 1e-3 * np.eye(6)
    vector = np.einsum("nmi,nm->ni", jacobian, gap)
    answer = -np.linalg.solve(matrix, vector[..., None])[..., 0]
    rotation = _rotation(answer[:, :3])
    return np.concatenate(
        [
            rotation @ pose[:, :, :3],
            rotation @ pose[:, :, 3:] + answer[:, 3:, None],
        ],
        axis=2,
    )


def _rotation(vectors: np.ndarray) -> np.ndarray:
    """Return rotation matrices of rotation vectors (n, 3)."""
    from scipy.spatial.transform import Rotation

    return Rotation.from_rotvec(vectors).as_matrix()


def _gaps(depth, targets, slopes, pose, pixel_mm) -> np.ndarray:
    """Return each target pixel's distance in mm to the query, along the target's normal."""
    size = len(depth)
    right, up = camera.pixel_grid(size, size * pixel_mm / 2)
    places = np.stack(np.broadcast_arrays(right, up, targets), axis=-1).reshape(len(targets), -1, 3)
    back = pose[:, :, :3]  # rows of the inverse rotation are its columns
    points = (places - pose[:, None, :, 3]) @ back
    slope = slopes.reshape(len(targets), -1, 3) @ back
    below, _ = _below(np.broadcast_to(depth, targets.shape), None, points, pixel_mm)
    return np.abs((points[..., 2] - below) * slope[..., 2]).reshape(targets.shape)


def _extra(queries, gallery, distance, slopes, pixel_mm, options) -> dict[str, np.ndarray]:
    """Return what is kept beside the distances, see the module's docstring."""
    own = _own(queries, gallery)
    known = np.flatnonzero(own >= 0)
    true = np.full(len(queries), np.nan)
    true[known] = distance[known, own[known]]
    depth, asked = gallery.features["depth"], queries.features["depth"]
    average = np.full(len(queries), np.nan)
    for number in known:
        others = gallery.participant != queries.participant[number]
        if others.any():
            target = slice(own[number], own[number] + 1)
            face = average_depth(depth[others], gallery.participant[others])
            average[number] = compare(face, depth[target], slopes[target], pixel_mm, options)[0]
    total, surfaces = np.zeros(depth.shape[1:]), np.zeros(depth.shape[1:], dtype=int)
    for number in known:
        target = slice(own[number], own[number] + 1)
        gap = capped(asked[number], depth[target], slopes[target], pixel_mm, options)[0]
        there = np.isfinite(slopes[own[number]][..., 2])
        total += np.where(there, gap, 0.0)
        surfaces += there
    changed = np.where(surfaces > 0, total / np.maximum(surfaces, 1), np.nan)
    both = np.isfinite(asked[known]) & np.isfinite(depth[own[known]])
    return {
        "query_true_mm": true,
        "query_average_mm": average,
        "changed_mm": changed.astype(np.float32),
        "changed_n": both.sum(axis=0).astype(np.int32),
        "cap_mm": np.float64(options["cap_mm"]),
        "average_depth": average_depth(depth, gallery.participant),
    }


def _own(queries: Enrolled, gallery: Enrolled) -> np.ndarray:
    """Return the place in the gallery of each query's own scan, -1 for none."""
    place = {scan: n for n, scan in enumerate(gallery.scan)}
    return np.array([place.get(scan, -1) for scan in queries.scan], dtype=int)


def average_depth(depth: np.ndarray, participant: np.ndarray) -> np.ndarray:
    """Return the mean depth map, each participant's first scan once; NaN where half have none."""
    _, first = np.unique(participant, return_index=True)
    chosen = depth[first]
    seen = np.isfinite(chosen)
    count = seen.sum(axis=0)
    mean = np.where(seen, chosen, 0).sum(axis=0) / np.maximum(count, 1)
    return np.where(2 * count > len(first), mean, np.nan).astype(np.float32)


METHOD = Attacker(
    version=VERSION,
    title="surface distance",
    options=OPTIONS,
    enrol=enrol,
    score=score,
    sources=("Rusinkiewicz & Levoy, 3DIM 2001", "Blais & Levine, IEEE TPAMI 1995"),
)
