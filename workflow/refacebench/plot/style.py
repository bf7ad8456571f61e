"""What all figures share: the order, names, colours and marks of variants, and saving.

Figures are built without pyplot, so that no state is shared between them.
:func:`save` is the only place in this folder that writes files.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import wraps
from pathlib import Path
from typing import Any

import pandas as pd

from refacebench import pseudonyms
from refacebench.faces import MESSAGE_ONLY
from refacebench.files import replacing
from refacebench.vocabulary import split_variant

#: Names of the controls as a reader meets them.
CONTROL_LABELS = {
    "original": "original",
    "null": "null control",
    "blurred": "blurred picture",
    "black": "black picture",
}
#: One hue for each defacer: Okabe & Ito (2008), then Paul Tol's "muted" and "medium-contrast", all
#: safe for colour-blind readers.  No green: that would praise a method.  Axis labels always name
#: the variant as well.
HUES = (
    "#0072B2", "#D55E00", "#CC79A7", "#E69F00", "#56B4E9", "#332288",
    "#882255", "#AA4499", "#661100", "#997700", "#6699CC", "#DDCC77", "#EE99AA",
)  # fmt: skip
CONTROL_COLOURS = {
    "original": "#222222",
    "null": "#777777",
    "blurred": "#999999",
    "black": "#000000",
}
#: A defaced scan is a disc; every refacer has a shape of its own.
DEFACED_MARK = "o"
REFACED_MARKS = ("D", "^", "s", "v", "P", "X")
INK, FAINT, BAND = "#222222", "#8a8a8a", "#e9e9e9"
DPI = 150
#: Width of every figure in inches: the width of the report's column.
WIDTH = 10.5
RC: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 9.0,
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.labelsize": 9.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": FAINT,
    "axes.linewidth": 0.8,
    "axes.axisbelow": True,
    "axes.formatter.useoffset": False,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.labelsize": 8.0,
    "ytick.labelsize": 8.5,
    "legend.frameon": False,
    "legend.fontsize": 8.0,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "text.parse_math": False,
    # Glyphs as outlines: the same picture on a machine without the font.
    "svg.fonttype": "path",
    "svg.hashsalt": "refacebench",
}


@dataclass(frozen=True)
class Look:
    """How the variants of one dataset are ordered, named and coloured in every figure.

    Attributes
    ----------
    order : tuple of str
        All variants: controls, then each defacer followed by its refaced variants.
    engines : mapping of str to str
        ``native`` or ``official`` for each variant, where it is known.
    """

    order: tuple[str, ...]
    engines: Mapping[str, str] = field(default_factory=dict)

    @property
    def defacers(self) -> list[str]:
        """Names of the defacers in their order."""
        names = [split_variant(v)[0] for v in self.order if v not in CONTROL_LABELS]
        return list(dict.fromkeys(names))

    @property
    def refacers(self) -> list[str]:
        """Names of the refacers in their order."""
        names = [split_variant(v)[1] for v in self.order]
        return list(dict.fromkeys(name for name in names if name))

    def sort(self, variants: Iterable[str]) -> list[str]:
        """Return the given variants, each once, in the order of all figures."""
        known = {name: place for place, name in enumerate(self.order)}
        wanted = set(variants)
        if wanted - set(known):
            raise KeyError(f"variants that the order does not list: {sorted(wanted - set(known))}")
        return sorted(wanted, key=known.__getitem__)

    def colour(self, variant: str) -> str:
        """Return the colour of a variant: a defacer's hue, refaced or not."""
        if variant in CONTROL_COLOURS:
            return CONTROL_COLOURS[variant]
        place = self.defacers.index(split_variant(variant)[0])
        return HUES[place % len(HUES)]

    def mark(self, variant: str) -> str:
        """Return the marker of a variant: a disc, or the shape of its refacer."""
        refacer = split_variant(variant)[1]
        if refacer is None:
            return DEFACED_MARK
        return REFACED_MARKS[self.refacers.index(refacer) % len(REFACED_MARKS)]

    def label(self, variant: str, full: bool = True) -> str:
        """Return the name of a variant with the engine of its defacer.

        Parameters
        ----------
        full : bool
            ``False`` for a refaced variant that stands below its defacer:
            only the refacer is named then.

        >>> Look(("original", "a", "a+m"), {"a": "native"}).label("a+m")
        'a (native) + m'
        """
        if variant in CONTROL_LABELS:
            return CONTROL_LABELS[variant]
        defacer, refacer = split_variant(variant)
        engine = self.engines.get(variant) or self.engines.get(defacer)
        name = f"{defacer} ({engine})" if engine else defacer
        if refacer is None:
            return name
        return f"{name} + {refacer}" if full else f"+ {refacer}"

    def row_labels(self, variants: list[str]) -> list[str]:
        """Return labels of rows; a refaced variant below its kin is named by its refacer."""
        labels, above = [], None
        for variant in variants:
            defacer = split_variant(variant)[0]
            labels.append(self.label(variant, full=defacer != above))
            above = defacer
        return labels


def order_variants(variants: Iterable[str], order: Iterable[str] = ()) -> tuple[str, ...]:
    """Return variants as controls first, then each defacer with its refaced ones behind it.

    Parameters
    ----------
    variants : iterable of str
        In any order, with repeats.
    order : iterable of str
        Defacers, or all variants, in the order of the config; what is not named in it follows by
        name.

    >>> order_variants(["b", "a+m", "null", "a", "original"])
    ('original', 'null', 'a', 'a+m', 'b')
    >>> order_variants(["b+m", "a", "b+n", "b"], ["b", "b+n", "b+m", "a"])
    ('b', 'b+n', 'b+m', 'a')
    """
    pairs = [split_variant(name) for name in order]
    first, second = (
        {name: place for place, name in enumerate(dict.fromkeys(names))}
        for names in ((d for d, _ in pairs), (r for _, r in pairs if r))
    )

    def key(variant):
        if variant in CONTROL_LABELS:
            return (0, list(CONTROL_LABELS).index(variant), "", -1, "")
        defacer, refacer = split_variant(variant)
        behind = second.get(refacer, len(second)) if refacer else -1
        return (1, first.get(defacer, len(first)), defacer, behind, refacer or "")

    return tuple(sorted({str(v) for v in variants}, key=key))


def look_of(tables: Mapping[str, pd.DataFrame], order: Iterable[str] = ()) -> Look:
    """Return the :class:`Look` of a dataset from all its tables.

    Parameters
    ----------
    tables : mapping of str to pandas.DataFrame
        The tables of :mod:`refacebench.results`; the union of their variants
        is ordered, so that a variant keeps its colour where others are missing.
    order : iterable of str
        Defacers, or all variants, in the order of the config.

    Raises
    ------
    ValueError
        If a table has a row without a variant.
    """
    variants = {"original"}
    for name, table in tables.items():
        if "variant" in table:
            if table["variant"].isna().any():
                raise ValueError(
                    f"table {name}: a row without a variant; was the name 'null' read as a missing "
                    "value? Read result tables with results.catalogue.read"
                )
            variants |= {str(v) for v in table["variant"] if str(v)}
    engines = {}
    quality = tables.get("quality")
    if quality is not None and "engine" in quality:
        known = quality.dropna(subset=["engine"])
        engines = {v: e for v, e in zip(known["variant"], known["engine"], strict=True) if e}
    return Look(order_variants(variants, order), engines)


def pick_segmenter(table: pd.DataFrame, segmenter: str | None) -> tuple[pd.DataFrame, str]:
    """Return the rows of one segmenter (the first one if none is named) and its name.

    Raises
    ------
    ValueError
        If the table has no row of the named segmenter.
    """
    if "segmenter" not in table or table.empty:
        return table, segmenter or ""
    names = list(dict.fromkeys(table["segmenter"].dropna()))
    if segmenter is None:
        segmenter = names[0] if names else ""
    if names and segmenter not in names:
        raise ValueError(f"no rows of segmenter '{segmenter}' (there are: {', '.join(names)})")
    return table[table["segmenter"] == segmenter], segmenter


def ok_rows(measures: pd.DataFrame | None, segmenter: str = "") -> pd.DataFrame:
    """Return the measured scans that are compared: no rescans, no training scans.

    A scan is compared if there is a row of it for any variant but the original.
    """
    if measures is None:
        return pd.DataFrame(columns=["variant"])
    compared = measures.loc[measures["variant"] != "original", "scan"]
    keep = measures["scan"].isin(set(compared)) & (measures["status"] == "ok")
    if "role" in measures:
        keep &= measures["role"] != "rescan"
    if segmenter and "segmenter" in measures:
        keep &= measures["segmenter"] == segmenter
    return measures[keep]


def styled(draw):
    """Draw with the shared settings, whatever the caller's are."""

    @wraps(draw)
    def wrapper(*args, **kwargs):
        import matplotlib

        with matplotlib.rc_context():
            matplotlib.rcdefaults()
            matplotlib.rcParams.update(RC)
            return draw(*args, **kwargs)

    return wrapper


def new_figure(width: float = WIDTH, height: float = 4.0):
    """Return an empty figure (inches) that no pyplot state knows."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def wrapped(text: str, width: int) -> str:
    r"""Return a title in lines of at most so many letters; long names are cut where they must be.

    >>> wrapped("pydeface (native)", 20), wrapped("a_rather_long_name (native)", 20)
    ('pydeface (native)', 'a_rather_long_name\n(native)')
    """
    import textwrap

    return textwrap.fill(text, width, break_on_hyphens=False)


def message_figure(message: str):
    """Return a figure that says why there is nothing to draw."""
    figure = new_figure(height=1.2)
    axes = figure.add_subplot()
    axes.set_axis_off()
    axes.text(0.5, 0.5, message, ha="center", va="center", color=INK, fontsize=10, wrap=True)
    figure.set_label(MESSAGE_ONLY)
    return figure


def message_of(path: str | Path) -> str:
    """Return the sentence of a PNG that holds nothing else; empty for any other figure."""
    from PIL import Image

    with Image.open(path) as image:
        if image.info.get("Description", "") != MESSAGE_ONLY:
            return ""
        return str(image.info.get("Title", ""))


def settle(figure) -> None:
    """Lay out a figure for good, and pin its legends where they are.

    Cropping would move a legend to the picture's new lower edge, where the note stands.
    """
    for _ in range(2):  # a second look corrects the first one's guess of label widths
        figure.draw_without_rendering()
    figure.set_layout_engine("none")
    for legend in figure.legends:
        legend.set_bbox_to_anchor((0.0, 0.0, 1.0, 1.0), transform=figure.transFigure)


def add_note(figure, note: str) -> None:
    """Write a red line below all that a figure holds, whatever that is and wherever it reaches."""
    box = figure.get_tightbbox()
    width, height = figure.get_size_inches()
    figure.text(
        box.x1 / width,
        (box.y0 - 0.05) / height,
        note,
        ha="right",
        va="top",
        color="#B00020",
        fontsize=9,
        fontweight="bold",
    )


#: Letters of a figure for a paper become no smaller than this share: 6 points from 8.
SMALLEST = 0.75


def scale_letters(figure, factor: float) -> None:
    """Make all letters of a figure larger or smaller, those of ticks that come later as well."""
    from matplotlib.text import Text

    for text in figure.findobj(Text):
        text.set_fontsize(factor * text.get_fontsize())
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            labels = axis.get_ticklabels()
            if labels:
                axis.set_tick_params(labelsize=labels[0].get_fontsize())


def save_for_paper(figure, stem: str | Path, width_mm: float, note: str = "") -> list[Path]:
    """Write a figure as PDF and SVG in a width of a paper's; the same figure, the same bytes.

    A figure that becomes narrower gets smaller letters, but none below :data:`SMALLEST` of theirs.

    Parameters
    ----------
    figure, stem, note
        As for :func:`save`.
    width_mm : float
        Width of the page that it is laid out for.
    """
    width, height = figure.get_size_inches()
    factor = width_mm / 25.4 / width
    letters = min(1.0, max(factor, SMALLEST))
    figure.set_size_inches(factor * width, max(factor, letters) * height)
    scale_letters(figure, letters)
    nothing = {"Creator": None, "Producer": None, "CreationDate": None}
    formats = {".pdf": nothing, ".svg": {"Date": None, "Creator": None}}
    return _written(figure, stem, note, formats, dpi=300, pad_inches=0.02)


def save(figure, stem: str | Path, note: str = "") -> list[Path]:
    """Write a figure as PNG and SVG; the same figure gives the same bytes.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        Its label, if it has one (whether faces are shown, for example),
        travels inside both files as ``Description``; the sentence of one that holds nothing else
        as ``Title`` (:func:`message_of`).
    stem : str or Path
        Path without suffix.
    note : str
        What must be seen with the figure wherever it goes (a synthetic cohort).

    Returns
    -------
    list of Path
        The PNG and the SVG.
    """
    label = {"Description": figure.get_label()} if figure.get_label() else {}
    if figure.get_label() == MESSAGE_ONLY:
        label["Title"] = figure.axes[0].texts[0].get_text()
    # No date, no program name, no version of the program.
    metadata = {
        ".png": {"Software": None, **label},
        ".svg": {"Date": None, "Creator": None, **label},
    }
    return _written(figure, stem, note, metadata, dpi=DPI, pad_inches=0.08)


def _written(
    figure, stem: str | Path, note: str, formats: Mapping[str, Mapping], **how: float
) -> list[Path]:
    """Settle a figure and write it once for each suffix, with what the file says of itself."""
    import matplotlib

    stem, paths = Path(stem), []
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(RC)
        pseudonyms.active().figure(figure)
        settle(figure)
        if note:
            add_note(figure, note)
        for suffix, facts in formats.items():
            path = stem.with_name(stem.name + suffix)
            with replacing(path) as part:
                figure.savefig(part, format=suffix[1:], bbox_inches="tight", metadata=facts, **how)
            paths.append(path)
    return paths
