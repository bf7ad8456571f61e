"""Whether a run's people are enough for the verdict "go", by hand and by the rule itself."""

import pytest
import yaml

from refacebench import __main__ as program
from refacebench import files
from refacebench.run import reach, settings
from refacebench.run.graph import Run
from refacebench.statistics import planning
from refacebench.statistics.intervals import clopper_pearson
from refacebench.statistics.protocol import Protocol
from running import ROOT, bids

SCHEMA = files.read_yaml(ROOT / "workflow/schemas/config.schema.yaml")


@pytest.mark.parametrize(("attacks", "needed"), [(1, 463), (2, 634), (4, 786)])
def test_as_many_are_needed_as_sample_size_says(attacks, needed, capsys):
    assert reach.go(20, attacks, Protocol(), 5.0).needed == needed
    program.main(["sample-size", "--attacks", str(attacks), "--power", "80"])
    assert f" {needed} people" in capsys.readouterr().out


def test_below_the_least_nothing_helps_and_from_it_on_it_may():
    found = reach.go(20, 1, Protocol(), 5.0)
    # The bounds of the rule itself, with no failure and with nobody identified.
    assert (
        clopper_pearson(0, found.scans - 1, 0.9)[1]
        > 0.05
        >= clopper_pearson(0, found.scans, 0.9)[1]
    )
    assert (
        clopper_pearson(0, found.people - 1, 0.9)[1]
        >= 0.25
        > clopper_pearson(0, found.people, 0.9)[1]
    )


def test_the_rule_and_the_protocol_count():
    assert reach.go(20, 1, Protocol(), 10.0).scans == 29  # 0.9 ** 29 < 0.05
    assert reach.go(20, 1, Protocol(), 100.0).scans == 1
    assert reach.go(20, 1, Protocol(margin_points=10), 5.0).needed < 150
    with pytest.raises(ValueError, match="failures_pct is 0"):
        reach.go(20, 1, Protocol(), 0.0)


def test_a_gallery_grows_with_the_people():
    needed = reach.go(20, 1, Protocol(measure="rank1"), 5.0).needed
    assert planning.people_within(1 / needed, 0.05) <= needed
    assert planning.people_within(1 / (needed - 1), 0.05) > needed - 1


@pytest.fixture
def said(tmp_path, monkeypatch):
    """Return what is said of a run of people with one scan each."""
    monkeypatch.chdir(tmp_path)

    def of(people, **changes):
        folder = tmp_path / f"bids{people}"
        config = {
            "datasets": {"mine": bids(folder, participants=people)},
            "splits": {"train": 0, "validation": 0, "test": 1},
            "defacers": {"null": {}, "quickshear": {}},
            "attackers": {"surface": {}, "head_shape": {}},
            **changes,
        }
        path = tmp_path / "mine.yaml"
        path.write_text(yaml.safe_dump(config))
        return list(reach.notes(Run.load(settings.load(path, SCHEMA), look=True)))

    return of


def test_a_few_people_are_told_and_enough_are_not(said):
    (few,) = said(3)
    assert few.startswith(
        'With 3 people no method can get the verdict "go": it takes 463 for a method that meets 1 '
        "attack (if no attack does better than chance, power 80 %"
    )
    lenient = {"decision": {"failures_pct": 100}, "privacy": {"margin_points": 78}}
    assert said(6, **lenient) == []
    (some,) = said(6, decision={"failures_pct": 100}, privacy={"margin_points": 30})
    assert some.startswith('With 6 people a method may miss the verdict "go" that it deserves')


def test_every_attacker_on_faces_counts_and_none_is_not_enough(said):
    (two,) = said(3, attackers={"surface": {}, "face_recognition": {}, "head_shape": {}})
    assert "it takes 634 for a method that meets 2 attacks (" in two
    (none,) = said(3, attackers={})
    assert none.startswith('No method can get the verdict "go": the config has no attackers')


def test_methods_that_meet_different_numbers_of_attacks_are_told_apart(said):
    """On quickshear a model puts a face back, on mask_face none does."""
    (both,) = said(
        3,
        defacers={"null": {}, "quickshear": {}, "mask_face": {}},
        refacers={"prior3d": {"defacers": ["quickshear"]}},
        attackers={"surface": {}, "face_recognition": {}},
        splits={"train": 1, "validation": 1, "test": 1},
    )
    assert "634 for a method that meets 2 attacks and 786 for a method that meets 4 attacks" in both


def test_the_command_says_it(said, capsys):
    said(3)
    assert program.main(["estimate", "mine.yaml"]) == 0
    assert "With 3 people no method can get the verdict" in capsys.readouterr().out
