"""CP-GAN: a whole head around a brain, by a conditional adversarial network in 3-D.

A native re-implementation of Van der Goten et al., "Conditional
de-identification of 3D magnetic resonance images", BMVC 2021.  The network sees
nothing of the scan but the privacy transform (:mod:`refacebench.head.hull`):
convex hull of the head, brain mask, intensities within the brain.  It reads it
from the scans of the defacer ``cpgan_hull``, so CP-GAN is the variant
``cpgan_hull+cpgan3d``; behind any other defacer there is no model.  The output
is brain * scan + (1 - brain) * network; the caller does that on the scan's own
grid, bit for bit.

Stated by the authors: the transform, six scales from 4^3 to 128^3 with links of
one channel, the transform at every scale of both networks, noise from N(0, 1),
convolutions as in MobileNetV2, relativistic least squares without averaging,
AdamP with 2e-3 and betas (0, 0.99), batches of two.  Not stated, and options
here: channels, epochs, intensity scale, which epoch is kept.  Differs: dense
convolutions by default (several times faster than depthwise ones; ``conv:
mbconv`` for the paper's).

The kept epoch is the one with the smallest sliced Wasserstein distance between
patches of generated and of real validation heads, around the brain, quarter by
quarter (:func:`sliced_wasserstein`).  It compares distributions: it neither rewards a
face for being this person's nor a blur for being nobody's, as the mean absolute
error does, which stands beside it in the curves.
"""

from __future__ import annotations

import copy
import dataclasses
import hashlib
import time
import warnings
from pathlib import Path

import numpy as np

from refacebench.contracts import Option, Refacer, TrainingFailed, choices
from refacebench.head import hull as privacy_transform
from refacebench.training import pairs as _pairs

VERSION = "1"

#: The validation value of each criterion.
CRITERIA = {"swd": "val_swd", "l1": "val_l1_changed"}
#: Defaults: the size of the paper.
OPTIONS = {
    "size": Option(
        128, "Edge of the finest scale: 4 times a power of two.", unit="voxels", least=4
    ),
    "voxel_mm": Option(2.0, "Voxel size of the working grid.", unit="mm", least=0.1),
    "filters": Option(
        16, "Channels at the finest scale, doubling towards the coarse ones.", least=1
    ),
    "max_filters": Option(256, "Most channels of a scale.", least=1),
    "conv": Option(
        "dense", "Dense convolutions, or the paper's (mbconv).", choices=("dense", "mbconv")
    ),
    "expansion": Option(6, "Expansion of mbconv.", least=1),
    "noise_channels": Option(1, "Channels of noise at the coarsest scale.", least=0),
    "percentile": Option(
        99.0,
        "This percentile of the intensities in the brain, times headroom, becomes 1.",
        least=0,
        most=100,
    ),
    "headroom": Option(2.0, "Fat and vessels are brighter than brain by this factor.", least=0),
    "optimiser": Option("adamp", "The optimiser.", choices=("adamp", "adam")),
    "learning_rate": Option(2e-3, "The generator's learning rate.", least=0),
    "discriminator_rate": Option(
        1.0, "The discriminator's learning rate over the generator's.", least=0
    ),
    "betas": Option([0.0, 0.99], "Decay rates of the optimisers' moments.", least=0, most=1),
    "l1_weight": Option(
        0.0, "Weight of the mean absolute error outside the brain; the paper has none.", least=0
    ),
    "batch": Option(2, "Scans a step.", least=1),
    "epochs": Option(100, "Epochs at the full learning rate.", least=0),
    "decay_epochs": Option(0, "Epochs over which the learning rate falls to 0.", least=0),
    "steps_per_epoch": Option(0, "Steps an epoch; 0 for every scan once.", least=0),
    "validate_every": Option(1, "Epochs between validations and checkpoints.", least=1),
    "criterion": Option(
        "swd",
        "What picks the epoch: the distance of patches, or the mean absolute error outside the "
        "brain.",
        choices=tuple(CRITERIA),
    ),
    "augment": Option(0.0, "Strength of the random shifts, scales and turns.", least=0),
    "mirror": Option(False, "Whether heads are mirrored left to right in half of the draws."),
    "average": Option(
        0.0, "Decay of a running average of the weights; 0 for none.", least=0, most=1
    ),
    "interpolation": Option(
        "cubic", "How a result is brought back to the scan's grid.", choices=("linear", "cubic")
    ),
    "precision": Option(
        "auto",
        "Number format of the networks; auto takes bf16 where the hardware computes in it.",
        choices=("auto", "bf16", "float32"),
    ),
    "device": Option("auto", "Where it computes; auto takes CUDA where there is one."),
}
#: Options that a trained model is bound to.
BOUND = ("size", "voxel_mm", "filters", "max_filters", "conv", "expansion")
BOUND += ("noise_channels", "percentile", "headroom")
#: What a model's card says of the method.
IDENTITY = {
    "method": "cpgan3d",
    "version": VERSION,
    "statement": "A native re-implementation of CP-GAN (Van der Goten et al.), "
    "not the authors' program.",
}
#: Validation scans of which sample slices are kept.
SAMPLES = 4
#: Air between the hull and the upper and posterior side of the working grid, in millimetres.
MARGIN_MM = 6.0


@dataclasses.dataclass(frozen=True)
class Head:
    """A scan on the working grid, axes right, anterior, superior; air 0, scale 1.

    Attributes
    ----------
    hull, brain : numpy.ndarray of bool
        Shape (size, size, size).
    tissue : numpy.ndarray
        Intensities within the brain mask, from voxels of the brain alone; 0 elsewhere.
    target : numpy.ndarray or None
        The original around that same brain, where it is known (training).
    frame : refacebench.training.slices.Frame
        Where the grid lies in the scan.
    scale : float
        The intensity that became 1.
    covered : float
        Share of the hull within the working grid.
    clipped : float
        Share of the original's voxels in the hull that are brighter than the
        scale; NaN without the original.
    """

    hull: np.ndarray
    brain: np.ndarray
    tissue: np.ndarray
    target: np.ndarray | None
    frame: object
    scale: float
    covered: float
    clipped: float


@dataclasses.dataclass
class Model:
    """A trained generator.

    Attributes
    ----------
    network : refacebench.training.cpgan_networks.Generator
        In evaluation mode, on its device.
    seed : int
        Of the training; noise is keyed by it and by the scan's transform.
    """

    network: object
    seed: int
    device: object
    precision: str


# --------------------------------------------------------------------- data


def place(hull: np.ndarray, spacing, size: int, voxel_mm: float):
    """Return the frame of the working grid: centred left to right, hung from vertex and occiput.

    Parameters
    ----------
    hull : numpy.ndarray of bool
        Axes right, anterior, superior.
    spacing : array_like
        Voxel edges in millimetres.
    """
    from refacebench.training.slices import Frame, head_extent

    step = voxel_mm / np.asarray(spacing, dtype=float)
    # Whole voxels, so that a scan of this voxel size is cropped and not interpolated.
    step = np.where(np.abs(step - 1) < 1e-3, 1.0, step)
    (left, right), (back, _), (_, top) = head_extent(hull)
    margin = MARGIN_MM / np.asarray(spacing, dtype=float)
    start = np.round(
        [
            (left + right) / 2 - (size - 1) / 2 * step[0],
            back - margin[1],
            top + margin[2] - (size - 1) * step[2],
        ]
    )
    return Frame("RAS", start, step, (size, size, size), size // 2)


def prepare(values, changed: np.ndarray, original, options: dict) -> Head:
    """Bring a hull image, and its original where there is one, to the working grid.

    Parameters
    ----------
    values : Volume
        A scan of the defacer ``cpgan_hull``, any orientation.
    changed : numpy.ndarray of bool
        Its changed voxels.
    original : Volume or None

    Raises
    ------
    ValueError
        If the scan is no hull image, or the brain is dark.
    """
    from refacebench.image import nifti
    from refacebench.training.slices import covered, to_slices

    def axes(data):
        return nifti.reorient(nifti.Volume(data, values.affine), "RAS")

    gamma = privacy_transform.from_image(values.data, changed)
    hull, brain, tissue = (axes(d).data for d in (gamma.hull, gamma.brain, gamma.tissue))
    scale = options["headroom"] * float(np.percentile(tissue[brain], options["percentile"]))
    if not scale > 0:
        raise ValueError("the brain's intensities are not above zero")
    frame = place(hull, axes(hull).spacing, options["size"], options["voxel_mm"])
    share = to_slices(brain, frame)
    small_brain = share > 0.5
    # The mean over brain voxels alone: what lies beside them is grey here and a head there.
    inside = np.clip(to_slices(tissue, frame) / np.maximum(share, 0.5) / scale, 0, 1)
    inside = np.where(small_brain, inside, 0).astype(np.float32)
    target, clipped = None, np.nan
    if original is not None:
        truth = axes(original.data).data
        clipped = float((truth[hull & ~brain] > scale).mean())
        around = np.clip(to_slices(truth, frame) / scale, 0, 1)
        target = np.where(small_brain, inside, around).astype(np.float32)
    return Head(
        hull=(to_slices(hull, frame) > 0.5) | small_brain,
        brain=small_brain,
        tissue=inside,
        target=target,
        frame=frame,
        scale=scale,
        covered=float(covered(frame, hull.shape)[hull].mean()),
        clipped=clipped,
    )


def restore(volume: np.ndarray, head: Head, like, hull: np.ndarray, kernel: str) -> np.ndarray:
    """Bring a generated head back to a scan's own grid and units.

    Beyond the working grid its outermost values go on within the hull (the
    neck, most often), and there is air around it.

    Parameters
    ----------
    volume : numpy.ndarray
        Working grid, air 0, scale 1.
    like : Volume
        The scan, for its grid.
    hull : numpy.ndarray of bool
        On that grid.
    """
    from refacebench.image import nifti
    from refacebench.training.slices import covered, weights

    grid = nifti.reorient(like, "RAS")
    data = volume
    for axis, count in enumerate(grid.shape):
        first, step, size = head.frame.start[axis], head.frame.step[axis], volume.shape[axis]
        at = np.clip((np.arange(count) - first) / step, 0, size - 1)
        data = np.moveaxis(
            np.tensordot(weights(at, size, 1 / step, kernel), data, axes=(1, axis)), 0, axis
        )
    inside = covered(head.frame, grid.shape)
    inside |= nifti.reorient(nifti.Volume(hull, like.affine), "RAS").data
    values = np.where(inside, np.clip(data, 0, 1) * head.scale, 0).astype(np.float32)
    return nifti.reorient(nifti.Volume(values, grid.affine), nifti.axis_codes(like.affine)).data


#: Of a voxel in :class:`Heads`: two masks, two intensities in half precision.
BYTES = 6


class Heads:
    """Prepared scans in memory, on the device where they fit.

    Parameters
    ----------
    heads : list of Head
        All with a target, or none.
    device : torch.device
    """

    def __init__(self, heads: list[Head], device):
        import torch

        from refacebench.training.loop import home

        self.device = torch.device(device)
        place = home(BYTES * sum(h.hull.size for h in heads), self.device)

        def join(name, dtype):
            volumes = [torch.from_numpy(getattr(h, name))[None].to(dtype) for h in heads]
            return torch.stack(volumes).to(place)

        self.hull, self.brain = join("hull", torch.bool), join("brain", torch.bool)
        self.tissue = join("tissue", torch.float16)
        known = all(h.target is not None for h in heads)
        self.target = join("target", torch.float16) if known else None

    def __len__(self) -> int:
        """Return the number of scans."""
        return len(self.hull)

    def get(self, items):
        """Return hull, brain, tissue and target as float32, (items, 1, size, size, size)."""
        items = items.to(self.hull.device)
        parts = (self.hull, self.brain, self.tissue, self.target)
        return [None if p is None else p[items].to(self.device).float() for p in parts]


def move(parts, strength: float, mirror: bool, generator):
    """Turn, shift, scale and mirror heads; what belongs together moves alike.

    Parameters
    ----------
    parts : list of torch.Tensor
        Hull, brain, tissue, target, each (items, 1, size, size, size).
    strength : float
        Standard deviations: of the rotation in radians, of the logarithm of the
        scale along each axis, and of the shift as a share of half the grid.
    mirror : bool
        Left to right, in half of the heads.
    generator : torch.Generator
        On the CPU, so that a draw is the same on every device.
    """
    import torch
    from torch.nn.functional import affine_grid, grid_sample

    if mirror:
        flip = torch.rand(len(parts[0]), 1, 1, 1, 1, generator=generator) < 0.5
        flip = flip.to(parts[0].device)
        parts = [torch.where(flip, part.flip(2), part) for part in parts]
    if not strength:
        return parts
    draw = torch.randn(len(parts[0]), 9, generator=generator).clamp(-2, 2) * strength
    theta = torch.zeros(len(draw), 3, 4)
    turn = torch.zeros(len(draw), 3, 3)
    for number, (a, b) in enumerate(((0, 1), (0, 2), (1, 2))):
        turn[:, a, b], turn[:, b, a] = draw[:, number], -draw[:, number]
    theta[:, :, :3] = torch.linalg.matrix_exp(turn) * draw[:, None, 3:6].exp()
    theta[:, :, 3] = draw[:, 6:9] / 2
    stack = torch.cat(parts, 1)
    field = affine_grid(theta.to(stack.device), list(stack.shape), align_corners=False)
    hull, share, tissue, target = grid_sample(stack, field, align_corners=False).split(1, 1)
    hull, brain = (hull > 0.5).float(), (share > 0.5).float()
    # As in prepare: the mean over what is brain, so that it does not fade at the rim.
    tissue = tissue / share.clamp(min=0.5) * brain
    return [torch.maximum(hull, brain), brain, tissue, torch.where(brain > 0, tissue, target)]


# --------------------------------------------------------------------- training


class CPGAN:
    """The training step and the validation, a :class:`._training.Task`."""

    def __init__(
        self, train: Heads, validation: Heads, options: dict, seed: int, device, precision
    ):
        import torch

        from refacebench.training.loop import keyed_seed

        torch.manual_seed(keyed_seed(seed, "weights"))
        self.data, self.held, self.options, self.seed = train, validation, options, seed
        self.device, self.precision = device, precision
        self.criterion = CRITERIA[options["criterion"]]
        self.g, self.d = (n.to(device=device) for n in networks(options))
        self.networks = {"g": self.g, "d": self.d}
        rate = options["learning_rate"]
        self.optimisers = {
            "g": optimiser(self.g, rate, options, device),
            "d": optimiser(self.d, rate * options["discriminator_rate"], options, device),
        }
        self.product = "g"
        if options["average"]:
            self.networks["average"] = copy.deepcopy(self.g)
            self.product = "average"

    def step(self, items, generator):
        """Do one optimisation step on these items and return its losses."""
        return self.learn(self.batch(items, generator))

    def batch(self, items, generator) -> dict:
        """Return what :meth:`learn` needs to learn from these items."""
        return self.complete(generator, *self.data.get(items))

    def complete(self, generator, *parts) -> dict:
        """Return real volumes, transforms and noise of moved training scans at every scale."""
        parts = move(list(parts), self.options["augment"], self.options["mirror"], generator)
        return inputs(parts, self.g, generator)

    def learn(self, batch: dict):
        """Update the discriminator, then the generator, on one batch of pairs."""
        from refacebench.training.loop import autocast, update_average

        with autocast(self.device, self.precision):
            raw = self.g(batch["noise"], batch["gammas"])
        fake = compose([v.float() for v in raw], batch)
        loss_d = self._update_discriminator(batch, [v.detach() for v in fake])
        losses = self._update_generator(batch, fake)
        if self.options["average"]:
            update_average(self.networks["average"], self.g, self.options["average"])
        return {**losses, "d": loss_d}

    def _judge(self, volumes, batch):
        from refacebench.training.loop import autocast

        with autocast(self.device, self.precision):
            return self.d(volumes, batch["gammas"]).float()

    def _update_discriminator(self, batch, fake):
        from refacebench.training.cpgan_networks import relativistic

        self.d.requires_grad_(True)
        self.optimisers["d"].zero_grad(set_to_none=True)
        loss = relativistic(self._judge(batch["real"], batch), self._judge(fake, batch))
        loss.backward()
        self.optimisers["d"].step()
        return loss.detach()

    def _update_generator(self, batch, fake):
        import torch

        from refacebench.training.cpgan_networks import relativistic

        self.d.requires_grad_(False)
        self.optimisers["g"].zero_grad(set_to_none=True)
        with torch.no_grad():
            on_real = self._judge(batch["real"], batch)
        gan = relativistic(self._judge(fake, batch), on_real)
        l1 = (fake[-1] - batch["real"][-1]).abs().sum() / batch["outside"][-1].sum()
        (gan + self.options["l1_weight"] * l1).backward()
        self.optimisers["g"].step()
        return {"g_gan": gan.detach(), "g_l1": l1.detach()}

    def validate(self):
        """Return :func:`validation_values` of the product."""
        import torch

        return validation_values(torch.cat(self._made(range(len(self.held)))), self.held)

    def _made(self, numbers) -> list:
        """Return generated validation heads; every scan has noise of its own, always the same."""
        from refacebench.training.loop import keyed_seed

        network = self.networks[self.product]
        seeds = {n: keyed_seed(self.seed, "validation", n) for n in numbers}
        return [generate(network, self.held, n, seed, self) for n, seed in seeds.items()]

    def samples(self) -> np.ndarray:
        """Return the middle sagittal slices of a few generated validation heads."""
        return _middle(self._made(range(min(SAMPLES, len(self.held)))))

    def references(self) -> dict[str, np.ndarray]:
        """Return those slices of what the network sees and of the originals."""
        import torch

        hull, brain, tissue, target = self.held.get(torch.arange(min(SAMPLES, len(self.held))))
        seen = tissue + 0.25 * (hull - brain)
        return {"defaced": _middle(seen[:, None]), "original": _middle(target[:, None])}


def _middle(volumes) -> np.ndarray:
    """Return the middle sagittal slice of volumes (1, 1, size, size, size) as numbers 0 .. 255."""
    slices = [v[0, 0, v.shape[2] // 2].float().cpu().numpy() for v in volumes]
    return np.clip(np.rint(np.stack(slices) * 255), 0, 255).astype(np.uint8)


def networks(options: dict):
    """Return generator and discriminator, with fresh weights."""
    from refacebench.training.cpgan_networks import Discriminator, Generator

    layout = [options[k] for k in ("size", "filters", "max_filters", "conv", "expansion")]
    return Generator(*layout, options["noise_channels"]), Discriminator(*layout)


def optimiser(network, rate: float, options: dict, device):
    """Return the optimiser of a network."""
    from refacebench.training.loop import adam
    from refacebench.training.optimisers import AdamP

    betas = options["betas"]
    if options["optimiser"] == "adamp":
        return AdamP(network.parameters(), rate, betas)
    return adam(network, rate, betas, device)


def inputs(parts, generator_network, generator) -> dict:
    """Return what the networks see of a batch: every entry a list over scales, coarse first.

    ``gammas``: the privacy transform; ``tissue``, ``outside``: brain
    intensities and share of voxels outside the brain, averaged, for
    :func:`compose`; ``real``: the original where it is known; ``noise``.
    """
    import torch

    hull, brain, tissue, target = parts
    edges = generator_network.scales
    noise = torch.randn(generator_network.noise_shape(len(hull)), generator=generator)
    factors = [edges[-1] // edge for edge in edges]

    def at_scales(volume):
        return [privacy_transform.pool(volume, factor) for factor in factors]

    batch = {
        "noise": noise.to(hull.device),
        "gammas": privacy_transform.pyramid(hull, brain, tissue, edges, generator),
        "tissue": at_scales(tissue),
        "outside": at_scales(1 - brain),
    }
    if target is not None:
        batch["real"] = at_scales(target)
    return batch


def compose(volumes, batch: dict) -> list:
    """Return brain * scan + (1 - brain) * network at every scale (the paper's output).

    At a coarse scale it is the average of that over the blocks, so that a fake
    and a real volume differ in nothing but what the network made.
    """
    triples = zip(volumes, batch["tissue"], batch["outside"], strict=True)
    return [tissue + outside * volume for volume, tissue, outside in triples]


def generate(network, heads: Heads, number: int, seed: int, where):
    """Return one generated head, float32 (1, 1, size, size, size), the brain in it.

    Parameters
    ----------
    seed : int
        Of the noise and of the drawn masks.
    where : CPGAN or Model
        For its device and precision.
    """
    import torch

    from refacebench.training.loop import autocast

    network.eval()
    generator = torch.Generator().manual_seed(seed)
    hull, brain, tissue, _ = heads.get(torch.tensor([number]))
    with torch.no_grad(), autocast(where.device, where.precision):
        batch = inputs((hull, brain, tissue, None), network, generator)
        made = network(batch["noise"], batch["gammas"])[-1].float()
        return tissue + (1 - brain) * made


# --------------------------------------------------------------------- validation


def validation_values(made, held: Heads) -> dict[str, float]:
    """Return ``val_swd``, ``val_l1_changed`` and ``val_l1_hull`` of generated heads.

    In units of the intensity scale: the patches' distance, and the mean
    absolute error outside the brain and of that within the hull alone.

    Parameters
    ----------
    made : torch.Tensor
        (scans, 1, size, size, size).
    """
    import torch

    hull, brain, _, real = held.get(torch.arange(len(held)))
    around = (hull - brain) > 0.5
    miss = (made - real).abs().double()
    return {
        "val_swd": sliced_wasserstein(made, real, around),
        "val_l1_changed": float(miss[brain < 0.5].mean()),
        "val_l1_hull": float(miss[around].mean()),
    }


def quarters(around):
    """Split the region around the brain into front and back, above and below its middle.

    Parameters
    ----------
    around : torch.Tensor of bool
        (size, size, size), axes right, anterior, superior.
    """
    import torch

    at = torch.nonzero(around).double().mean(dim=0)
    front = torch.arange(around.shape[1], device=around.device)[None, :, None] > at[1]
    upper = torch.arange(around.shape[2], device=around.device)[None, None, :] > at[2]
    return [around & (front == f) & (upper == u) for f in (True, False) for u in (True, False)]


def sliced_wasserstein(made, real, around, edge=5, directions=64, patches=1024) -> float:
    """Return the distance between two sets of heads as distributions of patches.

    Patches of ``edge``^3 voxels are drawn at the same places of both, in each
    quarter of the region around the brain, at full and at half resolution; the
    mean over random directions of the 1-D Wasserstein distance (Karras et al.
    2018, appendix; Rabin et al. 2012), averaged over quarters and resolutions.

    Parameters
    ----------
    made, real : torch.Tensor
        (scans, 1, size, size, size).
    around : torch.Tensor of bool
        Same shape.

    Returns
    -------
    float
        0 for equal sets; about 0.8 when all intensities are shifted by one.
    """
    import torch

    generator = torch.Generator().manual_seed(0)
    rays = torch.randn(edge**3, directions, generator=generator)
    rays = (rays / rays.norm(dim=0)).to(made.device)
    distances = []
    for factor in (1, 2):
        small = [privacy_transform.pool(v, factor) for v in (made, real)]
        mask = privacy_transform.pool(around.float(), factor) > 0.5
        drawn = [_draw(quarters(m[0]), edge, patches, generator) for m in mask]
        for quarter in range(4):
            a, b = (_project(v, [d[quarter] for d in drawn], rays) for v in small)
            if len(a):
                distances.append((a - b).abs().mean())
    return float(torch.stack(distances).mean()) if distances else 0.0


def _project(volumes, places, rays):
    """Return the patches of all scans along every direction, each column in ascending order."""
    import torch

    edge = round(len(rays) ** (1 / 3))
    parts = [_patches(v[0], p, edge) @ rays for v, p in zip(volumes, places, strict=True)]
    return torch.cat(parts).double().sort(dim=0).values


def _draw(regions, edge: int, count: int, generator):
    """Return up to ``count`` random centres (n, 3) in each region, away from the grid's border."""
    import torch

    reach, result = edge // 2, []
    for region in regions:
        size = torch.tensor(region.shape)
        places = torch.nonzero(region.cpu())
        places = places[((places >= reach) & (places < size - reach)).all(dim=1)]
        chosen = torch.randperm(len(places), generator=generator)[:count]
        result.append(places[chosen].to(region.device))
    return result


def _patches(volume, centres, edge: int):
    """Return the patches around centres, (n, edge^3)."""
    import torch

    reach = torch.arange(edge, device=volume.device) - edge // 2
    offsets = torch.cartesian_prod(reach, reach, reach)
    i, j, k = (centres[:, None] + offsets[None]).unbind(-1)
    return volume[i, j, k]


# --------------------------------------------------------------------- the contract


def memory_mb(options: dict, scans: int) -> int:
    """Return the memory that a training on so many scans asks of a scheduler, in megabytes."""
    return round(12000 + 2 * scans * options["size"] ** 3 * BYTES / 1e6)


def train(train, validation, out, options: dict, seed: int) -> None:
    """Train a model; see :class:`refacebench.contracts.Refacer`.

    Parameters
    ----------
    train, validation : list of Pair
        Scans of different participants, defaced by ``cpgan_hull``.
    out : str or Path
        Folder for ``model.safetensors``, ``card.json``, ``curves.tsv``,
        ``timing.json`` and ``samples``; ``state.safetensors`` lies there until
        the end.
    options : dict
        See :data:`OPTIONS`.
    seed : int
        Of the weights, the order of scans, augmentation and noise.

    Raises
    ------
    TrainingFailed
        If a list is empty or holds no scan of ``cpgan_hull``, or training diverged.
    ValueError
        If a scan is in both lists, or an option is not usable.
    """
    from refacebench.training import loop

    _check(train, validation, options)
    out = Path(out)
    began = time.monotonic()
    device = loop.choose_device(options["device"])
    precision = loop.choose_precision(options["precision"], device)
    heads, held, lost = _pairs.read_splits(train, validation, lambda p: read_pairs(p, options))
    data = _pairs.data_of(train, heads, held, lost, ("hull", "brain", "tissue", "target"))
    heads, held = list(heads.values()), list(held.values())
    data["hull_covered_min"] = min(h.covered for h in (*heads, *held))
    data["head_clipped_max"] = max(h.clipped for h in (*heads, *held))
    identity = {**IDENTITY, "criterion": CRITERIA[options["criterion"]]}
    card = _pairs.card(identity, data, options, seed, device, precision)
    _warn_if_cropped(data["hull_covered_min"], options)
    prepared = time.monotonic() - began
    with loop.reproducible(device):
        card["validation_baselines"] = baselines(heads, Heads(held, device))
        task = CPGAN(Heads(heads, device), Heads(held, device), options, seed, device, precision)
        items = len(heads)
        del heads, held
        names = ("epochs", "decay_epochs", "batch", "steps_per_epoch", "validate_every")
        schedule = loop.Schedule(**{name: options[name] for name in names})
        best, progress = loop.fit(task, items, schedule, out, seed, card)
    card["parameters"] = {
        name: sum(p.numel() for p in network.parameters())
        for name, network in (("generator", task.g), ("discriminator", task.d))
    }
    timing = {"prepare_seconds": prepared, "train_seconds": progress.seconds}
    timing["steps"] = progress.step
    loop.write_outputs(out, best, progress, card, timing)


def _check(train, validation, options: dict) -> None:
    from refacebench.training.cpgan_networks import scales

    if not train or not validation:
        raise TrainingFailed(
            f"{len(train)} training and {len(validation)} validation scans: both are needed"
        )
    _pairs.check(train, validation, options, choices(OPTIONS))
    scales(options["size"])


def read_pairs(pairs, options: dict) -> tuple[dict[str, Head], dict[str, str]]:
    """Bring the scans of a split to the working grid, see :func:`._pairs.read`."""
    return _pairs.read(pairs, lambda *scan: prepare(*scan, options), ("tissue", "target"))


def _warn_if_cropped(share: float, options: dict) -> None:
    if share < 0.98:
        warnings.warn(
            f"of one scan only {share:.1%} of the head's hull lie within the working grid of "
            f"{options['size']} x {options['voxel_mm']} mm; raise voxel_mm or size",
            stacklevel=3,
        )


def baselines(train: list[Head], held: Heads) -> dict[str, dict[str, float]]:
    """Return the validation values of what the model must beat.

    ``mean_head``: the average training head; ``other_person``: each time
    another training head; ``hull``: the transform with the median
    training intensity in the hull.  All around the validation scan's own brain.
    """
    import torch

    _, brain, tissue, _ = held.get(torch.arange(len(held)))
    hull = held.hull.float()
    targets = [torch.from_numpy(h.target).float() for h in train]
    mean = sum(targets) / len(targets)
    values = torch.cat(
        [t[torch.from_numpy(h.hull & ~h.brain)] for t, h in zip(targets, train, strict=True)]
    )
    others = torch.stack([targets[n % len(targets)] for n in range(len(held))])
    guesses = {
        "mean_head": mean.expand(len(held), *mean.shape),
        "other_person": others,
        "hull": values.median() * hull[:, 0].cpu(),
    }
    return {
        name: validation_values(tissue + (1 - brain) * guess[:, None].to(brain.device), held)
        for name, guess in guesses.items()
    }


def load(folder, options: dict) -> Model:
    """Load a trained model; no code in its files is run.

    Raises
    ------
    ValueError
        If the model was trained with other options than these.
    """
    from safetensors.torch import load_file

    from refacebench.training import loop

    folder = Path(folder)
    card = _pairs.read_card(folder, IDENTITY["method"], BOUND, options)
    device = loop.choose_device(options["device"])
    network, _ = networks(options)
    network.load_state_dict(load_file(folder / "model.safetensors"))
    precision = loop.choose_precision(options["precision"], device)
    return Model(network.to(device).eval(), card["seed"], device, precision)


def reface(model: Model, volume, changed: np.ndarray, options: dict) -> np.ndarray:
    """Generate a head around the brain of a scan of ``cpgan_hull``.

    The noise is drawn from a seed made of the model's seed and the scan's
    privacy transform: a scan has one result, and nothing else has a say in it.

    Parameters
    ----------
    model : Model
        From :func:`load`.
    volume : Volume
        The hull image, any orientation, scan units.
    changed : numpy.ndarray of bool
        Voxels that defacing changed.

    Returns
    -------
    numpy.ndarray
        float32 intensities on the scan's grid; the brain is interpolated from
        the working grid, so the caller must keep its own.

    Raises
    ------
    ValueError
        If the scan is no hull image.
    """
    from refacebench.training import loop

    head = prepare(volume, changed, None, options)
    parts = (np.ascontiguousarray(a).tobytes() for a in (head.hull, head.brain, head.tissue))
    mark = hashlib.sha256(b"".join(parts)).hexdigest()
    with loop.reproducible(model.device):
        seed = loop.keyed_seed(model.seed, "noise", mark)
        made = generate(model.network, Heads([head], model.device), 0, seed, model)
    hull = privacy_transform.from_image(volume.data, changed).hull
    return restore(made[0, 0].cpu().numpy(), head, volume, hull, options["interpolation"])


METHOD = Refacer(
    version=VERSION,
    title="CP-GAN (native, after Van der Goten et al.)",
    options=OPTIONS,
    train=train,
    load=load,
    run=reface,
    memory_mb=memory_mb,
    applied=("interpolation", "precision", "device"),
    sources=("Van der Goten et al., BMVC 2021",),
)
