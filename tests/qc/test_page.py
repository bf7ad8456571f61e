"""The page for quality control: in a browser a person looks, rates, saves; a command reads it."""

import json
import re

import numpy as np
import pandas as pd
import pytest

import browser
from qc_cohort import Given, Made
from refacebench import __main__ as program
from refacebench import faces, pseudonyms
from refacebench.qc import listing, page, ratings

needs_browser = pytest.mark.skipif(browser.find() is None, reason="no Chromium on this machine")


def document(made):
    text = (made.folder / "scans.js").read_text()
    return json.loads(re.fullmatch(r"QC\.list\((.*)\);\n", text, re.S).group(1))


def test_every_scan_of_every_variant_is_on_the_page_the_most_doubtful_first(made):
    found = document(made)
    table = pd.read_csv(made.scans, sep="\t", keep_default_na=False)
    assert len(found["rows"]) == len(table) == 6 * 4
    assert "null" not in found["variants"], "a control is nothing to give away"
    assert [row[1] for row in found["rows"]] == table["scan"].tolist()
    doubts = [row[3] for row in found["rows"]]
    assert doubts == sorted(doubts, reverse=True)
    assert all(row[6] for row in found["rows"]), "each says why"
    failed = [row for row in found["rows"] if found["kinds"][row[4]] == "no image"]
    assert len(failed) == 2
    assert all(row[8] == ["", "", ""] and row[5] is None for row in failed)


def test_a_draw_is_an_order_of_all_images_of_a_variant_and_keeps_when_one_goes(made):
    table = ratings.read_list(made.scans)
    for _, mine in table[table["draw"].notna()].groupby("variant"):
        assert sorted(mine["draw"]) == list(range(1, len(mine) + 1))
        assert mine.sort_values("draw")["scan"].tolist() != sorted(mine["scan"])
    found = table.assign(image=table["image"])
    fewer = found[found["scan"] != found["scan"].iloc[-1]]
    for variant, mine in fewer[fewer["draw"].notna()].groupby("variant"):
        again = listing._draws(mine.reset_index(drop=True), 1)
        assert np.array_equal(np.argsort(again.to_numpy(int)), np.argsort(mine["draw"])), variant


def test_files_are_named_by_their_place_below_the_page(made):
    for row in document(made)["rows"]:
        for path in [*row[8], *row[9]]:
            assert path == "" or (made.folder / path).is_file(), path
            assert not path.startswith(("/", "..")), path


def test_a_private_page_says_so_and_asks_for_nothing_from_a_network(made, tmp_path):
    text = (made.folder / "index.html").read_text()
    assert faces.local_warning("private") in text
    assert "data are private" in text
    public = (Made(tmp_path, faces="public").folder / "index.html").read_text()
    assert "data are private" not in public
    assert faces.local_warning("public") in public
    for name in ("index.html", "page.js", "scans.js"):
        assert not re.search(r"https?://", (made.folder / name).read_text()), name
    assert "connect-src data: blob:" in text
    assert "BSD 2-Clause" in (made.folder / "niivue-LICENSE.txt").read_text()


def test_the_viewer_is_the_released_script(made):
    import hashlib

    told = (page.NIIVUE.parent / "niivue-LICENSE.txt").read_text()
    script = (made.folder / "niivue.js").read_bytes()
    assert hashlib.sha256(script).hexdigest() in told


def test_thousands_of_scans_make_a_small_page(made, tmp_path):
    table = pd.read_csv(made.scans, sep="\t", keep_default_na=False)
    row = listing_row(table)
    many = pd.DataFrame([{**row, "scan": f"sub-{n:05d}", "draw": n + 1} for n in range(20_000)])
    page.write(many, tmp_path, dataset="d", faces_are="private", originals=pd.DataFrame())
    assert (tmp_path / "index.html").stat().st_size < 20_000
    assert (tmp_path / "scans.js").stat().st_size < 20_000 * 250


def listing_row(table):
    row = table.iloc[-1].to_dict() | {"face_left": 0.2, "worst_change_pct": 1.5}
    return row | {"why": ("Nothing stands out.",), **dict.fromkeys(listing.PICTURES, "")}


def test_with_pseudonyms_no_id_is_on_the_page(tmp_path, monkeypatch):
    made = pseudonyms.Pseudonyms(b"key", [])
    monkeypatch.setattr(pseudonyms, "active", lambda: made)
    found = Made(tmp_path)
    for name in ("scans.js", "scans.tsv", "index.html"):
        text = (found.folder / name).read_text()
        # Pictures were named before pseudonyms were wanted here; the stage names them anew.
        text = re.sub(r'"[^"]*pictures/[^"]*"', "", text)
        assert not re.search(r"sub-\d|ses-\d", text), name
    table = pd.read_csv(found.scans, sep="\t", keep_default_na=False)
    assert table["doubt"].is_monotonic_decreasing
    assert table["scan"].str.startswith("p-").all()


# what attackers found -----------------------------------------------------------------------


def test_who_is_named_first_by_whom(tmp_path):
    people = ["sub-1", "sub-2", "sub-3"]
    distance = np.array([[0.1, 0.5, 0.5], [0.1, 0.2, 0.9], [np.nan] * 3])
    for attacker in ("surface", "head_shape"):
        folder = tmp_path / attacker
        folder.mkdir()
        np.savez(
            folder / "quickshear.npz",
            distance=distance,
            detected=np.array([True, True, False]),
            query_reason=np.array(["", "", "no face"]),
            meta=json.dumps({}),
            **{f"{side}_{name}": np.array(values)
               for side in ("query", "gallery")
               for name, values in (("scan", people), ("participant", people),
                                    ("session", [""] * 3))},
        )  # fmt: skip
    paths = sorted(tmp_path.glob("*/*.npz"))
    assert listing.named_first(paths, floors=["head_shape"]) == {
        ("quickshear", "sub-1"): {"surface": 3}
    }
    assert listing.named_first([]) == {}
    assert Given(a=1).a == 1


# a browser ----------------------------------------------------------------------------------


@pytest.fixture
def chromium(tmp_path):
    downloads = tmp_path / "downloads"
    downloads.mkdir()
    found = browser.Browser(browser.find(), tmp_path / "profile", downloads)
    yield found
    found.close()


def change(chromium, name, value):
    chromium.run(
        f"(() => {{ const e = document.getElementById('{name}'); e.value = '{value}';"
        " e.dispatchEvent(new Event(e.tagName === 'SELECT' ? 'change' : 'input')); })()"
    )


TITLE = "document.getElementById('title').textContent"
PRESSED = (
    "[...document.querySelectorAll('[data-rating][aria-pressed=true]')].map(b => b.textContent)"
)


def text_of(chromium, name):
    return chromium.run(f"document.getElementById('{name}').textContent")


@needs_browser
def test_a_person_looks_rates_comes_back_and_saves_and_the_command_reads_it(
    chromium, made, tmp_path, capsys
):
    page_address = (made.folder / "index.html").as_uri()
    table = pd.read_csv(made.scans, sep="\t", keep_default_na=False)
    mine = table[table["variant"] == "quickshear"].reset_index(drop=True)
    chromium.open(page_address)
    assert "private" in text_of(chromium, "warning")
    chromium.key("1")
    assert "First give your name" in text_of(chromium, "complaint")
    change(chromium, "rater", "anna")
    chromium.key("Enter")  # leaves the field, so that keys rate again
    change(chromium, "variant", "quickshear")
    chromium.until(f"{TITLE} === '{mine.scan[0]}, quickshear'")

    # Space flips before and after in place, B draws the brain.
    shown = "['before', 'outline'].map(id => !document.getElementById(id).hidden)"
    assert chromium.run(shown) == [False, False]
    chromium.key(" ")
    chromium.key("b")
    assert chromium.run(shown) == [True, True]
    chromium.until("document.getElementById('before').naturalWidth === 30")
    assert "original/pictures" in chromium.run("document.getElementById('before').src")
    assert text_of(chromium, "which") == "before"
    chromium.key(" ")
    assert chromium.run(shown) == [False, True]
    assert mine.why[0].startswith(text_of(chromium, "why")[:20])

    # Face left, with the ears; then on, ok (goes on by itself), brain cut, taken back, redo.
    for key in ("2", "e", "Enter", "1", "3", "Backspace", "4"):
        chromium.key(key)
    assert chromium.run(TITLE) == f"{mine.scan[2]}, quickshear"
    assert chromium.run(PRESSED) == ["Redo 4"]
    change(chromium, "comment", "moved a lot")
    assert text_of(chromium, "progress").startswith("3 of 22")

    # The window is closed and opened again: nothing is lost.
    chromium.open("about:blank#away")
    chromium.open(page_address)
    change(chromium, "rater", "anna")
    assert text_of(chromium, "progress").startswith("3 of 22")

    # A random sample of another method, in the order of the draw.
    change(chromium, "variant", "pydeface")
    change(chromium, "order", "sample")
    drawn = table[(table["variant"] == "pydeface") & (table["draw"] != "")]
    drawn = drawn.sort_values("draw", key=pd.to_numeric)["scan"].tolist()
    for scan in drawn[:2]:
        chromium.until(f"{TITLE} === '{scan}, pydeface'")
        chromium.key("1")
    chromium.key("ArrowRight")  # who jumps ahead has not taken what was drawn
    chromium.key("1")
    assert "2 of the random sample" in text_of(chromium, "found")

    chromium.key("s")
    saved = tmp_path / "downloads" / "ratings_demo_anna.json"
    wait(saved)
    assert outside(chromium) == []

    # As a table it says the same.
    chromium.run("document.getElementById('tsv').click()")
    wait(saved.with_suffix(".tsv"))
    both = [ratings.read([path]).ratings.drop(columns="file")
            for path in (saved, saved.with_suffix(".tsv"))]  # fmt: skip
    pd.testing.assert_frame_equal(*both)

    # Another browser that knows nothing takes up the saved file.
    chromium.run("localStorage.clear()")
    chromium.open("about:blank#away")
    chromium.open(page_address)
    root = chromium.call("DOM.getDocument")["root"]["nodeId"]
    field = chromium.call("DOM.querySelector", nodeId=root, selector="#file")["nodeId"]
    chromium.call("DOM.setFileInputFiles", files=[str(saved)], nodeId=field)
    chromium.until("document.getElementById('complaint').textContent === '6 ratings loaded.'")
    assert text_of(chromium, "progress").startswith("6 of 22")

    out = tmp_path / "tables"
    asked = ["ratings", str(saved), "--scans", str(made.scans), "--out", str(out)]
    assert program.main(asked) == 0
    told = capsys.readouterr()
    assert told.err == ""
    assert "6 ratings of 6 images by anna" in told.out
    assert f"quickshear: re-deface 1 scan, with ears: {mine.scan[0]}" in told.out
    assert f"quickshear: redo 1 scan: {mine.scan[2]}" in told.out
    assert "pydeface: 5 images; 1 looked at from the list (0 not ok), 2 drawn at random" in told.out
    work = pd.read_csv(out / "worklist.tsv", sep="\t", keep_default_na=False)
    assert dict(zip(work["scan"], work["comments"], strict=True)) == {
        mine.scan[0]: "",
        mine.scan[2]: "moved a lot",
    }
    unseen = pd.read_csv(out / "unseen.tsv", sep="\t").set_index(["variant", "kind"])
    assert unseen.loc[("pydeface", "all"), "most_bad"] == 2, "two of four, nothing can be ruled out"


@needs_browser
def test_the_viewer_opens_from_the_disk_and_asks_nobody(chromium, made):
    chromium.open((made.folder / "index.html").as_uri())
    change(chromium, "kind", "images")
    loaded = "Boolean(window.niivue)"
    assert not chromium.run(loaded), "nothing large is loaded before it is wanted"
    chromium.key("v")
    told = "document.getElementById('viewertext').textContent"
    chromium.until(
        "document.getElementById('viewer').dataset.ready === 'yes'"
        f" || {told}.startsWith('The viewer cannot')",
        timeout=60,
    )
    if "WebGL 2" in chromium.run(told):
        pytest.skip("this browser draws no WebGL 2")
    assert "Left before, right after" in chromium.run(told)
    assert chromium.run("document.querySelectorAll('#canvases canvas').length") == 2
    assert outside(chromium) == []
    chromium.key("v")
    assert chromium.run("document.querySelectorAll('#canvases canvas').length") == 0


def outside(chromium):
    """The addresses that were asked for beyond the page's folder."""
    asked = [
        event["params"]["request"]["url"]
        for event in chromium.events
        if event["method"] == "Network.requestWillBeSent"
    ]
    assert asked
    return [url for url in asked if not url.startswith(("file:", "data:", "blob:", "about:"))]


def wait(path):
    import time

    end = time.monotonic() + 20
    while not path.is_file():
        assert time.monotonic() < end, f"{path} was not saved"
        time.sleep(0.05)
