"""The plane, on cases that crowd it."""

import numpy as np
import pandas as pd
import pytest

import layout
from refacebench import vocabulary
from refacebench.plot import privacy_utility, style


def plane(count, *, far=0.0, name="method", failed=False, seed=0):
    """Return a table of landmarks and so many methods in a heap at chance."""
    rng = np.random.default_rng(seed)
    names = [f"{name}_{i}" + ("+refacer" if i % 3 == 2 else "") for i in range(count)]
    rows = []
    for variant in ("original", "null", *names):
        control = variant in ("original", "null")
        rate = 1.0 if control else float(np.clip(rng.normal(0.25, 0.08), 0.02, 1))
        change = {"original": 0.0, "null": 0.05}.get(variant, rng.uniform(0.15, 0.6))
        rows.append(
            {"variant": variant, "setting": "other_session", "segmenter": "s", "n": 13,
             "n_failed": 0, "measure": "choice", "chance": 0.2, "worst_attacker": "surface",
             "worst_route": "direct", "identification": rate, "worst_rate": min(rate + 0.08, 1.0),
             "low": max(rate - 0.2, 0), "high": min(rate + 0.25, 1), "worst_volume": "csf",
             "volume_change_pct": change, "volume_low": 0.3 * change, "volume_high": 1.8 * change,
             "comparable": 1.0, "rank": np.nan if control else 1.0 + (rng.random() > 0.6),
             "pareto": np.nan if control else float(rng.random() > 0.4),
             "beaten": float(rng.random() > 0.7), "floor": np.nan, "floor_attacker": None}
        )  # fmt: skip
    table = pd.DataFrame(rows)
    last = table.index[-1]
    if far:
        table.loc[last, ["volume_change_pct", "volume_low", "volume_high"]] = [
            far, 0.8 * far, 1.3 * far,
        ]  # fmt: skip
    if failed:
        table.loc[last - 1, ["n_failed", "identification", "low", "high"]] = [13, *[np.nan] * 3]
    return table


def drawn(table):
    return privacy_utility.draw(table, style.look_of({"t": table}))


@pytest.mark.parametrize(
    "given",
    [
        {"count": 1},
        {"count": 12, "far": 25.0},
        {"count": 12, "name": "a_very_long_name_of_a_method"},
        {"count": 5, "far": 50.0, "failed": True},
    ],
)
def test_no_label_is_struck_through_or_lies_on_another(given, tmp_path):
    assert not layout.faults(drawn(plane(**given)), tmp_path, vocabulary.SYNTHETIC_NOTE)


@pytest.mark.parametrize("far", [0.0, 25.0])
def test_the_axis_is_filled_by_the_points_whatever_one_of_them_does(far):
    table = plane(5, far=far)
    axes = drawn(table).axes
    assert len(axes) == (2 if far else 1)
    near = table[table["volume_change_pct"] < 5]["volume_high"].max()
    ends = axes[0].transData.transform([(0, 0), (near, 0), (axes[0].get_xlim()[1], 0)])[:, 0]
    assert ends[1] - ends[0] > 0.75 * (ends[2] - ends[0]), "no empty half"
    if far:
        low, high = axes[1].get_xlim()
        assert low < 20 < 32.5 < high


def test_the_legend_names_what_is_there_and_nothing_else():
    def named(table):
        return " ".join(t.get_text() for t in drawn(table).legends[0].get_texts())

    table = plane(3)
    assert "refaced" in named(table)
    assert "refaced" not in named(table[~table["variant"].str.contains("+", regex=False)])
    assert "an attack beats it" not in named(table.assign(beaten=0.0))
    assert "Pareto" not in named(table.assign(pareto=0.0))
    assert "as observed" not in named(table.assign(worst_rate=table["identification"]))
