"""The public label maps are downloaded whole and right, or not at all."""

import urllib.request
from pathlib import Path

import pandas as pd
import pytest

from refacebench import files
from refacebench.datasets import (
    _download,
    _paint,
)


def table_of(path: Path, url: str, digest: str | None = None) -> pd.DataFrame:
    """A download table of one file."""
    digest = digest or files.checksum(path)
    return pd.DataFrame([{"file": "sub/f.bin", "sha256": digest, "url": url}])


def test_download_checks_and_keeps(tmp_path, monkeypatch):
    source, folder = tmp_path / "source.bin", tmp_path / "maps"
    source.write_bytes(b"a label map")
    table = table_of(source, source.as_uri())
    _download.download(folder, table)
    assert (folder / "sub" / "f.bin").read_bytes() == b"a label map"

    def refuse(*args, **kwargs):
        raise AssertionError("fetched again")

    monkeypatch.setattr(urllib.request, "urlopen", refuse)
    _download.download(folder, table)


def test_download_refuses_other_bytes_and_leaves_nothing(tmp_path):
    source, folder = tmp_path / "source.bin", tmp_path / "maps"
    source.write_bytes(b"not what was promised")
    with pytest.raises(ValueError, match="SHA-256"):
        _download.download(folder, table_of(source, source.as_uri(), "0" * 64))
    with pytest.raises(ConnectionError, match="by hand"):
        _download.download(folder, table_of(source, (tmp_path / "no").as_uri()))
    assert list((folder / "sub").iterdir()) == []


def test_the_download_table_names_maps_and_priors():
    table = _download.sources()
    assert table["sha256"].str.fullmatch("[0-9a-f]{64}").all()
    assert {f"labels_classes_priors/{n}" for n in _paint.PRIOR_FILES.values()} <= set(table.file)
    assert table["file"].str.endswith(".nii.gz").sum() == 9
