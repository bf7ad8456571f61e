"""The kit's page works and gives no answer away."""

import json
import re

import numpy as np
import pytest

import browser
from refacebench.kit import page as kit_page
from refacebench.kit import questions
from refacebench.results import answers


def pictures(key):
    """Return pictures that can be told apart: brightness by place in the list."""
    return {
        place: np.full((16, 16), 10 + i, dtype=np.uint8)
        for i, place in enumerate(questions.used(key))
    }


def test_no_page_of_private_faces(key):
    with pytest.raises(ValueError, match="not public"):
        kit_page.page(key, pictures(key), dataset="d", faces="private")


def document_of(page):
    raw = re.search(r'<script type="application/json" id="document">(.*?)</script>', page, re.S)
    return json.loads(raw.group(1))


def test_the_page_needs_nothing_and_gives_no_answer_away(key):
    page = kit_page.page(key, pictures(key), dataset="d<i>", faces="public", note="a & b")
    assert not re.search(r"https?:|src=[\"'](?!data:)|<link|@import|url\(", page)
    assert "sub-0" not in page
    assert "ses-1" not in page
    assert "<i>" not in page
    found = document_of(page)
    assert found["kit"] == questions.identity(key)
    assert sorted(q for block in found["blocks"].values() for q in block) == sorted(key["question"])
    assert set(found["questions"][0]) == {"id", "query", "options"}


def test_the_page_shows_the_pictures_of_the_key(key):
    shown = pictures(key)
    found = document_of(kit_page.page(key, shown, dataset="d", faces="public"))
    for asked, row in zip(found["questions"], key.to_dict("records"), strict=True):
        assert asked["id"] == row["question"]
        right = asked["options"][row["right"] - 1]
        place = (row["variant"], row[f"option_{row['right']}"])
        assert found["pictures"][right] == kit_page.encode(shown[place])
        assert found["pictures"][asked["query"]] == kit_page.encode(shown["original", row["query"]])


def test_a_picture_that_is_none_is_an_error():
    with pytest.raises(ValueError, match="not 2-D uint8"):
        kit_page.encode(np.zeros((4, 4)))


needs_browser = pytest.mark.skipif(browser.find() is None, reason="no Chromium on this machine")


@pytest.fixture
def chromium(tmp_path):
    downloads = tmp_path / "downloads"
    downloads.mkdir()
    found = browser.Browser(browser.find(), tmp_path / "profile", downloads)
    yield found
    found.close()


@needs_browser
def test_a_rater_answers_stops_comes_back_and_saves(chromium, key, tmp_path):
    path = tmp_path / "index.html"
    path.write_text(kit_page.page(key, pictures(key), dataset="demo", faces="public"))
    part = list(key.loc[key["block"] == 6, "question"])
    assert len(part) == 5
    begin = """
        document.getElementById("rater").value = "r-1";
        document.getElementById("rater").dispatchEvent(new Event("input"));
        document.getElementById("block").value = "6";
        document.getElementById("go").click();
    """
    count = "document.getElementById('count').textContent"
    visible = "document.querySelectorAll('#options img').length === 5 && " + (
        "[...document.querySelectorAll('#ask img')].every(i => i.complete && i.naturalWidth === 16)"
    )

    def at(number):
        chromium.until(f"{count} === 'Question {number} of 5' && {visible}")

    def answer(key_, number):
        # A key counts from the moment on at which the pictures can be seen.
        after = f"{count} !== 'Question {number} of 5' || !document.getElementById('end').hidden"
        at(number)
        for _ in range(200):
            chromium.key(key_)
            if chromium.run(after):
                return
        raise AssertionError("the key does nothing")

    chromium.open(path.as_uri())
    chromium.run("document.getElementById('go').click()")
    assert "name or code" in chromium.run("document.getElementById('complaint').textContent")
    chromium.run(begin)
    for number, choice in enumerate("352", start=1):
        answer(choice, number)
    at(4)
    chromium.key("9")  # no such option
    chromium.key("Backspace")
    answer("1", 3)  # in place of 2
    at(4)
    # The window is closed and opened again: nothing is lost.
    chromium.open("about:blank#away")
    chromium.open(path.as_uri())
    chromium.run(begin)
    at(4)
    answer("4", 4)
    answer("5", 5)
    chromium.until("!document.getElementById('end').hidden")
    chromium.run("document.getElementById('json').click()")
    chromium.run("document.getElementById('csv').click()")
    files = [tmp_path / "downloads" / f"answers_demo_r-1_part6.{kind}" for kind in ("json", "csv")]
    for _ in range(500):
        if all(file.is_file() for file in files):
            break
        chromium.run("new Promise(done => setTimeout(done, 20))")
    for file in files:
        found, problems = answers.read_answers([file], key)
        assert problems.empty
        assert list(found["question"]) == part
        assert list(found["choice"]) == [3, 5, 1, 4, 5]
        assert (found["ms"] >= 0).all()
    # The same part saved twice counts once.
    assert len(answers.read_answers(files, key)[0]) == 5
    asked = {
        event["params"]["request"]["url"].split(":")[0]
        for event in chromium.events
        if event.get("method") == "Network.requestWillBeSent"
    }
    assert asked <= {"file", "data", "blob", "about"}
    assert not [e for e in chromium.events if e.get("method") == "Runtime.exceptionThrown"]
