"""Which figures of a dataset are shown, with what caption: for the page and Snakemake's report."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from refacebench.faces import check_figure
from refacebench.plot import style
from refacebench.plot.html import embed
from refacebench.report.blocks import Picture
from refacebench.results.catalogue import name_of
from refacebench.results.result import Figure, Result, View


@dataclass(frozen=True)
class Captioned:
    """A figure that is there: its name, its PNG, its caption, its alternative text, its title."""

    name: str
    path: Path
    caption: str
    alt: str
    title: str = ""
    secondary: bool = False

    def embedded(self, dataset: str) -> Picture:
        """Return the figure as the page holds it; its sentence alone where it is nothing else."""
        if message := style.message_of(self.path):
            return Picture(self.name, "", "", self.alt, "", self.title, self.secondary, message)
        vector = f"figures/{dataset}/{self.name}.svg"
        there = self.path.with_suffix(".svg").is_file()
        return Picture(
            self.name,
            embed(self.path),
            self.caption,
            self.alt,
            vector if there else "",
            self.title,
            self.secondary,
        )


def shown(
    dataset: Mapping, view: View, result: Result, segmenter: str | None, segmenters: Sequence[str]
) -> Iterator[Captioned]:
    """Yield the figures of a result that are there.

    Raises
    ------
    ValueError
        If a figure shows faces that must not be shown.
    """
    for figure in result.figures:
        if figure.draw is None:
            yield from _loose(dataset, view, result, figure)
            continue
        first = figure.first_segmenter and segmenters
        mine = view.of(segmenters[0] if first else segmenter)
        name = name_of(figure.name, segmenter, segmenters) if segmenter else figure.name
        path = dataset["figures"].get(name)
        if path is not None and len(mine.rows(result.source or result.name)):
            yield _captioned(name, path, result, figure, result.words(figure)(mine))


def _loose(dataset: Mapping, view: View, result: Result, figure: Figure) -> Iterator[Captioned]:
    """Yield all figures whose name begins with that of one which a rule of its own draws."""
    if result.source and view.rows(result.source).empty:
        return
    for name, path in dataset["figures"].items():
        if name.startswith(figure.name):
            if figure.heads:
                check_figure(path, view.faces)
            which = name.removeprefix(figure.name).strip("-_ ")
            yield _captioned(name, path, result, figure, result.words(figure)(view, which))


def _captioned(
    name: str, path: str | Path, result: Result, figure: Figure, caption: str
) -> Captioned:
    secondary = result.secondary or figure.secondary
    return Captioned(name, Path(path), caption, figure.alt, figure.title, secondary)
