"""Reads what the page for quality control is made from, and writes the page and its list."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from refacebench import manifest
from refacebench.qc import listing, page
from refacebench.results import inputs
from refacebench.run import plan
from refacebench.run.wanted import NOT_TAKEN
from refacebench.statistics.criteria import Criteria
from refacebench.vocabulary import EXCLUDED, OK, ORIGINAL


def make(
    given: Any,
    scans: str | Path,
    *,
    dataset: str,
    config: Mapping[str, Any],
    faces: str,
    floors: Collection[str] = (),
    unused: Iterable[str | Path] = (),
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
    unused : iterable of path
        The lists of scans that nothing uses; those that cannot be used are rows too.
    note : str
        Stands on top of the page.
    """
    criteria = Criteria.from_config(config)
    pictures = manifest.read_many(given.pictures)
    measured = inputs.measurements(given.measured)
    found = listing.table(
        pd.concat([measured, _left_out(unused, measured)], ignore_index=True),
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
    _tidy(folder, pictures)


def _left_out(unused: Iterable[str | Path], measured: pd.DataFrame) -> pd.DataFrame:
    """Return a row per variant of each scan that no job ever opened because it cannot be used.

    Scans that the config did not want this time are no rows.
    """
    lists = [plan.read_list(path) for path in unused]
    lost = pd.concat(lists, ignore_index=True) if lists else measured.iloc[:0]
    wanted = ~lost["reason"].astype(str).str.startswith(NOT_TAKEN)
    lost = lost[(lost["status"] == EXCLUDED) & wanted]
    parts = [lost.assign(variant=name, segmenter="") for name in measured["variant"].unique()]
    return pd.concat(parts, ignore_index=True) if len(lost) else lost


def _tidy(folder: Path, pictures: pd.DataFrame) -> None:
    """Delete pictures that no scan of the page has: of scans that are gone, or by other names."""
    columns = [name for name in listing.PICTURES if name in pictures]
    for variant, mine in pictures.groupby("variant"):
        kept = {Path(path).name for name in columns for path in mine[name].fillna("") if path}
        for path in (folder / variant / "pictures").glob("*"):
            if path.name not in kept:
                path.unlink()
