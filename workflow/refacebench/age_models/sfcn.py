"""Brain age by SFCN, a small 3-D network (Peng et al. 2021), built from MONAI's blocks.

The defaults are a study's size, for a GPU; ``channels: [8, 16, 32, 32]`` with voxels of 5 mm
trains on a CPU in minutes.  Differs from the paper: the brain is laid on a template by its
shape alone (turned, shifted and scaled), and bins follow the training ages.  ``folds`` trains as
many networks more, for the accuracy and the correction; each is picked on the validation
people, never on those whom it is tested on.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from refacebench import lazy
from refacebench.age_models import _card, _input
from refacebench.contracts import Aged, AgeModel, NotEnoughTraining, Option
from refacebench.image.nifti import Volume
from refacebench.training import options as shared
from refacebench.training import pairs
from refacebench.training.seeds import keyed_seed

devices = lazy.load("refacebench.training.devices")
loop = lazy.load("refacebench.training.loop")
network = lazy.load("refacebench.training.sfcn")
outputs = lazy.load("refacebench.training.outputs")
task = lazy.load("refacebench.training.task")

VERSION = "1"

OPTIONS = {
    **_input.OPTIONS,
    "channels": Option(
        [32, 64, 128, 256, 256, 64],
        "Channels of the blocks; all but the last halve the volume.",
        least=1,
    ),
    "bin_years": Option(1.0, "Width of the bins of age.", unit="years", least=0.1),
    "sigma_years": Option(
        1.0, "Standard deviation of the distribution that is learnt.", unit="years", least=0.1
    ),
    "dropout": Option(0.5, "Share of channels that are dropped.", least=0, most=0.99),
    "optimiser": Option("sgd", "The optimiser: the paper's, or adam.", choices=("sgd", "adam")),
    "learning_rate": Option(0.01, "The learning rate.", least=0),
    "batch": Option(8, "Scans a step.", least=2),
    "epochs": Option(80, "Epochs at the full learning rate.", least=0),
    "decay_epochs": Option(40, "Epochs over which it falls to 0.", least=0),
    "steps_per_epoch": Option(0, "Steps an epoch; 0 for every scan once.", least=0),
    "validate_every": Option(1, "Epochs between validations.", least=1),
    "shift_voxels": Option(2, "Largest random shift.", unit="voxels", least=0),
    "mirror": Option(True, "Whether half of the draws are mirrored left to right."),
    "folds": Option(
        5, "Networks that are trained more, each without a part of the people; 0 for none.", least=0
    ),
    "min_train": Option(20, "Participants below which no network is trained."),
    "correction": _card.CORRECTION,
    "precision": shared.PRECISION,
    "deterministic": shared.DETERMINISTIC,
    "device": shared.DEVICE,
}
#: Options that a trained model is bound to.
BOUND = ("input", "voxel_mm", "channels")
STATEMENT = (
    "SFCN after Peng et al. 2021 (native), trained on the originals of this run's train split."
)


class Network(NamedTuple):
    """A trained network that is ready to predict."""

    network: Any
    centers: Any
    device: Any
    precision: str


def check(options: dict[str, Any]) -> None:
    """Refuse a network that would pool its input away.

    Raises
    ------
    ValueError
    """
    shape = _input.box_shape(options["input"], options["voxel_mm"])
    if min(shape) < 2 ** (len(options["channels"]) - 1):
        raise ValueError(
            f"channels: {len(options['channels'])} blocks do not fit a box of "
            f"{' x '.join(map(str, shape))} voxels; list fewer, or make voxel_mm smaller"
        )


def train(
    people: list[Aged], validation: list[Aged], out: Path, options: dict[str, Any], seed: int
) -> None:
    """Train the network, and one a fold; see :class:`refacebench.contracts.AgeModel`.

    Raises
    ------
    NotEnoughTraining
        If there are too few people, all are of one age, or there is nobody to pick it on.
    TrainingFailed
        If a training diverged.
    """
    _input.check(people, options["min_train"], "age by sfcn")
    began = time.monotonic()
    sides = [_input.read(side, options) for side in (people, validation)]
    people, held = (
        [person for person in side if person.scan in ready]
        for side, (ready, _) in zip((people, validation), sides, strict=True)
    )
    _input.check(people, options["min_train"], "age by sfcn")
    if not held:
        raise NotEnoughTraining(
            "age by sfcn: the validation split is empty, but the best epoch is chosen on it"
        )
    ready = {**sides[0][0], **sides[1][0]}
    device = devices.choose_device(options["device"])
    precision = devices.choose_precision(options["precision"], device)
    card = _describe(people, held, sides, options, seed, device, precision)
    out = Path(out)
    with devices.reproducible(device, options["deterministic"]):

        def fitted(some: Sequence[Aged], folder: Path, mark: Mapping) -> tuple[Any, Any]:
            """Train one network; return it with its progress."""
            arrays = [_arrays(side, ready) for side in (some, held)]
            middles = np.array(card["centers"])
            own = keyed_seed(seed, folder.name if folder != out else "all")
            work = network.AgeTask(*arrays, middles, options, own, device, precision)
            schedule = task.Schedule.of(options)
            best, progress = loop.fit(work, len(some), schedule, folder, own, mark)
            return best, progress

        crossed = _cross_validated(people, ready, fitted, out, card, options, seed)
        best, progress = fitted(people, out, card)
        model = _ready(best, card, device, precision)
        tested = (people, crossed) if crossed is not None else (held, _say(model, held, ready))
    card |= _card.accuracy(*tested, options["correction"], crossed is not None)
    timing = {"seconds": time.monotonic() - began, "train_seconds": progress.seconds}
    outputs.write_outputs(out, best, progress, card, timing)
    shutil.rmtree(out / "folds", ignore_errors=True)


def _describe(people, held, sides, options, seed, device, precision) -> dict[str, Any]:
    data = {
        "train": [person.scan for person in people],
        "validation": [person.scan for person in held],
        "left_out": {**sides[0][1], **sides[1][1]},
        "train_sha256": _input.digest(sides[0][0]),
        "validation_sha256": _input.digest(sides[1][0]),
    }
    card = _card.card("sfcn", VERSION, STATEMENT, people, options, seed, data)
    ages = _card.ages(people)
    card["centers"] = network.centers(ages, options["bin_years"]).tolist()
    card |= {"ages": ages.tolist(), "device": device.type, "precision": precision}
    return card


def _arrays(people: Sequence[Aged], ready: Mapping[str, np.ndarray]):
    volumes = np.stack([ready[person.scan] for person in people]).astype(np.float16)
    return volumes, _card.ages(people)


def _cross_validated(people, ready, fitted, out: Path, card, options, seed) -> np.ndarray | None:
    """Return predictions of all people by networks that had not seen them; None without folds.

    A finished fold's network lies in a folder of its own until the whole training is done.
    """
    if not options["folds"]:
        return None
    predicted = np.full(len(people), np.nan)
    for number, test in enumerate(_input.folds(people, max(options["folds"], 2), seed)):
        rest = [people[place] for place in np.setdiff1d(np.arange(len(people)), test)]
        best, _ = fitted(rest, out / "folds" / str(number), {**card, "fold": number})
        device = devices.choose_device(options["device"])
        model = _ready(best, card, device, card["precision"])
        predicted[test] = _say(model, [people[place] for place in test], ready)
    return predicted


def _ready(weights: Mapping, card: Mapping, device, precision: str) -> Network:
    import torch

    options = card["options"]
    found = network.SFCN(options["channels"], len(card["centers"]), options["dropout"])
    found.load_state_dict(dict(weights))
    middles = torch.as_tensor(card["centers"], dtype=torch.float32, device=device)
    return Network(found.to(device).eval(), middles, device, precision)


def _say(model: Network, people: Sequence[Aged], ready: Mapping[str, np.ndarray]) -> np.ndarray:
    return network.predict(
        model.network,
        _arrays(people, ready)[0],
        model.centers,
        model.device,
        model.precision,
    )


def load(folder: Path, options: dict[str, Any]) -> Network:
    """Load a trained network; no code in its files is run.

    Raises
    ------
    ValueError
        If it was trained with other options than these.
    """
    from safetensors.torch import load_file

    folder = Path(folder)
    card = pairs.read_card(folder, "sfcn", BOUND, options)
    device = devices.choose_device(options["device"])
    precision = devices.choose_precision(options["precision"], device)
    return _ready(load_file(folder / "model.safetensors"), card, device, precision)


def run(model: Network, volume: Volume, brain: np.ndarray, options: dict[str, Any]) -> float:
    """Return the age that an image looks like, years."""
    seen = _input.prepare(volume, brain, options).astype(np.float16)
    with devices.reproducible(model.device, options["deterministic"]):
        found = network.predict(
            model.network, seen[None], model.centers, model.device, model.precision
        )
    return float(found[0])


METHOD = AgeModel(
    version=VERSION,
    title="SFCN (native, after Peng et al. 2021)",
    options=OPTIONS,
    check=check,
    train=train,
    load=load,
    run=run,
    sources=("Peng et al., Med Image Anal 68, 2021",),
)
