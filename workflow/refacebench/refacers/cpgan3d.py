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
quarter (:mod:`refacebench.training.wasserstein`).  It compares distributions: it neither rewards a
face for being this person's nor a blur for being nobody's, as the mean absolute
error does, which stands beside it in the curves.
"""

from __future__ import annotations

import dataclasses
import hashlib
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from refacebench import lazy
from refacebench.contracts import Option, Refacer, TrainingFailed, choices
from refacebench.head import hull as privacy_transform
from refacebench.training import options as shared
from refacebench.training import pairs, spill
from refacebench.training.seeds import keyed_seed
from refacebench.training.whole_heads import BYTES, WholeHead, prepare, restore

cpgan = lazy.load("refacebench.training.cpgan")
cpgan_networks = lazy.load("refacebench.training.cpgan_networks")
devices = lazy.load("refacebench.training.devices")
head_stack = lazy.load("refacebench.training.head_stack")
loop = lazy.load("refacebench.training.loop")
outputs = lazy.load("refacebench.training.outputs")
task = lazy.load("refacebench.training.task")

VERSION = "2"

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
    "equalised": Option(
        True,
        "Whether a layer's learning rate is in proportion to its weights' spread at the start; "
        "false lets the published rate act on wide layers as it is, and there it diverges.",
    ),
    "betas": Option([0.0, 0.99], "Decay rates of the optimisers' moments.", least=0, most=1),
    "l1_weight": Option(
        0.0, "Weight of the mean absolute error outside the brain; the paper has none.", least=0
    ),
    "batch": Option(2, "Scans a step.", least=1),
    "epochs": Option(100, "Epochs at the full learning rate.", least=0),
    "decay_epochs": Option(0, "Epochs over which the learning rate falls to 0.", least=0),
    "steps_per_epoch": Option(0, "Steps an epoch; 0 for every scan once.", least=0),
    "validate_every": Option(1, "Epochs between validations.", least=1),
    "criterion": Option(
        "swd",
        "What picks the epoch: the distance of patches, or the mean absolute error outside the "
        "brain.",
        choices=tuple(CRITERIA),
    ),
    "augment": shared.AUGMENT,
    "mirror": Option(False, "Whether heads are mirrored left to right in half of the draws."),
    "average": shared.AVERAGE,
    "interpolation": shared.INTERPOLATION,
    "precision": shared.PRECISION,
    "accelerate": shared.ACCELERATE,
    "deterministic": shared.DETERMINISTIC,
    "device": shared.DEVICE,
}
#: Options that a trained model is bound to.
BOUND = (
    "size",
    "voxel_mm",
    "filters",
    "max_filters",
    "conv",
    "expansion",
    "noise_channels",
    "percentile",
    "headroom",
)
#: What a model's card says of the method.
IDENTITY = {
    "method": "cpgan3d",
    "version": VERSION,
    "statement": "A native re-implementation of CP-GAN (Van der Goten et al.), "
    "not the authors' program.",
}


def memory_mb(options: dict, scans: int) -> int:
    """Return the memory that a training on so many scans asks of a scheduler, in megabytes.

    No more than :data:`refacebench.training.spill.BOUND_MB`: the rest lies in files.
    """
    return min(spill.BOUND_MB, whole_mb(options, scans))


def whole_mb(options: dict, scans: int) -> int:
    """Return the megabytes that a training takes with everything in memory."""
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
    _check(train, validation, options)
    out = Path(out)
    began = time.monotonic()
    in_files = spill.is_large(whole_mb(options, len(train) + len(validation)))
    if in_files:
        validation = pairs.spread(validation, spill.VALIDATED)
    device = devices.choose_device(options["device"])
    precision = devices.choose_precision(options["precision"], device)
    ready, kept, lost = pairs.read_splits(
        train, validation, lambda p: read_pairs(p, options, in_files)
    )
    data = pairs.data_of(train, ready, kept, lost, ("hull", "brain", "tissue", "target"))
    heads, held = list(ready.values()), list(kept.values())
    data["hull_covered_min"] = min(h.covered for h in (*heads, *held))
    data["head_clipped_max"] = max(h.clipped for h in (*heads, *held))
    identity = {**IDENTITY, "criterion": CRITERIA[options["criterion"]]}
    card = pairs.card(identity, data, options, seed, device, precision)
    _warn_if_cropped(data["hull_covered_min"], options)
    prepared = time.monotonic() - began
    with devices.reproducible(device, options["deterministic"]):
        stacks = [head_stack.HeadStack(h, device, in_files) for h in (heads, held)]
        card["validation_baselines"] = cpgan.baselines(heads, stacks[1])
        work = cpgan.CPGAN(*stacks, options, seed, device, precision, identity["criterion"])
        items = len(heads)
        del heads, held, ready, kept
        schedule = task.Schedule.of(options)
        best, progress = loop.fit(work, items, schedule, out, seed, card)
    card["parameters"] = {
        name: sum(p.numel() for p in network.parameters())
        for name, network in (("generator", work.g), ("discriminator", work.d))
    }
    timing = {"prepare_seconds": prepared, "train_seconds": progress.seconds}
    timing["steps"] = progress.step
    outputs.write_outputs(out, best, progress, card, timing)


def _check(train, validation, options: dict) -> None:

    if not train or not validation:
        raise TrainingFailed(
            f"{len(train)} training and {len(validation)} validation scans: both are needed"
        )
    pairs.check(train, validation, options, choices(OPTIONS))
    cpgan_networks.scales(options["size"])


def read_pairs(
    scans, options: dict, in_files: bool = False
) -> tuple[dict[str, WholeHead], dict[str, str]]:
    """Bring the scans of a split to the working grid (:func:`refacebench.training.pairs.read`).

    With ``in_files`` they are not held in memory (:mod:`refacebench.training.spill`).
    """
    hold = spill.Store() if in_files else np.asarray

    def one(defaced, changed, original) -> WholeHead:
        head = prepare(defaced, changed, original, options)
        return dataclasses.replace(head, hull=hold(head.hull), brain=hold(head.brain))

    return pairs.read(scans, one, ("tissue", "target"), hold)


def _warn_if_cropped(share: float, options: dict) -> None:
    if share < 0.98:
        warnings.warn(
            f"of one scan only {share:.1%} of the head's hull lie within the working grid of "
            f"{options['size']} x {options['voxel_mm']} mm; raise voxel_mm or size",
            stacklevel=3,
        )


def load(folder, options: dict) -> Any:
    """Load a trained model; no code in its files is run.

    Raises
    ------
    ValueError
        If the model was trained with other options than these.
    """
    from safetensors.torch import load_file

    folder = Path(folder)
    card = pairs.read_card(folder, IDENTITY["method"], BOUND, options)
    device = devices.choose_device(options["device"])
    network, _ = cpgan.networks(options)
    network.load_state_dict(load_file(folder / "model.safetensors"))
    precision = devices.choose_precision(options["precision"], device)
    return cpgan.TrainedGenerator(network.to(device).eval(), card["seed"], device, precision)


def reface(model: Any, volume, changed: np.ndarray, options: dict) -> np.ndarray:
    """Generate a head around the brain of a scan of ``cpgan_hull``.

    The noise is drawn from a seed made of the model's seed and the scan's
    privacy transform: a scan has one result, and nothing else has a say in it.

    Parameters
    ----------
    model : refacebench.training.cpgan.TrainedGenerator
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
    head = prepare(volume, changed, None, options)
    parts = (np.ascontiguousarray(a).tobytes() for a in (head.hull, head.brain, head.tissue))
    mark = hashlib.sha256(b"".join(parts)).hexdigest()
    with devices.reproducible(model.device, options["deterministic"]):
        seed = keyed_seed(model.seed, "noise", mark)
        made = cpgan.generate(
            model.network, head_stack.HeadStack([head], model.device), 0, seed, model
        )
    hull = privacy_transform.from_image(volume.data, changed).hull
    return restore(made[0, 0].cpu().numpy(), head, volume, hull, options["interpolation"])


METHOD = Refacer(
    version=VERSION,
    title="CP-GAN (native, after Van der Goten et al. 2021)",
    options=OPTIONS,
    train=train,
    load=load,
    run=reface,
    memory_mb=memory_mb,
    applied=("interpolation", "precision", "device", "deterministic"),
    sources=("Van der Goten et al., BMVC 2021",),
)
