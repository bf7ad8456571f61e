"""How far each variant's surface lies from the true one, on the average face: a figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from refacebench.faces import may_show_average
from refacebench.plot.numbers import number
from refacebench.plot.style import WIDTH, Look, message_figure, new_figure, styled, wrapped
from refacebench.results import privacy_likeness
from refacebench.results.privacy import HEADING
from refacebench.results.result import Figure, Result, View
from refacebench.statistics.comparisons import Comparisons
from refacebench.vocabulary import ORIGINAL, PICTURE_CONTROLS

#: What an attacker adds to its file that measures surfaces.
SURFACE = {"changed_mm", "changed_n", "average_depth", *privacy_likeness.DISTANCES.values()}


def surface_maps(found: Sequence[Comparisons], faces: str) -> dict[str, Any]:
    """Return the surface distances on the average face, by variant.

    Where faces are private and the gallery is small, the average face is left
    flat: only the distances are shown.
    """
    maps: dict[str, dict[str, np.ndarray]] = {}
    before = {
        i.attacker: _seen(i) for i in found if i.variant == ORIGINAL and set(i.extra) >= SURFACE
    }
    for item in found:
        if not set(item.extra) >= SURFACE:
            continue
        depth = np.asarray(item.extra["average_depth"], dtype=float)
        if not may_show_average(faces, item.gallery["participant"].nunique()):
            depth = np.where(np.isfinite(depth), 0.0, np.nan)
        if item.variant not in (ORIGINAL, *PICTURE_CONTROLS) and np.isfinite(depth).any():
            distance = np.asarray(item.extra["changed_mm"], dtype=float)
            seen = _seen(item)
            own = before.get(item.attacker, np.ones_like(seen))
            seen = np.divide(seen, own, out=np.zeros_like(seen), where=own > 0)
            one = {"distance_mm": distance, "depth": depth, "seen": seen}
            one["true_mm"] = np.asarray(privacy_likeness.distances(item)["true"].mean())
            one["cap_mm"] = np.asarray(item.extra.get("cap_mm", FULL_COLOUR_MM), dtype=float)
            maps.setdefault(item.variant, one)
    return maps


def _seen(item: Comparisons) -> np.ndarray:
    """Return the share of the scans that were compared which have a surface, by pixel."""
    compared = np.isfinite(item.distance).any(axis=(0, 2)).sum()
    return np.asarray(item.extra["changed_n"], dtype=float) / max(compared, 1)


def caption(view: View, which: str = "") -> str:
    """Return the caption of the surface distances."""
    return (
        "Distance between the surface of a variant and that of its own original, on the average "
        "face of the participants. Before they are measured, the two surfaces are laid on each "
        "other anew, as an attack does it. Where much of a face is gone they fit less well: then "
        "places that nothing was done to, such as ears and the rim of the head, are some "
        "millimetres apart too. In the titles the mean over the face, the same as in the table "
        f"of distances below{privacy_likeness.cap(view)}. Grey: no distance. Blue: most scans have "
        "no surface there any more, be it of the face, the skull or the neck. A distance is no "
        "measure of privacy: a face may be recognised at the same mean distance at which another "
        "is not."
    )


#: Distance that has the brightest colour where the attacker tells of no cap, in millimetres.
FULL_COLOUR_MM = 10.0
#: The colour of a place where the average face has a surface and the variant has none.
NO_SURFACE = "#4f8fd0"
#: How strongly a distance covers the face's grey: not at all at zero, as much as it ever does
#: from so many millimetres on.
_COVER, _COVERED_MM = 0.8, 1.5
#: The grey of the face as the colour bar has it.
_FACE_GREY = 0.85


@styled
def draw(maps: Mapping[str, Mapping[str, np.ndarray]], look: Look) -> Any:
    """Draw the mean distance of each variant's surface from the true one, on the average face.

    Parameters
    ----------
    maps : mapping of str to mapping
        By variant: ``distance_mm`` and ``depth``, 2-D arrays of the same frontal
        view of the average head; NaN where there is no surface.  ``true_mm``: the mean over
        the face, of all participants; ``cap_mm``: the largest distance, the brightest colour.
        ``seen`` (optional): the share of scans that have a surface there, of those that had one
        before.  No person's face is shown.
    look : Look
        Order and names of the variants.

    Returns
    -------
    matplotlib.figure.Figure
    """
    known = {v: m for v, m in maps.items() if np.isfinite(m["depth"]).any()}
    if not any(np.isfinite(m["distance_mm"]).any() for m in known.values()):
        return message_figure("No surface distances were measured.")
    variants = look.sort(known)
    across = _across(len(variants))
    down = -(-len(variants) // across)
    edge = (WIDTH - 0.3) / across
    # Views have much air around the head: the part that any head fills is shown.
    top, bottom, left, right = _frame([m["depth"] for m in known.values()])
    figure = new_figure(WIDTH, 1.15 + down * (edge * (bottom - top) / (right - left) + 0.42))
    axes = figure.subplots(down, across, squeeze=False).ravel()
    figure.get_layout_engine().set(w_pad=0.02, h_pad=0.02, wspace=0.01, hspace=0.02)
    for panel in axes:
        panel.set_axis_off()
    full = FULL_COLOUR_MM
    for panel, variant in zip(axes, variants, strict=False):
        full = _map_panel(panel, known[variant])
        panel.set(xlim=(left - 0.5, right - 0.5), ylim=(bottom - 0.5, top - 0.5))
        name = wrapped(look.label(variant), int(12 * edge))
        panel.set_title(f"{name}\n{map_words(known[variant])}", fontsize=7.5,
                        fontweight="normal")  # fmt: skip
    bar = figure.colorbar(_scale(full), ax=list(axes), location="bottom", shrink=0.5, aspect=40,
                          pad=0.02)  # fmt: skip
    bar.set_label("distance from the original's surface (mm; grey: none; values above "
                  f"{full:g} mm are shown as {full:g} mm)")  # fmt: skip
    if any(is_lost(m).any() for m in known.values()):
        from matplotlib.patches import Patch

        label = "most scans have no surface left there: face, skull or neck"
        figure.legend(handles=[Patch(color=NO_SURFACE, label=label)], loc="outside lower left")
    return figure


def _across(panels: int) -> int:
    """Return how many heads stand in a row, four to six, so that few places are empty."""
    if panels <= 6:
        return panels if panels > 3 else 4
    return min((4, 5, 6), key=lambda across: (-panels % across, -across))


def _frame(depths: Sequence[np.ndarray]) -> tuple[int, int, int, int]:
    """Return top, bottom, left and right of the part of the views that has a surface."""
    there = np.isfinite(np.stack(depths)).any(axis=0)
    rows, columns = np.nonzero(there.any(axis=1))[0], np.nonzero(there.any(axis=0))[0]
    shape = there.shape
    return (
        max(rows[0] - _AIR, 0),
        min(rows[-1] + 1 + _AIR, shape[0]),
        max(columns[0] - _AIR, 0),
        min(columns[-1] + 1 + _AIR, shape[1]),
    )


#: Pixels of air around a head.
_AIR = 2


def is_lost(found: Mapping[str, np.ndarray]) -> np.ndarray:
    """Tell where the average face has a surface and most scans of the variant have none."""
    seen = found.get("seen", np.isfinite(found["distance_mm"]).astype(float))
    return np.isfinite(found["depth"]) & ~(seen >= 0.5)


def map_words(found: Mapping[str, np.ndarray]) -> str:
    """Return the mean distance over the face, and the share of surface that is missing."""
    surface = np.isfinite(found["depth"])
    lost = is_lost(found).sum() / surface.sum()
    parts = (
        [f"mean {number(float(found['true_mm']), 1)} mm"] if np.isfinite(found["true_mm"]) else []
    )
    # Single pixels at the rim of the head are no missing face.
    parts += [f"{100 * lost:.0f} % missing"] if lost >= 0.005 else []
    return ", ".join(parts)


def _scale(full: float) -> Any:
    """Return the scale of colours as they look on the grey of the face, for the colour bar."""
    from matplotlib import colormaps
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import ListedColormap, Normalize

    share = np.linspace(0, 1, 256)
    alpha = _cover(full * share)[:, None]
    colours = alpha * colormaps["inferno"](share)[:, :3] + (1 - alpha) * _FACE_GREY
    return ScalarMappable(Normalize(0, full), ListedColormap(colours))


def _cover(distance: np.ndarray) -> np.ndarray:
    """Return how opaque the colour of a distance is: what did not move keeps the face's grey."""
    return _COVER * np.clip(distance / _COVERED_MM, 0, 1)


def _map_panel(panel: Any, found: Mapping[str, np.ndarray]) -> float:
    """Draw one variant and return the distance that has the brightest colour."""
    from matplotlib.colors import ListedColormap

    panel.imshow(_relief(found["depth"]), cmap="gray", vmin=0, vmax=1)
    shown = np.isfinite(found["depth"]) & ~is_lost(found)
    distance = np.ma.masked_invalid(np.where(shown, found["distance_mm"], np.nan))
    full = float(found["cap_mm"])
    panel.imshow(distance, cmap="inferno", vmin=0, vmax=full, alpha=_cover(distance.filled(0.0)))
    lost = np.ma.masked_equal(is_lost(found), False)
    panel.imshow(lost, cmap=ListedColormap([NO_SURFACE]), alpha=0.8, interpolation="nearest")
    return full


def _relief(depth: np.ndarray) -> np.ndarray:
    """Return a depth map shaded from the front, 0 to 1; white where there is no surface."""
    filled = np.where(np.isfinite(depth), depth, np.nanmin(depth))
    down, right = np.gradient(filled)
    shade = 1.0 / np.sqrt(1.0 + down**2 + right**2)
    return np.where(np.isfinite(depth), 0.25 + 0.75 * shade, 1.0)


RESULT = Result(
    "privacy_map",
    caption=caption,
    source="privacy",
    heading=HEADING,
    secondary=True,
    order=140,
    figures=[
        Figure(
            "privacy_map",
            "Average faces coloured by the distance of each variant's surface from the true one.",
            title="Distance from the original's surface",
        )
    ],
)
