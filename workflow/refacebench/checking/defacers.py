"""What every defacer keeps, on a made-up head."""

from __future__ import annotations

import copy
from functools import cached_property

import numpy as np

from refacebench.checking import heads
from refacebench.checking.bench import Bench, NotChecked, clear_error, expect, untouched
from refacebench.contracts import Defaced, PreparedScan
from refacebench.image import nifti
from refacebench.stages import deface

#: Another orientation than that of :attr:`Bench.scan`.
OTHER = "LIA"
#: Share of the changed voxels that may differ between orientations: those that an
#: interpolation leaves at a border.
MOST_APART = 0.02


class DefacerBench(Bench):
    """A defacer and a made-up head."""

    def ready(self) -> None:
        """Prepare the method once, if it can run here.

        Raises
        ------
        NotChecked
            If this machine lacks what it needs.
        """
        lacks = self.method.missing(self.options)
        if lacks:
            raise NotChecked(lacks)
        self.method.prepare(self.options)

    @cached_property
    def scan(self) -> PreparedScan:
        """The head, RAS+."""
        self.ready()
        return heads.prepared(self.folder)

    def deface(self, scan: PreparedScan) -> Defaced:
        """Run the method on its own copy of a scan."""
        return self.method.run(copy.deepcopy(scan), self.options)

    @cached_property
    def result(self) -> Defaced:
        """What the method makes of the head."""
        return self.deface(self.scan)


def grid(bench: DefacerBench) -> None:
    """It returns Defaced, and values and mask lie on the scan's grid."""
    found = bench.result
    expect(isinstance(found, Defaced), f"it returns {type(found).__name__}, not Defaced")
    for name, array in (("values", found.values), ("changed", found.changed)):
        expect(
            np.shape(array) == bench.scan.volume.shape,
            f"{name} have the shape {np.shape(array)}, the scan {bench.scan.volume.shape}",
        )


def mask(bench: DefacerBench) -> None:
    """The mask of changed voxels is boolean."""
    kind = np.asarray(bench.result.changed).dtype
    expect(kind.kind == "b", f"changed is of type {kind}; return a boolean array")


def finite(bench: DefacerBench) -> None:
    """The new values are finite wherever the mask says changed."""
    values = np.asarray(bench.result.values)[np.asarray(bench.result.changed).astype(bool)]
    expect(np.isfinite(values).all(), "some are NaN or infinite")


def something(bench: DefacerBench) -> None:
    """It changes something outside the brain of a head that has a face."""
    changed = np.asarray(bench.result.changed).astype(bool)
    expect((changed & ~bench.scan.brain).any(), "not one voxel is changed")


def brain(bench: DefacerBench) -> None:
    """In the written file the brain's voxels are the scan's, bit for bit."""
    scan = copy.deepcopy(bench.scan)  # a method that writes into it must not spoil other checks
    out = [bench.folder / f"out_{name}.nii.gz" for name in ("T1w", "mask")]
    facts = deface.apply(scan, bench.method, bench.options, *out)
    if bench.chosen.engine == "official":
        raise NotChecked(
            "a released program's output is taken as it is; "
            f"{facts['brain_changed']} brain voxels are changed, and a run counts them"
        )
    before, after = nifti.stored(scan.path), nifti.stored(out[0])
    expect(facts["brain_changed"] == 0, f"{facts['brain_changed']} brain voxels are changed")
    expect(before.dtype == after.dtype, f"the file has {after.dtype} instead of {before.dtype}")
    same = before[scan.brain].tobytes() == after[scan.brain].tobytes()
    expect(same, "brain voxels differ in the file")


def orientation(bench: DefacerBench) -> None:
    """A scan stored in another orientation gets the same voxels changed."""
    one = np.asarray(bench.result.changed).astype(bool)
    turned = heads.prepared(bench.folder, OTHER)
    found = np.asarray(bench.deface(turned).changed).astype(bool)
    back = nifti.reorient_like(turned.volume.with_data(found), bench.scan.volume).data > 0
    apart = int((one != back).sum())
    expect(
        apart <= MOST_APART * max(int(one.sum()), 1),
        f"{apart} of {int(one.sum())} voxels differ between RAS and {OTHER}; "
        "use the affine, or refacebench.image.nifti.reorient",
    )


def seed(bench: DefacerBench) -> None:
    """The same scan and seed give the same bytes."""
    one, two = bench.result, bench.deface(bench.scan)
    same = np.asarray(one.changed).tobytes() == np.asarray(two.changed).tobytes()
    expect(same, "the masks of two runs differ; draw random numbers from scan.seed")
    where = np.asarray(one.changed).astype(bool)
    same = np.asarray(one.values)[where].tobytes() == np.asarray(two.values)[where].tobytes()
    expect(same, "the values of two runs differ; draw random numbers from scan.seed")


def reads_only(bench: DefacerBench) -> None:
    """It does not write into the scan that it is given."""
    scan = copy.deepcopy(bench.scan)
    before = copy.deepcopy(_arrays(scan))
    bench.method.run(scan, bench.options)
    untouched(before, _arrays(scan))


def _arrays(scan: PreparedScan) -> dict[str, np.ndarray]:
    return {
        "scan.volume": scan.volume.data,
        "scan.brain": scan.brain,
        "scan.head": scan.head,
        "scan.to_template": scan.to_template,
    }


def empty(bench: DefacerBench) -> None:
    """An empty scan is refused in a clear sentence, or gives a result on its grid."""
    bench.ready()
    scan = heads.prepared(bench.folder, empty=True)
    with clear_error():
        found = bench.deface(scan)
        expect(np.shape(found.changed) == scan.volume.shape, "the mask is not on the scan's grid")


CHECKS = (grid, mask, finite, something, brain, orientation, seed, reads_only, empty)
