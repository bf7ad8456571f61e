"""A defacer that removes the face well, except for one thing that is planted on purpose.

For ``benchmarks/planted/run.py`` alone: it reads the true labels that a painted scan has beside
it, so that what is planted is known exactly.  Its output is taken as that of a released program
is, or its cuts into the brain would be undone.
"""

from pathlib import Path

import numpy as np

from refacebench.contracts import Defaced, Defacer, Option
from refacebench.head import face_parts, space
from refacebench.image import geometry, nifti
from refacebench.metrics import truth
from refacebench.vocabulary import TRUTH_REGIONS

#: The whole face, chin to brow, with the air in front of it; template mm.
FACE = ((-75, 75), (45, 200), (-190, -14))
#: Nothing nearer to the brain than this is removed, so that a clean output changes no volume.
SPARE_MM = 10.0
#: What of it is copied to a corner of the image.
MIDDLE = ((-40, 40), (70, 140), (-120, -25))
#: What is planted in the region that shrinks.
REGION, SHRINK, FADE_MM = "thalamus_left", 0.03, 8.0
#: Share of the brain that is cut off, from its front end.
CUT = 0.01


def run(scan, options) -> Defaced:
    """Remove the face and plant what the option says."""
    plant = options["plant"]
    if plant == "crash on half" and number(scan) % 2:
        raise RuntimeError("planted crash")
    if plant == "nothing done":
        return Defaced(scan.volume.data, np.zeros(scan.volume.shape, bool))
    labels = true_labels(scan)
    near = geometry.grow(truth.brain_of(labels) | (labels == 1), scan.volume.spacing, SPARE_MM)
    changed = space.inside_box(scan.volume, scan.to_template, FACE) & ~near
    values = np.where(changed, 0.0, scan.volume.data).astype(np.float32)
    if plant in PLANTS:
        values, changed = PLANTS[plant](scan, labels, values, changed)
    return Defaced(values, changed)


def true_labels(scan) -> np.ndarray:
    """Return the labels that the scan was painted from."""
    path = Path(str(scan.path).replace("_T1w.", "_desc-truth_dseg."))
    return nifti.read(path, dtype=None).data


def number(scan) -> int:
    """Return the participant's number."""
    return int("".join(c for c in scan.path.name.split("_")[0] if c.isdigit()))


def shrink_region(scan, labels, values, changed):
    """Shrink a structure towards its centre; what lies around it follows, less and less."""
    from scipy.ndimage import center_of_mass, distance_transform_edt, map_coordinates

    mask = labels == TRUTH_REGIONS[REGION]
    spacing = scan.volume.spacing
    outside = distance_transform_edt(~mask, sampling=spacing)
    pull = (1 - SHRINK) ** (-1 / 3) - 1
    share = pull * np.clip(1 - outside / FADE_MM, 0, 1)
    where = share > 0
    centre = np.array(center_of_mass(mask))[:, None]
    place = np.stack(np.nonzero(where)).astype(float)
    source = centre + (place - centre) * (1 + share[where])
    moved = map_coordinates(scan.volume.data, source, order=3, mode="nearest")
    values[where] = moved
    return values, changed | where


def cut_brain(scan, labels, values, changed):
    """Set the front end of the brain to zero."""
    brain = truth.brain_of(labels)
    front = space.template_axis(scan.volume, scan.to_template, 1)
    gone = brain & (front >= np.quantile(front[brain], 1 - CUT))
    values[gone] = 0
    return values, changed | gone


def leave_nose(scan, labels, values, changed):
    """Put back the nose with the skin around it."""
    low, high = np.array(face_parts.FACE_BOXES["nose"][0]).T
    nose = space.inside_box(
        scan.volume, scan.to_template, tuple(zip(low - 2, high + (2, 60, 2), strict=True))
    )
    values[nose] = scan.volume.data[nose]
    return values, changed & ~nose


def copy_face(scan, labels, values, changed):
    """Copy the middle of the face into the corner that holds least of the head."""
    middle = space.inside_box(scan.volume, scan.to_template, MIDDLE)
    box = tuple(slice(i.min(), i.max() + 1) for i in np.nonzero(middle))
    face = scan.volume.data[box]
    ends = [(slice(0, n), slice(-n, None)) for n in face.shape]
    corners = [(a, b, c) for a in ends[0] for b in ends[1] for c in ends[2]]
    corner = min(corners, key=lambda c: np.count_nonzero(labels[c]))
    air = labels[corner] == 0
    values[corner] = np.where(air, face, values[corner])
    changed[corner] |= air
    return values, changed


def write_identity(scan, labels, values, changed):
    """Write the participant's number into a corner voxel."""
    values[0, 0, -1] = 100 + number(scan)
    changed[0, 0, -1] = True
    return values, changed


PLANTS = {
    "region shrunk": shrink_region,
    "brain cut": cut_brain,
    "nose left": leave_nose,
    "face copied": copy_face,
    "identity written": write_identity,
}

METHOD = Defacer(
    version="1",
    title="a good defacer with one planted fault",
    engine="official",
    options={
        "plant": Option(
            "",
            "What is planted; nothing by default.",
            choices=("", "nothing done", "crash on half", *PLANTS),
        )
    },
    run=run,
)
