"""Privacy beside volumes, on cases that crowd the figure."""

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
             "n_failed": 0, "n_routes": 2, "measure": "choice", "margin_points": 5.0,
             "chance": 0.2, "worst_attacker": "surface",
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
def test_the_axis_of_volumes_is_filled_whatever_one_of_them_does(far):
    table = plane(5, far=far)
    axes = drawn(table).axes[1]
    near = table[table["volume_change_pct"] < 5]["volume_high"].max()
    assert axes.get_xlim()[0] == 0
    assert 0.75 * axes.get_xlim()[1] < near < axes.get_xlim()[1], "no empty half"
    written = [t.get_text() for t in axes.texts if "[" in t.get_text()]
    assert written == (["25.0 [20.0, 32.5]"] if far else [])


def test_a_change_that_rounds_to_zero_is_not_printed_as_none():
    changes = ["volume_change_pct", "volume_low", "volume_high"]
    table = plane(2)
    table[changes] = [[0.0, 0.0, 0.1], [0.03, 0.0, 0.1], [0.04, 0.0, 0.1], [0.06, 0.0, 0.1]]
    said = [t.get_text() for t in drawn(table).axes[1].texts]
    assert said == ["CSF 0.0 %", "CSF <0.1 %", "CSF <0.1 %", "CSF 0.1 %"]


def test_what_beats_chance_is_said_in_either_setting_and_of_no_control():
    main = plane(3).assign(beaten=[1.0, 1.0, 0.0, 1.0, 0.0])
    easy = main.assign(setting="same_scan", beaten=[1.0, 1.0, 1.0, 0.0, 0.0])
    axes = drawn(pd.concat([main, easy])).axes[0]
    places = [t.xy[1] for t in axes.texts if t.get_text() == "beats chance"]
    names = [t.get_text() for t in axes.get_yticklabels()]
    rows = dict(zip(names, axes.get_yticks(), strict=True))
    lane = privacy_utility._LANE
    expected = [rows["method_0"] + lane, rows["method_1"] - lane]
    assert sorted(places) == pytest.approx(expected)


def test_marks_stand_at_the_observed_rates_and_ticks_at_the_corrected_ones():
    main = plane(2).assign(worst_rate=0.1, identification=[0.3, 0.3, 0.2, 0.1])
    easy = main.assign(setting="same_scan", identification=[0.1, 0.1, 0.4, 0.5])
    axes = drawn(pd.concat([main, easy])).axes[0]
    ticks = [line for line in axes.lines if line.get_marker() == "|"]
    rim = [line for line in ticks if line.get_color() == "white"]
    seen = [line for line in ticks if line.get_color() != "white"]
    places = sorted((line.get_ydata()[0], round(line.get_xdata()[0])) for line in seen)
    assert [x for _, x in places] == [30, 30, 20, 40, 50]
    line = next(line for line in axes.lines if line.get_color() == privacy_utility.CHANCE)
    assert all(tick.get_zorder() > line.get_zorder() for tick in ticks), "above the line of chance"
    assert len(rim) == len(seen), "with a rim, to be seen on it"
    assert min(t.get_markeredgewidth() for t in rim) > max(t.get_markeredgewidth() for t in seen)
    marks = [line for line in axes.lines if line.get_marker() in ("o", "D")]
    assert [round(line.get_xdata()[0]) for line in marks] == [10] * 8
    assert min(m.get_markersize() for m in marks if m.get_markerfacecolor() != "white") * 1.2 > max(
        tick.get_markersize() for tick in ticks
    )
    assert "as observed" in axes.get_xlabel()
    legend = [t.get_text() for t in axes.figure.legends[0].get_texts()]
    assert any(text.startswith(privacy_utility.CORRECTED) for text in legend)
    same = plane(2).assign(worst_rate=lambda table: table["identification"])
    plain = drawn(same).axes
    assert "as observed" not in plain[0].get_xlabel()
    assert plain[1].get_xlabel().startswith("size of the median change"), "no sign is drawn"


def test_every_method_has_its_verdict_and_controls_are_called_so():
    table = plane(3)
    verdicts = {"method_0": ("do not share", "#b00020"), "method_1": ("go", "#1a7f37")}
    figure = privacy_utility.draw(table, style.look_of({"t": table}), verdicts=verdicts)
    axes = figure.axes
    said = {t.get_text(): t.get_position()[1] for t in axes[2].texts}
    names = [t.get_text() for t in axes[0].get_yticklabels()]
    rows = dict(zip(axes[0].get_yticks(), names, strict=True))
    assert rows[said["do not share"]] == "method_0"
    assert rows[said["go"]] == "method_1"
    assert [t.get_text() for t in axes[2].texts].count("control") == 2


def test_rows_say_how_many_attacks_they_met_where_methods_met_different_numbers():
    table = plane(3).assign(n_routes=2.0)
    assert "attacks" not in " ".join(t.get_text() for t in drawn(table).axes[0].get_yticklabels())
    more = table["variant"] == "method_0"
    names = [
        t.get_text()
        for t in drawn(table.assign(n_routes=table["n_routes"].mask(more, 4.0)))
        .axes[0]
        .get_yticklabels()
    ]
    assert "method_0\n(4 attacks)" in names
    assert "method_1\n(2 attacks)" in names


def test_the_legend_names_what_is_there_and_nothing_else():
    def named(table):
        return " ".join(t.get_text() for t in drawn(table).legends[0].get_texts())

    table = plane(3)
    assert "same scan" not in named(table)
    assert "same scan" in named(pd.concat([table, table.assign(setting="same_scan")]))
    assert "bold" not in named(table.assign(pareto=0.0))
    assert "corrected" in named(table)
    assert "corrected" not in named(table.assign(worst_rate=table["identification"]))
    assert "floor" in named(table.assign(floor=0.3, floor_attacker="shape"))
