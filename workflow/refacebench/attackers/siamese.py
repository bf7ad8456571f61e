"""Siamese network: an informed attacker, trained on the variant that he attacks.

One small convolutional network turns renderings of originals and of the variant
into points; the distance of two heads is the Euclidean distance of theirs,
averaged over views.  It is trained with a triplet loss of margin 5 (CP-GAN,
van der Goten et al. 2021: shared sub-network, Euclidean distance, 100
participant-level resplits 80/20) so that a person's original and
his or her own variant come closer than the variants of others.

No participant is ever evaluated by a network that has seen him or her.  The
training participants are either the train split's (``source: train``; their
scans are defaced and refaced for it) or, in each of ``resplits`` resplits of
the test split, a share of its participants (``source: resplits``, as
published); then there are distances for each resplit.  Where a refacing model
was itself trained on the train split, its output there is better than later:
prefer resplits.

Not stated in the paper and chosen here: the architecture (four strided
convolutions), its input (the lit picture and the depth map, 64 pixels), the
optimiser, the augmentation.  All originals of a training participant, other
sessions too, take part.  In a large cohort there are fewer resplits than were
asked for, so that their distances fit into :data:`MOST_DISTANCES` numbers (two
gigabytes): 16 with 5,000 queries and a gallery of 6,000, at least two.  Same
seed and one thread, same numbers; every finished resplit is kept, so that an
interrupted attack goes on with the next.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping

import numpy as np

from refacebench import files, lazy
from refacebench.contracts import Attacker, AttackFailed, Context, Enrolled, Option, Scores, Subject

devices = lazy.load("refacebench.training.devices")

VERSION = "1"
OPTIONS = {
    "source": Option(
        "resplits",
        "What it is trained on: resplits of the test split, or the train split's participants.",
    ),
    "resplits": Option(100, "How often the test split is split anew.", least=1),
    "train_share": Option(
        0.8, "Share of the participants that a resplit trains on.", least=0, most=1
    ),
    "min_train": Option(6, "Participants below which no network is trained."),
    "margin": Option(5.0, "Margin of the triplet loss.", least=0),
    "steps": Option(400, "Training steps.", least=1),
    "batch": Option(16, "Triplets a step.", least=1),
    "learning_rate": Option(1.0e-3, "Learning rate of the optimiser.", least=0),
    "pixels": Option(64, "Edge of the pictures that the network sees.", unit="pixels", least=1),
    "filters": Option(16, "Channels of the first convolution.", least=1),
    "embedding": Option(64, "Numbers that a head becomes.", least=1),
    "views": Option(
        0,
        "The first so many views of the rendering, each under the first light; 0 for all.",
        least=0,
    ),
    "channels": Option(["light", "depth"], "What the network sees.", choices=("light", "depth")),
    "device": Option("cpu", "Where it computes; auto takes CUDA where there is one."),
}
#: Distances of all resplits together; fewer resplits where there would be more.
MOST_DISTANCES = 500_000_000
#: Depth in mm that is the middle of the network's range, and the range's half.
_DEPTH_MM = (40.0, 80.0)


def training(options: Mapping) -> bool:
    """Tell whether renderings of the train split are wanted."""
    return options["source"] == "train"


def enrol(subject: Subject, options: Mapping) -> dict[str, np.ndarray]:
    """Keep small pictures, (views, channels, pixels, pixels), in -1..1 as float16."""
    seen = subject.rendering()
    views = slice(int(options["views"]) or None)
    channels = []
    for name in options["channels"]:
        if name == "light":
            channels.append(seen.views[views, 0].astype(np.float32) / 127.5 - 1)
        elif name == "depth":
            middle, half = _DEPTH_MM
            depth = np.nan_to_num(seen.depth[views], nan=middle - half)
            channels.append(np.clip((depth - middle) / half, -1, 1))
        else:
            raise ValueError(f"siamese.channels: '{name}' must be light or depth")
    pictures = np.stack(channels, axis=1)
    return {"pictures": _shrink(pictures, int(options["pixels"])).astype(np.float16)}


def _shrink(pictures: np.ndarray, pixels: int) -> np.ndarray:
    """Average pictures (..., p, p) down to a smaller edge."""
    import torch

    stack = torch.from_numpy(np.ascontiguousarray(pictures, dtype=np.float32))
    return torch.nn.functional.interpolate(stack, (pixels, pixels), mode="area").numpy()


def score(queries: Enrolled, gallery: Enrolled, options: Mapping, context: Context) -> Scores:
    """Train and compare; with resplits, once for each of them.

    Raises
    ------
    AttackFailed
        If there are too few participants to train on or to evaluate.
    """
    if options["source"] == "train":
        return _trained_elsewhere(queries, gallery, options, context)
    if options["source"] != "resplits":
        raise AttackFailed(f"siamese.source: '{options['source']}' must be train or resplits")
    people = np.unique(queries.participant[np.isin(queries.participant, gallery.participant)])
    count = round(options["train_share"] * len(people))
    _check_enough(count, options)
    if len(people) - count < 2:
        raise AttackFailed(f"siamese: {len(people)} participants leave fewer than 2 to evaluate")
    asked = int(options["resplits"])
    resplits = fitting(asked, len(queries), len(gallery))
    distances = np.empty((resplits, len(queries), len(gallery)), np.float32)
    parts = []
    for number in range(resplits):
        chosen = np.random.default_rng([context.seed, 5, number]).permutation(people)[:count]
        distance = _kept(queries, gallery, chosen, number, options, context)
        inside = np.isin(queries.participant, people) & ~np.isin(queries.participant, chosen)
        distance[~inside] = np.nan
        distance[:, np.isin(gallery.participant, chosen)] = np.nan
        distances[number] = distance
        parts.append(inside)
    words = (
        f"{resplits} resplits of the test split: {count} participants to train, "
        f"{len(people) - count} to evaluate"
    )
    if resplits < asked:
        words += f" ({asked} were asked for; more distances of so many scans do not fit)"
    return Scores(distances, np.stack(parts), trained_on=words)


def fitting(resplits: int, queries: int, gallery: int) -> int:
    """Return how many resplits there are of those asked for.

    >>> fitting(100, 13, 26), fitting(100, 5000, 6000), fitting(100, 50000, 60000)
    (100, 16, 2)
    """
    return min(resplits, max(2, MOST_DISTANCES // max(1, queries * gallery)))


def _check_enough(count: int, options: Mapping) -> None:
    if count < options["min_train"]:
        raise AttackFailed(
            f"siamese: {count} participants to train on, but min_train is {options['min_train']}"
        )


def _trained_elsewhere(queries, gallery, options, context) -> Scores:
    variant, originals = context.trained_variant, context.trained_originals
    if variant is None or originals is None or not len(variant) or not len(originals):
        raise AttackFailed("siamese: no scan of the train split could be rendered")
    people = np.intersect1d(variant.participant, originals.participant)
    _check_enough(len(people), options)
    tested = np.union1d(queries.participant, gallery.participant)
    if np.isin(people, tested).any():
        raise AttackFailed("siamese: a participant is both trained on and attacked")
    network = train(variant, originals, people, options, [context.seed, 6])
    distance = _distances(network, queries, gallery)
    return Scores(distance, trained_on=f"train split: {len(people)} participants")


def _kept(queries, gallery, chosen, number, options, context) -> np.ndarray:
    """Return one resplit's distances, from its file when that belongs to this very attack."""

    def make():
        network = train(queries, gallery, chosen, options, [context.seed, 6, number])
        print(f"siamese: resplit {number + 1} of {options['resplits']}", file=sys.stderr)
        return {"distance": _distances(network, queries, gallery).astype(np.float32)}

    key = _key(queries, gallery, {**options, "resplits": 0}, context.seed, list(map(str, chosen)))
    path = context.folder / f"resplit-{number:03d}.npz"
    return files.kept_arrays(path, key, make)["distance"].copy()


def _key(queries: Enrolled, gallery: Enrolled, *parts) -> str:
    import hashlib

    digest = hashlib.sha256(json.dumps([VERSION, parts], sort_keys=True, default=str).encode())
    for side in (queries, gallery):
        digest.update("\n".join(side.scan).encode())
        digest.update(np.ascontiguousarray(side.features["pictures"]).tobytes())
    return digest.hexdigest()[:16]


def train(variant: Enrolled, originals: Enrolled, people, options: Mapping, seed: list[int]):
    """Train the shared sub-network on some participants.

    A step takes up to ``batch`` participants, of each one original and one
    scan of the variant in the same view, and every other person of the step as
    the negative of every pair: all triplets of the step, in both directions.

    Returns
    -------
    torch.nn.Module
        In evaluation mode.
    """
    import torch

    rng = np.random.default_rng(seed)
    torch.manual_seed(int(rng.integers(2**31)))
    device = devices.choose_device(options["device"])
    sides = []
    for side in (variant, originals):
        # As stored, in half precision: only those of a step are turned into full numbers.
        pictures = torch.from_numpy(np.ascontiguousarray(side.features["pictures"]))
        sides.append((pictures.to(device), _by_person(side, people)))
    views, channels = sides[0][0].shape[1:3]
    network = build(channels, int(options["filters"]), int(options["embedding"])).to(device)
    optimiser = torch.optim.Adam(network.parameters(), lr=float(options["learning_rate"]))
    # An empty side (a person whose variant failed) cannot be a pair.
    usable = [n for n in range(len(people)) if all(len(rows[n]) for _, rows in sides)]
    if len(usable) < 2:
        raise AttackFailed("siamese: fewer than 2 participants have both original and variant")
    size = min(int(options["batch"]), len(usable))
    network.train()
    for _ in range(int(options["steps"])):
        taken = rng.permutation(usable)[:size]
        view = rng.integers(views, size=size)
        pictures = torch.cat([_pick(stack, rows, taken, view, rng) for stack, rows in sides])
        points = network(augment(pictures, rng))
        loss = triplet_loss(points[:size], points[size:], float(options["margin"]))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return network.eval()


def _pick(stack, rows, taken, views, rng: np.random.Generator):
    """Return one picture of each person taken, any scan, in the given view."""
    import torch

    chosen = np.array([rng.choice(rows[n]) for n in taken])
    places = [devices.send(torch.from_numpy(p), stack.device) for p in (chosen, views)]
    return stack[places[0], places[1]].float()


def _by_person(side: Enrolled, people) -> list[np.ndarray]:
    return [np.flatnonzero(side.participant == person) for person in people]


def build(channels: int, filters: int, embedding: int):
    """Return the sub-network: four strided convolutions and a linear layer."""
    from torch import nn

    layers, width = [], channels
    for number in range(4):
        out = filters * min(2**number, 4)
        kernel = 5 if number == 0 else 3
        layers += [
            nn.Conv2d(width, out, kernel, stride=2, padding=kernel // 2),
            nn.GroupNorm(4, out),
            nn.ReLU(),
        ]
        width = out
    pool = nn.AdaptiveAvgPool2d(4)
    return nn.Sequential(*layers, pool, nn.Flatten(), nn.Linear(16 * width, embedding))


def triplet_loss(first, second, margin: float):
    """Return the mean of max(0, d(own pair) - d(another's) + margin) over a step's triplets.

    Parameters
    ----------
    first, second : torch.Tensor
        Shape (n, features); row n of both belongs to one person.
    """
    import torch

    squared = ((first[:, None] - second[None]) ** 2).sum(dim=2)
    distance = torch.sqrt(squared + 1e-6)
    own = distance.diagonal()
    other = ~torch.eye(len(first), dtype=torch.bool, device=first.device)
    down = torch.relu(own[:, None] - distance + margin)[other]
    across = torch.relu(own[None, :] - distance + margin)[other]
    return (down.mean() + across.mean()) / 2


def augment(pictures, rng: np.random.Generator):
    """Turn, scale, shift, brighten and dapple pictures (n, channels, p, p) a little."""
    import torch
    import torch.nn.functional as functional

    n = len(pictures)
    turn, size = rng.normal(0, 0.03, n), 1 + rng.normal(0, 0.01, n)
    theta = np.zeros((n, 2, 3), np.float32)
    theta[:, 0, 0] = theta[:, 1, 1] = np.cos(turn) * size
    theta[:, 0, 1], theta[:, 1, 0] = -np.sin(turn) * size, np.sin(turn) * size
    theta[:, :, 2] = rng.normal(0, 0.02, (n, 2))
    place = pictures.device
    theta = devices.send(torch.from_numpy(theta), place)
    grid = functional.affine_grid(theta, list(pictures.shape), False)
    moved = functional.grid_sample(pictures, grid, padding_mode="border", align_corners=False)
    shift = rng.normal(0, 0.03, (n, pictures.shape[1], 1, 1)).astype(np.float32)
    noise = rng.normal(0, 0.02, tuple(moved.shape)).astype(np.float32)
    shift, noise = (devices.send(torch.from_numpy(t), place) for t in (shift, noise))
    return moved + shift + noise


def _distances(network, queries: Enrolled, gallery: Enrolled) -> np.ndarray:
    """Return the mean over views of the distances in the network's space."""
    asked, known = (_points(network, side.features["pictures"]) for side in (queries, gallery))
    result = np.empty((len(asked), len(known)))
    for number, points in enumerate(asked):
        result[number] = np.linalg.norm(points[None] - known, axis=2).mean(axis=1)
    return result


def _points(network, pictures: np.ndarray) -> np.ndarray:
    """Return (scans, views, features)."""
    import torch

    found, place = [], next(network.parameters()).device
    with torch.inference_mode():
        for scan in pictures:
            points = network(torch.from_numpy(scan.astype(np.float32)).to(place))
            found.append(points.cpu().numpy())
    return np.stack(found).astype(np.float64)


METHOD = Attacker(
    version=VERSION,
    title="siamese network (trained on the variant)",
    about="It compares pictures of the heads by a network that learnt, from other people, which "
    "originals belong to this method's outputs.",
    options=OPTIONS,
    enrol=enrol,
    score=score,
    training=training,
    sources=("Van der Goten et al., BMVC 2021",),
)
