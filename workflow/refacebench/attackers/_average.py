"""The average face of a gallery, as a frontal depth map, and that of all but one participant."""

from __future__ import annotations

import numpy as np

from refacebench.contracts import Enrolled


class AverageFaces:
    """The average face of a gallery, and of all but one participant: the first scan of each.

    Parameters
    ----------
    gallery : Enrolled
        With ``depth`` (n, p, p), mm, NaN off the head.
    large : bool
        Make the averages from sums; else each anew, which is slow for many and has other last
        digits.
    """

    def __init__(self, gallery: Enrolled, large: bool):
        self._depth, self._participant = gallery.features["depth"], gallery.participant
        self.everybody = average_depth(self._depth, self._participant)
        self._sum = None
        if large:  # from sums: nobody's average is made from thousands of maps again
            people, first = np.unique(self._participant, return_index=True)
            self._first = dict(zip(people.tolist(), first.tolist(), strict=True))
            self._sum, self._count = (np.zeros(self._depth.shape[1:]) for _ in range(2))
            for place in first:
                self._add(place, 1)

    def _add(self, place: int, sign: int) -> None:
        seen = np.isfinite(self._depth[place])
        self._sum += sign * np.where(seen, self._depth[place], 0).astype(float)
        self._count += sign * seen

    def without(self, participant: str) -> np.ndarray | None:
        """Return the average face of all others; None where there is nobody else."""
        if self._sum is None:
            others = self._participant != participant
            if not others.any():
                return None
            return average_depth(self._depth[others], self._participant[others])
        place = self._first.get(str(participant))
        if place is None:
            return self.everybody
        self._add(place, -1)
        people = len(self._first) - 1
        face = _mean(self._sum, self._count, people) if people else None
        self._add(place, 1)
        return face


def average_depth(depth: np.ndarray, participant: np.ndarray) -> np.ndarray:
    """Return the mean depth map, each participant's first scan once; NaN where half have none."""
    _, first = np.unique(participant, return_index=True)
    chosen = depth[first]
    seen = np.isfinite(chosen)
    return _mean(np.where(seen, chosen, 0).sum(axis=0), seen.sum(axis=0), len(first))


def _mean(total: np.ndarray, count: np.ndarray, people: int) -> np.ndarray:
    mean = total / np.maximum(count, 1)
    return np.where(2 * count > people, mean, np.nan).astype(np.float32)
