"""Figures of one dataset, drawn from its tables.

Every figure is a function ``draw(...) -> matplotlib.figure.Figure`` of tables
(or arrays); :func:`refacebench.figures.style.save` writes it.  :func:`names`
says which there are and :func:`draw_all` draws those that need only tables.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

#: Figures that exist once, and those that exist for each segmenter.
SINGLE = ("quality", "face_parts", "similarity", "runtime")
#: Those of attacks, where there are attackers.
PRIVACY = (
    "privacy_utility",
    "privacy",
    "privacy_curves",
    "privacy_roc",
    "privacy_undetected",
    "privacy_map",
)
BY_SEGMENTER = ("overlap", "volumes", "volumes_globals", "brainage", "truth")


def name_of(figure: str, segmenter: str, segmenters: Sequence[str]) -> str:
    """Return a figure's name; the first segmenter's has no suffix.

    >>> name_of("overlap", "b", ["a", "b"])
    'overlap-b'
    """
    return figure if segmenter == segmenters[0] else f"{figure}-{segmenter}"


def names(segmenters: Sequence[str]) -> list[str]:
    """Return the names of the figures that :func:`draw_all` makes, known from the config alone."""
    per_segmenter = [name_of(f, s, segmenters) for s in segmenters for f in BY_SEGMENTER]
    return [*SINGLE, *per_segmenter]


def draw_all(
    tables: Mapping[str, pd.DataFrame],
    look,
    segmenters: Sequence[str],
    measures: pd.DataFrame | None = None,
    *,
    alpha: float = 0.05,
    threshold_pct: float = 5.0,
    level: float = 0.95,
) -> dict:
    """Draw all figures that need only tables.

    Parameters
    ----------
    tables : mapping of str to pandas.DataFrame
        The output of :mod:`refacebench.statistics`.
    look : refacebench.figures.style.Look
        Of :func:`refacebench.figures.style.look_of`.
    segmenters : sequence of str
        In the order of the config.
    measures : pandas.DataFrame, optional
        The measurement table: adds one point a scan.
    alpha, threshold_pct : float
        Level of the tests, and the change that has the darkest colour.
    level : float
        Of the intervals.

    Returns
    -------
    dict of str to matplotlib.figure.Figure
        Exactly the names of :func:`names`; where there is nothing to draw, a
        figure that says so.
    """
    from refacebench.figures import brainage, overlap, quality, runtime, similarity, volumes

    figures = {
        "quality": quality.draw(tables["quality"], look, level=level),
        "face_parts": quality.draw_parts(tables["face_parts"], look),
        "similarity": similarity.draw(tables["similarity"], look, measures),
        "runtime": runtime.draw(tables["runtime"], look),
    }
    for segmenter in segmenters:
        mine = {
            name: tables[name][tables[name]["segmenter"] == segmenter]
            for name in ("overlap", "volumes", "brainage", "truth")
        }
        change = mine["volumes"]
        drawn = {
            "overlap": overlap.draw(mine["overlap"], look, measures),
            "volumes": volumes.draw(change, look, alpha=alpha, full_colour_pct=threshold_pct),
            "volumes_globals": volumes.draw_globals(change, look, alpha=alpha),
            "brainage": brainage.draw(mine["brainage"], look),
            "truth": overlap.draw(mine["truth"], look, measures, prefix="truth_"),
        }
        figures |= {name_of(f, segmenter, segmenters): figure for f, figure in drawn.items()}
    return figures


def draw_privacy(tables: Mapping[str, pd.DataFrame], look, maps: Mapping | None = None) -> dict:
    """Draw the figures of attacks.

    Parameters
    ----------
    tables : mapping of str to pandas.DataFrame
        ``privacy``, ``privacy_curves`` and ``tradeoff``.
    look : refacebench.figures.style.Look
    maps : mapping, optional
        As for :func:`refacebench.figures.privacy.draw_map`.

    Returns
    -------
    dict of str to matplotlib.figure.Figure
        Exactly the names of :data:`PRIVACY`.
    """
    from refacebench.figures import privacy, privacy_utility

    rates, curves = tables["privacy"], tables["privacy_curves"]
    setting = privacy.main_setting(rates)
    return {
        "privacy_utility": privacy_utility.draw(tables["tradeoff"], look),
        "privacy": privacy.draw(rates, look),
        "privacy_curves": privacy.draw_curves(curves, look, setting=setting),
        "privacy_roc": privacy.draw_curves(curves, look, setting=setting, curve="roc"),
        "privacy_undetected": privacy.draw_undetected(rates, look),
        "privacy_map": privacy.draw_map(maps or {}, look),
    }
