"""Makes the kit for human raters from renderings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pandas as pd

from refacebench import manifest
from refacebench.head import rendering
from refacebench.kit import page, questions
from refacebench.vocabulary import OK, PICTURE_CONTROLS


def make(
    paths: Iterable[str],
    options: Mapping,
    *,
    blur_mm: float,
    seed: int,
    dataset: str,
    faces: str,
    note: str = "",
) -> tuple[pd.DataFrame, str]:
    """Return the key and the page of one dataset.

    Parameters
    ----------
    paths : iterable of path
        The manifests of the render stage, a variant each.
    options : mapping
        Those of the kit (:func:`refacebench.kit.questions.options`).
    blur_mm : float
        Of the blurred control.
    seed : int
    dataset, faces, note : str
        As for :func:`refacebench.kit.page.page`.

    Raises
    ------
    ValueError
        If the dataset's faces are not public, or too little was rendered.
    """
    page.check_faces(dataset, faces)
    rows = manifest.read_many(paths)
    asked = list(options["variants"]) or list(dict.fromkeys(rows["variant"]))
    table = shown(rows, [v for v in asked if v in PICTURE_CONTROLS])
    # Originals of every session are asked with; only the measured ones are chosen from.
    choice = table[(table["variant"] != "original") | (table["role"] == "measured")]
    key = questions.questions(
        choice,
        asked,
        originals=table[table["variant"] == "original"],
        count=options["questions"],
        choices=options["options"],
        block=options["block"],
        seed=seed,
    )
    seen = {(row["variant"], row["scan"]): row for row in table.to_dict("records")}
    pictures = {place: picture(seen[place], options, blur_mm) for place in questions.used(key)}
    return key, page.page(key, pictures, dataset=dataset, faces=faces, seed=seed, note=note)


def shown(rows: pd.DataFrame, controls: Iterable[str]) -> pd.DataFrame:
    """Return what can be shown of the render stage's rows: one row per scan and variant.

    The pictures of controls are made from the originals'.
    """
    table = rows[rows["status"] == OK]
    measured = table[(table["variant"] == "original") & (table["role"] == "measured")]
    return pd.concat([table, *(measured.assign(variant=c) for c in controls)], ignore_index=True)


def picture(row: Mapping, options: Mapping, blur_mm: float):
    """Return the picture of a row: one view under one light."""
    found = rendering.read(row["views_path"])
    if row["variant"] in PICTURE_CONTROLS:
        found = rendering.control(found, row["variant"], blur_mm)
    views, lights = found.views.shape[:2]
    if options["view"] >= views or options["light"] >= lights:
        raise ValueError(
            f"privacy.kit: view {options['view']}, light {options['light']}: only {views} views "
            f"and {lights} lights were rendered"
        )
    return found.views[options["view"], options["light"]]
