"""Draws and writes the figures of one dataset."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from refacebench import manifest, pseudonyms
from refacebench.faces import SAMPLES, may_show
from refacebench.head import matrices, rendering, values
from refacebench.image import nifti
from refacebench.image.nifti import Volume
from refacebench.metrics import similarity
from refacebench.plot import curves, samples, sheet, slices, style
from refacebench.report import models
from refacebench.results import catalogue, privacy_map
from refacebench.results.result import View
from refacebench.run import dropped
from refacebench.statistics import comparisons
from refacebench.statistics.cohort import has_image
from refacebench.statistics.criteria import Criteria
from refacebench.vocabulary import OK, ORIGINAL, split_variant


def write(drawn: Mapping, paths: Iterable[str | Path], note: str = "") -> None:
    """Write figures as PNG and SVG.

    Parameters
    ----------
    drawn : mapping
        By name.
    paths : iterable of path
        The PNG files; the stem of each names its figure.
    note : str
        What must be seen with every figure.
    """
    for path in map(Path, paths):
        if path.suffix == ".png":
            style.save(drawn[path.stem], path.with_suffix(""), note)


def of_measurements(
    given, criteria: Criteria, variants: Sequence[str], segmenters: Sequence[str]
) -> dict:
    """Draw the figures of measurements.

    Parameters
    ----------
    given
        Paths: ``tables``, and ``measured``, the manifests of the measure stage.
    criteria : Criteria
    variants, segmenters : sequence of str
        In the order of the config.
    """
    tables = _read(given.tables)
    look = style.look_of(tables, variants)
    # Under their pseudonyms, whose order the points of a figure have then.
    measures = pseudonyms.active().table(manifest.read_many(given.measured))
    return catalogue.draw(View(tables, criteria, look=look, measures=measures), segmenters)


def of_attacks(
    tables: Mapping[str, pd.DataFrame],
    others: Iterable[str],
    variants: Sequence[str],
    criteria: Criteria,
    decision: Mapping[str, float],
) -> dict:
    """Draw the figures of attacks, as far as they show no face.

    Parameters
    ----------
    tables : mapping of str to pandas.DataFrame
        Those of attacks.
    others : iterable of path
        Tables that verdicts rest on too: ``volumes``, ``quality`` and ``verdict_agreement``.
    variants : sequence of str
        In the order of the config.
    criteria : Criteria
    decision : mapping
        The config's ``decision``.
    """
    everything = {**tables, **_read(others)}
    look = style.look_of(everything, variants)
    view = View(everything, criteria, look=look, decision=decision)
    return catalogue.draw(view, (), attacks=True)


def of_surfaces(attacks: Iterable[str], tables: Iterable[str], variants: Sequence[str], faces: str):
    """Draw the distances of surfaces on the average face.

    Parameters
    ----------
    attacks : iterable of path
        What attackers compared.
    tables : iterable of path
        Those of attacks, ``volumes`` and ``quality``: a variant has the same colour in all figures.
    variants : sequence of str
        In the order of the config.
    faces : str
        The dataset's.
    """
    found = (comparisons.read(path) for path in attacks)
    maps = privacy_map.surface_maps([item for item in found if item.extra], faces)
    return privacy_map.draw(maps, style.look_of(_read(tables), variants))


def _read(paths: Iterable[str]) -> dict[str, pd.DataFrame]:
    return {Path(path).stem: catalogue.read(path) for path in paths}


# one scan, one training ---------------------------------------------------------------------


def of_example(paths: Iterable[str], variants: Sequence[str], faces: str, title: str):
    """Draw one scan in all variants, or a figure that says that there is none.

    Parameters
    ----------
    paths : iterable of path
        The manifests of the segment stage.
    variants : sequence of str
        In the order of the config.
    faces : str
        The dataset's.
    title : str
        Above the figure.
    """
    table = _to_show(paths)
    scan = example(table)
    if not scan:
        return style.message_figure("There is no image of any scan: nothing to show.")
    rows = table[table["scan"] == scan].drop_duplicates("variant").set_index("variant")
    original = values.read(rows["original_path"].iloc[0])
    volumes = {v: values.as_read(rows.loc[v, "path"], original) for v in rows.index}
    matrix_path = rows.iloc[0].get("template_path", "")
    pictures = {}
    if may_show(faces) and matrix_path:
        everything = {"original": original.volume, **volumes}
        pictures = _pictures(everything, matrices.read_matrix(matrix_path))
    return slices.draw(
        original.volume,
        volumes,
        nifti.read_mask(rows["brain_path"].iloc[0]),
        _look(rows, variants),
        faces=faces,
        title=title,
        pictures=pictures,
    )


def _look(rows: pd.DataFrame, variants: Sequence[str] = ()) -> style.Look:
    """Return the look of one scan's variants (the index), named with the engines of defacers."""
    engines = pd.DataFrame({"variant": rows.index, "engine": None})
    if "deface_engine" in rows:
        engines["engine"] = rows["deface_engine"].to_numpy()
    return style.look_of({"quality": engines}, variants)


def of_sheets(paths: Iterable[str], refaced: Iterable[str], faces: str, title: str) -> dict:
    """Draw all slices of the example scan for each refaced variant: original, defaced, refaced.

    Parameters
    ----------
    paths : iterable of path
        The manifests of the segment stage.
    refaced : iterable of str
        The variants.
    faces, title : str
        As for :func:`of_example`.

    Returns
    -------
    dict of str to matplotlib.figure.Figure
        By variant, of the same scan wherever it has all three images; a figure that says so
        where no scan has.
    """
    table = _to_show(paths)
    usual, drawn = example(table), {}
    for variant in refaced:
        defacer, _ = split_variant(variant)
        rows = table[table["variant"].isin((ORIGINAL, defacer, variant))]
        whole = rows.groupby("scan")["variant"].transform("nunique") == 3
        if not whole.any():
            drawn[variant] = style.message_figure(
                "No scan has an image in all three rows: nothing to show."
            )
            continue
        rows = rows[whole]
        scan = usual if usual in set(rows["scan"]) else example(rows)
        rows = rows[rows["scan"] == scan].drop_duplicates("variant").set_index("variant")
        look = _look(table[table["scan"] == scan].drop_duplicates("variant").set_index("variant"))
        original = values.read(rows.loc["original", "original_path"])
        shown = {"original": original.volume}
        for name in (defacer, variant):
            # Written upwards beside a row, which is no longer than this.
            text = style.wrapped(look.label(name, full=name == defacer), 14)
            shown[text] = values.as_read(rows.loc[name, "path"], original)
        head = nifti.read_mask(rows.loc["original", "head_path"])
        drawn[variant] = sheet.draw(
            shown,
            nifti.read_mask(rows.loc["original", "brain_path"]),
            similarity.slices_of(original.volume, head),
            faces=faces,
            title=title,
        )
    return drawn


#: How the example's face is looked at: turned a little, so that the profile is seen too.
_LOOK = {"views": 2, "lights": 1, "pixels": 224, "half_field_mm": 122.0, "voxel_mm": 1.5}


def _pictures(volumes: Mapping[str, Volume], matrix: np.ndarray) -> dict[str, np.ndarray]:
    """Return a rendering of each variant's surface, 0 to 1, on black; none where there is none."""
    found = {}
    for name, volume in volumes.items():
        try:
            seen = rendering.render(volume, matrix, _LOOK)
        except ValueError:
            continue
        found[name] = np.where(np.isfinite(seen.depth[-1]), seen.views[-1, 0] / 255.0, 0.0)
    return found


def _to_show(paths: Iterable[str]) -> pd.DataFrame:
    """Read the rows of images that are there, whether or not a segmenter could do with them.

    Images that were deleted when they had been measured are not.
    """
    table = manifest.read_many(paths)
    segmented, made = table["status"] == OK, has_image(table)
    there = [
        dropped.find(path) is None if ok else os.path.isfile(path)
        for path, ok in zip(table["path"].fillna(""), segmented, strict=True)
    ]
    return table[made & np.array(there, bool)]


def example(table: pd.DataFrame) -> str:
    """Return the first scan of which every variant has an image; else the one of which most have.

    Of these rather one whose images could be segmented: one that could not may be no head at all.
    """
    if table.empty:
        return ""
    images = table.groupby("scan")["variant"].nunique()
    segmented = table[table["status"] == OK].groupby("scan")["variant"].nunique()
    segmented = segmented.reindex(images.index, fill_value=0)
    named = pseudonyms.active().scan
    return min(images.index, key=lambda scan: (-images[scan], -segmented[scan], named(scan)))


def of_training(card: str | Path, faces: str) -> list:
    """Draw the losses and the slices of a training, or two figures that say why there is no model.

    Parameters
    ----------
    card : path
        The model's card, beside its curves and samples.
    faces : str
        The dataset's.
    """
    card = Path(card)
    facts, name = json.loads(card.read_text()), card.parent.name
    if facts.get("status", OK) != OK:
        return [style.message_figure(f"{name}: {facts['reason']}") for _ in range(2)]
    files = sorted((card.parent / SAMPLES).glob("[!.]*.npy"))
    shown = {path.stem: np.load(path, allow_pickle=False) for path in files}
    losses = pd.read_csv(card.with_name("curves.tsv"), sep="\t")
    turn, best = models.turn(facts.get("options", {})), models.by_validation(facts)
    drawn = curves.draw(losses, name, turn, by_validation=best)
    if not shown:
        # A training that keeps slices makes their folder, which stays when they are deleted.
        kept = (card.parent / SAMPLES).is_dir()
        why = "its sample slices were deleted (keep_faces: false)"
        why = why if kept else "this method keeps no slices of its training"
        return [drawn, style.message_figure(f"{name}: {why}.")]
    return [drawn, samples.draw(shown, facts["picked"]["epoch"], faces, name)]
