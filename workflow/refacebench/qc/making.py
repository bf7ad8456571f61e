"""Reads what the page for quality control is made from, and writes the page and its list."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from refacebench import manifest
from refacebench.qc import listing, page
from refacebench.results import inputs
from refacebench.statistics.criteria import Criteria
from refacebench.vocabulary import OK, ORIGINAL


def make(
    given: Any,
    scans: str | Path,
    *,
    dataset: str,
    config: Mapping[str, Any],
    faces: str,
    floors: Collection[str] = (),
    note: str = "",
) -> None:
    """Write the page of one dataset, what it loads, and the list of its scans.

    Parameters
    ----------
    given
        Paths: ``pictures``, ``measured`` and ``attacks``.
    scans : path
        The list that is written; the page goes beside it.
    dataset : str
        Its name.
    config : mapping
        ``statistics``, ``thresholds`` and ``seed``.
    faces : str
        The dataset's.
    floors : collection of str
        Attackers that look at no face.
    note : str
        Stands on top of the page.
    """
    criteria = Criteria.from_config(config)
    pictures = manifest.read_many(given.pictures)
    found = listing.table(
        inputs.measurements(given.measured),
        pictures,
        criteria,
        thresholds=config.get("thresholds"),
        hits=listing.named_first(given.attacks, floors),
        seed=config["seed"],
    )
    originals = pictures[(pictures["variant"] == ORIGINAL) & (pictures["status"] == OK)]
    folder = Path(scans).parent
    page.write(
        found,
        folder,
        dataset=dataset,
        faces_are=faces,
        originals=originals,
        note=note,
        level=criteria.level,
    )
    listing.write(found, scans)
