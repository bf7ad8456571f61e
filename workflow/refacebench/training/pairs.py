"""What every trained refacer does with its pairs: reading, checks, the card's common part.

Reads the scans of the pairs and a trained model's card; writes nothing.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import sys
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from refacebench import __version__, reasons
from refacebench.contracts import TrainingFailed
from refacebench.head import values
from refacebench.image import nifti

#: Scans between two lines of progress: at full size one takes a second or two.
TELL_EVERY = 10


def check(train, validation, options: Mapping, choices: Mapping[str, tuple]) -> None:
    """Check that no scan is in both splits and that options have one of their values.

    Raises
    ------
    ValueError
        With the scans, or the option and its values.
    """
    both = sorted({p.scan for p in train} & {p.scan for p in validation})
    both += sorted({p.original for p in train} & {p.original for p in validation})
    if both:
        raise ValueError(f"scans in both training and validation: {', '.join(both)}")
    for name, known in choices.items():
        if options[name] not in known:
            raise ValueError(f"{name} '{options[name]}': use one of {', '.join(map(str, known))}")


def spread(scans: Sequence, most: int) -> list:
    """Return no more than so many scans, from the first to the last.

    >>> spread(list("abcdefg"), 3), spread(list("ab"), 3)
    (['a', 'c', 'e'], ['a', 'b'])
    """
    most = min(most, len(scans))
    return [scans[n * len(scans) // most] for n in range(most)]


def read(
    pairs, prepare: Callable, halved: tuple[str, ...], hold: Callable = np.asarray
) -> tuple[dict, dict[str, str]]:
    """Read the scans of a split and bring them into a method's form.

    Parameters
    ----------
    pairs : list of Pair
    prepare : callable
        Takes defaced scan, mask of changed voxels and original, and returns a
        dataclass of arrays; a ``ValueError`` is the reason why the scan is left out.
    halved : tuple of str
        Fields that are kept in half precision: at full size hundreds of scans
        would take many gigabytes.
    hold : callable
        What these are held as, where memory is too small for them (:mod:`.spill`).

    Returns
    -------
    ready : dict of str to dataclass
        By scan.
    left_out : dict of str to str
        Why a scan cannot be used.
    """
    ready, left_out = {}, {}
    for number, pair in enumerate(pairs, start=1):
        if number % TELL_EVERY == 0:
            print(f"read {number}/{len(pairs)} scans", file=sys.stderr, flush=True)
        try:
            read = values.read(pair.original)
            defaced, original = values.as_read(pair.defaced, read), read.volume
            changed = nifti.read_mask(pair.changed)
            if not defaced.shape == original.shape == changed.shape:
                raise ValueError("original, defaced scan and mask differ in grid")
            scan = prepare(defaced, changed, original)
        except (OSError, ValueError) as error:
            warnings.warn(f"{pair.scan} is left out of training: {error}", stacklevel=2)
            left_out[pair.scan] = reasons.clean(error, {"path": str(pair.original)})
            continue
        small = {name: hold(getattr(scan, name).astype(np.float16)) for name in halved}
        ready[pair.scan] = dataclasses.replace(scan, **small)
    return ready, left_out


def read_splits(train, validation, read_one: Callable) -> tuple[dict, dict, dict[str, str]]:
    """Read both splits with a method's reader of one.

    Returns
    -------
    train, validation, left_out : dict

    Raises
    ------
    TrainingFailed
        If a split has no usable scan.
    """
    (ready, lost), (held, held_lost) = (read_one(pairs) for pairs in (train, validation))
    lost = {**lost, **held_lost}
    if not ready or not held:
        reasons = "; ".join(f"{scan}: {why}" for scan, why in lost.items())
        raise TrainingFailed(
            f"{len(ready)} usable training and {len(held)} validation scans ({reasons})"
        )
    return ready, held, lost


def digest(scans: Iterable, fields: tuple[str, ...]) -> str:
    """Return the SHA-256 of some arrays of all scans."""
    found = hashlib.sha256()
    for scan in scans:
        for name in fields:
            found.update(np.ascontiguousarray(getattr(scan, name)).tobytes())
    return found.hexdigest()


def card(
    identity: Mapping, data: Mapping, options: Mapping, seed: int, device, precision: str
) -> dict:
    """Return what a model's result depends on; its name tag and its fingerprint.

    Parameters
    ----------
    identity : mapping
        ``method``, ``version``, ``statement``, ``criterion``.
    data : mapping
        The scans, their digests, and what else the method says of them.
    """
    import torch

    return {
        "method": identity["method"],
        "engine": "native",
        "statement": identity["statement"],
        "criterion": identity["criterion"],
        "data": dict(data),
        "options": dict(options),
        "seed": seed,
        "device": device.type,
        "precision": precision,
        "versions": {
            "method": identity["version"],
            "refacebench": __version__,
            "torch": torch.__version__,
            "numpy": np.__version__,
        },
    }


def data_of(pairs, train: dict, held: dict, left_out: Mapping, fields: tuple[str, ...]) -> dict:
    """Return the part of a card's ``data`` that all methods have; ``pairs`` : training pairs."""
    return {
        "train": list(train),
        "validation": list(held),
        "train_sha256": digest(train.values(), fields),
        "validation_sha256": digest(held.values(), fields),
        "sites": sorted({p.site for p in pairs if p.site}),
        "left_out": dict(left_out),
    }


def read_card(folder: str | Path, method: str, bound: Iterable[str], options: Mapping) -> dict:
    """Return a trained model's card.

    Raises
    ------
    ValueError
        If the model was trained by another method or with other options of ``bound``.
    """
    found = json.loads((Path(folder) / "card.json").read_text())
    known = found.get("options", {})
    other = [k for k in bound if known.get(k) != options[k]]
    if found["method"] != method or other:
        what = ", ".join(f"{k} {known.get(k)} not {options[k]}" for k in other)
        raise ValueError(
            f"{folder}: trained with other options ({what or found['method']}); train it again"
        )
    return found
