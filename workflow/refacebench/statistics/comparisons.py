"""What an attacker compared on a variant: what the attack stage wrote, read and checked.

The only module of this folder that opens files other than result tables.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd


@dataclass(frozen=True)
class Comparisons:
    """Distances between the scans of a variant and enrolled originals.

    Attributes
    ----------
    attacker, variant : str
    distance : numpy.ndarray of float
        Shape (n_resplit, n_query, n_gallery), small where the attacker sees the
        same person; NaN where no comparison was possible.  Without resplits
        ``n_resplit`` is 1; with them everything outside a resplit's evaluation
        part is NaN.
    query, gallery : pandas.DataFrame
        ``scan``, ``participant``, ``session``; the queries also ``detected``
        (bool, whether a face was found) and ``reason`` (why there is no score).
    meta : dict
        What the attacker says of itself (``version``, ``options``, ``trained_on``,
        ``unavailable``).
    resplit : numpy.ndarray of bool, optional
        Shape (n_resplit, n_query): the query is in the resplit's evaluation
        part.  Without it a participant is in it whose gallery scans have a distance.
    extra : dict of str to numpy.ndarray
        What the attacker adds; the first axis of ``query_*`` runs over the queries.
    """

    attacker: str
    variant: str
    distance: np.ndarray
    query: pd.DataFrame
    gallery: pd.DataFrame
    meta: dict = field(default_factory=dict)
    resplit: np.ndarray | None = None
    extra: dict = field(default_factory=dict)

    def __post_init__(self):
        """Check that distances and scans belong together.

        Raises
        ------
        ValueError
            Names the attacker, the variant and what does not fit.
        """
        where = f"scores of {self.attacker} on {self.variant}"
        distance = np.asarray(self.distance, dtype=float)
        if distance.ndim == 2:
            distance = distance[None]
        object.__setattr__(self, "distance", distance)
        wanted = (len(self.query), len(self.gallery))
        if distance.ndim != 3 or distance.shape[1:] != wanted:
            raise ValueError(
                f"{where}: distances of shape {distance.shape} for {wanted[0]} queries and "
                f"{wanted[1]} gallery scans"
            )
        if self.resplit is not None:
            resplit = np.asarray(self.resplit, dtype=bool)
            object.__setattr__(self, "resplit", resplit)
            if resplit.shape != distance.shape[:2]:
                raise ValueError(
                    f"{where}: resplits of shape {resplit.shape} for distances of shape "
                    f"{distance.shape}"
                )
        if np.isinf(distance).any():
            raise ValueError(f"{where}: infinite distances; write NaN where nothing was compared")
        for name, table in (("query", self.query), ("gallery", self.gallery)):
            twice = table["scan"].duplicated()
            if twice.any():
                raise ValueError(
                    f"{where}: {name} scan {table['scan'][twice].iloc[0]} is listed twice"
                )

    @property
    def resplits(self) -> int:
        """Number of resplits, 0 where the attacker has none."""
        return len(self.distance) if len(self.distance) > 1 else 0

    def evaluated(self, number: int) -> set[str]:
        """Return the participants of the evaluation part of a resplit; all without resplits."""
        if not self.resplits:
            return set(self.gallery["participant"])
        if self.resplit is not None:
            return set(self.query["participant"][self.resplit[number]])
        known = np.isfinite(self.distance[number]).any(axis=0)
        return set(self.gallery["participant"][known])

    def reversed(self) -> Comparisons:
        """Return the scores with the originals as queries and the variant's scans as gallery."""
        parts = [sorted(self.evaluated(number)) for number in range(len(self.distance))]
        inside = [self.gallery["participant"].isin(part).to_numpy() for part in parts]
        return Comparisons(
            self.attacker,
            self.variant,
            self.distance.transpose(0, 2, 1),
            self.gallery.assign(detected=True, reason=""),
            self.query[["scan", "participant", "session"]],
            self.meta,
            np.stack(inside) if self.resplits else None,
        )


_NAMES = ("scan", "participant", "session")
_KNOWN = {f"{side}_{name}" for side in ("query", "gallery") for name in _NAMES}
_KNOWN |= {"distance", "detected", "query_reason", "resplit", "meta"}


def read(path: str | Path) -> Comparisons:
    """Read ``results/attack/{dataset}/{attacker}/{variant}.npz``.

    Raises
    ------
    ValueError
        If the file cannot be read or its parts do not fit; names the file.
    """
    path = Path(path)
    try:
        with np.load(path, allow_pickle=False) as found:
            parts = {name: found[name] for name in found.files}
        tables = {
            side: pd.DataFrame({n: parts[f"{side}_{n}"].astype(str) for n in _NAMES})
            for side in ("query", "gallery")
        }
        tables["query"]["detected"] = parts["detected"].astype(bool)
        tables["query"]["reason"] = parts["query_reason"].astype(str)
        meta = json.loads(str(parts["meta"])) if "meta" in parts else {}
        return Comparisons(
            path.parent.name,
            path.stem,
            parts["distance"],
            **tables,
            meta=meta,
            resplit=parts.get("resplit"),
            extra={name: value for name, value in parts.items() if name not in _KNOWN},
        )
    except (OSError, KeyError, ValueError) as error:
        raise ValueError(f"{path}: cannot be used ({error}); delete it and attack again") from None
