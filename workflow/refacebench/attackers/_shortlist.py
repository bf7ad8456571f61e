"""Large galleries: coarse comparisons of everybody say for whom an exact one is needed.

For each query

1. some gallery scans, drawn at random, are compared exactly and coarsely: a straight line
   through these pairs says what a coarse distance means, and how far off it may be;
2. everybody is compared coarsely, where the line says enough (:data:`USELESS`);
3. exact are: those of the draw, the query's own participant, the ``best`` that are nearest by the
   line, and everybody whose exact distance could still be among the ``best`` smallest: whose place
   on the line is less than :data:`SPREADS` standard deviations of the residuals above them.

So the first ``best`` of the ranking are the exact ones, unless a residual is larger than that.
Where coarse distances say little (a variant without a face), that is everybody.

The distances that are left are coarse ones, moved and stretched so that they have the mean and
the spread of the exact ones in the draw (not the line's, which would draw them together), and none
smaller than the last of the ``best``.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

#: Standard deviations of the residuals that an exact distance may be below the line.
SPREADS = 4.0
#: Where the residuals spread as much as this share of the distances themselves, coarse comparisons
#: would leave out hardly anybody and are not made.
USELESS = 0.8
#: Gallery scans of the draw.
DRAWN = 100

#: Distances (queries, gallery) where a mask of that shape asks for them, NaN elsewhere.
Compare = Callable[[np.ndarray], np.ndarray]


def distances(
    exact: Compare, coarse: Compare, own: np.ndarray, best: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return the distances of some queries to a gallery.

    Parameters
    ----------
    exact, coarse : callable
        See :data:`Compare`.
    own : numpy.ndarray of bool
        Shape (queries, gallery): always exact, the query's own participant.
    best : int
        How many of the smallest distances are to be exact.

    Returns
    -------
    distance : numpy.ndarray
        Shape (queries, gallery).
    done : numpy.ndarray of bool
        Which of them are exact.
    """
    drawn = np.zeros_like(own)
    for row in drawn:
        row[rng.permutation(len(row))[:DRAWN]] = True
    found, rough = exact(drawn | own), coarse(drawn)
    line = [_line(*pair) for pair in zip(found, rough, drawn, strict=True)]
    useful = np.isfinite([spread for _, _, spread in line])[:, None]
    others = useful & ~drawn
    rough = np.where(others, coarse(others), rough)
    guess = np.stack([np.where(np.isfinite(c), a + b * c, -np.inf)
                      for (a, b, _), c in zip(line, rough, strict=True)])  # fmt: skip
    done = drawn | own
    nearest = np.argsort(guess, axis=1, kind="stable")[:, :best]
    wanted = np.zeros_like(own)
    np.put_along_axis(wanted, nearest, True, axis=1)
    found, done = _more(exact, found, done, wanted)
    last = _smallest(found, best)
    spread = np.array([spread for _, _, spread in line])
    found, done = _more(exact, found, done, guess - SPREADS * spread[:, None] < last[:, None])
    last = _smallest(found, best)
    for number, row in enumerate(found):
        left = ~done[number]
        if left.any():
            scaled = _scaled(row, rough[number], drawn[number])
            row[left] = np.maximum(scaled[left], last[number])
    return found, done


def _more(exact: Compare, found: np.ndarray, done: np.ndarray, wanted: np.ndarray):
    """Compare exactly whom it was not done for yet."""
    new = wanted & ~done
    return np.where(new, exact(new), found) if new.any() else found, done | new


def _line(found: np.ndarray, rough: np.ndarray, drawn: np.ndarray) -> tuple[float, float, float]:
    """Return intercept, slope and standard deviation of the residuals; the last inf for no line."""
    use = drawn & np.isfinite(found) & np.isfinite(rough)
    x, y = rough[use], found[use]
    nothing = 0.0, 0.0, np.inf
    if len(x) < 10 or x.std() == 0 or y.std() == 0:
        return nothing
    slope, intercept = np.polyfit(x, y, 1)
    left = y - intercept - slope * x
    spread = np.sqrt((left**2).sum() / (len(x) - 2))
    return nothing if spread > USELESS * y.std() else (intercept, slope, spread)


def _smallest(found: np.ndarray, best: int) -> np.ndarray:
    """Return each row's ``best``-th smallest distance; inf where there are not so many."""
    filled = np.where(np.isfinite(found), found, np.inf)
    return np.sort(filled, axis=1)[:, min(best, found.shape[1]) - 1]


def _scaled(found: np.ndarray, rough: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    """Give coarse distances the mean and spread of the exact ones of the draw."""
    use = drawn & np.isfinite(found) & np.isfinite(rough)
    x, y = rough[use], found[use]
    return y.mean() + (rough - x.mean()) * y.std() / x.std()
