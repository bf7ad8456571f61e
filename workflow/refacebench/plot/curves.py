"""Training curves of a refacing model, with the epoch that is used."""

from __future__ import annotations

import pandas as pd

from refacebench.plot.style import HUES, INK, message_figure, new_figure, styled
from refacebench.plot.volumes import is_true

NAMES = {
    "train_g_gan": "generator, adversarial",
    "train_g_cycle": "generator, cycle",
    "train_squared": "squared error of the clean image",
    "train_g_l1": "generator, L1",
    "train_l1": "L1",
    "train_d": "discriminator",
    "val_l1": "L1, whole frame",
    "val_l1_changed": "L1, removed voxels",
    "val_l1_hull": "L1, in the hull",
    "val_swd": "distance of patches",
}
TITLES = {"train_": "Training split", "val_": "Validation split"}


@styled
def draw(curves: pd.DataFrame, title: str = "", turn: str = "epoch", *, by_validation: bool = True):
    """Draw every ``train_*`` and ``val_*`` column of ``curves.tsv`` against the epoch.

    Parameters
    ----------
    curves : pandas.DataFrame
        One row per epoch; ``picked`` marks the one whose weights were kept.
    title : str
        Defacer and refacer, for example.
    turn : str
        What an epoch is called where it is none of a network's.
    by_validation : bool
        Whether the one that was kept was picked on the validation split; the last is kept else.

    Returns
    -------
    matplotlib.figure.Figure
    """
    groups = {
        prefix: [c for c in curves.columns if c.startswith(prefix) and curves[c].notna().any()]
        for prefix in TITLES
    }
    groups = {prefix: columns for prefix, columns in groups.items() if columns}
    if curves.empty or not groups:
        return message_figure("No training curve was recorded.")
    single = [p for p, columns in groups.items() if curves[columns].notna().sum().max() < 2]
    once = "; ".join(_once(curves, prefix, groups.pop(prefix), turn) for prefix in single)
    if not groups:
        return message_figure(f"{title}: {once}." if title else f"{once}.")
    figure = new_figure(height=2.9)
    axes = figure.subplots(1, len(groups), squeeze=False)[0]
    picked = curves.loc[is_true(curves["picked"]), "epoch"] if "picked" in curves else []
    reason = "best on validation" if by_validation else "the last"
    for panel, (prefix, columns) in zip(axes, groups.items(), strict=True):
        for place, column in enumerate(columns):
            rows = curves[["epoch", column]].dropna()
            panel.plot(rows["epoch"], rows[column], color=HUES[place % len(HUES)], linewidth=1.6,
                       marker="o" if len(rows) <= 30 else "", markersize=3,
                       label=NAMES.get(column, column.removeprefix(prefix)))  # fmt: skip
        for epoch in picked:
            panel.axvline(epoch, color=INK, linewidth=0.9, linestyle=(0, (4, 2)), zorder=0,
                          label=f"used: {turn} {epoch:g}, {reason}")  # fmt: skip
        panel.set_title(f"{title}: {TITLES[prefix].lower()}" if title else TITLES[prefix],
                        loc="left")  # fmt: skip
        panel.set_xlabel(turn)
        panel.set_ylabel("loss")
        panel.set_ylim(bottom=min(0.0, panel.get_ylim()[0]))
        panel.xaxis.get_major_locator().set_params(integer=True)
        # Below the panel, where it can cover no line.
        panel.legend(loc="upper center", bbox_to_anchor=(0.5, -0.22), frameon=False,
                     ncols=2, fontsize=8)  # fmt: skip
    if once:
        figure.text(0.01, 0.0, f"{once[:1].upper()}{once[1:]}.", fontsize=8, color=INK, va="top")
    return figure


def _once(curves: pd.DataFrame, prefix: str, columns: list[str], turn: str) -> str:
    """Return in words a loss that was measured once, which is no curve."""
    known = curves.dropna(subset=columns, how="all").iloc[0]
    losses = {c: f"{known[c]:.3g}" for c in columns if known[c] == known[c]}
    named = [f"{NAMES.get(c, c.removeprefix(prefix))} {loss}" for c, loss in losses.items()]
    split = TITLES[prefix].lower().removesuffix(" split")
    told = ", ".join(named if len(named) > 1 else losses.values())
    return f"{split} loss was measured only after {turn} {known['epoch']:g} ({told})"
