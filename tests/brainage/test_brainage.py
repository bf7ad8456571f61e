"""Brain age: the corrections by hand, no leak between participants, the table's columns."""

import json

import numpy as np
import pandas as pd
import pytest

import factories
from refacebench import brainage, contracts
from refacebench.brainage import ridge
from refacebench.results.brainage import compute as brainage_table
from refacebench.statistics import paired
from refacebench.statistics.criteria import Criteria

QUICK = Criteria(n_boot=200)


@pytest.fixture(scope="module")
def measured():
    return factories.with_brainage(factories.measurements(n_train=30))


def train_rows(**options):
    table = factories.measurements(2, n_train=30, **options)
    return brainage.training_rows(table, "deepbet_gmm")


# correction ---------------------------------------------------------------------------------


def test_corrections_by_hand():
    age = np.array([20.0, 40.0, 60.0, 80.0])
    predicted = 0.5 * age + 30  # a model that shrinks to the mean
    for kind, slope, intercept in (
        ("beheshti", -0.5, 30.0),
        ("cole", 0.5, 30.0),
        ("de_lange", 0.5, 30.0),
    ):
        fitted = brainage.fit_correction(kind, predicted, age)
        assert fitted["type"] == kind
        assert fitted["slope"] == pytest.approx(slope)
        assert fitted["intercept"] == pytest.approx(intercept)
        np.testing.assert_allclose(brainage.correct(predicted, age, fitted), age, atol=1e-9)
    new, at = np.array([55.0]), np.array([40.0])
    frozen = {"slope": -0.5, "intercept": 30.0, "type": "beheshti"}
    assert brainage.correct(new, at, frozen)[0] == 55 - (-20 + 30)
    frozen = {"slope": 0.5, "intercept": 30.0, "type": "cole"}
    assert brainage.correct(new, at, frozen)[0] == (55 - 30) / 0.5
    frozen = {"slope": 0.5, "intercept": 30.0, "type": "de_lange"}
    assert brainage.correct(new, at, frozen)[0] == 55 + (40 - (20 + 30))
    assert brainage.correct(new, at, {"slope": 0, "intercept": 0, "type": "none"})[0] == 55


def test_correction_of_a_useless_model():
    age = np.array([20.0, 40.0, 60.0, 80.0])
    flat = np.full(4, 50.0)
    assert brainage.fit_correction("cole", flat, age)["type"] == "none"
    # Beheshti's makes the constant prediction perfect: why MAE is reported before it.
    fitted = brainage.fit_correction("beheshti", flat, age)
    np.testing.assert_allclose(brainage.correct(flat, age, fitted), age)
    with pytest.raises(ValueError, match="unknown correction 'magic'"):
        brainage.fit_correction("magic", flat, age)


def test_shifts_are_those_of_corrected_predictions():
    age = np.array([33.0, 33.0])
    for kind in ("beheshti", "cole", "de_lange", "none"):
        frozen = {"type": kind, "slope": 0.5, "intercept": 10.0}
        raw = np.array([40.0, 43.0])
        corrected = brainage.correct(raw, age, frozen)
        scaled = raw / brainage.shift_scale(frozen)
        assert np.diff(corrected)[0] == pytest.approx(np.diff(scaled)[0])


# model --------------------------------------------------------------------------------------


def test_training_rows_are_originals_of_the_train_split():
    table = factories.measurements()
    table.loc[table["participant"] == "sub-020", "age"] = np.nan
    table.loc[table["participant"] == "sub-021", "status"] = "failed"
    rows = brainage.training_rows(table, "deepbet_gmm")
    assert len(rows) == 18
    assert set(rows["variant"]) == {"original"}
    assert set(rows["split"]) == {"train"}
    assert set(rows["role"]) == {"measured"}


def test_no_participant_is_on_both_sides_of_a_fold():
    person = np.repeat([f"p{i:02d}" for i in range(13)], 3)
    seen = []
    for train, test in ridge._folds(person, 5, seed=1):
        assert not set(person[train]) & set(person[test])
        seen += list(test)
    assert sorted(seen) == list(range(39))


def test_out_of_fold_accuracy_does_not_leak():
    # Noise features, three copies of each person: in-sample the model can learn the persons
    # by heart; out of fold by participant it must know nothing.
    rng = np.random.default_rng(0)
    persons = 30
    table = pd.DataFrame(rng.normal(10, 1, (persons, len(ridge.FEATURES))))
    table.columns = [f"vol_{name}" for name in ridge.FEATURES]
    table["participant"] = [f"p{i}" for i in range(persons)]
    table["age"] = rng.uniform(20, 80, persons)
    table = pd.concat([table] * 3, ignore_index=True)
    options = {"divide_by_tiv": False, "alphas": [1e-3]}
    model = ridge.fit(table, options, seed=0)
    by_heart = ridge.predict(model, table)
    inside = (
        1
        - ((by_heart - table["age"]) ** 2).sum() / ((table["age"] - table["age"].mean()) ** 2).sum()
    )
    assert inside > 0.5
    assert model["out_of_fold"]["r2"] < 0.1


def test_age_is_learned_and_prediction_is_the_pipeline():
    rows = train_rows()
    model = ridge.fit(rows, {}, seed=0)
    assert model["out_of_fold"]["r2"] > 0.7
    assert (model["n_participants"], model["n_scans"], model["n_dropped"]) == (30, 30, 0)
    features = ridge._features(rows, model["features"], True)
    person = rows["participant"].to_numpy(dtype=str)
    options = {**ridge.METHOD.defaults}
    pipeline = ridge._regression(person, options, 0).fit(features, rows["age"])
    np.testing.assert_allclose(ridge.predict(model, rows), pipeline.predict(features))


def test_division_by_tiv_makes_prediction_blind_to_units_of_the_rest():
    rows = train_rows()
    model = ridge.fit(rows, {}, seed=0)
    column = model["features"].index("gm")
    features = ridge._features(rows, model["features"], True)
    np.testing.assert_allclose(features[:, column], rows["vol_gm"] / rows["vol_tiv"])
    np.testing.assert_allclose(features[:, model["features"].index("tiv")], rows["vol_tiv"])


def test_model_round_trips_through_json(tmp_path):
    rows = train_rows()
    model = ridge.fit(rows, {}, seed=0)
    brainage.save({"seg": model}, tmp_path / "a.json")
    brainage.save({"seg": ridge.fit(rows, {}, seed=0)}, tmp_path / "b.json")
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    again = brainage.load(tmp_path / "a.json")["seg"]
    np.testing.assert_array_equal(ridge.predict(again, rows), ridge.predict(model, rows))
    json.loads((tmp_path / "a.json").read_text(), parse_constant=pytest.fail)


def test_missing_features_give_nan_and_are_dropped_in_training():
    rows = train_rows()
    rows.loc[3, "vol_gm"] = np.nan
    model = ridge.fit(rows, {}, seed=0)
    assert model["n_dropped"] == 1
    predicted = ridge.predict(model, rows)
    assert np.isnan(predicted[3])
    assert np.isfinite(np.delete(predicted, 3)).all()
    bare = rows.drop(columns="vol_frontal")
    assert "frontal" not in ridge.fit(bare, {}, seed=0)["features"]


def test_too_few_or_one_age():
    rows = train_rows()
    with pytest.raises(contracts.NotEnoughTraining, match="9 training participants"):
        ridge.fit(rows.iloc[:9], {}, seed=0)
    with pytest.raises(contracts.NotEnoughTraining, match="one age"):
        ridge.fit(rows.assign(age=40.0), {}, seed=0)
    with pytest.raises(contracts.NotEnoughTraining):
        ridge.fit(rows[["participant", "age"]], {}, seed=0)


# table --------------------------------------------------------------------------------------


def test_predictions_leave_the_train_split_out(measured):
    table, _ = measured
    trained = table["split"] == "train"
    assert table.loc[trained, "brainage_raw"].isna().all()
    ok = ~trained & (table["status"] == "ok")
    assert table.loc[ok, "brainage_raw"].notna().all()


def test_table_against_plain_numpy(measured):
    table, models = measured
    made = brainage_table(table, QUICK, factories.VARIANTS, models).set_index("variant")
    use = (table["split"] == "test") & (table["role"] == "measured")
    wide = table[use].pivot(index="participant", columns="variant")
    raw, age = wide["brainage_raw"], wide["age"]["original"]
    shift = (wide["brainage"]["pydeface"] - wide["brainage"]["original"]).dropna()
    row = made.loc["pydeface"]
    assert (row["n"], row["n_failed"]) == (11, 1)
    assert row["shift"] == pytest.approx(shift.mean())
    assert row["shift_abs"] == pytest.approx(shift.abs().mean())
    assert row["shift_sd"] == pytest.approx(shift.std(ddof=1))
    # Five tests: what would have been found with 80 % power at 0.05 / 5.
    found = paired.minimum_detectable(11, shift.std(ddof=1), 0.05 / 5, 0.8)
    assert row["shift_mde"] == pytest.approx(found)
    assert row["shift_low"] < row["shift"] < row["shift_high"]
    assert np.isnan(made.loc["original", "shift_mde"])
    error = (raw["pydeface"] - age).abs().dropna()
    assert row["mae"] == pytest.approx(error.mean())
    before = (raw["original"] - age).abs()[error.index]
    assert row["mae_change"] == pytest.approx(error.mean() - before.mean())
    assert row["p"] == pytest.approx(paired.wilcoxon(shift)[1])
    assert made.loc["original", "mae"] == pytest.approx((raw["original"] - age).abs().mean())
    assert np.isnan(made.loc["original", "shift"])
    assert (made["family_size"] == 5).all()
    np.testing.assert_allclose(made["p_holm"], paired.correct(made["p"], "holm"))
    assert (made["n_train"] == 30).all()
    accuracy = models["deepbet_gmm"]["out_of_fold"]
    assert (made["r2_train_cv"] == accuracy["r2"]).all()
    first = table[(table["role"] == "rescan")].set_index("participant")["brainage"]
    second = wide["brainage"]["original"][first.index]
    assert row["rescan_shift_abs"] == pytest.approx((first - second).abs().mean())
    assert row["n_rescan"] == 6


def test_without_a_model_there_is_a_note():
    table, models = factories.with_brainage(factories.measurements(n_train=3))
    made = brainage_table(table, QUICK, factories.VARIANTS, models)
    assert len(made) == 6
    assert made["note"].str.startswith("brain age: 3 training participants").all()
    assert made[["mae", "shift", "p_holm"]].isna().all(axis=None)
    assert set(brainage_table(table, QUICK, ["null"], {})["note"]) == {"no brain-age model"}


def test_unknown_ages_leave_the_shift():
    table, models = factories.with_brainage(factories.measurements(n_train=30))
    raw = factories.measurements(n_train=30)
    raw.loc[raw["split"] == "test", "age"] = np.nan
    from refacebench.brainage import add_predictions

    blind = add_predictions(raw, ridge.METHOD, models)
    first = brainage_table(table, QUICK, factories.VARIANTS, models)
    second = brainage_table(blind, QUICK, factories.VARIANTS, models)
    pd.testing.assert_series_equal(first["shift"], second["shift"])
    assert second["mae"].isna().all()
    assert (second["n"] == first["n"]).all()


def test_an_unchanged_variant_has_no_shift():
    table = factories.measurements(n_train=30, failures=False)
    original = table[(table["variant"] == "original") & (table["split"] == "test")]
    original = original[original["role"] == "measured"]
    copies = original.assign(variant="copy")
    table, models = factories.with_brainage(pd.concat([table, copies], ignore_index=True))
    row = brainage_table(table, QUICK, ["original", "copy"], models).iloc[1]
    assert (row["shift"], row["p"], row["mae_change"]) == (0.0, 1.0, 0.0)
