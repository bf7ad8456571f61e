"""The page that asks the questions; it holds neither names nor right answers.

The page holds pictures of faces: :func:`page` refuses any data set whose faces are not public.
Fills its template and writes nothing.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from refacebench.faces import may_show
from refacebench.kit.questions import identity, options_of, used
from refacebench.plot.html import fill, png_address

TEMPLATE = Path(__file__).with_name("page.html")
#: A page must stay small enough to be opened and sent.
MOST_BYTES = 100_000_000


def page(
    key: pd.DataFrame,
    pictures: Mapping[tuple[str, str], np.ndarray],
    *,
    dataset: str,
    faces: str,
    seed: int = 0,
    note: str = "",
) -> str:
    """Return the page as HTML.

    Parameters
    ----------
    key : pandas.DataFrame
        Of :func:`refacebench.kit.questions.questions`.
    pictures : mapping
        2-D uint8 arrays by (variant, scan).
    dataset, note : str
        Shown to the rater.
    faces : str
        The dataset's config.

    Raises
    ------
    ValueError
        If the dataset's faces are not public, or the page would be too large.
    """
    check_faces(dataset, faces)
    numbers, names = _numbers(key, seed), options_of(key)
    asked = [
        {
            "id": row["question"],
            "query": numbers["original", row["query"]],
            "options": [numbers[row["variant"], row[name]] for name in names],
        }
        for row in key.to_dict("records")
    ]
    ordered = sorted(numbers, key=numbers.__getitem__)
    blocks = {
        str(number): list(rows["question"]) for number, rows in key.groupby("block", sort=True)
    }
    document = {
        "kit": identity(key),
        "dataset": dataset,
        "note": note,
        "questions": asked,
        "blocks": blocks,
        "pictures": [encode(pictures[place]) for place in ordered],
    }
    text = fill(
        TEMPLATE,
        dataset=dataset,
        note=note,
        choices=len(names),
        document=_script_safe(document),
    )
    if len(text.encode()) > MOST_BYTES:
        raise ValueError(
            f"kit: the page of {dataset} would have {len(text.encode()) / 1e6:.0f} MB (limit "
            f"{MOST_BYTES / 1e6:g} MB); ask fewer questions (privacy.kit.questions)"
        )
    return text


def check_faces(dataset: str, faces: str) -> None:
    """Refuse to show a dataset's faces to raters unless they are public.

    Raises
    ------
    ValueError
        If they are not.
    """
    if not may_show(faces):
        raise ValueError(
            f"kit: the faces of dataset {dataset} are not public; raters may not see them "
            "(`faces: public` is for data whose faces were published)"
        )


def _numbers(key: pd.DataFrame, seed: int) -> dict[tuple[str, str], int]:
    """Number the pictures at random, so that their order tells nothing of whose they are."""
    found = used(key)
    order = np.random.default_rng(seed).permutation(len(found))
    return {place: int(n) for place, n in zip(found, order, strict=True)}


def encode(picture: np.ndarray) -> str:
    """Return a grey picture as a PNG data address without any metadata.

    Raises
    ------
    ValueError
        If it is not a 2-D array of uint8.
    """
    from PIL import Image

    picture = np.asarray(picture)
    if picture.ndim != 2 or picture.dtype != np.uint8:
        raise ValueError(f"kit: a picture of shape {picture.shape}, {picture.dtype}; not 2-D uint8")
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG", optimize=True)
    return png_address(buffer.getvalue())


def _script_safe(document: Mapping):
    """Return JSON that no browser takes for markup."""
    import markupsafe

    text = json.dumps(document, sort_keys=True, separators=(",", ":"))
    for char in "<>&\u2028\u2029":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return markupsafe.Markup(text)  # nosec B704
