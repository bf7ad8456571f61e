"""Refacing by a statistical head: the training people's mean face, bent to fit the scan.

A method of this project, of nobody else's: no network, a few minutes on one core.
It learns from the originals of the training people

- a sharp mean head: all are laid on it, affinely and then non-linearly (diffeomorphic demons,
  Vercauteren et al. 2009), and averaged, in rounds;
- how people differ from it: principal components of the displacements that this took, and how far
  one place tells of another.

A defaced scan is laid on the mean head by what defacing kept.  The shape of what is missing is
expected from the shape of what was kept around it: Gaussian process regression, whose covariance
is the training people's and a smooth one beside it (Gaussian process morphable models, Lüthi et
al. 2018).  How much each counts, and how far the smooth one reaches, is picked by leaving out the
training people one by one.  The mean head so bent fills the hole, as bright as the tissue around
it, and border and hole run into each other over a few millimetres.

The idea of a mean face that stands in for a removed one is mri_reface's (Schwarz et al. 2021), that
of statistical shape as a prior Cootes et al.'s (active appearance models, 2001).  Of the scan
itself nothing is seen but the defaced image and the mask of what was changed; nothing of other
people than those of the training split is in the model.
"""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from refacebench import __version__, files
from refacebench.contracts import Option, Refacer
from refacebench.training import gaussian, head_prior, pairs, spill
from refacebench.training.gaussian import Law
from refacebench.training.head_prior import COARSE_MM, Seen

VERSION = "5"
NAME = "prior3d"

#: What the examples may count, and how far, mm, smoothness may reach: leaving out picks.  90 mm was
#: picked often, but filled heads of the demo's validation split worse than 60 mm did (SSIM in front
#: .885 against .890).
EXAMPLES, REACHES = (0.0, 0.1, 0.3, 1.0), (30.0, 45.0, 60.0)
#: Variance, mm squared, of what reaches far, of what reaches no further than so many mm, and of
#: the noise of a displacement that is known.  Nine of the demo's training people, left out of head
#: and shapes in threes, were missed by 3.5 mm (reach 90 mm, short 12 mm), or 3.7 (reach 60 mm);
#: without the second kernel by 4.1 (reach 60 mm).  Mirrored examples made no difference.
SMOOTH, FINE, SHORT, NOISE = 10.0, 2.0, 10.0, 1.0
#: Megabytes that a training takes beside its scans.
BASE_MB = 4000
#: Most training people who are left out, and places at which a left out one's shape is known.
LEFT_OUT, FEW = 24, 500

OPTIONS = {
    "voxel_mm": Option(2.0, "Voxel size of the mean head.", unit="mm", least=0.5, most=4),
    "rounds": Option(
        3, "Rounds in which all are laid on the mean head and the mean is made anew.", least=1
    ),
    "components": Option(32, "Most components of the shape.", least=0),
    "mirror": Option(
        True, "Whether each person's mirror image is an example, too; the mean head is symmetric."
    ),
}
BOUND = ("voxel_mm",)


class Model(NamedTuple):
    """What was learnt: the mean head in the box, components of displacements (mm), their law."""

    head: np.ndarray
    loadings: np.ndarray
    law: Law
    voxel_mm: float


class Observed(NamedTuple):
    """Of one person in the coarse box: what was kept, what the scan holds, own displacement."""

    kept: np.ndarray
    known: np.ndarray
    own: np.ndarray


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
    hold = spill.Store() if in_files(options, len(train) + len(validation)) else np.asarray
    train, validation = fitting(train, validation, options)
    ready, held, lost = pairs.read_splits(
        train, validation, lambda some: pairs.read(some, _prepared(options, hold), ())
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
        "law": model.law._asdict(),
        "parameters": {"head": model.head.size, "shapes": model.loadings.size},
        "picked": {"epoch": len(rows), "step": len(rows), "epochs_trained": len(rows)},
        "versions": {"method": VERSION, "refacebench": __version__, "numpy": np.__version__},
    }
    timing = {
        "prepare_seconds": prepared - began,
        "train_seconds": time.monotonic() - prepared,
        "steps": len(rows),
    }
    _write(Path(out), model, rows, facts, timing)


def _prepared(options: Mapping, hold: Callable):
    def one(defaced, changed, original):
        seen = head_prior.prepare(defaced, changed, original, options["voxel_mm"])
        held = {name: hold(getattr(seen, name)) for name in ("data", "changed", "original")}
        return dataclasses.replace(seen, **held)

    return one


def _write(out: Path, model: Model, rows: list[dict], facts: Mapping, timing: Mapping) -> None:
    from safetensors.numpy import save_file

    files.write_text(_curves(rows), out / "curves.tsv")
    files.write_text(json.dumps(timing, indent=1, sort_keys=True) + "\n", out / "timing.json")
    arrays = {
        "head": model.head,
        # Half precision: hundredths of a millimetre.
        "shape_loadings": model.loadings.astype(np.float16),
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
    """Return the model, and one row per round for the curves."""
    mm = float(options["voxel_mm"])
    even = head_prior.symmetric if options["mirror"] else np.asarray
    head = even(head_prior.mean(_whole(seen, mm) for seen in train))
    for _ in range(2):  # lay all on their mean, twice, for the first mean is a blur
        small = head_prior.coarse(head, mm)
        train = [head_prior.lay(seen, small) for seen in train]
        head = even(head_prior.mean(_whole(seen, mm) for seen in train))
    rows = []
    for number in range(1, options["rounds"] + 1):
        small = head_prior.coarse(head, mm)
        head, shapes, misses = _round(train, small, mm)
        head = even(head)
        row = {"epoch": number, "step": number, "train_l1": float(np.mean(misses))}
        rows.append({**row, "picked": int(number == options["rounds"])})
    head = head_prior.sharpened(head, mm)
    for shape in shapes:  # in mm, and in place: there may be a thousand of them
        shape *= np.float32(COARSE_MM)
    # The mean head is its own mirror image: so are the displacements of a person's mirror image.
    mirrored = [head_prior.mirrored(shape) for shape in shapes] if options["mirror"] else []
    small = head_prior.coarse(head, mm)
    law = _law(_seen(train, small), shapes, mirrored, small)
    examples = np.stack([shape.ravel() for shape in (*shapes, *mirrored)])
    loadings = gaussian.components(examples, options["components"])
    # As they are written.
    loadings = loadings.astype(np.float16).astype(np.float32).reshape(-1, *shapes[0].shape)
    model = Model(head, loadings, law, mm)
    rows[-1]["val_l1_changed"] = float(np.mean([_missed(model, seen) for seen in held]))
    return model, rows


def _round(
    train: list[Seen], small: np.ndarray, mm: float
) -> tuple[np.ndarray, list[np.ndarray], list[float]]:
    """Lay all on the mean head; return the mean anew, displacements, and what still differs."""
    moved, misses = [], []

    def laid() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for seen in train:  # one at a time: the images of all are most of what there is to hold
            image = _whole(seen, mm)
            moved.append(_shape(image, small, mm))
            misses.append(_miss(image, small, moved[-1], mm))
            yield _onto(image, moved[-1], mm)

    return head_prior.mean(laid()), moved, misses


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


def _law(seen: Mapping[int, Observed], shapes: list, mirrored: list, small: np.ndarray) -> Law:
    """Return the law under which training people, left out one by one, are missed the least.

    Parameters
    ----------
    seen : dict of int to Observed
        What is seen of some people, by their number, when they are defaced.
    """
    laws = [
        Law(share, reach, SMOOTH, SHORT, FINE, NOISE) for share in EXAMPLES for reach in REACHES
    ]
    misses = np.zeros(len(laws))
    for left, (kept, known, own) in seen.items():
        tissue = head_prior.bent(small, shapes[left] / COARSE_MM) > head_prior.TISSUE
        near = _near(small, own, kept, FEW)
        gone = head_prior.some(~kept & known & tissue, FEW)
        if not len(near) or not len(gone):
            continue
        others = [s for part in (shapes, mirrored) for i, s in enumerate(part) if i != left]
        # As many components as examples are the examples themselves.
        few = np.sqrt(max(1, len(others)))
        loadings, there = (
            np.reshape([_at(s, places) / few for s in others], (len(others), 3, len(places)))
            for places in (near, gone)
        )
        for number, law in enumerate(laws):
            found = gaussian.expected(
                law, (COARSE_MM * near, COARSE_MM * _at(own, near), loadings),
                (COARSE_MM * gone, there),
            )  # fmt: skip
            missed = found - _at(shapes[left], gone)
            misses[number] += np.sqrt((missed**2).sum(axis=0).mean())
    return laws[int(np.argmin(misses))]


def _seen(train: list[Seen], small: np.ndarray) -> dict[int, Observed]:
    """Return what is seen of some training people, spread over all, when they are defaced."""
    found = {}
    for number in pairs.spread(range(len(train)), LEFT_OUT):
        whole = np.ones(train[number].data.shape, bool)
        kept, own = head_prior.observed(train[number], small)
        found[number] = Observed(kept, head_prior.there(train[number], whole, COARSE_MM), own)
    return found


def _near(small: np.ndarray, own: np.ndarray, kept: np.ndarray, most: int) -> np.ndarray:
    """Return places around the hole whose displacement tells its shape: kept tissue."""
    near = kept & head_prior.within(~kept, head_prior.NEAR_MM)
    return head_prior.some(near & (head_prior.bent(small, own) > head_prior.TISSUE), most)


def _at(field: np.ndarray, places: np.ndarray) -> np.ndarray:
    return field[..., places[:, 0], places[:, 1], places[:, 2]]


def _missed(model: Model, seen: Seen) -> float:
    """Return how far a person's hole, filled, is from the original: L1 in the coarse box."""
    small = head_prior.coarse(model.head, model.voxel_mm)
    seen = head_prior.lay(seen, small)
    kept, own = head_prior.observed(seen, small)
    filled = head_prior.bent(small, _completed(model, small, seen, own, kept))
    gain = head_prior.gains(head_prior.in_box(seen, seen.data, COARSE_MM), filled, kept)
    truth = head_prior.in_box(seen, seen.original, COARSE_MM)
    hole = ~kept & head_prior.there(seen, np.ones(seen.data.shape, bool), COARSE_MM)
    return float(np.abs(filled * gain - truth)[hole].mean()) if hole.any() else 0.0


def _completed(
    model: Model, small: np.ndarray, seen: Seen, own: np.ndarray, kept: np.ndarray
) -> np.ndarray:
    """Return a displacement that is the scan's own where it was kept, and expected in the hole."""
    missing = head_prior.hole(seen) & ~kept
    near, gone = _near(small, own, kept, head_prior.PLACES), np.argwhere(missing)
    found = gaussian.expected(
        model.law,
        (COARSE_MM * near, COARSE_MM * _at(own, near), _at(model.loadings, near)),
        (COARSE_MM * gone, _at(model.loadings, gone)),
    )
    guess = own.copy()
    guess[:, missing] = found / COARSE_MM
    return guess


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
    loadings = found["shape_loadings"].astype(np.float32)
    return Model(found["head"], loadings, Law(**card["law"]), float(options["voxel_mm"]))


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
    moved = _completed(model, small, seen, own, kept)
    return head_prior.paint(seen, blank, changed, model.head, moved, model.voxel_mm)


def fitting(train: Sequence, validation: Sequence, options: Mapping) -> tuple[list, list]:
    """Return as many scans as memory may be asked for, from the first to the last.

    Where their images lie in files, displacements are what is held: about a thousand people, who
    say all that a few components can hold.
    """
    if not in_files(options, len(train) + len(validation)):
        return list(train), list(validation)
    room = 1e6 * (spill.BOUND_MB - BASE_MB) // _shape_bytes()
    return pairs.spread(train, max(2, int(room))), pairs.spread(validation, spill.VALIDATED)


def in_files(options: Mapping, scans: int) -> bool:
    """Return whether the images of so many scans lie in files (:mod:`.spill`)."""
    return spill.is_large(whole_mb(options, scans))


def memory_mb(options: Mapping, scans: int) -> int:
    """Return the memory that a training on so many scans asks of a scheduler, in megabytes.

    No more than :data:`refacebench.training.spill.BOUND_MB`: of more scans some are taken.
    """
    return min(spill.BOUND_MB, whole_mb(options, scans))


def whole_mb(options: Mapping, scans: int) -> int:
    """Return the megabytes that a training takes with all scans in memory."""
    voxels = np.prod(head_prior.BOX_MM) / float(options["voxel_mm"]) ** 3
    # As read: two images, a mask.
    return round(BASE_MB + scans * (voxels * 9 + _shape_bytes()) / 1e6)


def _shape_bytes() -> float:
    """Return the bytes of a person's displacements: own, mirrored, and both as examples."""
    return 4 * 4 * 3 * float(np.prod(head_prior.BOX_MM)) / COARSE_MM**3


METHOD = Refacer(
    version=VERSION,
    title="statistical head, shape by conditional Gaussian (native, own model)",
    options=OPTIONS,
    train=train,
    load=load,
    run=reface,
    memory_mb=memory_mb,
    sources=(
        "https://arxiv.org/abs/1603.07254",
        "https://doi.org/10.1016/j.neuroimage.2008.10.040",
    ),
)
