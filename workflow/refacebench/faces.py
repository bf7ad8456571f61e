"""What may be shown of a face, to whom, and which folders hold faces: the policy, in one place.

The policy.  Pictures and images that show a face lie in the folders of :data:`FOLDERS`
alone, the same whether a dataset says ``faces: public`` or not.  Each of them is opened to
nobody but its owner (mode 0700) and has a README that says what is inside.  What may leave a
machine are tables, figures, the report, models with their cards and curves: where a
dataset's faces are not public (:func:`may_show`) they show nothing of a face but a flat
silhouette or, of many people, an average (:func:`may_show_average`).  A figure that could
show a face carries a label inside its file that says whether it does (:func:`label`);
no page takes one that must not be shown (:func:`check_figure`).

This module makes folders, sets their modes and writes their README files; it reads the
labels of figures.
"""

from __future__ import annotations

import os
import sys
import textwrap
from pathlib import Path

from refacebench.files import refuse_links, write_text

#: Value of a dataset's ``faces`` that lets its faces be shown; any other value hides them.
PUBLIC = "public"
#: What a figure that could show faces says of itself, inside its file.
SHOWN = "faces shown: public"
HIDDEN = "faces hidden: brain and flat silhouette only"
#: The same of a figure that holds a sentence and no image.
MESSAGE_ONLY = "message only"
#: With fewer people an average face would still be somebody's.
LEAST_FACES = 10
#: The folder, in each training's own, that holds slices through heads.
SAMPLES = "samples"

#: Folders below ``results``, or by name at the end of a path, and what a reader of their
#: README is told.
FOLDERS = {
    "cohort": "head scans with faces, grown from a real person's published scan",
    "derivatives": (
        "defaced and refaced scans, masks and segmentations of the people in your data. Some "
        "methods leave a face, or part of one, and a refaced scan shows a face"
    ),
    "render": "pictures and depth maps of heads: anybody who knows these people recognises them",
    "enrol": "what the attackers keep of each person's face or head in order to recognise it",
    "attack": "what the attackers found: faces' features, distances, and average faces",
    "qc": (
        "the page for quality control: pictures of heads with their faces, before and after a "
        "method, for the eyes of those who may see the scans themselves"
    ),
    "kit": "pictures of faces that human raters are asked about, and the key that names them",
    "scratch": "copies of scans while a defacer works on them, and after a run that was killed",
    "pseudonyms": (
        "the key of the pseudonyms in tables, figures and the report (key), and the table of who "
        "is who (mapping.tsv)"
    ),
    SAMPLES: "slices through heads of real people, with and without their faces, as arrays",
}
#: The folders that a stage writes such files to, by the stage's name (that of its logs).
STAGES = {
    "base": ("cohort",),
    "grow": ("cohort",),
    "prepare": ("derivatives",),
    "deface": ("derivatives", "scratch"),
    "align": ("derivatives",),
    "carry": ("derivatives",),
    "reface": ("derivatives",),
    "segment": ("derivatives",),
    "render": ("render",),
    "enrol": ("enrol",),
    "attack": ("attack",),
    "qc": ("qc",),
    "kit": ("kit",),
    "pseudonyms": ("pseudonyms",),
}
MODE = 0o700
README = "README"

_TEXT = """This folder holds recognisable faces or the means to recognise people.

{inside}

Do not publish, mail or upload it, or copy it to where others can read it. Treat it as you
treat the scans themselves. Show the report, the tables and the figures instead.
{further}
Only the owner can open this folder (mode 0700). If your group may see the data, you can open
it to them (chmod g+rx); later runs leave that as it is.
"""
_FURTHER = {
    "derivatives": """
Before you share a defaced data set from here, look at every scan: a method that failed on one
has left its face. `quality.tsv` among the tables says on which. Leave out the masks of changed
voxels (`*_desc-changed_mask.nii.gz`) and all that lies in `original`: where a method follows the
skin, its mask has the shape of the face that is gone (docs/validation/changed_masks.md).
""",
    "qc": """
Open `index.html` of a data set in a browser on this machine. What it saves, the file of ratings,
holds names of scans but no picture; that one may be handed on to whoever may know these names.
""",
    "kit": """
What raters are given is the folder `page`; the file `key.tsv` stays with you.
""",
    "pseudonyms": """
Keep a copy of `key` where your data are. With it later runs give everybody the same pseudonym
again, also in another folder (put it there before the first run). Without it, and without
`mapping.tsv`, nobody can say who is meant in what you have shared; the next run stops and says so.
Models that were trained before pseudonyms were switched on have ids in their cards.
""",
}


def may_show(faces: str) -> bool:
    """Tell whether people's faces may be shown, by their dataset's ``faces``.

    >>> may_show("public"), may_show("private")
    (True, False)
    """
    return faces == PUBLIC


def may_show_average(faces: str, people: int) -> bool:
    """Tell whether the average face of so many people may be shown.

    >>> may_show_average("private", 9), may_show_average("private", 10)
    (False, True)
    """
    return may_show(faces) or people >= LEAST_FACES


def label(faces: str) -> str:
    """Return the label of a figure of heads that was drawn as a dataset's ``faces`` say."""
    return SHOWN if may_show(faces) else HIDDEN


def local_warning(faces: str) -> str:
    """Return what stands on top of a page that shows heads as they are, for local eyes.

    >>> local_warning("private").split(":")[0]
    'This page shows faces of people whose data are private'
    """
    if may_show(faces):
        return "This page shows faces. It is for your own eyes; the report is for sharing."
    return (
        "This page shows faces of people whose data are private: do not copy, mail or upload it, "
        "and take no screenshots. What may be shared is results/report.html, which shows none."
    )


def check_figure(path: str | Path, faces: str) -> None:
    """Refuse a PNG that shows faces where they must not be shown.

    Raises
    ------
    ValueError
        If the dataset's faces are not public and the file does not say that
        they were hidden when it was drawn.
    """
    from PIL import Image

    with Image.open(path) as image:
        found = image.info.get("Description", "")
    if not may_show(faces) and found not in (HIDDEN, MESSAGE_ONLY):
        raise ValueError(
            f"{path}: the data set's faces are private, but this figure shows faces; "
            "delete it and run again"
        )


def protect(folder: str | Path, inside: str = "") -> None:
    """Make a folder that holds faces, open to its owner alone, with a README.

    A folder of an earlier run is closed too; one that has its README already keeps the
    mode that its owner gave it since.

    Parameters
    ----------
    folder : str or Path
        Its name is a key of :data:`FOLDERS`, or ``inside`` is given.
    inside : str
        What is in it, for the README.
    """
    folder = Path(folder)
    readme = folder / README
    refuse_links(readme)
    if readme.is_file():
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        # First, so that nothing lies in an open folder; the mask of the process may narrow it.
        folder.mkdir(mode=MODE, exist_ok=True)
        os.chmod(folder, MODE)
        told = textwrap.fill(f"Inside: {inside or FOLDERS[folder.name]}.", 90)
        text = _TEXT.format(inside=told, further=_FURTHER.get(folder.name, ""))
        write_text(text, readme)
    except PermissionError as error:
        print(f"WARNING: {folder} cannot be closed to others: {error}", file=sys.stderr)


def protect_for(log: str | Path) -> None:
    """Protect the folders that the job with a log ``results/logs/<stage>/...`` writes to."""
    parts = Path(log).parts
    for n in range(len(parts) - 2):
        if parts[n : n + 2] == ("results", "logs"):
            results, stage = Path(*parts[: n + 1]), parts[n + 2].removesuffix(".log")
            for name in STAGES.get(stage, ()):
                protect(results / name)


def protect_existing(results: str | Path = "results") -> None:
    """Protect the folders that an earlier run has left open."""
    results = Path(results)
    found = [results / name for name in FOLDERS]
    found += results.glob(f"train/*/*/{SAMPLES}")
    for folder in found:
        if folder.is_dir():
            protect(folder)
