"""The public label maps and priors: where they come from, and bringing them into a folder."""

from __future__ import annotations

import urllib.error
import urllib.request
from pathlib import Path

import pandas as pd

from refacebench import files

#: Where the maps and priors come from, with their SHA-256.
SOURCES = Path(__file__).with_name("labelmap_urls.tsv")


def sources() -> pd.DataFrame:
    """Return the table of files that :func:`download` brings: file, sha256, url."""
    return pd.read_csv(SOURCES, sep="\t", dtype=str)


def download(folder: str | Path, table: pd.DataFrame | None = None, timeout: float = 60.0) -> None:
    """Bring the label maps and priors into a folder; files that are right already stay.

    Each file is checked against its SHA-256 before it gets its name.

    Parameters
    ----------
    table : pandas.DataFrame, optional
        Columns file, sha256, url; by default :func:`sources`.

    Raises
    ------
    ConnectionError
        If a file cannot be fetched.
    ValueError
        If what came is not the expected file.
    """
    for entry in (sources() if table is None else table).itertuples():
        path = Path(folder) / entry.file
        if path.is_file() and files.checksum(path) == entry.sha256:
            continue
        try:
            with files.replacing(path) as part:
                with urllib.request.urlopen(entry.url, timeout=timeout) as answer:  # nosec B310
                    part.write_bytes(answer.read())
                if files.checksum(part) != entry.sha256:
                    raise ValueError(
                        f"{entry.url}: not the file whose SHA-256 is {entry.sha256}; "
                        f"put the right one at {path} by hand"
                    )
        except (urllib.error.URLError, TimeoutError) as error:
            raise ConnectionError(
                f"{entry.url}: cannot be fetched ({error}); put it at {path} by hand"
            ) from None
