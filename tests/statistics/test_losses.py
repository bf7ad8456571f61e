"""What was lost is named behind every count."""

import numpy as np
import pandas as pd

from attacks import rates_table
from factories import TABLE_COLUMNS
from losing import LOST, SETTINGS, dataset, manifests, rendered
from reading import caption
from refacebench.report.page import build
from refacebench.report.summary import summary_lines
from refacebench.results.tradeoff import compute as tradeoff_table
from refacebench.statistics import losses
from refacebench.statistics.attacks import evaluate_all
from refacebench.statistics.comparisons import Comparisons
from refacebench.statistics.protocol import Protocol


def attack(variant="original", missing=(), unscored=(), attacker="a"):
    """Scores of an attacker that names everybody; ``missing`` are not in its gallery."""
    table = rendered()
    gallery = table[~table["scan"].isin(missing)].reset_index(drop=True)
    query = table[table["role"] == "measured"].reset_index(drop=True)
    query = query.assign(detected=True, reason="")
    same = query["participant"].to_numpy()[:, None] == gallery["participant"].to_numpy()
    distance = np.where(same, 0.0, 1.0 + 0.01 * np.arange(len(gallery)))
    distance[query["scan"].isin(unscored)] = np.nan
    return Comparisons(attacker, variant, distance, query, gallery, {"version": "1"})


def explained(found, enrolled, asked):
    protocol = Protocol()
    results = evaluate_all(found, protocol, SETTINGS)
    table = losses.explained(rates_table(results), enrolled, asked)
    volumes = pd.DataFrame(columns=list(TABLE_COLUMNS["volumes"]))
    plane = losses.passed_on(tradeoff_table(results, volumes, protocol, SETTINGS), table)
    return {"privacy": table, "tradeoff": plane}


def test_a_lost_second_session_is_named_behind_every_count():
    enrolled, asked = manifests(attackers=("a",), **LOST)
    tables = explained([attack(missing=["sub-3_ses-2"])], enrolled, asked)
    table = tables["privacy"].set_index("setting")
    said = "4 of 5 participants: 1 second session could not be registered (sub-3_ses-2)"
    row = table.loc["other_session"]
    assert (row["n"], row["n_expected"], row["shortfall"]) == (4, 5, said)
    row = table.loc["same_scan"]
    assert (row["n"], row["n_expected"], row["shortfall"]) == (5, 5, "")
    plane = tables["tradeoff"].set_index("setting")
    assert plane["shortfall"].tolist() == [said, ""]
    assert plane["n_expected"].tolist() == [5, 5]
    assert said in caption("privacy", tables, SETTINGS)
    assert said in caption("tradeoff", tables, SETTINGS)
    assert said in " ".join(summary_lines(tables, SETTINGS))
    assert f"4 ({said})" in build({"title": "t", "datasets": [dataset(tables)]})


def test_a_lost_query_and_a_lost_person_are_named():
    lost = {f"sub5_ses{n}": ("failed", "render", "nothing to look at") for n in (1, 2)}
    unfit = {("a", "original", "sub-2_ses-1"): ("attack", "no distance")}
    enrolled, asked = manifests(attackers=("a",), unfit=unfit, **lost)
    found = attack(missing=["sub-5_ses-1", "sub-5_ses-2"], unscored=["sub-2_ses-1"])
    table = explained([found], enrolled, asked)["privacy"].set_index("setting")
    parts = table.loc["other_session", "shortfall"].split("; ")
    assert parts == [
        "4 of 5 participants: 1 second session could not be rendered (sub-5_ses-2)",
        "3 of 4 queries: 1 first session could not be compared (sub-2_ses-1)",
        "gallery of 4 of 5 people: 1 first session could not be rendered (sub-5_ses-1), "
        "1 second session could not be rendered (sub-5_ses-2)",
    ]
    assert table.loc["other_session", "n_failed"] == 1
    assert table.loc["other_session", "n_gallery"] == 4


def test_many_lost_scans_are_counted_and_not_named():
    table = rendered(6)
    lost = table[table["role"] == "rescan"].assign(status="failed", stage="enrol", reason="x")
    assert losses.phrase(lost, table) == "6 second sessions could not be enrolled"
    one = rendered(2, sessions=(1,))
    assert losses.phrase(one.assign(stage="attack").iloc[:1], one).startswith("1 scan could not")
