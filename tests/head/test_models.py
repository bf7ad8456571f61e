"""Refacers' config entries (shared models, sites), and the figure of their samples."""

import importlib.util
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import yaml

from refacebench import contracts, files, manifest
from refacebench.figures import samples
from refacebench.figures.slices import LABELS
from refacebench.figures.style import MESSAGE_ONLY
from refacebench.run import configuration, methods

ROOT = Path(__file__).parents[2]


def config(**entries):
    return {
        "datasets": {},
        "defacers": {"null": {}, "pydeface": {}, "mask_face": {}},
        "refacers": entries,
        "segmenters": {},
    }


SHARED = {
    "gan": {"method": "cyclegan2d", "defacers": ["pydeface"], "size": 96},
    "whole": {"model": "gan", "composite": False},
}


def test_a_model_is_trained_once_and_applied_twice():
    given = config(**SHARED)
    configuration.check(given)
    named = ["original", "null", "pydeface", "pydeface+gan", "pydeface+whole", "mask_face"]
    assert configuration.variants(given) == named
    assert configuration.trainings(given) == ["pydeface+gan"]
    assert configuration.trained_as(given, "whole") == "gan"
    entry = configuration.refacers(given)["whole"]
    options = methods.choose("refacers", "whole", entry).options
    assert (options["size"], options["composite"]) == (96, False)
    # Filling up again changes nothing: a config may pass here twice.
    again = {**given, "refacers": configuration.refacers(given)}
    assert configuration.refacers(again) == configuration.refacers(given)
    configuration.check(again)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"model": "nothing"}, "whole.model: 'nothing' is no entry that trains a model"),
        ({"model": "gan", "filters": 8}, "filters belong to the training of 'gan'"),
        ({"model": "gan", "sites": ["A"]}, "sites belong to the training"),
        ({"model": "gan", "defacers": ["mask_face"]}, "'gan' is not trained on mask_face"),
        ({"model": "gan", "shape": 1}, "unknown option shape"),
    ],
)
def test_a_shared_model_cannot_differ_in_its_training(entry, message):
    with pytest.raises(configuration.ConfigError, match=message):
        configuration.check(config(gan=SHARED["gan"], whole=entry))


def test_a_model_of_a_model_is_refused():
    with pytest.raises(configuration.ConfigError, match="third.model: 'whole' is no entry"):
        configuration.check(config(**SHARED, third={"model": "whole"}))


@pytest.mark.parametrize("path", sorted((ROOT / "config").glob("*.yaml")), ids=lambda p: p.stem)
def test_every_config_that_comes_with_the_project_can_be_carried_out(path):
    given = yaml.safe_load(path.read_text())
    configuration.validate(
        given, configuration.read_yaml(ROOT / "workflow/schemas/config.schema.yaml")
    )
    configuration.check(given)


def test_the_study_of_sites_trains_two_models_on_two_defacers():
    given = yaml.safe_load((ROOT / "config" / "abramian.yaml").read_text())
    assert len(configuration.trainings(given)) == 4


def script(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / "workflow/scripts" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_sites_choose_the_scans_that_train(tmp_path):
    columns = ("original_path", "changed_path", "brain_path", "path")
    rows = pd.DataFrame(
        [
            {"scan": f"sub-{n}", "site": site, "status": status, **dict.fromkeys(columns, f"p{n}")}
            for n, (site, status) in enumerate(
                [("A", "ok"), ("B", "ok"), ("3", "ok"), ("A", "failed"), ("A", "ok")]
            )
        ]
    )
    manifest.write(rows, tmp_path / "m.tsv")
    pairs = script("train").pairs
    assert [p.scan for p in pairs([tmp_path / "m.tsv"])] == ["sub-0", "sub-1", "sub-2", "sub-4"]
    assert [p.scan for p in pairs([tmp_path / "m.tsv"], ["A"])] == ["sub-0", "sub-4"]
    assert [(p.scan, p.site) for p in pairs([tmp_path / "m.tsv"], [3, "B"])] == [
        ("sub-1", "B"),
        ("sub-2", "3"),
    ]
    assert pairs([tmp_path / "m.tsv"], ["C"]) == []


class Inputs(SimpleNamespace):
    """What Snakemake hands to the script that trains."""


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (None, None),
        (MemoryError(), "again"),
        (OSError(28, "No space left on device"), "again"),
        (contracts.TrainingFailed("the loss is not finite"), "final"),
        ("swapped", "again"),
    ],
)
def test_a_training_that_failed_is_a_card_that_says_whether_to_try_again(
    tmp_path, monkeypatch, error, kind
):
    original = tmp_path / "original.nii"
    original.write_bytes(b"a scan")
    row = {"scan": "sub-1", "site": "A", "status": "ok", "original_path": str(original)}
    row |= dict.fromkeys(("changed_path", "brain_path", "path"), "x")
    row["checksum"] = files.checksum(original)
    manifest.write(pd.DataFrame([row]), tmp_path / "m.tsv")
    if error == "swapped":
        original.write_bytes(b"another person")

    def train(*given):
        if isinstance(error, Exception):
            raise error
        files.write_text("{}", tmp_path / "card.json")

    module = script("train")
    monkeypatch.setattr(module.log, "start", lambda log: None)
    nothing = Inputs(method=Inputs(train=train), options={})
    monkeypatch.setattr(module.methods, "choose", lambda *given: nothing)
    manifests = [tmp_path / "m.tsv"]
    module.main(
        Inputs(
            log=["log"],
            params=Inputs(name="m", entry={}, seed=1),
            input=Inputs(train=manifests, validation=manifests),
            output=Inputs(card=str(tmp_path / "card.json")),
        )
    )
    card = json.loads((tmp_path / "card.json").read_text())
    assert card.get("status") == ("failed" if kind else None)
    failed = manifest.read_failures(tmp_path / "card.json")
    assert {name for name in ("again", "final") if failed[name]} == ({kind} if kind else set())
    if kind:
        assert card["reason"].startswith("no model: ")
        assert len(card["reason"]) > len("no model: ")


def test_what_is_taken_from_a_model():
    changed = np.array([[[True, False]]])
    assert contracts.taken(changed, {"composite": True}).tolist() == [[[True, False]]]
    assert contracts.taken(changed, {"composite": False}).tolist() == [[[True, True]]]
    assert contracts.taken(changed, {}).tolist() == [[[True, False]]]


def shown(value):
    return np.full((2, 6, 8), value, np.uint8)


def test_samples_show_every_epoch_between_defaced_and_original():
    arrays = {"defaced": shown(0), "original": shown(200)}
    arrays |= {"epoch-0004": shown(150), "epoch-0001": shown(50)}
    figure = samples.draw(arrays, 4, "public", "pydeface + m")
    titles = [a.get_title() for a in figure.axes if a.get_title()]
    assert titles == ["defaced", "epoch 1", "epoch 4, picked", "original"]
    values = [int(a.images[0].get_array().max()) for a in figure.axes]
    assert values == [0, 50, 150, 200] * 2
    assert figure.get_label() == LABELS[True]


@pytest.mark.parametrize("faces", ["private", ""])
def test_private_faces_give_a_sentence_and_no_pixel(faces):
    arrays = {"defaced": shown(0), "original": shown(200), "epoch-0001": shown(50)}
    figure = samples.draw(arrays, 1, faces)
    assert figure.get_label() == MESSAGE_ONLY
    assert not [image for axes in figure.axes for image in axes.images]
    assert "private" in figure.axes[0].texts[0].get_text()
