"""What the refacers that work slice by slice share: options, training, model, application.

A method is a :class:`SliceMethod`: a network, a training task and a way to predict.
Everything else (reading pairs, scaling, the card, refacing a whole scan) is here.  Reads
the scans of the pairs; what a training writes is in :mod:`refacebench.training.outputs`.
"""

from __future__ import annotations

import dataclasses
import hashlib
import time
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from refacebench import lazy
from refacebench.contracts import Option, TrainingFailed, choices
from refacebench.training import options as shared
from refacebench.training import pairs, spill
from refacebench.training.seeds import keyed_seed
from refacebench.training.slice_task import SliceModel, SliceTask, baselines
from refacebench.training.slices import BYTES, SPACED_EACH_SIDE, prepare, restore, trimmed

devices = lazy.load("refacebench.training.devices")
loop = lazy.load("refacebench.training.loop")
outputs = lazy.load("refacebench.training.outputs")
slice_stack = lazy.load("refacebench.training.slice_stack")
task = lazy.load("refacebench.training.task")

#: Options of every method here, with the values where the methods do not differ.
OPTIONS = {
    "composite": Option(
        True,
        "Whether voxels that defacing did not change are copied back; otherwise the model's whole "
        "output is the result.",
    ),
    "plane": Option("sagittal", "Plane of the slices.", choices=("sagittal", "coronal", "axial")),
    "size": Option(
        256, "Rows and columns of a slice, a multiple of 16 (best: of 32).", unit="pixels", least=16
    ),
    "voxel_mm": Option(
        1.0, "Voxel size of the working grid, along all three axes.", unit="mm", least=0.1
    ),
    "normalisation": Option(
        "defaced",
        "The scan whose percentile becomes 1: the defaced one, the original, or each its own.",
        choices=("defaced", "own", "original"),
    ),
    "percentile": Option(
        99.5, "Percentile of the intensities within the head that becomes 1.", least=0, most=100
    ),
    "slices": Option(
        "head",
        "Slices that train: all, those with some head, those with changed voxels, or 21 of them "
        "5 mm apart (spaced).",
        choices=("all", "head", "changed", "spaced"),
    ),
    "learning_rate": Option(2e-4, "Learning rate of the optimisers.", least=0),
    "batch": Option(1, "Slices a step.", least=1),
    "epochs": Option(100, "Epochs at the full learning rate.", least=0),
    "decay_epochs": Option(100, "Epochs over which the learning rate falls to 0.", least=0),
    "steps_per_epoch": Option(0, "Steps an epoch; 0 for every slice once.", least=0),
    "validate_every": Option(1, "Epochs between validations.", least=1),
    "augment": shared.AUGMENT,
    "average": shared.AVERAGE,
    "interpolation": shared.INTERPOLATION,
    "precision": shared.PRECISION,
    "accelerate": shared.ACCELERATE,
    "deterministic": shared.DETERMINISTIC,
    "compile": Option(
        False,
        "Whether the networks are compiled; needs a C++ compiler (CPU) or Triton (CUDA).",
    ),
    "device": shared.DEVICE,
    "reface_batch": Option(64, "Slices at a time when a scan is refaced.", least=1),
}
#: Options that a trained model is bound to, whatever the method.
BOUND = ("plane", "size", "voxel_mm", "normalisation", "percentile")
#: Options that only the application of a model heeds; a second config entry may change them.
APPLIED = ("composite", "interpolation", "reface_batch", "device", "precision", "deterministic")


@dataclasses.dataclass(frozen=True)
class SliceMethod:
    """What makes a slice-wise refacer.

    Attributes
    ----------
    name, version, statement : str
        For the card; the statement says what the method is and is not.
    choices : mapping
        Options with a fixed set of values beyond those of :data:`OPTIONS`.
    reach : int
        Neighbours to either side that the network sees with a slice.
    bound : tuple of str
        Options beyond :data:`BOUND` that a trained model is bound to.
    network : callable
        From options to the network that is kept, with fresh weights.
    task : callable
        A subclass of :class:`SliceTask`.
    predict : callable
        ``predict(model, stack, items, seed)``: predictions of these items,
        float32 (items, 1, rows, columns); the items of one scan come in order
        and in one call when a scan is refaced.
    """

    name: str
    version: str
    statement: str
    network: Callable
    task: Callable
    predict: Callable
    choices: Mapping = dataclasses.field(default_factory=dict)
    reach: int = 1
    bound: tuple[str, ...] = ()

    def identity(self) -> dict[str, str]:
        """Return what a model's card says of the method."""
        return {
            "method": self.name,
            "version": self.version,
            "statement": self.statement,
            "criterion": SliceTask.criterion,
        }

    def memory_mb(self, options: dict, scans: int) -> int:
        """Return the memory that a training on so many scans asks of a scheduler, in megabytes.

        No more than :data:`refacebench.training.spill.BOUND_MB`: the rest lies in files.
        """
        return min(spill.BOUND_MB, self.whole_mb(options, scans))

    def whole_mb(self, options: dict, scans: int) -> int:
        """Return the megabytes that a training takes with everything in memory.

        Twice the slices that are kept (as read, and joined), and what the program and
        the networks take.  A head is taken to be 220 mm wide, wider than any.
        """
        slices = min(options["size"], 220 / options["voxel_mm"])
        if options["slices"] == "spaced":
            slices = min(slices, (2 * SPACED_EACH_SIDE + 1) * (2 * self.reach + 1))
        return round(8000 + 2 * scans * slices * options["size"] ** 2 * BYTES / 1e6)

    def train(self, train, validation, out, options: dict, seed: int) -> None:
        """Train a model; see :class:`refacebench.contracts.Refacer`.

        Parameters
        ----------
        train, validation : list of Pair
            Scans of different participants.
        out : str or Path
            Folder for ``model.safetensors``, ``card.json``, ``curves.tsv``,
            ``timing.json`` and ``samples``; ``state.safetensors`` lies there until
            the end.
        options : dict
            The method's OPTIONS, with the config's values.
        seed : int
            Of the weights, the order of slices, augmentation and dropout.

        Raises
        ------
        ValueError
            If a list is empty, a scan is in both, or an option is not usable.
        TrainingFailed
            If no scan is usable, or training diverged before the first validation.
        """
        _check(self, train, validation, options)
        out = Path(out)
        began = time.monotonic()
        in_files = spill.is_large(self.whole_mb(options, len(train) + len(validation)))
        device = devices.choose_device(options["device"])
        precision = devices.choose_precision(options["precision"], device)
        ready, kept, lost = pairs.read_splits(
            train, validation, lambda p: read_pairs(self, p, options, in_files)
        )
        data = pairs.data_of(train, ready, kept, lost, ("source", "changed", "target"))
        cuts, held = list(ready.values()), list(kept.values())
        data["changed_head_covered_min"] = min(slices.covered for slices in (*cuts, *held))
        card = pairs.card(self.identity(), data, options, seed, device, precision)
        _warn_if_cropped(data["changed_head_covered_min"], options)
        card["scale_ratio"] = _ratio(cuts)
        prepared = time.monotonic() - began
        with devices.reproducible(device, options["deterministic"]):
            stack, held_stack = (
                make_stack(c, options, device, in_files=in_files) for c in (cuts, held)
            )
            card["slices"] = {"train": len(stack), "validation": len(held_stack)}
            _check_slices(card["slices"], options)
            card["validation_baselines"] = baselines(cuts, held_stack)
            del cuts, held, ready, kept
            work = self.task(self, stack, held_stack, options, seed, device, precision)
            schedule = task.Schedule.of(options)
            best, progress = loop.fit(work, len(stack), schedule, out, seed, card)
        card["parameters"] = _parameters(work)
        timing = {"prepare_seconds": prepared, "train_seconds": progress.seconds}
        timing["steps"] = progress.step
        outputs.write_outputs(out, best, progress, card, timing)

    def load(self, folder, options: dict) -> SliceModel:
        """Load a trained model; no code in its files is run.

        Raises
        ------
        ValueError
            If the model was trained with other options than these.
        """
        from safetensors.torch import load_file

        folder = Path(folder)
        card = pairs.read_card(folder, self.name, (*BOUND, *self.bound), options)
        device = devices.choose_device(options["device"])
        network = self.network(options)
        network.load_state_dict(load_file(folder / "model.safetensors"))
        order = devices.memory_order(options["accelerate"], network, device)
        network = network.to(device=device, memory_format=order).eval()
        precision = devices.choose_precision(options["precision"], device)
        return SliceModel(network, card["scale_ratio"], device, precision, dict(options))

    def reface(self, model: SliceModel, volume, changed: np.ndarray, options: dict) -> np.ndarray:
        """Predict the original's intensities from a defaced scan.

        Parameters
        ----------
        model : SliceModel
            From :func:`load`.
        volume : Volume
            The defaced scan, any orientation, scan units.
        changed : numpy.ndarray of bool
            Voxels that defacing changed.  With ``composite`` only slices that
            touch them are computed, and elsewhere the scan's own values come
            back; without it every slice is.  Beyond the slices' edges the scan's
            own values come back either way.

        Returns
        -------
        numpy.ndarray
            float32 intensities on the scan's grid.

        Raises
        ------
        ValueError
            If voxels changed, but none of them within the slices.
        """
        import torch

        if not changed.any():
            return np.asarray(volume.data, dtype=np.float32).copy()
        with devices.reproducible(model.device, options["deterministic"]):
            scan = cut(volume, changed, None, options, model.ratio)
            which = "changed" if options["composite"] else "all"
            stack = make_stack([scan], options, model.device, which)
            items = torch.arange(len(stack))
            if not len(items):
                raise ValueError(
                    f"none of the {int(changed.sum())} voxels that defacing changed lies within "
                    f"the slices of {options['size']} x {options['voxel_mm']:g} mm, so nothing can "
                    "be refaced; look at the defaced scan, or raise voxel_mm or size"
                )
            slices = scan.kept()
            predictions = self.predict(model, stack, items, content_seed(volume.data))
            slices[(stack.centres - 1).numpy()] = predictions[:, 0].cpu().numpy()
        return restore(slices, scan, volume, options["interpolation"])


def cut(defaced, changed, original, options: dict, ratio: float = 1.0):
    """Cut one scan into slices as the options say (:func:`refacebench.training.slices.prepare`)."""
    chosen = {k: options[k] for k in ("plane", "size", "voxel_mm", "percentile")}
    return prepare(
        defaced, changed, original, **chosen, scale_by=options["normalisation"], ratio=ratio
    )


def read_pairs(
    method: SliceMethod, scans, options: dict, in_files: bool = False
) -> tuple[dict, dict[str, str]]:
    """Read and cut the scans of a split, see :func:`refacebench.training.pairs.read`.

    With ``in_files`` the slices are not held in memory (:mod:`refacebench.training.spill`).
    """
    hold = spill.Store() if in_files else np.asarray

    def prepared(defaced, changed, original):
        scan = trimmed(cut(defaced, changed, original, options), options["slices"], method.reach)
        return dataclasses.replace(scan, changed=hold(scan.changed))

    return pairs.read(scans, prepared, ("source", "target"), hold)


def _ratio(cuts) -> float:
    """Return the mean of log(target's scale) minus that of log(defaced scan's own).

    A difference of means: no pairing of defaced scans and originals is needed.
    """
    return float(np.exp(np.mean(np.log([c.ratio for c in cuts]))))


def _warn_if_cropped(share: float, options: dict) -> None:
    if share < 0.98:
        warnings.warn(
            f"of one scan only {share:.1%} of the changed head lie within slices of "
            f"{options['size']} x {options['voxel_mm']} mm, the rest cannot be refaced; "
            "raise voxel_mm or size",
            stacklevel=3,
        )


def make_stack(cuts, options: dict, device, which: str | None = None, in_files: bool = False):
    """Return the slices of scans in one :class:`refacebench.training.slice_stack.SliceStack`."""
    return slice_stack.SliceStack(
        cuts, which or options["slices"], device, options.get("mask_channel", False), in_files
    )


def _check(method: SliceMethod, train, validation, options: dict) -> None:
    if not train or not validation:
        raise ValueError(
            f"{len(train)} training and {len(validation)} validation scans: both are needed"
        )
    pairs.check(train, validation, options, {**choices(OPTIONS), **method.choices})


def _check_slices(counts: Mapping[str, int], options: dict) -> None:
    for split, count in counts.items():
        if not count:
            raise TrainingFailed(
                f"the {split} scans have no slice to learn from (slices: {options['slices']}): is "
                "the mask of changed voxels empty, or beyond slices of "
                f"{options['size']} x {options['voxel_mm']:g} mm?"
            )


def _parameters(task) -> dict[str, int]:
    # All of them: a discriminator is frozen while the generator learns.
    counts = {k: sum(p.numel() for p in net.parameters()) for k, net in task.networks.items()}
    return {name: count for name, count in counts.items() if count and name != "average"}


def content_seed(data: np.ndarray) -> int:
    """Return a seed that follows from a scan's values: a scan has one result."""
    return keyed_seed("reface", hashlib.sha256(np.ascontiguousarray(data).tobytes()).hexdigest())
