"""Refacing by a statistical head: the training people's mean face, bent to fit the scan.

A method of this project, of nobody else's: no network, a few minutes on one core.
It learns from the originals of the training people

- a sharp mean head: all are laid on it, affinely and then non-linearly (diffeomorphic demons,
  Vercauteren et al. 2009), and averaged, in rounds;
- a Gaussian of their shapes: principal components of the displacements that this took.

A defaced scan is laid on the mean head by what defacing kept.  The shape of what is missing is
the conditional expectation of that Gaussian, given the shape of what was kept: probabilistic
principal components (Tipping & Bishop 1999), which is a ridge regression whose only free number,
the noise, is picked on the validation people.  The mean head so bent fills the hole, as bright as
the tissue around it, and border and hole run into each other over a few millimetres.

The idea of a mean face that stands in for a removed one is mri_reface's (Schwarz et al. 2021), that
of statistical shape as a prior Cootes et al.'s (active appearance models, 2001).  Of the scan
itself nothing is seen but the defaced image and the mask of what was changed; nothing of other
people than those of the training split is in the model.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from refacebench import __version__, files
from refacebench.contracts import Option, Refacer
from refacebench.training import gaussian, head_prior, pairs, spill
from refacebench.training.gaussian import Gaussian
from refacebench.training.head_prior import COARSE_MM, Seen

VERSION = "1.1"
NAME = "prior3d"

#: Variances of a known displacement's noise (coarse voxels, squared) among which validation picks.
NOISES = (3.0, 30.0, 300.0, 1000.0, 3000.0, 30000.0)

#: Validation scans of a training that cannot take all.
VALIDATED = 40

OPTIONS = {
    "voxel_mm": Option(2.0, "Voxel size of the mean head.", unit="mm", least=0.5, most=4),
    "rounds": Option(
        3, "Rounds in which all are laid on the mean head and the mean is made anew.", least=1
    ),
    "components": Option(32, "Most components of the shape.", least=0),
    "mirror": Option(True, "Whether each person's mirror image is an example of a shape, too."),
}
BOUND = ("voxel_mm",)


class Model(NamedTuple):
    """What was learnt: the mean head in the box, the Gaussian of displacements, its noise."""

    head: np.ndarray
    shapes: Gaussian
    noise: float
    voxel_mm: float


def train(train, validation, out, options: dict, seed: int) -> None:
    """Learn the head; see :class:`refacebench.contracts.Refacer`.

    Nothing is drawn at random: the seed is noted and changes nothing.  An interrupted training
    starts anew, for it takes minutes.

    Raises
    ------
    ValueError
        If a scan is in both splits.
    TrainingFailed
        If a split has no usable scan.
    """
    pairs.check(train, validation, options, {})
    began = time.monotonic()
    everyone = len(train), len(validation)
    train, validation = fitting(train, validation, options)
    ready, held, lost = pairs.read_splits(
        train, validation, lambda some: pairs.read(some, _prepared(options), ())
    )
    data = pairs.data_of(train, ready, held, lost, ("data", "changed", "original"))
    if everyone != (len(train), len(validation)):
        taken = f"{len(train)} of {everyone[0]} training and {len(validation)} of {everyone[1]}"
        data["taken"] = f"{taken} validation scans, as many as memory holds"
    prepared = time.monotonic()
    model, rows = learn(list(ready.values()), list(held.values()), options)
    facts = {
        "method": NAME,
        "engine": "native",
        "statement": "A statistical head of this project's own, no published method.",
        "criterion": "val_l1_changed",
        "data": data,
        "options": dict(options),
        "seed": seed,
        "device": "cpu",
        "precision": "float32",
        "noise": model.noise,
        "parameters": {"head": model.head.size, "shapes": model.shapes.loadings.size},
        "picked": {"epoch": len(rows), "step": len(rows), "epochs_trained": len(rows)},
        "versions": {"method": VERSION, "refacebench": __version__, "numpy": np.__version__},
    }
    timing = {
        "prepare_seconds": prepared - began,
        "train_seconds": time.monotonic() - prepared,
        "steps": len(rows),
    }
    _write(Path(out), model, rows, facts, timing)


def _prepared(options: Mapping):
    def one(defaced, changed, original):
        return head_prior.prepare(defaced, changed, original, options["voxel_mm"])

    return one


def _write(out: Path, model: Model, rows: list[dict], facts: Mapping, timing: Mapping) -> None:
    from safetensors.numpy import save_file

    files.write_text(_curves(rows), out / "curves.tsv")
    files.write_text(json.dumps(timing, indent=1, sort_keys=True) + "\n", out / "timing.json")
    arrays = {
        "head": model.head,
        "shape_mean": model.shapes.mean,
        # Half precision: a thousandth of a voxel.
        "shape_loadings": model.shapes.loadings.astype(np.float16),
    }
    with files.replacing(out / "model.safetensors") as part:
        save_file({k: np.ascontiguousarray(v) for k, v in arrays.items()}, part)
    files.write_text(json.dumps(facts, indent=1, sort_keys=True) + "\n", out / "card.json")


def _curves(rows: list[dict]) -> str:
    names = ("epoch", "step", "train_l1", "val_l1_changed", "picked")
    lines = ["\t".join(names)]
    for row in rows:
        cells = [row.get(name, "n/a") for name in names]
        lines.append("\t".join(f"{c:.6g}" if isinstance(c, float) else str(c) for c in cells))
    return "\n".join(lines) + "\n"


def learn(train: list[Seen], held: list[Seen], options: Mapping) -> tuple[Model, list[dict]]:
    """Return the model, and one row a round for the curves."""
    mm = float(options["voxel_mm"])
    head = head_prior.mean([_whole(seen, mm) for seen in train])
    train, head = _laid(train, head, mm)
    rows = []
    for number in range(1, options["rounds"] + 1):
        last = number == options["rounds"]
        images = [_whole(seen, mm) for seen in train]
        small = head_prior.coarse(head, mm)
        if last and options["mirror"]:
            images += [(image[::-1], known[::-1]) for image, known in images]
        moved = [_shape(seen_image, small, mm) for seen_image in images]
        misses = [_miss(image, small, m, mm) for image, m in zip(images, moved, strict=True)]
        head = head_prior.mean([_onto(i, m, mm) for i, m in zip(images, moved, strict=True)])
        row = {"epoch": number, "step": number, "train_l1": float(np.mean(misses))}
        rows.append({**row, "picked": int(last)})
    examples = np.stack([m.ravel() for m in moved])
    shapes = gaussian.fit(examples, options["components"])
    shapes = Gaussian(shapes.mean, shapes.loadings.astype(np.float16).astype(np.float32))
    noise, error = _picked(held, head, shapes, mm)
    rows[-1]["val_l1_changed"] = error
    return Model(head, shapes, noise, mm), rows


def _laid(train: list[Seen], head: np.ndarray, mm: float) -> tuple[list[Seen], np.ndarray]:
    """Lay all on their mean, twice, for the first mean is a blur."""
    for _ in range(2):
        small = head_prior.coarse(head, mm)
        train = [head_prior.lay(seen, small) for seen in train]
        head = head_prior.mean([_whole(seen, mm) for seen in train])
    return train, head


def _whole(seen: Seen, mm: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the original in the box, and where the box holds it."""
    known = head_prior.there(seen, np.ones(seen.data.shape, bool), mm)
    return head_prior.in_box(seen, seen.original, mm), known


def _shape(image, small: np.ndarray, mm: float) -> np.ndarray:
    own, known = _small(image, mm)
    return head_prior.bend(own, small, known)


def _small(image, mm: float):
    own, known = (head_prior.coarse(np.asarray(part, np.float32), mm) for part in image)
    return own, known > 0.99


def _miss(image, small: np.ndarray, moved: np.ndarray, mm: float) -> float:
    own, known = _small(image, mm)
    return float(np.abs(head_prior.bent(small, moved) - own)[known].mean())


def _onto(image, moved: np.ndarray, mm: float):
    both = np.stack([np.asarray(part, np.float32) for part in image])
    own, known = head_prior.onto(both, moved, mm)
    return own, known > 0.99


def _picked(held: list[Seen], head: np.ndarray, shapes: Gaussian, mm: float) -> tuple[float, float]:
    """Return the noise under which the held people's holes are filled best, and that error."""
    small = head_prior.coarse(head, mm)
    totals = dict.fromkeys(NOISES, 0.0)
    for seen in held:
        seen = head_prior.lay(seen, small)
        kept, own = head_prior.observed(seen, small)
        truth = head_prior.in_box(seen, seen.original, COARSE_MM)
        hole = ~kept & head_prior.there(seen, np.ones(seen.data.shape, bool), COARSE_MM)
        gain = head_prior.gains(
            head_prior.in_box(seen, seen.data, COARSE_MM), head_prior.bent(small, own), kept
        )
        for noise in NOISES:
            moved = _completed(own, kept, shapes, noise)
            miss = np.abs(head_prior.bent(small, moved) * gain - truth)[hole]
            totals[noise] += float(miss.mean()) / len(held) if miss.size else 0.0
    best = min(NOISES, key=lambda noise: totals[noise])
    return best, totals[best]


def _completed(own: np.ndarray, kept: np.ndarray, shapes: Gaussian, noise: float) -> np.ndarray:
    """Return a displacement that is the scan's own where it was kept, and expected elsewhere."""
    near = kept & head_prior.within(~kept, head_prior.NEAR_MM)
    known = np.broadcast_to(near, own.shape).ravel()
    guess = gaussian.expected(shapes, own.ravel(), known, noise).reshape(own.shape)
    return head_prior.settled(guess, own, kept)


def load(folder, options: dict) -> Model:
    """Load a trained model; no code in its files is run.

    Raises
    ------
    ValueError
        If the model was trained with other options than these.
    """
    from safetensors.numpy import load_file

    card = pairs.read_card(folder, NAME, BOUND, options)
    found = load_file(Path(folder) / "model.safetensors")
    shapes = Gaussian(found["shape_mean"], found["shape_loadings"].astype(np.float32))
    return Model(found["head"], shapes, float(card["noise"]), float(options["voxel_mm"]))


def reface(model: Model, volume, changed: np.ndarray, options: dict) -> np.ndarray:
    """Fill what defacing changed; all else comes back as it is.

    Parameters
    ----------
    volume : Volume
        The defaced scan, any orientation, scan units.
    changed : numpy.ndarray of bool
        Voxels that defacing changed; the scan is read in the others alone.

    Raises
    ------
    ValueError
        If defacing left too little by which a head could be placed.
    """
    if not changed.any():
        return np.asarray(volume.data, dtype=np.float32).copy()
    # What stands in the hole is the defacer's, whatever it is: it must not matter.
    blank = volume.with_data(np.where(changed, 0, volume.data).astype(np.float32))
    seen = head_prior.prepare(blank, changed, None, model.voxel_mm)
    small = head_prior.coarse(model.head, model.voxel_mm)
    seen = head_prior.lay(seen, small)
    kept, own = head_prior.observed(seen, small)
    moved = _completed(own, kept, model.shapes, model.noise)
    return head_prior.paint(seen, blank, changed, model.head, moved, model.voxel_mm)


def fitting(train: Sequence, validation: Sequence, options: Mapping) -> tuple[list, list]:
    """Return as many scans as memory may be asked for, from the first to the last.

    Hundreds of people say all that a few components can hold.
    """
    if not spill.is_large(whole_mb(options, len(train) + len(validation))):
        return list(train), list(validation)
    held = pairs.spread(validation, VALIDATED)
    each = whole_mb(options, 1001) - whole_mb(options, 1)
    room = 1000 * (spill.BOUND_MB - whole_mb(options, 0)) // each
    return pairs.spread(train, max(2, room - len(held))), held


def memory_mb(options: Mapping, scans: int) -> int:
    """Return the memory that a training on so many scans asks of a scheduler, in megabytes.

    No more than :data:`refacebench.training.spill.BOUND_MB`: of more scans some are taken.
    """
    return min(spill.BOUND_MB, whole_mb(options, scans))


def whole_mb(options: Mapping, scans: int) -> int:
    """Return the megabytes that a training takes with all scans in memory."""
    voxels = np.prod(head_prior.BOX_MM) / float(options["voxel_mm"]) ** 3
    shapes = 3 * np.prod(head_prior.BOX_MM) / COARSE_MM**3
    # As read (two images, a mask), in the box (image, mask), twice where mirrored; displacements.
    return round(4000 + scans * (voxels * (9 + 4 * 5) + 4 * shapes * 4) / 1e6)


METHOD = Refacer(
    version=VERSION,
    title="statistical head, shape by conditional Gaussian (native, own model)",
    options=OPTIONS,
    train=train,
    load=load,
    run=reface,
    memory_mb=memory_mb,
    sources=(
        "https://doi.org/10.1111/1467-9868.00196",
        "https://doi.org/10.1016/j.neuroimage.2008.10.040",
    ),
)
