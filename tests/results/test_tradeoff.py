"""The privacy-utility plane: worst cases, failures, ranks and the figure."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from attacks import (
    PROTOCOL,
    SETTINGS,
    by_rank,
)
from refacebench.results.privacy_contrasts import compute as contrasts
from refacebench.results.tradeoff import compute as tradeoff_table
from refacebench.results.tradeoff import volume_change
from refacebench.statistics.attack_tables import with_contrasts
from refacebench.statistics.attacks import evaluate_all
from refacebench.statistics.losses import passed_on
from refacebench.vocabulary import OTHER_SESSION, REGIONS


def volume_table(changes):
    rows = [
        {"variant": v, "segmenter": "s", "region": region, "median_change_pct": c * (-1) ** i,
         "low": c * (-1) ** i - 0.5, "high": c * (-1) ** i + 0.5, "n_failed": 1}
        for v, c in changes.items()
        for i, region in enumerate(REGIONS)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def plane(found, changes):
    results = evaluate_all(found, PROTOCOL, SETTINGS)
    table = tradeoff_table(results, volume_table(changes), PROTOCOL, SETTINGS)
    return table[table["setting"] == OTHER_SESSION].set_index("variant")


def test_the_worst_case_is_over_attackers_and_reconstructions():
    found = [
        by_rank([1] * 13, 13, "original", "x"),
        by_rank([9] * 13, 13, "a", "x"),
        by_rank([6] * 13, 13, "a", "y"),
        by_rank([3] * 13, 13, "a+m", "x"),
        by_rank([8] * 13, 13, "a+m", "y"),
        by_rank([7] * 13, 13, "b", "y"),
    ]
    table = plane(found, {"a": 2.5, "a+m": 1.0, "b": 1.5})
    assert table.loc["a", ["worst_attacker", "worst_route"]].tolist() == ["x", "m"]
    assert table.loc["a", "n_routes"] == 4
    assert table.loc["a", "n_attackers"] == 2
    assert table.loc["a+m", ["worst_attacker", "worst_route"]].tolist() == ["x", "direct"]
    third = stats.hypergeom.pmf(4, 12, 10, 4)
    assert table.loc["a", "identification"] == pytest.approx(third)
    assert table.loc["b", "worst_attacker"] == "y"
    assert table.loc["original", "volume_change_pct"] == 0
    # An attack beats a+m, so that it stands on no front though nothing is shown to be better.
    # b: fewer identified; a+m: less change; a's volumes are shown to be worse than a+m's (its
    # interval begins at 2.0, where that one's ends at 1.5) and it looks no better else.
    assert table["pareto"].dropna().to_dict() == {"a": 0.0, "a+m": 0.0, "b": 1.0}
    assert table["beaten"].to_dict() == {"original": 1.0, "a": 1.0, "a+m": 1.0, "b": 0.0}
    assert table["rank"].dropna().to_dict() == {"a": 2.0, "a+m": 1.0, "b": 1.0}
    assert np.isnan(table.loc["original", "pareto"])


def test_refacing_buys_no_privacy_that_its_defacer_has_not():
    """Its new face can be taken off again: then the defaced scan is attacked, by every route."""
    found = [
        by_rank([8] * 13, 13, "a", "x"),
        by_rank([2] * 13, 13, "a+m", "x"),
        by_rank([9] * 13, 13, "a+k", "x"),
        by_rank([1] * 13, 13, "ab+m", "x"),
    ]
    table = plane(found, {"a": 2.0, "a+m": 1.5, "a+k": 1.0, "ab+m": 3.0})
    assert table["worst_route"].to_dict() == {
        "a": "m",
        "a+m": "direct",
        "a+k": "m",
        "ab+m": "direct",
    }
    assert table.loc[["a", "a+m", "a+k"], "identification"].nunique() == 1
    assert table.loc["a+k", "rank"] == 1
    found[1] = by_rank([10] * 13, 13, "a+m", "x")
    assert plane(found, {"a": 2.0})["worst_route"].to_dict() == {
        "a": "direct",
        "a+m": "taken_off",
        "a+k": "taken_off",
        "ab+m": "direct",
    }


def test_below_chance_is_no_better_than_chance():
    """b's people are picked less often than by chance: luck, which its volumes pay for."""
    found = [by_rank([rank] * 60, 60, name, "x") for name, rank in (("a", 30), ("b", 55))]
    table = plane(found, {"a": 1.0, "b": 3.0})
    assert (table["high"] < table["chance"]).all()
    assert table.loc["b", "identification"] < table.loc["a", "identification"]
    assert table["pareto"].to_dict() == {"a": 1.0, "b": 0.0}


def test_who_looks_at_no_face_is_a_floor_and_not_the_worst_case():
    found = [
        by_rank([5] * 13, 13, "a", "face"),
        by_rank([1] * 13, 13, "a", "skull"),
    ]
    results = evaluate_all(found, PROTOCOL, SETTINGS)
    volumes = volume_table({"a": 2.0})
    row = tradeoff_table(results, volumes, PROTOCOL, SETTINGS, ["skull"]).iloc[0]
    assert (row["worst_attacker"], row["n_attackers"]) == ("face", 1)
    assert row["identification"] < 1
    assert (row["floor_attacker"], row["floor"], row["floor_high"]) == ("skull", 1.0, 1.0)
    counted = tradeoff_table(results, volumes, PROTOCOL, SETTINGS).iloc[0]
    assert (counted["worst_attacker"], counted["identification"]) == ("skull", 1.0)
    assert np.isnan(counted["floor"])
    alone = tradeoff_table(results[1:], volumes, PROTOCOL, SETTINGS, ["skull"]).iloc[0]
    assert (alone["worst_attacker"], alone["floor"]) == ("skull", 1.0)


def test_volume_change_by_hand():
    table = volume_table({"a": 2.0, "n": 0.2})
    found = volume_change(table, "s", "a")
    assert found["volume_change_pct"] == 2.0
    assert (found["volume_low"], found["volume_high"]) == (1.5, 2.5)
    noise = volume_change(table, "s", "n")
    assert noise["volume_low"] == 0
    assert noise["volume_high"] == pytest.approx(0.7)
    assert "volume_change_pct" not in volume_change(table, "s", "b")


def test_people_are_as_safe_as_in_the_weakest_image_that_is_shared_of_them():
    """Of a refaced scan the companions are those of its defacer, without a face."""
    found = [
        by_rank([7] * 13, 13, "a", "x"),
        by_rank([8] * 13, 13, "a+m", "x"),
        by_rank([1] * 13, 13, "a@T2w", "x"),
        by_rank([7] * 13, 13, "b", "x"),
        by_rank([8] * 13, 13, "b@T2w", "x"),
        by_rank([1] * 13, 13, "original@T2w", "x"),
    ]
    changes = {"a": 2.0, "a+m": 1.0, "b": 1.5}
    table = plane(found, changes)
    assert list(table.index) == ["a", "a+m", "b"], "an image of another contrast is no method"
    assert table["worst_route"].to_dict() == {"a": "@T2w", "a+m": "@T2w", "b": "direct"}
    assert table["beaten"].to_dict() == {"a": 1.0, "a+m": 1.0, "b": 0.0}
    assert table.loc["a", "n_routes"] == 3
    assert plane([found[0], *found[3:]], changes).loc["a", "beaten"] == 0.0


def test_other_contrasts_have_rows_of_their_own_with_the_same_numbers():
    """The same ranks give the same rates; tests are corrected over both tables together."""
    found = [by_rank([3] * 13, 13, name, "x") for name in ("a", "a@T2w", "a@FLAIR")]
    results = evaluate_all(found, PROTOCOL, SETTINGS)
    rows = [{"method": "x", "variant": one.variant, **row, "status": "ok", "stage": "attack"}
            for one in found for row in one.query.to_dict("records")]  # fmt: skip
    gallery = found[0].gallery.assign(method="x", status="ok", stage="enrol", reason="")
    made = contrasts([r for r in results if "@" in r.row["variant"]], gallery, pd.DataFrame(rows))
    main = made[made["setting"] == OTHER_SESSION].set_index("contrast")
    assert main["variant"].to_dict() == {"T2w": "a", "FLAIR": "a"}
    third = stats.hypergeom.pmf(4, 12, 10, 4)
    assert main["choice_completers"].tolist() == pytest.approx([third, third])
    assert main["family"].tolist() == ["methods", "methods"]
    assert main["family_size"].tolist() == [3, 3]
    assert main["n_expected"].tolist() == [13, 13]
    assert contrasts([], gallery, pd.DataFrame(rows)).empty


def test_the_shortfall_of_the_strongest_attack_is_that_of_its_own_image():
    columns = ["variant", "attacker", "setting", "n_expected", "shortfall"]
    privacy = pd.DataFrame([["a", "x", OTHER_SESSION, 13, ""]], columns=columns)
    other = pd.DataFrame([["a", "x", OTHER_SESSION, 12, "one is missing"]], columns=columns)
    told = with_contrasts(privacy, other.assign(contrast="T2w"))
    row = {"variant": "a+m", "setting": OTHER_SESSION, "worst_attacker": "x"}
    routes = pd.DataFrame([{**row, "worst_route": "@T2w"}, {**row, "worst_route": "taken_off"}])
    found = passed_on(routes, told)
    assert found["n_expected"].tolist() == [12, 13]
    assert found["shortfall"].tolist() == ["one is missing", ""]
