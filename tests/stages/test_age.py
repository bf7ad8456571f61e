"""The stages of age models: who is trained on, what a missing model and a bad image become."""

import json
import warnings

import numpy as np
import pandas as pd
import pytest

from refacebench import brainage, files, manifest
from refacebench.checking.age_models import head
from refacebench.contracts import AgeModel, NotEnoughTraining, TrainingFailed
from refacebench.image import nifti
from refacebench.run import people
from refacebench.run.methods import Chosen
from refacebench.stages import age, train_age


def chosen(train, run=lambda model, volume, brain, options: model):
    def load(folder, options):
        return json.loads((folder / "model.safetensors").read_text())

    return Chosen(
        "age_models", "net", AgeModel(version="1", train=train, load=load, run=run), {}, "1"
    )


def rows(folder, count=3):
    found = []
    for number in range(count):
        volume, brain = head(number, 40.0)
        name = f"sub-{number}"
        nifti.write(volume, folder / f"{name}_T1w.nii.gz")
        nifti.write(volume.with_data(brain.astype(np.uint8)), folder / f"{name}_mask.nii.gz")
        found.append(
            {
                **{"dataset": "d", "participant": name, "session": "", "scan": name},
                **{"split": "train", "role": "measured", "site": "", "age": 40.0 + number},
                **{"sex": "", "variant": "original", "status": "ok", "stage": "segment"},
                **{"reason": "", "path": str(folder / f"{name}_T1w.nii.gz"), "seconds": 1.0},
                **{"peak_mb": 1.0, "engine": "native", "method": "m", "version": "1", "key": "k"},
                "original_path": str(folder / f"{name}_T1w.nii.gz"),
                "checksum": files.checksum(folder / f"{name}_T1w.nii.gz"),
                "brainseg_path": str(folder / f"{name}_mask.nii.gz"),
            }
        )
    return pd.DataFrame(found)


def test_only_usable_scans_of_known_age_are_trained_on(tmp_path):
    table = rows(tmp_path, 4)
    table.loc[1, "status"] = "failed"
    table.loc[2, "age"] = np.nan
    manifest.write(people.without(table), tmp_path / "a.tsv")
    manifest.write(people.of(table), tmp_path / "people.tsv")
    given = []

    def train(people, validation, out, options, seed):
        given.append((people, validation, seed))
        (out / "card.json").write_text("{}")

    card = tmp_path / "model/card.json"
    train_age.run(card, chosen(train), [tmp_path / "a.tsv"], [], tmp_path / "people.tsv", seed=5)
    trained, validation, seed = given[0]
    assert [(p.scan, p.age) for p in trained] == [("sub-0", 40.0), ("sub-3", 43.0)]
    assert (validation, seed) == ([], 5)


def test_a_scan_that_was_swapped_since_it_was_segmented_trains_nothing(tmp_path):
    manifest.write(people.without(rows(tmp_path, 2)), tmp_path / "a.tsv")
    manifest.write(people.of(rows(tmp_path, 2)), tmp_path / "people.tsv")
    (tmp_path / "sub-1_T1w.nii.gz").write_bytes((tmp_path / "sub-0_T1w.nii.gz").read_bytes())
    card = tmp_path / "model/card.json"
    train_age.run(card, chosen(None), [tmp_path / "a.tsv"], [], tmp_path / "people.tsv")
    assert "sub-1: the file changed after it was checked" in json.loads(card.read_text())["note"]
    assert manifest.read_failures(card)["again"]


@pytest.mark.parametrize("error", [NotEnoughTraining("too few people"), TrainingFailed("diverged")])
def test_no_model_is_a_note_and_no_stop(tmp_path, error):
    def train(*given):
        raise error

    card = tmp_path / "model/card.json"
    manifest.write(people.of(rows(tmp_path)), tmp_path / "people.tsv")
    train_age.run(card, chosen(train), [], [], tmp_path / "people.tsv")
    assert str(error) in json.loads(card.read_text())["note"]
    failed = manifest.failures_path(card).is_file()
    assert failed == isinstance(error, TrainingFailed)
    table = rows(tmp_path)
    made = age.run_batch(
        table, tmp_path / "out.tsv", chosen(train), card, variant="original", version="1"
    )
    assert made["predicted_age"].isna().all()
    assert (made["status"] == "ok").all()


def test_a_bad_image_is_a_row_with_a_reason(tmp_path):
    card = tmp_path / "card.json"
    card.write_text(json.dumps({"correction": {"type": "none", "slope": 0, "intercept": 0}}))
    (tmp_path / "model.safetensors").write_text("55.5")
    table = rows(tmp_path)
    other, _ = head(9, 40.0)
    nifti.write(nifti.Volume(other.data[:-1], other.affine), table.loc[1, "path"])
    table.loc[1, "checksum"] = files.checksum(table.loc[1, "path"])
    made = age.run_batch(
        table, tmp_path / "out.tsv", chosen(None), card, variant="null", version="1"
    )
    assert list(made["status"]) == ["ok", "failed", "ok"]
    assert "differ in grid" in made.loc[1, "reason"]
    assert list(made["predicted_age"].dropna()) == [55.5, 55.5]
    measured = table.assign(variant="null", segmenter="s")
    both = brainage.add_image_ages(measured, made, json.loads(card.read_text()))
    np.testing.assert_array_equal(both["brainage_raw"], [55.5, np.nan, 55.5])


@pytest.mark.filterwarnings("error")
def test_people_are_put_into_a_table_of_very_many_columns_without_a_warning():
    """Slices have a column each."""
    table = pd.DataFrame({"scan": ["a", "b"], "site": ["x", "y"]})
    with warnings.catch_warnings(action="ignore"):
        for number in range(150):
            table[f"c{number}"] = 1.0
    found = people.known(table, pd.DataFrame({"scan": ["b"], "age": [41.0], "sex": ["F"]}))
    assert list(found)[:5] == ["scan", "site", "age", "sex", "c0"]
    assert list(found["sex"]) == ["", "F"]
