"""What a run ends with says what the page says first."""

import pandas as pd

from reading import context
from refacebench.report.closing import closing
from refacebench.report.page import build


def test_all_warnings_of_the_controls_are_in_the_summary(tables):
    warnings = pd.DataFrame(
        {
            "kind": ["leak", "small_gallery", "no_landmark"],
            "message": ["the protocol leaks.", "a gallery of 4 is small.", "nobody was compared."],
        }
    )
    text = closing(context({**tables, "privacy_warnings": warnings})["datasets"], "results/x.html")
    lines = text.splitlines()
    assert "WARNING: The protocol leaks." in lines
    assert "NOTE: A gallery of 4 is small." in lines
    assert "NOTE: Nobody was compared." in lines
    assert "NOTE" not in closing(context(tables)["datasets"], "results/x.html")


def test_methods_stand_in_the_order_of_the_config_as_on_the_page(tables):
    order = ["quickshear", "pydeface"]
    assert {*order} <= set(tables["quality"]["variant"]), "in the other order by name"
    given = context(tables, config={"defacers": dict.fromkeys(order, {})})
    text = closing(given["datasets"], "results/x.html")
    places = [text.index(f"\n{name}: ") for name in order]
    assert places == sorted(places)
    page = build(given)
    table = page[page.index('id="d1-verdicts"') :]
    places = [table.index(f">{name}") for name in order]
    assert places == sorted(places)
