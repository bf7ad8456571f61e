"""Brain age: the corrections by hand, no leak between participants, the table's columns."""

import json

import numpy as np
import pandas as pd
import pytest

import factories
from refacebench import brainage, contracts
from refacebench.brainage import ridge
from refacebench.results.brainage import compute as brainage_table
from refacebench.results.brainage_trained import compute as brainage_trained
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
    with pytest.raises(contracts.NotEnoughTraining, match="the same age"):
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
    shift = (raw["pydeface"] - raw["original"]).dropna()
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
    gap = (wide["brainage"]["pydeface"] - age).dropna()
    assert row["gap_corrected"] == pytest.approx(gap.mean())
    assert row["gap_raw"] == pytest.approx((raw["pydeface"] - age).mean())
    assert made.loc["original", "mae"] == pytest.approx((raw["original"] - age).abs().mean())
    assert np.isnan(made.loc["original", "shift"])
    assert (made["family_size"] == 5).all()
    np.testing.assert_allclose(made["p_holm"], paired.correct(made["p"], "holm"))
    assert (made["n_train"] == 30).all()
    accuracy = models["deepbet_gmm"]["out_of_fold"]
    assert (made["r2_train_cv"] == accuracy["r2"]).all()
    first = table[(table["role"] == "rescan")].set_index("participant")["brainage_raw"]
    second = raw["original"][first.index]
    assert row["rescan_shift_abs"] == pytest.approx((first - second).abs().mean())
    assert row["n_rescan"] == 6


def test_only_coles_correction_has_a_corrected_shift():
    table = factories.measurements(n_train=30)
    for kind in ("beheshti", "cole", "de_lange", "none"):
        models = brainage.fit_segmenters(table, ridge.METHOD, {"correction": kind}, 0)
        predicted = brainage.add_predictions(table, ridge.METHOD, models)
        made = brainage_table(predicted, QUICK, factories.VARIANTS, models).set_index("variant")
        row = made.loc["pydeface"]
        if kind == "cole":
            slope = models["deepbet_gmm"]["correction"]["slope"]
            assert slope < 0.99
            assert row["shift_corrected"] == pytest.approx(row["shift"] / slope)
        else:
            assert np.isnan(row["shift_corrected"])
        # What is called raw has nothing of the correction in it.
        assert row["shift"] == pytest.approx(
            made.loc["pydeface", "gap_raw"]
            - (predicted["brainage_raw"] - predicted["age"])[
                (predicted["variant"] == "original")
                & predicted["scan"].isin(
                    predicted[(predicted["variant"] == "pydeface") & (predicted["status"] == "ok")][
                        "scan"
                    ]
                )
                & (predicted["split"] == "test")
                & (predicted["role"] == "measured")
            ].mean()
        )


def test_out_of_fold_predictions_are_listed():
    rows = train_rows()
    model = ridge.fit(rows, {}, seed=0)
    listed = pd.DataFrame(model["out_of_fold"]["scans"])
    assert list(listed["scan"]) == list(rows["scan"])
    assert list(listed["participant"]) == list(rows["participant"])
    np.testing.assert_allclose(listed["age"], rows["age"])
    error = listed["predicted"] - listed["age"]
    assert model["out_of_fold"]["mae"] == pytest.approx(error.abs().mean())
    spread = ((listed["age"] - listed["age"].mean()) ** 2).sum()
    assert model["out_of_fold"]["r2"] == pytest.approx(1 - (error**2).sum() / spread)


def test_the_penalty_is_chosen_where_a_fold_has_one_scan():
    # R2 of one scan is no number: without an error to compare the first penalty would win.
    age = np.array([20.0, 31.0, 44.0, 58.0, 80.0])
    table = pd.DataFrame({"participant": list("abcde"), "vol_gm": 900 - 3 * age, "age": age})
    options = {"divide_by_tiv": False, "min_train": 3, "alphas": [1e6, 1e-6]}
    assert ridge.fit(table, options, seed=0)["alpha"] == 1e-6


# models trained on variants -------------------------------------------------------------------


def trained(table, **options):
    given = {**ridge.METHOD.defaults, **options}
    return brainage.trained_on_variants(table, ridge.METHOD, given, 0, ("test",))


def test_models_trained_on_a_variant_see_that_variant_alone():
    table = factories.measurements(20, variants=("original", "null", "pydeface"), failures=False)
    # The variant's volumes know nothing of age, the original's do.
    hit = table["variant"] == "pydeface"
    volumes = [name for name in table if name.startswith("vol_")]
    rng = np.random.default_rng(0)
    table.loc[hit, volumes] = rng.normal(10, 1, (hit.sum(), len(volumes)))
    found = trained(table)
    assert set(found["variant"]) == {"null", "pydeface"}
    blind = found[found["variant"] == "pydeface"]
    made = brainage_trained(table, QUICK, ["original", "null", "pydeface"], found)
    row = made.set_index("variant").loc["pydeface"]
    assert row["r2"] < 0.2 < 0.6 < row["r2_original"]
    assert row["mae_change_low"] > 0
    assert row["p_holm"] < 0.05
    error = (blind["own"] - blind["age"]).abs()
    old = (blind["original"] - blind["age"]).abs()
    assert row["mae"] == pytest.approx(error.groupby(blind["participant"]).mean().mean())
    assert row["mae_change"] == pytest.approx(
        (error - old).groupby(blind["participant"]).mean().mean()
    )


def test_the_same_images_give_the_same_model_whatever_failed():
    table = factories.measurements(16, failures=False)
    original = table[(table["variant"] == "original") & (table["split"] == "test")]
    copies = original[original["role"] == "measured"].assign(variant="copy")
    copies.loc[copies.index[[2, 5]], "status"] = "failed"
    found = trained(pd.concat([original, copies], ignore_index=True))
    assert len(found) == 14
    np.testing.assert_array_equal(found["own"], found["original"])


def test_too_few_scans_of_a_variant_are_a_note():
    table = factories.measurements(6)
    found = trained(table)
    made = brainage_trained(table, QUICK, factories.VARIANTS, found)
    assert made["note"].str.contains("10 needed").all()
    assert (made["n"] == 0).all()
    assert made[["mae", "p", "mae_change"]].isna().all(axis=None)


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
