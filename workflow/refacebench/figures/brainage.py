"""What de-identification does to predicted brain age."""

from __future__ import annotations

import pandas as pd

from refacebench.figures import dots
from refacebench.figures.style import BAND, INK, Look, message_figure, pick_segmenter, styled

TITLES = {
    "shift": "Mean shift of predicted age",
    "shift_abs": "Mean absolute shift",
    "mae": "Mean absolute error",
}


@styled
def draw(table: pd.DataFrame, look: Look, *, segmenter: str | None = None):
    """Draw the mean shift of predicted age, and the error of the prediction, by variant.

    Parameters
    ----------
    table : pandas.DataFrame
        The table ``brainage``.
    look : Look
        Order, names and colours of the variants.
    segmenter : str, optional
        The first one of the table if left out.

    Returns
    -------
    matplotlib.figure.Figure
        Left: mean of (predicted on the variant - predicted on the original) in
        years.  Middle: mean of its absolute values, beside that between two
        scans of one person (grey).  Right: mean absolute error against true
        age; the line is the original's.
    """
    table, _ = pick_segmenter(table, segmenter)
    if table.empty or table["mae"].isna().all():
        return message_figure("No brain age was predicted.")
    variants = look.sort(table["variant"])
    figure, axes, places = dots.panels(variants, look, list(TITLES.values()), extra=1.2)
    _yardsticks(axes, table)
    for panel, name in zip(axes, TITLES, strict=True):
        for variant, y in places.items():
            if variant == "original" and name != "mae":
                continue
            one = table[table["variant"] == variant]
            values = [dots.cell(one, c) for c in (name, f"{name}_low", f"{name}_high")]
            dots.interval(panel, y, look, variant, *values)
        panel.set_xlabel("years")
        panel.margins(x=0.1)
    axes[1].set_xlim(left=0.0)
    if any(panel.get_legend_handles_labels()[0] for panel in axes):
        figure.legend(loc="outside lower left", ncols=2)
    dots.counts(axes[-1], places, table)
    return figure


def _yardsticks(axes, table: pd.DataFrame) -> None:
    """Draw zero, the shift between two scans of one person, and the error on the originals."""
    axes[0].axvline(0.0, color=INK, linewidth=0.8, zorder=1)
    rescan = table["rescan_shift_abs"].dropna()
    if len(rescan):
        width = float(rescan.iloc[0])
        axes[1].axvspan(0.0, width, color=BAND, zorder=0,
                        label=f"between two scans of a person: {width:.2f} years")  # fmt: skip
    error = dots.cell(table[table["variant"] == "original"], "mae")
    dots.reference(axes[2], error, "error on the originals")
