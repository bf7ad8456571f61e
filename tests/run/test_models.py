"""Refacers' config entries (shared models, sites), and the figure of their samples."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from refacebench import contracts, files
from refacebench.faces import MESSAGE_ONLY, SHOWN
from refacebench.plot import samples
from refacebench.report import figures
from refacebench.run import configuration, methods, settings

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
        ({"model": "nothing"}, "whole.model: 'nothing' is not an entry that trains a model"),
        ({"model": "gan", "filters": 8}, "filters belong to the training of 'gan'"),
        ({"model": "gan", "sites": ["A"]}, "sites belong to the training"),
        ({"model": "gan", "defacers": ["mask_face"]}, "'gan' is not trained on mask_face"),
        ({"model": "gan", "shape": 1}, "unknown option 'shape'"),
    ],
)
def test_a_shared_model_cannot_differ_in_its_training(entry, message):
    with pytest.raises(configuration.ConfigError, match=message):
        configuration.check(config(gan=SHARED["gan"], whole=entry))


def test_a_model_of_a_model_is_refused():
    with pytest.raises(configuration.ConfigError, match="third.model: 'whole' is not an entry"):
        configuration.check(config(**SHARED, third={"model": "whole"}))


def shipped():
    """Return every config that comes with the project, at every scale that it has."""
    for path in sorted((ROOT / "config").rglob("*.yaml")):
        scales = yaml.safe_load(path.read_text()).get("scales") or {}
        for scale in ("full", *scales):
            yield pytest.param(path, scale, id=f"{path.stem}-{scale}")


@pytest.mark.parametrize(("path", "scale"), shipped())
def test_every_config_that_comes_with_the_project_can_be_carried_out(path, scale):
    schema = files.read_yaml(ROOT / "workflow/schemas/config.schema.yaml")
    assert settings.load(path, schema, scale)["datasets"]


def test_the_study_of_sites_trains_two_models_on_two_defacers():
    given = yaml.safe_load((ROOT / "config/studies/abramian2019.yaml").read_text())
    assert len(configuration.trainings(given)) == 4


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
    assert titles == ["defaced", "epoch 1", "epoch 4, used", "original"]
    values = [int(a.images[0].get_array().max()) for a in figure.axes]
    assert values == [0, 50, 150, 200] * 2
    assert figure.get_label() == SHOWN


@pytest.mark.parametrize("faces", ["private", ""])
def test_private_faces_give_a_sentence_and_no_pixel(faces):
    arrays = {"defaced": shown(0), "original": shown(200), "epoch-0001": shown(50)}
    figure = samples.draw(arrays, 1, faces)
    assert figure.get_label() == MESSAGE_ONLY
    assert not [image for axes in figure.axes for image in axes.images]
    assert "private" in figure.axes[0].texts[0].get_text()


@pytest.mark.parametrize(("folder", "why"), [(True, "were deleted"), (False, "keeps no slices")])
def test_missing_slices_of_a_training_say_why(tmp_path, folder, why):
    """Nothing is called deleted that was never kept."""
    place = tmp_path / "d+m"
    place.mkdir()
    (place / "card.json").write_text('{"picked": {"epoch": 1}}')
    (place / "curves.tsv").write_text("epoch\ttrain_l1\tpicked\n1\t0.5\t0\n2\t0.4\t1\n")
    if folder:
        (place / "samples").mkdir()
    _, figure = figures.of_training(place / "card.json", "public")
    assert why in figure.axes[0].texts[0].get_text()


def test_example_slices_name_methods_with_their_engines_as_all_figures_do():
    made = {"original": np.nan, "null": "native", "a": "official", "a+m": "native"}
    rows = pd.DataFrame({"engine": "native", "deface_engine": made})
    rows.index.name = "variant"
    look = figures._look(rows)
    assert [look.label(name) for name in look.order] == [
        "original", "null control", "a (official)", "a (native) + m",
    ]  # fmt: skip
    assert figures._look(rows.drop(columns="deface_engine")).label("a") == "a"
