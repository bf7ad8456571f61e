"""The size of trained models stands on the page, and a toy is called a toy."""

import json
import re
from pathlib import Path
from types import SimpleNamespace

import pytest

from reading import Page, context
from refacebench.report import given, methods, models
from refacebench.report.page import build
from refacebench.run.methods import choose

ROOT = Path(__file__).parents[2]
DEFAULTS = {"pix2pix25d": choose("refacers", "pix2pix25d", {}).method.defaults}
SMALL = {"size": 96, "filters": 16, "epochs": 4, "decay_epochs": 3, "steps_per_epoch": 60}


def card(**options):
    return {
        "options": {**DEFAULTS["pix2pix25d"], **options},
        "data": {"train": ["a", "b"], "validation": ["c"]},
        "parameters": {"g": 1_500_000, "d": 500_000},
        "picked": {"epoch": 6, "epochs_trained": 7, "validation": {"val_l1": 0.1}},
    }


def dataset(**cards):
    return {
        "models": {f"pydeface+{name}": found for name, found in cards.items()},
        "defaults": {name: DEFAULTS["pix2pix25d"] for name in cards},
    }


def test_a_toy_is_called_one():
    (said,) = models.lines(dataset(m=card(**SMALL)))
    assert "This model is a toy" in said
    assert "pydeface+m (trained on 2 scans at 96 px for 7 epochs of 60 steps)" in said
    both = models.lines(dataset(m=card(**SMALL), k=card(**SMALL)))[0]
    assert "These models are toys" in both
    assert "What they do" in both


@pytest.mark.parametrize(
    ("options", "toy"),
    [
        ({}, False),
        ({"size": 512, "epochs": 300}, False),
        ({"size": 128}, False),
        ({"size": 127}, True),
        ({"epochs": 50, "decay_epochs": 50}, False),
        ({"epochs": 50, "decay_epochs": 49}, True),
        ({"steps_per_epoch": 1000}, False),
    ],
)
def test_what_makes_a_toy(options, toy):
    """The default has 256 px and 200 epochs; half of that is no toy yet."""
    assert bool(models.lines(dataset(m=card(**options)))) == toy


def test_the_page_lists_models_and_settings(tables):
    failed = {"status": "failed", "reason": "too few scans"}
    given = dataset(m=card(**SMALL), k=card(size=512), bad=failed)
    method = {"kind": "refacer", "name": "m", "engine": "native", "version": "1",
              "settings": {"size": 96, "mirror": True}}  # fmt: skip
    text = build(context(tables, methods=[method], **given))
    rows = {row[0]: row for row in Page(text).rows}
    assert rows["pydeface+m"][1:5] == ["2, 1", "2.0", "7 epochs of 60 steps",
                                      "epoch 6, best on validation scans"]  # fmt: skip
    assert rows["pydeface+m"][5].startswith("a toy; image edge 96 (default 256); channels 16")
    assert "steps per epoch 60 (default all of the data)" in rows["pydeface+m"][5]
    assert rows["pydeface+k"][5] == "nothing"
    assert rows["pydeface+bad"][3] == "no model: too few scans"
    assert rows["m"][-1] == "size 96, mirror True"


def test_a_training_that_takes_its_last_round_is_not_said_to_have_been_picked():
    last = {"options": {"rounds": 3}, "picked": {"epoch": 3, "epochs_trained": 3}}
    given = {"models": {"pydeface+m": last}, "defaults": {"m": {"rounds": 3}}}
    (row,) = models.table(given).rows
    assert "round 3, the last" in row
    assert "validation" not in " ".join(row)


def test_settings_name_no_folder():
    entry = {"method": "pix2pix25d", "size": 96, "plane": "axial", "defacers": ["pydeface"]}
    assert methods.settings(choose("refacers", "m", entry)) == {"size": 96, "plane": "axial"}
    program = {"command": ["tool", "/home/someone/secret", "{input}", "{output}"]}
    found = methods.settings(choose("defacers", "p", program))
    assert "secret" not in json.dumps(found)


def test_the_page_reads_cards_by_data_set(tmp_path):
    paths = []
    for name in ("one", "two"):
        path = tmp_path / name / "pydeface+m" / "card.json"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps({**card(), "seed": name}))
        paths.append(path)
    costs = tmp_path / "costs.tsv"
    costs.write_text("dataset\tstage\n")
    asked = SimpleNamespace(
        get={}.get,
        config={},
        methods=[],
        defaults=DEFAULTS,
        statements={"one": "", "two": "Grown heads."},
        faces={"one": "private", "two": "private"},
    )
    paths_given = SimpleNamespace(tables=[], privacy=[], figures=[], costs=costs, cards=paths)
    read = given.read(paths_given, asked)
    assert [d["models"]["pydeface+m"]["seed"] for d in read] == ["one", "two"]
    real, grown = (d["statement"] for d in read)
    assert not real, "nothing is circular about real people"
    assert grown.startswith("Grown heads. Training is circular too: m (on 2 scans) learned from")


def test_where_no_model_was_trained_on_grown_people_nothing_more_is_circular():
    assert models.circular("Grown.", {}) == "Grown."
    assert models.circular("Grown.", {"a+m": {"status": "failed", "reason": "too few"}}) == "Grown."
    said = models.circular("Grown.", {"a+m": card(), "b+m": card(), "b+k": card()})
    assert "m (on 2 scans) and k (on 2 scans) learned" in said


def test_every_method_that_makes_images_has_its_licence():
    entries = {
        "defacers": {name: {} for name in ("mask_face", "pydeface", "quickshear")},
        "refacers": {"prior3d": {}},
    }
    released = {"quickshear": {"engine": "official", "version": "1"}}
    told = {m["name"]: m["licence"] for m in methods.taking_part(entries, released)}
    assert told["mask_face"] == told["prior3d"] == methods.OWN_CODE
    assert told["pydeface"].startswith(f"{methods.OWN_CODE}; pydeface")
    assert methods.OWN_CODE not in told["quickshear"], "a released program is not ours"
    assert all(told.values())
    project = (ROOT / "CITATION.cff").read_text()
    (terms,) = re.findall(r"^license: (.+)$", project, re.MULTILINE)
    assert f"({terms})" in methods.OWN_CODE
