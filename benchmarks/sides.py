"""Whether anatomy tells left from right: each head against others, as it is and mirrored.

    python benchmarks/sides.py --scans a_T1w.nii.gz b_T1w.nii.gz --labelmaps FOLDER

Each head and its mirror image are registered to the template head.  All others, as they are,
make an average with whatever the sides differ in; the head that fits it better should be the one
that is not mirrored.  One row a head: the correlation of both within the brain, and whether the
right one won; then how often it did.  Heads lie as their headers say, which is taken for true.
Reads scans and prints; writes nothing.
"""

import argparse
from pathlib import Path

import brain_mask
import numpy as np
import pandas as pd
from scipy.ndimage import gaussian_filter

from refacebench.head import masks, matching, registration, template, values
from refacebench.image import geometry, nifti
from refacebench.image.nifti import Volume
from refacebench.statistics import intervals

#: Voxel edge at which heads are compared, and the blur before.
VOXEL_MM, BLUR_MM = 3.0, 3.0


def mirrored(volume: Volume) -> Volume:
    """Return a head as a header that exchanges left and right shows it."""
    flip = np.diag([-1.0, 1.0, 1.0, 1.0])
    return nifti.reorient(Volume(volume.data, flip @ volume.affine))


def placed(volume: Volume) -> np.ndarray:
    """Return a head on the template's coarse grid, blurred."""
    head = masks.head_mask(volume)
    matrix = registration.register(volume, head, schedule="quick")
    like = geometry.coarse(template.mean_head(), VOXEL_MM)
    seen = nifti.resample(Volume(volume.data, matrix @ volume.affine), like).data
    return gaussian_filter(seen, BLUR_MM / VOXEL_MM)


def within() -> np.ndarray:
    """Return where heads are compared: the brain and what is close to it."""
    grid = geometry.coarse(template.mean_head(), VOXEL_MM)
    core = matching.coarse_head()[0].with_data(matching.core().astype(np.float32))
    return nifti.resample(core, grid).data > 0.5


def table(heads: dict[str, Volume]) -> pd.DataFrame:
    """Return one row a head."""
    where = within()
    seen = {}
    for name, volume in heads.items():
        seen[name] = [placed(one)[where] for one in (volume, mirrored(volume))]
        print(name, "registered", flush=True)
    scaled = {name: [(one - one.mean()) / one.std() for one in both] for name, both in seen.items()}
    rows = []
    for name, both in scaled.items():
        others = np.mean([scaled[other][0] for other in scaled if other != name], axis=0)
        right, wrong = (float(np.corrcoef(one, others)[0, 1]) for one in both)
        rows.append({"head": name, "as it is": right, "mirrored": wrong, "won": right > wrong})
    return pd.DataFrame(rows)


def main() -> None:
    """Register the heads and print what came out."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--scans", nargs="*", type=Path, default=[])
    parser.add_argument("--labelmaps", type=Path)
    given = parser.parse_args()
    heads = {}
    for path in given.scans:
        whole = nifti.reorient(values.read(path).volume)
        heads[path.name.split(".")[0]] = geometry.coarse(whole, 2.0)
    for path in sorted(given.labelmaps.glob("*.nii.gz")) if given.labelmaps else []:
        priors = given.labelmaps / "labels_classes_priors"
        heads[path.name.split(".")[0]] = nifti.reorient(brain_mask.painted(path, priors, 2.0)[0])
    found = table(heads)
    print(found.to_string(index=False, float_format="%.4f"))
    won, n = int(found["won"].sum()), len(found)
    low, high = intervals.clopper_pearson(won, n)
    print(f"{won} of {n} right ({100 * won / n:.0f} %, 95 % interval {low:.2f} to {high:.2f})")


if __name__ == "__main__":
    main()
