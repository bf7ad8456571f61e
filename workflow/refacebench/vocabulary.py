"""The words that all parts share: statuses, roles, splits, variants, structures.

Pure names and what is said of them by name alone; touches no file and imports nothing.
"""

from __future__ import annotations

#: Statuses of a row.
OK, EXCLUDED, FAILED = "ok", "excluded", "failed"
#: Of a scan whose result this software could not write; not the method's fault.
NOT_WRITTEN = "not_written"
#: Of a scan that a method was not run on because its program is not on this machine.
UNAVAILABLE = "unavailable"

#: Further values of ``status`` in the table ``flow``: left out on purpose, and lost without a
#: trace (a job that died and left no manifest).
NOT_USED, MISSING = "not_used", "missing"

#: The engine of measures that other software made before the run.
BROUGHT = "made elsewhere"

#: Stages in the order in which a scan goes through them, to where it is measured ...
MEASURING = ("inventory", "prepare", "deface", "reface", "segment", "measure")
#: ... and, from the same image on, to where it is attacked.
ATTACKING = ("render", "enrol", "attack")
STAGES = (*MEASURING, *ATTACKING)
#: Stages of the first way that are given the finished image: a scan that stops there has one.
ON_IMAGES = ("segment", "measure")
#: Stages that all variants share; their manifests carry no variant.
SHARED = ("inventory", "prepare")
#: Stages of which each scan's time and memory is kept, and what stands for all together.
TIMED = ("prepare", "deface", "reface")
TOTAL = "total"

SPLITS = ("train", "validation", "test")
#: Roles of a scan, by its session: it goes through all variants; it is segmented as it is, for
#: what two scans of one person differ by; only the attacks look at it.
MEASURED, RESCAN, FOLLOWUP = "measured", "rescan", "followup"
#: Why a scan of the train or validation split is not used.
JOINED_LATE = "joined after the models were trained, and no one trained them again (`retrain`)"

#: The two variants that are no method: what was scanned, and the noise of the measuring stick.
ORIGINAL, NULL = UNDEFACED = ("original", "null")
#: Names of the two pictures that are made from the original's and stand for no method:
#: a blurred one, and one on which there is nothing to see.
BLURRED, BLACK = PICTURE_CONTROLS = ("blurred", "black")

#: The defacer that is a control of the attacks: what is left without any face.
SKULL_STRIP = "skull_strip"
#: Criteria of an attack: the gallery holds another session of the person, or the very same scan.
OTHER_SESSION, SAME_SCAN = SETTINGS = ("other_session", "same_scan")

#: Stands with every figure and printed table of a cohort that was grown at run time.
SYNTHETIC_NOTE = "Synthetic cohort: no evidence about real people."

#: Values of ``Segmentation.tissue``.
TISSUES = {"csf": 1, "gm": 2, "wm": 3}

#: Values of a ``dseg`` image of ours.  CSF outside the ventricles is 1; all CSF is 1 or 4.
DSEG = {**TISSUES, "vcsf": 4}

#: The 17 regions whose volumes are compared, in the order of every table.
#: Values of ``Segmentation.regions`` are 1 .. 17 in this order.
REGIONS = (
    "thalamus_left",
    "thalamus_right",
    "caudate_left",
    "caudate_right",
    "putamen_left",
    "putamen_right",
    "pallidum_left",
    "pallidum_right",
    "hippocampus_left",
    "hippocampus_right",
    "amygdala_left",
    "amygdala_right",
    "brainstem",
    "frontal",
    "parietal",
    "temporal",
    "occipital",
)

#: Whole-brain measures beside the regions, in the order of every table.
GLOBALS = ("tiv", "brain", "gm", "wm", "csf", "vcsf")

#: Label values of a ``desc-truth_dseg`` image: those of a segmentation, and the rest of the head.
TRUTH = {**DSEG, "other_head": 5}

#: Label values of the subcortical structures in it: 10 + the 1-based place in ``REGIONS`` (their
#: tissue class is that of the segmentation's convention: thalamus, caudate, putamen, pallidum,
#: hippocampus and amygdala are grey, the brainstem is white).
TRUTH_REGIONS = {name: 10 + place for place, name in enumerate(REGIONS, 1)}


def split_variant(variant: str) -> tuple[str, str | None]:
    """Return the defacer and the refacer of a variant.

    >>> split_variant("pydeface+pix2pix25d"), split_variant("original")
    (('pydeface', 'pix2pix25d'), ('original', None))
    """
    defacer, _, refacer = variant.partition("+")
    return defacer, refacer or None


#: Stands between a variant and the contrast of its companions: ``pydeface@T2w``.
CONTRAST = "@"


def split_contrast(shown: str) -> tuple[str, str]:
    """Return the variant of what is shown, and the contrast where it is another one.

    >>> split_contrast("pydeface@T2w"), split_contrast("pydeface+m")
    (('pydeface', 'T2w'), ('pydeface+m', ''))
    """
    variant, _, contrast = shown.partition(CONTRAST)
    return variant, contrast
