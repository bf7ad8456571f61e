"""What a run ends with says what the page says first."""

import pandas as pd

from reading import context
from refacebench.report.closing import closing


def test_all_warnings_of_the_controls_are_in_the_summary(tables):
    warnings = pd.DataFrame(
        {
            "kind": ["leak", "small_gallery", "no_landmark"],
            "message": ["the protocol leaks.", "a gallery of 4 is small.", "nobody was compared."],
        }
    )
    text = closing(context({**tables, "privacy_warnings": warnings})["datasets"], "results/x.html")
    lines = text.splitlines()
    assert "WARNING: the protocol leaks." in lines
    assert "NOTE: a gallery of 4 is small." in lines
    assert "NOTE: nobody was compared." in lines
    assert "NOTE" not in closing(context(tables)["datasets"], "results/x.html")
