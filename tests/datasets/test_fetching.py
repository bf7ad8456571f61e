"""Downloads from a server on this machine: resumed, checked, unpacked, refused."""

import hashlib
import io
import os
import tarfile
import threading
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pandas as pd
import pytest

from refacebench.datasets import _download, _fetching, ixi

BODY = bytes(range(256)) * 2000


def archive():
    """A tar with two images, as IXI's."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as packed:
        for name in ("IXI002-Guys-0828-T1.nii.gz", "IXI012-HH-1211-T1.nii.gz"):
            info = tarfile.TarInfo(name)
            info.size = 5
            packed.addfile(info, io.BytesIO(b"image"))
    return out.getvalue()


SHEET = b'IXI_ID,"SEX_ID (1=m, 2=f)",AGE\n2,2,35.8\n12,1,38.8\n'


class Server(ThreadingHTTPServer):
    """Serves files; ``ranges`` off: knows no Range; ``breaks``: ends a first answer early."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files = {"/f.bin": BODY, "/IXI-T1.tar": archive(), "/IXI.xls": SHEET}
        self.ranges, self.breaks, self.asked = True, 0, []

    def url(self, name):
        return f"http://127.0.0.1:{self.server_port}/{name}"


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *args):
        pass

    def do_GET(self):
        server, wanted = self.server, self.headers.get("Range")
        server.asked.append(wanted)
        if self.path.startswith("http"):  # asked as a proxy
            self.send_error(407, "Proxy Authentication Required")
            return
        body = server.files.get(self.path)
        if body is None:
            self.send_error(404)
            return
        begin = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and server.ranges else 0
        if begin and begin >= len(body):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(body)}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(206 if begin else 200)
        rest = body[begin:]
        self.send_header("Content-Length", str(len(rest)))
        self.end_headers()
        if server.breaks:
            rest, server.breaks = rest[: server.breaks], 0
        self.wfile.write(rest)


@pytest.fixture
def server(monkeypatch):
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)
    running = Server()
    threading.Thread(target=running.serve_forever, daemon=True).start()
    yield running
    running.shutdown()
    running.server_close()


DIGEST = hashlib.md5(BODY, usedforsecurity=False).hexdigest()


@pytest.mark.parametrize("ranges", [True, False])
def test_a_download_that_was_interrupted_goes_on(server, tmp_path, ranges):
    server.breaks, server.ranges = 100_000, ranges
    path, part = tmp_path / "sub" / "f.bin", tmp_path / "sub" / "f.bin.part"
    with pytest.raises(ConnectionError, match="100000 bytes came and are kept"):
        _download.bring(server.url("f.bin"), path, "md5", DIGEST)
    assert part.stat().st_size == 100_000
    assert not path.exists()
    _download.bring(server.url("f.bin"), path, "md5", DIGEST)
    assert path.read_bytes() == BODY
    assert server.asked == [None, "bytes=100000-"]
    assert not part.exists()


@pytest.mark.parametrize(("content", "requests"), [(BODY, 1), (BODY + b"more", 2)])
def test_what_is_whole_or_too_long_already(server, tmp_path, content, requests):
    (tmp_path / "f.bin.part").write_bytes(content)
    _download.bring(server.url("f.bin"), tmp_path / "f.bin", "md5", DIGEST)
    assert (tmp_path / "f.bin").read_bytes() == BODY
    assert len(server.asked) == requests


def test_other_bytes_are_refused_and_leave_nothing(server, tmp_path):
    (tmp_path / "f.bin.part").write_bytes(b"of another file")
    with pytest.raises(ValueError, match="not the file whose MD5.*by hand"):
        _download.bring(server.url("f.bin"), tmp_path / "f.bin", "md5", DIGEST)
    assert list(tmp_path.iterdir()) == []


def test_no_server_a_wrong_address_and_a_proxy_say_what_to_do(server, tmp_path, monkeypatch):
    path = tmp_path / "f.bin"
    with pytest.raises(ConnectionError, match="answers 404: the address may have changed"):
        _download.bring(server.url("no.bin"), path)
    with pytest.raises(ConnectionError, match=f"is there a network.*put it at {path} by hand"):
        _download.bring("http://127.0.0.1:9/f.bin", path, timeout=5)
    monkeypatch.setenv("http_proxy", server.url(""))
    monkeypatch.setenv("no_proxy", "")
    monkeypatch.setattr(urllib.request, "_opener", None)  # which knows the proxies of before
    with pytest.raises(ConnectionError, match="the proxy refuses it: set http_proxy"):
        _download.bring("http://example.invalid/f.bin", path)
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def table(server, tmp_path, monkeypatch):
    digest = hashlib.md5(server.files["/IXI-T1.tar"], usedforsecurity=False).hexdigest()
    own = _fetching.addresses(ixi.SOURCES)
    assert list(own["file"]) == ["IXI-T1.tar", "IXI.xls"]
    own["url"] = [server.url(name) for name in own["file"]]
    own.loc[own["file"] == "IXI-T1.tar", "checksum"] = digest
    path = tmp_path / "urls.tsv"
    own.to_csv(path, sep="\t", index=False)
    monkeypatch.setattr(ixi, "SOURCES", path)
    return path


def options(root):
    return {**ixi.METHOD.defaults, "path": str(root), "download": True}


def test_ixi_is_fetched_unpacked_and_linked_and_nothing_is_there_twice(server, table, tmp_path):
    root = tmp_path / "IXI"
    assert ixi.to_fetch(options(root)) == "IXI-T1.tar, IXI.xls"
    ixi.fetch(options(root))
    assert ixi.to_fetch(options(root)) == ""
    assert sorted(p.name for p in root.iterdir()) == ["IXI.xls", "T1", "bids"]
    found = ixi.index(options(root), 1)
    assert list(found["scan"]) == ["sub-IXI002", "sub-IXI012"]
    link = root / "bids/sub-IXI002/anat/sub-IXI002_T1w.nii.gz"
    assert link.is_symlink()
    assert not os.readlink(link).startswith("/"), "the folder may be moved"
    assert link.resolve() == (root / "T1/IXI002-Guys-0828-T1.nii.gz").resolve()
    people = pd.read_csv(root / "bids/participants.tsv", sep="\t")
    assert people["age"].tolist() == [35.8, 38.8]
    asked = len(server.asked)
    ixi.fetch(options(root))
    assert len(server.asked) == asked, "what is there is not asked for again"


def test_a_folder_that_the_user_has_needs_no_download(tmp_path):
    (tmp_path / "IXI002-Guys-0828-T1.nii.gz").write_bytes(b"image")
    (tmp_path / "IXI.csv").write_bytes(SHEET)
    assert ixi.to_fetch(options(tmp_path)) == ""
    assert ixi.to_fetch({**options(tmp_path / "none"), "download": False}) == ""


def test_an_archive_that_is_damaged_or_leads_elsewhere_unpacks_nothing(tmp_path):
    bad = tmp_path / "bad.tar"
    bad.write_bytes(archive()[:700])
    with pytest.raises(ValueError, match="cannot be unpacked.*delete it"):
        _fetching.unpack(bad, tmp_path / "T1")
    linked = tarfile.TarInfo("in.nii.gz")
    linked.type, linked.linkname = tarfile.SYMTYPE, "/etc/passwd"
    outside = [tarfile.TarInfo(name) for name in ("../outside.nii.gz", f"{tmp_path}/a.nii.gz")]
    for info in (*outside, linked):
        with tarfile.open(bad, "w") as packed:
            packed.addfile(info, io.BytesIO(b""))
        with pytest.raises(ValueError, match="cannot be unpacked"):
            _fetching.unpack(bad, tmp_path / "T1")
    assert [p.name for p in tmp_path.iterdir()] == ["bad.tar"]


def test_every_address_says_what_is_known_of_its_checksum():
    table = _fetching.addresses(ixi.SOURCES)
    for entry in table.itertuples():
        assert bool(entry.checksum) == bool(entry.algorithm)
        assert "checksum" in entry.note
        assert Path(entry.file).name == entry.file
