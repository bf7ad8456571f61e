"""Surface: how far, in millimetres, two faces are from each other after rigid registration.

The depth maps of two frontal views are registered by trimmed iterative closest
points (point to plane, with the pixel underneath as the closest point: Blais &
Levine 1995, Rusinkiewicz & Levoy 2001) over the front of the head, and compared
over the face region alone.  Nothing is learned.

Queries are compared in blocks, which are kept (:mod:`~refacebench.attackers._blocks`).  In a
gallery of more than ``all_up_to`` scans not every distance is exact, but those that decide who
comes first are (:mod:`~refacebench.attackers._shortlist`): the ``best`` smallest of each query and
those of its own participant.

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
``query_exact`` (queries,)
    Number of gallery scans that the query was compared with exactly; only in large galleries.
``average_depth`` (pixels, pixels)
    Depth map of the average face of the gallery (mm, NaN off the head).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from refacebench.attackers import _blocks, _shortlist
from refacebench.attackers._average import AverageFaces
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
    "chunk": Option(16, "Gallery scans that are compared at a time.", least=1),
    "all_up_to": Option(
        1000,
        "In galleries of up to so many scans every distance is exact; in larger ones those that "
        "decide who comes first.",
        least=0,
    ),
    "best": Option(
        50,
        "How many of the smallest distances of a query are exact in a larger gallery; as many as "
        "privacy.most_ranks.",
        least=1,
    ),
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
#: Pairs that are compared between two files that an interrupted attack goes on from: minutes.
BLOCK_PAIRS = 50_000
#: What a coarse comparison does in place of the options: fewer points, fewer pixels of the face.
COARSE = {"stride": 8, "face_stride": 2}
#: A registration that turns or shifts more than this has lost its way and is taken back.
MOST_TURN, MOST_SHIFT_MM = np.deg2rad(15.0), 25.0


def enrol(subject: Subject, options: Mapping) -> dict[str, np.ndarray]:
    """Keep the frontal depth map."""
    seen = subject.rendering()
    return {"depth": seen.depth[0], "pixel_mm": np.float64(seen.pixel_mm)}


def score(queries: Enrolled, gallery: Enrolled, options: Mapping, context: Context) -> Scores:
    """Return mean distances over the face region, in mm, capped."""
    large = len(gallery) > int(options["all_up_to"])
    faces = AverageFaces(gallery, large)
    # Of a large gallery it is not known before how many are compared exactly.
    blocks = _blocks.bounds(len(queries), len(gallery), BLOCK_PAIRS)
    given = {name: value for name, value in options.items() if name != "chunk"}
    known = _blocks.key(queries, gallery, VERSION, given, context.seed)

    def make(block: slice) -> dict[str, np.ndarray]:
        asked = queries.take(np.arange(len(queries))[block])
        rng = np.random.default_rng([context.seed, 7, block.start])
        found = _distances(asked, gallery, options, rng if large else None)
        return found | _beside(asked, gallery, found["distance"], faces, options)

    parts = _blocks.run(blocks, make, known, context)
    rows, sums = {}, {}
    for name, value in parts[0].items():
        if name.startswith("sum_"):
            sums[name] = sum((part[name] for part in parts[1:]), start=value)
        else:
            rows[name] = np.concatenate([part[name] for part in parts])
    distance = rows.pop("distance")
    surfaces = sums["sum_surfaces"]
    changed = np.where(surfaces > 0, sums["sum_changed"] / np.maximum(surfaces, 1), np.nan)
    extra: dict[str, np.ndarray] = {
        **rows,
        "changed_mm": changed.astype(np.float32),
        "changed_n": sums["sum_both"].astype(np.int32),
        "cap_mm": np.array(float(options["cap_mm"])),
        "average_depth": faces.everybody,
    }
    return Scores(distance, extra=extra)


def _distances(
    queries: Enrolled, gallery: Enrolled, options: Mapping, rng: np.random.Generator | None
) -> dict[str, np.ndarray]:
    """Return the distances of a block; all exact without a generator."""
    pixel = float(gallery.features["pixel_mm"][0])
    targets, asked = gallery.features["depth"], queries.features["depth"]

    def compared(wanted: np.ndarray, **less) -> np.ndarray:
        return _compared(asked, targets, wanted, pixel, {**options, **less})

    if rng is None:
        everybody = np.ones((len(queries), len(gallery)), bool)
        return {"distance": compared(everybody).astype(np.float32)}
    distance, done = _shortlist.distances(
        compared,
        lambda wanted: compared(wanted, **COARSE),
        queries.participant[:, None] == gallery.participant[None],
        int(options["best"]),
        rng,
    )
    exact = done.sum(axis=1).astype(np.float32)
    return {"distance": distance.astype(np.float32), "query_exact": exact}


def _compared(asked, targets, wanted, pixel_mm, options) -> np.ndarray:
    """Return the distances (queries, gallery) that are wanted, NaN for the others."""
    found = np.full(wanted.shape, np.nan)
    for first in range(0, len(targets), int(options["chunk"])):
        part = slice(first, first + int(options["chunk"]))
        if not wanted[:, part].any():
            continue
        slopes = normals(targets[part], pixel_mm)
        for number, depth in enumerate(asked):
            some = np.flatnonzero(wanted[number, part])
            if len(some):
                near = targets[part][some], slopes[some]
                found[number, first + some] = compare(depth, *near, pixel_mm, options)
    return found


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
    pixels = _every(face_pixels(len(depth), pixel_mm), int(options.get("face_stride", 1)))
    at = np.flatnonzero(pixels)
    gaps = _capped(depth, targets, slopes, pixel_mm, options, at)
    face = np.isfinite(slopes.reshape(len(targets), -1, 3)[:, at, 2])
    count = face.sum(axis=1)
    # Summed over the whole view: the order of the summands is part of the result's last digit.
    view = np.zeros(targets.shape)
    view.reshape(len(targets), -1)[:, at] = np.where(face, gaps, 0)
    return np.where(count > 0, view.sum(axis=(1, 2)) / np.maximum(count, 1), np.nan)


def _every(pixels: np.ndarray, stride: int) -> np.ndarray:
    """Leave every so many-th row and column of a mask."""
    some = np.zeros_like(pixels)
    some[stride // 2 :: stride, stride // 2 :: stride] = True
    return pixels & some


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
    at = np.arange(depth.size)
    return _capped(depth, targets, slopes, pixel_mm, options, at).reshape(targets.shape)


def _capped(depth, targets, slopes, pixel_mm, options, at) -> np.ndarray:
    """Return :func:`capped` at some pixels of the flattened view, (n, pixels)."""
    pose = _register(depth, targets, slopes, pixel_mm, options)
    gaps = _gaps(depth, targets, slopes, pose, pixel_mm, at)
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
    seen = np.isfinite(gap)
    filled = np.where(seen, gap, np.inf)
    last = np.maximum((share * seen.sum(axis=1)).astype(int) - 1, 0)
    order = np.partition(filled, np.unique(last), axis=1)
    return filled <= np.take_along_axis(order, last[:, None], axis=1)


def _below(targets, slopes, points, pixel_mm):
    """Return depth (interpolated) and normal (nearest) of each target under points (n, m, 3).

    One target, (1, p, p), stands for all.
    """
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
    # Places in the flattened maps: much faster than three indices.
    depth = np.ascontiguousarray(targets).ravel()
    corner = (np.arange(len(targets)) * size * size)[:, None] + top * size + left
    upper = depth.take(corner) * (1 - across) + depth.take(corner + 1) * across
    lower = depth.take(corner + size) * (1 - across) + depth.take(corner + size + 1) * across
    nearest = corner + np.rint(down).astype(int) * size + np.rint(across).astype(int)
    below = upper * (1 - down) + lower * down
    # At the edge of the surface the nearest pixel speaks alone.
    below = np.where(np.isfinite(below), below, depth.take(nearest))
    below[lost] = np.nan
    return below, None if slopes is None else slopes.reshape(-1, 3).take(nearest, axis=0)


def _step(pose, moved, slope, gap, weight) -> np.ndarray:
    """Do one point-to-plane step (six unknowns a target, all targets at once)."""
    turn = _cross(moved, slope)
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


def _cross(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the cross product of vectors (..., 3); ``numpy.cross`` is several times slower."""
    right = a[..., 1] * b[..., 2] - a[..., 2] * b[..., 1]
    up = a[..., 2] * b[..., 0] - a[..., 0] * b[..., 2]
    return np.stack([right, up, a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]], axis=-1)


def _rotation(vectors: np.ndarray) -> np.ndarray:
    """Return rotation matrices of rotation vectors (n, 3)."""
    from scipy.spatial.transform import Rotation

    return Rotation.from_rotvec(vectors).as_matrix()


def _gaps(depth, targets, slopes, pose, pixel_mm, at) -> np.ndarray:
    """Return the distance in mm to the query of some pixels, along the target's normal, (n, m)."""
    size, count = len(depth), len(targets)
    right, up = camera.pixel_grid(size, size * pixel_mm / 2)
    right, up = (np.broadcast_to(place, depth.shape).ravel()[at] for place in (right, up))
    there = targets.reshape(count, -1)[:, at]
    places = np.stack(np.broadcast_arrays(right, up, there), axis=-1)
    back = pose[:, :, :3]  # rows of the inverse rotation are its columns
    points = (places - pose[:, None, :, 3]) @ back
    slope = slopes.reshape(count, -1, 3)[:, at] @ back
    below, _ = _below(depth[None], None, points, pixel_mm)
    return np.abs((points[..., 2] - below) * slope[..., 2])


def _beside(queries, gallery, distance, faces: AverageFaces, options) -> dict[str, np.ndarray]:
    """Return what is kept beside a block's distances: of each query, and sums over them."""
    pixel = float(gallery.features["pixel_mm"][0])
    depth, asked = gallery.features["depth"], queries.features["depth"]
    own = _own(queries, gallery)
    known = np.flatnonzero(own >= 0)
    true, average = (np.full(len(queries), np.nan) for _ in range(2))
    true[known] = distance[known, own[known]]
    total, surfaces = np.zeros(depth.shape[1:]), np.zeros(depth.shape[1:], dtype=int)
    for number in known:
        target = depth[own[number]][None]
        slopes = normals(target, pixel)
        face = faces.without(queries.participant[number])
        if face is not None:
            average[number] = compare(face, target, slopes, pixel, options)[0]
        gap = capped(asked[number], target, slopes, pixel, options)[0]
        there = np.isfinite(slopes[0][..., 2])
        total += np.where(there, gap, 0.0)
        surfaces += there
    both = np.isfinite(asked[known]) & np.isfinite(depth[own[known]])
    return {
        "query_true_mm": true,
        "query_average_mm": average,
        "sum_changed": total,
        "sum_surfaces": surfaces,
        "sum_both": both.sum(axis=0),
    }


def _own(queries: Enrolled, gallery: Enrolled) -> np.ndarray:
    """Return the place in the gallery of each query's own scan, -1 for none."""
    place = {scan: n for n, scan in enumerate(gallery.scan)}
    return np.array([place.get(scan, -1) for scan in queries.scan], dtype=int)


METHOD = Attacker(
    version=VERSION,
    title="surface distance",
    about="It lays one face's surface on the other's and measures how many millimetres are between "
    "them.",
    options=OPTIONS,
    enrol=enrol,
    score=score,
    parallel=True,
    sources=("Rusinkiewicz & Levoy, 3DIM 2001", "Blais & Levine, IEEE TPAMI 1995"),
)
