"""What every attacker keeps, on renderings of a few made-up heads."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from refacebench.checking import heads
from refacebench.checking.bench import Bench, NotChecked, expect
from refacebench.contracts import AttackFailed, Context, Enrolled, Scores, Subject
from refacebench.head import matrices, rendering
from refacebench.image import nifti
from refacebench.stages import enrol

PEOPLE, SESSIONS = 6, 2
#: How the heads are rendered: small, which is enough to tell these people apart.
RENDERING = {"pixels": 64, "views": 2, "lights": 1, "voxel_mm": 4.0}


class AttackerBench(Bench):
    """An attacker, and two sessions of a few people."""

    @cached_property
    def people(self) -> list[Subject]:
        """The scans, session by session.

        Raises
        ------
        NotChecked
            If this machine lacks what the attacker needs.
        """
        lacks = self.method.missing(self.options)
        if lacks:
            raise NotChecked(lacks)
        pose = self.folder / "pose.json"
        matrices.write_matrix(np.eye(4), pose)
        return [
            self._subject(person, session, str(pose))
            for session in range(SESSIONS)
            for person in range(PEOPLE)
        ]

    def _subject(self, person: int, session: int, pose: str) -> Subject:
        scan = f"sub-{person}_ses-{session}"
        volume, brain, _ = heads.head(person, session)
        views, mask = self.folder / f"{scan}.npz", self.folder / f"{scan}_mask.nii.gz"
        rendering.write(rendering.render(volume, np.eye(4), RENDERING), views)
        nifti.write(volume.with_data(brain.astype(np.uint8)), mask)
        seen = str(mask) if self.method.brains else ""
        ids = (scan, f"sub-{person}", f"ses-{session}")
        return Subject(*ids, str(views), template_path=pose, brain_path=seen)

    def enrol(self, people: list[Subject]) -> Enrolled:
        """Enrol scans, all of which must succeed."""
        found, lost = enrol.enrol(self.method, people, self.options)
        expect(not lost, f"not enrolled: {next(iter(lost.items()), None)}")
        return found

    @cached_property
    def enrolled(self) -> Enrolled:
        """All scans."""
        return self.enrol(self.people)

    def score(self, queries: Enrolled, gallery: Enrolled, label: str) -> Scores:
        """Compare queries with a gallery, with a folder of its own to go on from."""
        trained = (None, None)
        if self.method.training(self.options):
            raise NotChecked(
                "with these options it needs a train split, which this check does not make"
            )
        context = Context(1, self.folder / label, *trained)
        return self.method.score(queries, gallery, self.options, context)


def shapes(bench: AttackerBench) -> None:
    """What it keeps of a scan has the same names and shapes for all scans."""
    found = [bench.method.enrol(person, bench.options) for person in bench.people[:3]]
    kinds = [{name: np.shape(value) for name, value in one.items()} for one in found]
    expect(kinds[0], "it keeps nothing")
    expect(all(kind == kinds[0] for kind in kinds), f"they differ: {kinds[0]} and {kinds[-1]}")
    if "detected" in found[0]:
        expect(np.asarray(found[0]["detected"]).dtype.kind == "b", "detected must be true or false")


def blind(bench: AttackerBench) -> None:
    """It does not look at names: the same picture of somebody else is enrolled alike."""
    person = bench.people[0]
    other = Subject(
        *("sub-x_ses-x", "sub-x", "ses-x", person.views_path),
        template_path=person.template_path,
        brain_path=person.brain_path,
    )
    one, two = (bench.method.enrol(who, bench.options) for who in (person, other))
    for name, value in one.items():
        same = np.asarray(value).tobytes() == np.asarray(two[name]).tobytes()
        expect(same, f"{name} depends on the scan's name")


def matrix(bench: AttackerBench) -> None:
    """Its distances are one row per query and one column per gallery scan, and finite."""
    later = np.arange(len(bench.enrolled)) >= PEOPLE
    queries, gallery = bench.enrolled.take(~later), bench.enrolled.take(later)
    found = bench.score(queries, gallery, "matrix")
    expect(isinstance(found, Scores), f"it returns {type(found).__name__}, not Scores")
    wanted = (len(queries), len(gallery))
    if found.resplit is None:
        expect(found.distance.shape == wanted, f"{found.distance.shape}, not {wanted}")
        expect(np.isfinite(found.distance).all(), "some distances are NaN or infinite")
        return
    expect(found.distance.shape[1:] == wanted, f"{found.distance.shape[1:]}, not {wanted}")
    expect(found.resplit.shape == found.distance.shape[:2], "resplit has another shape")
    for inside, distance in zip(found.resplit, found.distance, strict=True):
        expect(np.isfinite(distance[inside]).any(axis=1).all(), "a query has no distance at all")


def itself(bench: AttackerBench) -> None:
    """No gallery scan is closer to a scan than the scan itself."""
    gallery = bench.enrolled.take(np.arange(len(bench.enrolled)) < PEOPLE)
    found = bench.score(gallery, gallery, "itself").distance.reshape(-1, PEOPLE, PEOPLE)
    for distance in found:
        own = np.diagonal(distance)
        known = np.isfinite(own)
        with np.errstate(invalid="ignore"):
            closer = (distance < own[:, None] - 1e-6)[known]
        expect(not closer.any(), f"in {int(closer.sum())} of {closer.size} comparisons one is")


def same(bench: AttackerBench) -> None:
    """The same queries, gallery and seed give the same numbers."""
    some = bench.enrolled.take(np.arange(len(bench.enrolled)) < PEOPLE)
    one, two = (bench.score(some, some, f"same{n}").distance for n in range(2))
    expect(np.array_equal(one, two, equal_nan=True), "two runs differ")


def small(bench: AttackerBench) -> None:
    """A gallery of one scan is compared, or refused with AttackFailed in a sentence."""
    one = bench.enrolled.take(np.arange(1))
    try:
        found = bench.score(one, one, "small").distance
    except AttackFailed as error:
        expect(str(error), "AttackFailed has no message")
        return
    expect(found.shape[-2:] == (1, 1), f"distances of the shape {found.shape}")


CHECKS = (shapes, blind, matrix, itself, same, small)
