"""Long attacks in blocks of queries: each is kept when it is done, and several are made at once.

A killed attack loses the blocks in hand.  Which queries are in a block depends on their number
alone, and a block on nothing outside it: the same bytes with any number of processes, and after
any number of interruptions.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import Any

import numpy as np

from refacebench import files
from refacebench.contracts import Context, Enrolled
from refacebench.programs import process

Arrays = Mapping[str, np.ndarray]


def bounds(queries: int, pairs_each: int, pairs: int) -> list[slice]:
    """Cut queries into blocks of about so many pairs, at least one query each.

    >>> bounds(5, 10, 25)
    [slice(0, 2, None), slice(2, 4, None), slice(4, 5, None)]
    """
    size = max(1, pairs // max(1, pairs_each))
    return [slice(first, min(first + size, queries)) for first in range(0, queries, size)]


def key(queries: Enrolled, gallery: Enrolled, *parts: Any) -> str:
    """Return what changes when anything does that distances are made from."""
    digest = hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode())
    for side in (queries, gallery):
        digest.update("\n".join([*side.scan, *side.participant]).encode())
        for name in sorted(side.features):
            digest.update(np.ascontiguousarray(side.features[name]).data)
    return digest.hexdigest()[:16]


def run(
    blocks: Sequence[slice], make: Callable[[slice], Arrays], known: str, context: Context
) -> list[Arrays]:
    """Return what is made of each block, from its file where that belongs to this attack.

    Parameters
    ----------
    blocks : sequence of slice
        See :func:`bounds`.
    make : callable
        Called in forked processes where ``context.threads`` says so.
    known : str
        See :func:`key`.
    context : Context
        Files are kept in its ``unfinished``; a single block is not kept.

    Raises
    ------
    MemoryError
        If a process was killed, most likely for want of memory.
    """
    if len(blocks) == 1:
        return [make(blocks[0])]

    def kept(number: int) -> Arrays:
        path = context.unfinished / f"block-{number:05d}.npz"
        return files.kept_arrays(path, f"{known}-{number}", lambda: make(blocks[number]))

    if context.threads < 2:
        return [kept(number) for number in range(len(blocks))]
    return _forked(kept, len(blocks), context.threads)


#: What the forked processes work on: inherited, because it is too large to be sent.
_WORK: list[Callable[[int], Arrays]] = []


def _forked(kept: Callable[[int], Arrays], count: int, processes: int) -> list[Arrays]:
    _WORK.append(kept)
    try:
        with ProcessPoolExecutor(
            min(processes, count), get_context("fork"), process.die_with_parent
        ) as pool:
            try:
                for done in as_completed([pool.submit(_one, number) for number in range(count)]):
                    done.result()
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
    except BrokenProcessPool:
        raise MemoryError("a process of the attack was killed") from None
    finally:
        _WORK.pop()
    return [kept(number) for number in range(count)]  # from the files that were just written


def _one(number: int) -> None:
    _WORK[-1](number)
