"""Files of ratings are read back: by whom, of which image, and what follows from them."""

import json
from math import comb

import pandas as pd
import pytest

from refacebench import __main__ as program
from refacebench import manifest
from refacebench.qc import ratings


def rating(scan, said="ok", variant="a", **more):
    return {
        "variant": variant,
        "scan": scan,
        "image": f"i-{scan}",
        "rating": said,
        "left": [],
        "comment": "",
        "how": "list",
        "when": "2026-01-01T10:00:00Z",
        **more,
    }


def saved(folder, rater, items, name=None, **more):
    path = folder / (name or f"{rater}.json")
    document = {"format": "refacebench-ratings", "version": 1, "dataset": "d", "rater": rater}
    path.write_text(json.dumps({**document, "ratings": items, **more}))
    return path


def scans(n=10, variant="a", kinds=("clear",)):
    """A list of scans whose draw is their number."""
    rows = [
        {
            "variant": variant,
            "scan": f"sub-{i}",
            "participant": f"sub-{i}",
            "image": f"i-sub-{i}",
            "kind": kinds[i % len(kinds)],
            "draw": float(i + 1),
        }
        for i in range(n)
    ]
    return pd.DataFrame(rows)


def read(folder, *raters, **of):
    return ratings.read(saved(folder, rater, of[rater]) for rater in raters).ratings


def test_a_rater_is_believed_the_last_time(tmp_path):
    old = saved(tmp_path, "anna", [rating("sub-1", "redo")])
    later = rating("sub-1", "ok", when="2026-01-02T10:00:00Z")
    new = saved(tmp_path, "anna", [later], "new.json")
    for order in ([old, new], [new, old]):
        found, problems = ratings.read(order)
        assert problems == []
        assert found["rating"].tolist() == ["ok"]


def test_a_table_says_the_same_as_the_file(tmp_path):
    items = [rating("sub-1", "face left", left=["ears", "nose"], comment="a"), rating("sub-2")]
    whole = ratings.read([saved(tmp_path, "anna", items)]).ratings.drop(columns="file")
    path = tmp_path / "anna.tsv"
    rows = [{**item, "left": ",".join(item["left"]), "dataset": "d", "rater": "anna"}
            for item in items]  # fmt: skip
    pd.DataFrame(rows).to_csv(path, sep="\t", index=False)
    found = ratings.read([path]).ratings.drop(columns="file")
    pd.testing.assert_frame_equal(found, whole)
    assert found["left"].tolist() == ["nose,ears", ""]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "not valid JSON"),
        ("[1]", "not a file of ratings"),
        ('{"format": "refacebench-answers"}', "not a file of ratings"),
        ('{"format": "refacebench-ratings", "version": 9}', "version 9"),
        ('{"format": "refacebench-ratings", "version": 1}', "no list of ratings"),
        ("a\tb\n", "no column 'dataset'"),
    ],
)
def test_what_is_no_file_of_ratings_is_said_and_stops_nothing(tmp_path, text, words):
    good = saved(tmp_path, "anna", [rating("sub-1"), {"scan": 3}, rating("sub-2", "perfect")])
    bad = tmp_path / ("bad.tsv" if "\t" in text else "bad.json")
    bad.write_text(text)
    found, problems = ratings.read([bad, good, tmp_path / "gone.json"])
    assert len(found) == 1
    assert words in problems[0]
    assert "anna.json, rating 2: 'variant' is missing" in problems
    assert any("unknown rating 'perfect'" in text for text in problems)
    assert problems[-1].startswith("gone.json: ")


def test_the_work_list_says_what_to_do_with_which_scans(tmp_path):
    ears, nose = {"left": ["ears"]}, {"left": ["nose"]}
    anna = [
        rating("sub-1", "face left", **ears),
        rating("sub-2", "face left", **ears),
        rating("sub-3", "face left", **nose),
        rating("sub-4", "brain cut"),
        rating("sub-5", "redo", comment="upside down"),
        rating("sub-6"),
        rating("sub-7"),
    ]
    ben = [rating("sub-1", "brain cut"), rating("sub-6", "face left"), rating("sub-7")]
    work = ratings.work_list(read(tmp_path, "anna", "ben", anna=anna, ben=ben))
    said = work.set_index("scan")["action"].to_dict()
    assert said == {
        "sub-1": "re-deface, with ears, sparing the brain",
        "sub-2": "re-deface, with ears",
        "sub-3": "re-deface",
        "sub-4": "re-deface, sparing the brain",
        "sub-5": "redo",
        "sub-6": ratings.LOOK_AGAIN,
    }
    lines = ratings.work_lines(work)
    assert "a: re-deface 1 scan, with ears: sub-2" in lines
    assert "a: look again together at 1 scan, the raters differ: sub-6" in lines
    many = ratings.work_list(
        read(tmp_path, "anna", anna=[rating(f"s{i}", "face left", **ears) for i in range(7)])
    )
    assert ratings.work_lines(many, most=3) == [
        "a: re-deface 7 scans, with ears: s0, s1, s2 and 4 more"
    ]


def test_a_sample_says_what_may_be_wrong_with_the_others(tmp_path):
    listed = [rating("sub-90", "redo"), rating("sub-91")]
    drawn = [rating(f"sub-{i}", how="sample") for i in range(20)]
    found = ratings.unseen(read(tmp_path, "anna", anna=listed + drawn), scans(100), 0.95)
    row = found.iloc[0]
    assert row[["n_images", "n_listed", "n_listed_bad", "n_drawn", "n_unseen"]].tolist() == [
        100, 2, 1, 20, 78,
    ]  # fmt: skip
    # 98 scans without the two. Were k of them bad, 20 drawn ones would hold none of them with the
    # chance C(98 - k, 20) / C(98, 20): 0.053 for 12, 0.041 for 13.
    fits = [k for k in range(79) if comb(98 - k, 20) / comb(98, 20) > 0.05]
    assert row["most_bad"] == max(fits) == 12
    (line,) = ratings.unseen_lines(found, 0.95)
    assert line == (
        "a: 100 images, 2 looked at from the list (1 not ok), 20 drawn at random (0 not ok). Of "
        "the other 78 at most 12 (15.4 %) are not ok (95 %, one-sided)."
    )


def test_without_a_sample_nothing_is_claimed_and_nothing_is_left_when_all_is_seen(tmp_path):
    mine = read(tmp_path, "anna", anna=[rating("sub-1"), rating("sub-2")])
    found = ratings.unseen(mine, scans(10), 0.95)
    assert found["most_bad"].isna().all()
    assert "Nothing can be said of the other 8" in ratings.unseen_lines(found, 0.95)[0]
    everything = read(tmp_path, "anna", anna=[rating(f"sub-{i}") for i in range(10)])
    found = ratings.unseen(everything, scans(10), 0.95)
    assert found["most_bad"].tolist() == [0]
    assert "Nothing is left unseen" in ratings.unseen_lines(found, 0.95)[0]


def test_who_passes_over_what_was_drawn_gains_nothing(tmp_path):
    # 0, 1 and 3 were taken; 2 was drawn and passed over; 4 was looked at from the list.
    items = [rating(f"sub-{i}", how="sample") for i in (0, 1, 3, 5)] + [rating("sub-4")]
    row = ratings.unseen(read(tmp_path, "anna", anna=items), scans(30), 0.95).iloc[0]
    assert (row["n_drawn"], row["n_drawn_bad"], row["n_passed_over"]) == (5, 1, 1)
    honest = ratings.unseen(
        read(tmp_path, "anna", anna=[rating(f"sub-{i}", how="sample") for i in range(6)]),
        scans(30), 0.95,
    ).iloc[0]  # fmt: skip
    assert row["most_share"] > honest["most_share"]


def test_strata_have_bounds_of_their_own_and_a_scan_fails_if_anybody_says_so(tmp_path):
    table = scans(40, kinds=("close", "clear"))
    anna = [rating(f"sub-{i}", how="sample") for i in range(10)]
    ben = [rating("sub-4", "face left", how="sample")]
    found = ratings.unseen(read(tmp_path, "anna", "ben", anna=anna, ben=ben), table, 0.95)
    by_kind = found.set_index("kind")
    assert by_kind["n_drawn"].to_dict() == {"all": 10, "close": 5, "clear": 5}
    assert by_kind["n_drawn_bad"].to_dict() == {"all": 1, "close": 1, "clear": 0}
    assert by_kind.loc["close", "most_bad"] > by_kind.loc["clear", "most_bad"]
    both = pd.concat([table, scans(3, "b"), scans(1, "c")])
    *_, of_class, nobody = ratings.unseen_lines(
        ratings.unseen(read(tmp_path, "anna", anna=anna), both, 0.95), 0.95
    )
    assert of_class.startswith("  of these, clear: 20 images, 5 drawn at random (0 not ok). Of the")
    assert nobody == "Nobody has looked at b, c (4 images)."


def test_two_raters_agree_by_variant_and_in_all(tmp_path):
    both = [("sub-1", "ok", "ok"), ("sub-2", "redo", "redo"), ("sub-3", "ok", "face left")]
    anna = [rating(scan, one) for scan, one, _ in both] + [rating("sub-9", variant="b")]
    ben = [rating(scan, other) for scan, _, other in both]
    table = ratings.agreement(read(tmp_path, "anna", "ben", anna=anna, ben=ben), {}, 0.95)
    assert table["variant"].tolist() == ["all", "a"]
    # 2 of 3 the same; by chance 2/3 * 1/3 + 1/3 * 1/3 = 1/3.
    assert table["kappa"].tolist() == pytest.approx([0.5, 0.5])
    assert (
        "anna and ben both rated 3 scans and agree on 67 %; Cohen's kappa 0.50 (95 %"
        in (ratings.agreement_lines(table, 0.95)[0])
    )


# the command --------------------------------------------------------------------------------


def test_a_rating_of_an_image_that_was_made_again_is_left_out(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = saved(tmp_path, "anna", [rating("sub-1", "redo"), rating("sub-2", "redo", image="old")])
    listed = tmp_path / "results" / "qc" / "d" / "scans.tsv"  # where the command looks for it
    manifest.write(scans(5), listed)
    assert program.main(["ratings", str(path)]) == 0
    told = capsys.readouterr()
    assert "left out: 1 ratings of images that are not on the list" in told.err
    assert "a: redo 1 scan: sub-1" in told.out
    assert "sub-2" not in told.out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nothing.json"], "no rating in these files"),
        (["anna.json", "other.json"], "several data sets: d, e"),
        (["anna.json", "--scans", "anna.json"], "the list of scans cannot be used"),
        (["anna.json", "--level", "5"], "--level must be"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(tmp_path, capsys, monkeypatch, arguments, words):
    monkeypatch.chdir(tmp_path)
    saved(tmp_path, "anna", [rating("sub-1")])
    saved(tmp_path, "ben", [rating("sub-1")], "other.json", dataset="e")
    assert program.main(["ratings", *arguments]) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("refacebench: ")
    assert words in last


def test_without_the_list_it_says_so_and_tells_the_rest(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = saved(tmp_path, "anna", [rating("sub-1")])
    assert program.main(["ratings", str(path)]) == 0
    told = capsys.readouterr().out
    assert "Nothing: all that was rated is ok." in told
    assert "Not known without the list of scans" in told
