"""Heads that are cut, tilted or stretched find their pose, or the reason names every start."""

import re

import numpy as np
import pytest

from refacebench import reasons
from refacebench.head import matching, registration, space, surface, template
from refacebench.image import geometry, linear, nifti
from refacebench.image.nifti import Volume

try:
    template.mean_head()
except FileNotFoundError:
    pytest.skip("pydeface's template is not installed", allow_module_level=True)


def turn(degrees):
    """The chin is raised about the brain's centre."""
    return registration.pitch(degrees, template.BRAIN_CENTER)


def cut_and_tilted(height, degrees):
    """Return the mean head, nothing below a height, tilted; and the true matrix back."""
    head = geometry.coarse(template.mean_head(), 4.0)
    below = space.template_axis(head, np.eye(4), 2) < height
    data = np.where(below, 0, head.data).astype(np.float32)
    affine = head.affine.copy()
    affine[:3, 3] = (affine @ [-8, -8, -8, 1])[:3]
    grid = Volume(np.pad(data, 8), affine)
    applied = turn(degrees)
    return nifti.resample(Volume(data, applied @ head.affine), grid), np.linalg.inv(applied)


def error(found, true):
    """Degrees and mm between two poses."""
    between = surface.rigid(found) @ np.linalg.inv(surface.rigid(true))
    degrees = np.rad2deg(np.arccos(np.clip((np.trace(between[:3, :3]) - 1) / 2, -1, 1)))
    center = np.append(surface.CENTER, 1.0)
    return degrees, np.linalg.norm((between @ center - center)[:3])


@pytest.mark.parametrize(
    ("height", "degrees"),
    [
        (-50, -28),  # was given up
        (-70, 25),  # was stretched to fill the template: 11 degrees and 16 mm off
    ],
)
@pytest.mark.slow
def test_a_cut_and_tilted_head_is_laid_back(height, degrees):
    scan, true = cut_and_tilted(height, degrees)
    off_degrees, off_mm = error(registration.register(scan, schedule="quick"), true)
    assert off_degrees < 1
    assert off_mm < 1


def no_first_try(monkeypatch):
    """Let the first try, by the correlation ratio, be sure of nothing."""
    unsure = matching.Judged(np.eye(4), 1.0, 1.0, 0.0, 0.0)
    monkeypatch.setattr(registration, "_first_try", lambda *args: unsure)


@pytest.mark.parametrize("degrees", [5, 30])
def test_a_whole_head_is_registered_once(monkeypatch, degrees):
    """Further starts cost a scan nothing that the first try is sure of."""
    runs = []
    stage = linear.linear_stage
    monkeypatch.setattr(
        registration,
        "linear_stage",
        lambda kind, *rest: runs.append((kind, *rest[3:])) or stage(kind, *rest),
    )
    scan, true = cut_and_tilted(-200, degrees)
    assert error(registration.register(scan), true)[0] < 1
    assert runs == [("Affine", *registration.FIRST_STEPS)]


def test_the_correlation_ratio_leads_to_where_mutual_information_ends(monkeypatch):
    """Alone it lays a copy of the mean head on itself, from 30 degrees off."""
    monkeypatch.setattr(registration, "linear_stage", lambda *args: args[3])
    scan, true = cut_and_tilted(-200, 30)
    off_degrees, off_mm = error(registration.register(scan), true)
    assert off_degrees < 0.5
    assert off_mm < 0.5


@pytest.mark.parametrize(
    ("low", "high", "core"),
    [(1.0, 1.0, 0.5), (0.95, 1.11, 0.66)],  # too little alike; alike, but stretched
)
def test_what_the_first_try_leaves_open_is_registered_anew(monkeypatch, low, high, core):
    runs = []
    stage = linear.linear_stage
    monkeypatch.setattr(
        registration, "linear_stage", lambda kind, *rest: runs.append(kind) or stage(kind, *rest)
    )
    first = matching.Judged(np.eye(4), low, high, 0.6, core)
    monkeypatch.setattr(registration, "_first_try", lambda *args: first)
    scan, true = cut_and_tilted(-200, 5)
    assert error(registration.register(scan, schedule="quick"), true)[0] < 1
    assert runs == ["Affine"]


def test_a_stretched_head_is_not_sure_and_a_plain_one_is():
    plain = matching.Judged(np.eye(4), 0.95, 1.05, 0.6, 0.65)
    assert plain.sure
    assert plain.plausible
    stretched = plain._replace(low=0.93, high=1.24, head=0.43, core=0.55)
    assert stretched.plausible
    assert not stretched.sure
    # A plain head of a person whose brain looks less like the average: nothing is stretched.
    other = plain._replace(head=0.46, core=0.57)
    assert other.sure
    assert not other._replace(core=0.54).sure
    assert not other._replace(head=0.44).sure
    assert not other._replace(low=0.9, high=1.1).sure
    assert not plain._replace(high=1.5).plausible
    assert not plain._replace(head=0.3).plausible
    # Where the face is cut off the core alone says what a stepwise registration is worth.
    assert plain._replace(head=0.3, stepwise=True).sure
    assert not plain._replace(core=0.45, stepwise=True).plausible


def test_the_best_plausible_matrix_is_taken_where_none_is_sure(monkeypatch):
    found = [
        matching.Judged(np.diag([size, size, size, 1.0]), size, size, 0.4, core)
        for size, core in ((0.9, 0.4), (1.0, 0.55), (1.1, 0.5))
    ]
    no_first_try(monkeypatch)
    monkeypatch.setattr(registration, "_starts", lambda *args: iter(range(3)))
    monkeypatch.setattr(registration, "linear_stage", lambda *args: args[3])
    monkeypatch.setattr(registration, "judge", lambda start, moving: found[start])
    monkeypatch.setattr(registration, "_more", lambda *args: [])
    head = geometry.coarse(template.mean_head(), 8.0)
    assert registration.register(head)[0, 0] == 1.0


def test_what_is_no_head_is_refused_with_every_start(monkeypatch):
    noise = np.random.default_rng(0).uniform(0, 100, (40, 40, 40)).astype(np.float32)
    runs = []

    def stay(kind, fixed, moving, start, *steps, region=None):
        runs.append(kind)
        return start

    monkeypatch.setattr(registration, "linear_stage", stay)
    monkeypatch.setattr(registration.extraction, "brain_mask", lambda volume: volume.data > 98)
    with pytest.raises(ValueError, match="could not be registered") as refused:
        registration.register(Volume(noise, np.diag([5.0, 5, 5, 1])), schedule="quick")
    # The first start, twice; both and deepbet's brain, each with three pitches; the second start.
    assert runs == ["Affine"] * 2 + ["Rigid"] * 9 + ["Affine"]
    assert len(re.findall(r"\d\.\d\d-\d\.\d\d -?\d\.\d\d -?\d\.\d\d", str(refused.value))) == 5
    assert reasons.one_line(refused.value) == str(refused.value), "a manifest holds it all"


def test_no_brain_is_no_further_start(monkeypatch):
    def nothing(volume):
        raise ValueError("no brain found")

    monkeypatch.setattr(registration.extraction, "brain_mask", nothing)
    monkeypatch.setattr(registration, "_starts", lambda *args: iter([1, 2]))
    head = geometry.coarse(template.mean_head(), 8.0)
    assert list(registration.starts_again(head, head, None, None)) == [1, 2]
    assert list(registration.starts_again(head, head, None, head.data > 50)) == [1, 2]


def test_the_core_is_brain_and_skull_of_an_adult():
    litres = matching.core().sum() * 0.064 / 1000
    assert 1.5 < litres < 2.2
