"""What a run says last."""

from refacebench import files
from refacebench.run import ending, place


def test_the_report_is_named_from_where_the_run_was_started(tmp_path, monkeypatch, capsys):
    home = tmp_path / "runs" / "mine"
    home.mkdir(parents=True)
    monkeypatch.chdir(home)
    files.write_text("All is well.\n\nReport: results/report.html\n", ending.SUMMARY)
    monkeypatch.setenv(place.START, str(tmp_path))
    assert ending.finish([], 0.0)
    assert f"\nReport: {home}/results/report.html\n" in capsys.readouterr().err
    # In the folder itself the short path is the right one.
    monkeypatch.setenv(place.START, str(home))
    assert ending.finish([], 0.0)
    assert "\nReport: results/report.html\n" in capsys.readouterr().err
