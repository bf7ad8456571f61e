"""The page in a real browser: sorting, filters, folding, words, files, narrow screens, paper."""

import base64
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
from PIL import Image

import browser
from reading import context
from refacebench.report.page import build
from refacebench.results import decisions

pytestmark = pytest.mark.skipif(browser.find() is None, reason="no Chromium on this machine")
SVG = '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>'
TEXT = "# Methods\n\nAll <steps> & more."


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    home = tmp_path_factory.mktemp("browser")
    (home / "downloads").mkdir()
    found = browser.Browser(browser.find(), home / "profile", home / "downloads")
    found.downloads = home / "downloads"
    found.call("Emulation.setFocusEmulationEnabled", enabled=True)
    yield found
    found.close()


@pytest.fixture(scope="module")
def address(tables, tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    Image.new("RGB", (1575, 600)).save(folder / "quality.png")
    # Beside the PNG, from which the page knows of it, and where the page looks for it.
    (folder / "figures/demo").mkdir(parents=True)
    for place in (folder, folder / "figures/demo"):
        (place / "quality.svg").write_text(SVG)
    given = context(tables, {"quality": folder / "quality.png"})
    for n, method in enumerate(given["datasets"][0]["methods"]):
        method["licence"] = f"licence-{n}"
    config = {"datasets": {"demo": {"type": "demo"}}, "seed": 1}
    card = {
        **dict.fromkeys(("date", "command")),
        "software": {"name": "refacebench", "version": "1", "commit": None, "changed": None},
        "config": config, "config_sha256": "0", "machine": dict.fromkeys(
            ("system", "processor", "python"), "x"),
        "packages": {}, "methods": [], "datasets": {}, "leftovers": ["deface/demo/" + "old" * 60],
    }  # fmt: skip
    path = folder / "report.html"
    path.write_text(build({**given, "card": card, "text": (TEXT, "@misc{a}")}))
    return path.as_uri()


@pytest.fixture
def vector(address):
    """The SVG that the page links."""
    return Path(urlsplit(address).path).parent / "figures/demo/quality.svg"


@pytest.fixture
def page(chromium, address):
    """The page, freshly loaded, on a wide screen."""
    chromium.call("Emulation.clearDeviceMetricsOverride")
    chromium.events.clear()
    chromium.open("about:blank#")
    chromium.call("Page.navigate", url=address)
    chromium.until("document.readyState === 'complete' && document.getElementById('tip')")
    return chromium


def screen(page, width):
    """Show the page on a phone, or on a laptop, of so many pixels."""
    mobile = width < 600
    page.call(
        "Emulation.setDeviceMetricsOverride", width=width, height=800 if mobile else 900,
        deviceScaleFactor=1, mobile=mobile,
    )  # fmt: skip


def open_all(page):
    """Open all sections, but not the whole tables, and let the page come to rest."""
    page.run("document.querySelectorAll('details:not(.data)').forEach(d => d.open = true)")
    page.run("new Promise(done => setTimeout(done, 200))")
    # The browser tells of new sizes with its frames, which come late on a busy machine.
    page.run("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")


ROWS = "[...document.querySelectorAll('#d1-verdicts > tbody > tr:not(.detail)')]"
NAMES = f"{ROWS}.filter(r => !r.hidden).map(r => r.querySelector('button.open').textContent)"


def head(title):
    return (
        "[...document.querySelectorAll('#d1-verdicts > thead th')].find(h => "
        f"h.textContent.trim() === '{title}').querySelector('button.sort')"
    )


def column(title):
    return f"{ROWS}.map(r => r.cells[{head(title)}.closest('th').cellIndex].textContent.trim())"


def test_nothing_is_asked_for_beside_the_page_itself(page, address):
    page.run("document.querySelectorAll('details').forEach(d => d.open = true)")
    page.run("new Promise(done => setTimeout(done, 300))")
    asked = {
        e["params"]["request"]["url"] for e in page.events
        if e.get("method") == "Network.requestWillBeSent"
    }  # fmt: skip
    assert address in asked
    assert {url for url in asked if not url.startswith(("data:", "about:", "blob:"))} == {address}


def test_verdicts_are_sorted_by_a_click_and_take_their_details_along(page):
    before = page.run(NAMES)
    page.run(head("Method") + ".click()")
    up = page.run(NAMES)
    page.run(head("Method") + ".click()")
    assert up == sorted(before, key=str.lower)
    assert page.run(NAMES) == up[::-1]
    follows = page.run(
        f"{ROWS}.every(r => r.nextElementSibling.id === "
        "r.querySelector('button.open').getAttribute('aria-controls'))"
    )
    assert follows
    legend = "[...document.querySelectorAll('.legend .verdict')].map(v => v.textContent)"
    order = page.run(legend)
    assert order == list(decisions.VERDICTS), "more is shown against a method further down"
    assert page.run("VERDICTS") == order
    given = [order[n] for n in (2, 3, 0, 1)]
    cells = f"{ROWS}.map(r => r.cells[{head('Verdict')}.closest('th').cellIndex])"
    page.run(f"{cells}.forEach((cell, n) => {{ cell.textContent = {given}[n % 4] }})")
    page.run(head("Verdict") + ".click()")
    said = page.run(column("Verdict"))
    assert set(said) == set(order)
    assert said == sorted(said, key=order.index)
    assert page.run(head("Verdict") + ".closest('th').getAttribute('aria-sort')") == "ascending"


@pytest.mark.parametrize(("width", "most"), [(1280, 500), (420, 620)])
def test_the_table_of_verdicts_is_on_top(page, width, most):
    screen(page, width)
    assert page.run("document.getElementById('d1-verdicts').getBoundingClientRect().top") < most


@pytest.mark.parametrize("width", [1280, 420])
def test_more_columns_are_shown_on_request_to_sort_and_filter_by(page, width):
    screen(page, width)
    cells = f"{ROWS}.flatMap(r => [...r.cells]).filter(c => c.classList.contains('extra'))"
    seen = f"new Set({cells}.map(c => c.checkVisibility())).size === 1 && {cells}[0]"
    assert page.run(f"{cells}.length") > 0
    assert page.run(f"{seen}.checkVisibility()") is False
    page.run("document.querySelector('input.columns').click()")
    assert page.run(f"{seen}.checkVisibility()") is True
    assert page.run("document.documentElement.scrollWidth") <= width
    # The browser tells of new sizes with its next frame.
    page.until("document.querySelector('.decision .wide') === null")
    page.run(head("Seconds per scan") + ".click()")
    seconds = [float(text) for text in page.run(column("Seconds per scan"))]
    assert seconds == sorted(seconds)
    assert len(set(seconds)) > 1
    page.run("document.querySelector('input.columns').click()")
    licence = page.run(column("Licence"))[0]
    box = "document.querySelector('input[data-table=d1-verdicts]')"
    page.run(f"{box}.value = '{licence}'; {box}.dispatchEvent(new Event('input'))")
    kept = page.run(f"{ROWS}.filter(r => !r.hidden).length")
    assert 0 < kept < page.run(f"{ROWS}.length"), "a filter finds what is not shown, too"


def test_numbers_are_sorted_as_numbers_and_missing_ones_stand_last(page):
    table = (
        "(() => { const t = document.createElement('table'); t.innerHTML = '<thead><tr><th>x'"
        " + '</th></tr></thead><tbody>' + ['10', '-2.5 %', '–', '9', '1e-3', '']"
        ".map(v => `<tr><td>${v}</td></tr>`).join('') + '</tbody>'; sortable(t); window.t = t })()"
    )
    page.run(table)
    values = "[...t.tBodies[0].rows].map(r => r.textContent)"
    page.run("t.querySelector('button').click()")
    assert page.run(values) == ["-2.5 %", "1e-3", "9", "10", "–", ""]
    page.run("t.querySelector('button').click()")
    assert page.run(values) == ["10", "9", "1e-3", "-2.5 %", "–", ""]


def test_a_filter_keeps_the_rows_that_hold_all_its_words(page):
    everything = page.run(NAMES)
    wanted = [name for name in everything if "quickshear" in name and "pix2pix25d" in name]
    assert 0 < len(wanted) < len(everything)
    box = "document.querySelector('input[data-table=d1-verdicts]')"
    page.run(f"{box}.focus()")
    for key in "PIX2 quick":
        page.key(key)
    assert page.run(NAMES) == wanted
    assert page.run("document.getElementById('d1-verdicts-count').textContent") == (
        f"{len(wanted)} of {len(everything)} shown"
    )
    page.run(f"{box}.value = ''; {box}.dispatchEvent(new Event('input'))")
    assert page.run(NAMES) == everything


def test_a_row_opens_its_details_with_mouse_and_keyboard(page):
    seen = "document.getElementById('d1-detail-1').checkVisibility()"
    assert not page.run(seen)
    page.run("document.querySelector('button.open').click()")
    assert page.run(seen)
    told = page.run("document.getElementById('d1-detail-1').textContent")
    assert "Found" in told
    assert "Not known" in told
    assert page.run("document.getElementById('d1-detail-1').querySelectorAll('table').length") > 0
    page.run("document.querySelector('button.open').focus()")
    page.run("document.activeElement.click()")
    assert not page.run(seen)


def test_sections_fold_and_the_contents_lead_into_folded_ones(page):
    seen = "document.getElementById('d1-methods').closest('details').open"
    assert not page.run(seen)
    page.run("document.querySelector('nav a[href=\"#d1-methods\"]').click()")
    page.until(seen)
    page.run("document.getElementById('d1-methods').closest('details').open = false")
    page.run("document.querySelector('nav a[href=\"#d1-methods\"]').click()")
    page.until(seen)
    page.run("document.getElementById('open-all').click()")
    closed = "document.querySelectorAll('details.fold:not([open])').length"
    assert page.run(closed) == 0
    page.run("document.getElementById('open-all').click()")
    assert page.run(closed) == page.run("document.querySelectorAll('details.fold').length")


def test_words_are_explained_by_mouse_keyboard_and_tap(page):
    tip = "document.getElementById('tip')"
    term = "document.querySelector('#d1-verdicts > thead a.term')"
    meaning = page.run(
        f"document.getElementById({term}.getAttribute('href').slice(1)).querySelector('dd')"
        ".textContent"
    )
    assert len(meaning) > 20
    assert page.run(f"{tip}.hidden")
    page.run(f"{term}.focus()")
    assert page.run(f"{tip}.textContent") == meaning
    assert page.run(f"{term}.getAttribute('aria-describedby')") == "tip"
    page.key("Escape")
    assert page.run(f"{tip}.hidden")
    assert page.run(f"{term}.getAttribute('aria-describedby')") is None
    page.run(f"{term}.blur()")
    box = page.run(
        f"(() => {{ {term}.scrollIntoView({{block: 'center'}}); "
        f"const r = {term}.getBoundingClientRect(); return [r.x + 5, r.y + 5] }})()"
    )
    page.call("Input.dispatchMouseEvent", type="mouseMoved", x=box[0], y=box[1])
    page.until(f"!{tip}.hidden")
    page.call("Input.dispatchMouseEvent", type="mouseMoved", x=1, y=1)
    page.until(f"{tip}.hidden")
    where = page.run("location.hash")
    page.tap(box[0], box[1], f"!{tip}.hidden")
    assert page.run(f"{tip}.textContent") == meaning
    assert page.run("location.hash") == where, "a tap leads nowhere"


def test_a_whole_table_is_shown_sorted_and_saved_without_a_server(page, tables):
    box = "document.querySelector('details.data[data-name=\"demo-quality.tsv\"]')"
    page.run(f"{box}.parentElement.closest('details').open = true; {box}.open = true")
    page.until(f"{box}.querySelector('.whole tbody')")
    shown = page.run(f"{box}.querySelectorAll('.whole tbody tr').length")
    assert shown == len(tables["quality"])
    columns = page.run(f"[...{box}.querySelectorAll('.whole thead th')].map(h => h.textContent)")
    assert columns == list(tables["quality"].columns)
    page.run(f"{box}.querySelector('.whole thead button').click()")
    first = page.run(
        f"[...{box}.querySelectorAll('.whole tbody tr')].map(r => r.cells[0].textContent)"
    )
    assert first == sorted(tables["quality"]["variant"], key=str.lower)
    page.run(f"{box}.querySelector('button.save').click()")
    saved = page.downloads / "demo-quality.tsv"
    for _ in range(100):
        if saved.exists():
            break
        page.run("new Promise(done => setTimeout(done, 50))")
    assert saved.read_text() == tables["quality"].to_csv(sep="\t", index=False)


def test_a_link_to_a_full_table_opens_it_on_the_page_itself(page, address, tables):
    box = "document.getElementById('d1-file-quality')"
    link = "[...document.querySelectorAll('caption a[href=\"#d1-file-quality\"]')][0]"
    for _ in range(2):  # once more, after it was closed by hand
        page.run(f"{link}.closest('details').open = true; {link}.click()")
        page.until(f"{box}.querySelector('.whole tbody tr')?.checkVisibility()")
        assert page.run(f"{box}.querySelector('button.save').checkVisibility()")
        page.run(f"{box}.open = false; {box}.parentElement.closest('details').open = false")
    assert page.run("location.href") == f"{address}#d1-file-quality"
    assert page.run(f"{box}.querySelectorAll('.whole tbody tr').length") == len(tables["quality"])


def test_the_svg_of_a_figure_opens_where_it_is_and_else_the_picture_is_saved(page, address, vector):
    link = "document.querySelector('a.vector')"
    assert page.run(f"{link}.href") == vector.as_uri()
    page.run(f"{link}.click()")
    page.until("location.href.endsWith('.svg')")
    away = vector.rename(vector.with_suffix(".gone"))
    try:
        page.call("Page.navigate", url=address)
        page.until("document.getElementById('tip')")
        page.run(f"{link}.click()")
        saved = page.downloads / "quality.png"
        page.until("document.querySelector('a.vector + .told').textContent")
        for _ in range(100):
            if saved.exists():
                break
            page.run("new Promise(done => setTimeout(done, 50))")
        assert Image.open(saved).size == Image.open(vector.parents[2] / "quality.png").size
        assert page.run("location.href") == address
    finally:
        away.rename(vector)


def test_text_to_copy_is_there_as_it_is(page):
    assert page.run("document.getElementById('methods-text').textContent") == TEXT
    assert page.run("document.querySelectorAll('button.copy:not([hidden])').length") == 3


@pytest.mark.parametrize("width", [420, 360])
def test_a_narrow_screen_needs_no_sideways_scrolling(page, width):
    screen(page, width)
    wide = "document.documentElement.scrollWidth"
    assert page.run(wide) <= width
    page.run("document.querySelectorAll('details').forEach(d => d.open = true)")
    page.run("document.querySelectorAll('button.open').forEach(b => b.click())")
    page.run("new Promise(done => setTimeout(done, 200))")
    # The browser tells of new sizes with its frames, which come late on a busy machine.
    page.run("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    assert page.run(wide) <= width
    page.run("document.querySelector('main a.term').focus()")
    assert page.run(wide) <= width
    right = page.run("document.getElementById('tip').getBoundingClientRect().right")
    assert right <= width


def test_on_a_narrow_screen_a_table_scrolls_and_breaks_no_word(page):
    screen(page, 420)
    page.run("document.querySelectorAll('details').forEach(d => d.open = true)")
    # A cell of the Scans that holds a single word is one line high.
    broken = """[...document.querySelectorAll('section .scroll table.sortable:not(.verdicts) td')]
        .filter(c => !c.closest('table.verdicts') && c.getClientRects().length
                && /^[a-z]{6,}$/.test(c.textContent.trim()))
        .map(c => { const r = document.createRange(); r.selectNodeContents(c);
                    return [c.textContent.trim(), new Set([...r.getClientRects()]
                        .filter(b => b.width > 1).map(b => Math.round(b.top))).size]; })"""
    words = page.run(broken)
    assert words
    assert [word for word, lines in words if lines > 1] == []


def test_where_a_table_scrolls_it_says_so_and_has_a_shadow(page):
    """What is said stays in view while it scrolls; where nothing scrolls nothing is said."""
    screen(page, 420)
    open_all(page)
    boxes = page.run("""[...document.querySelectorAll('.scroll')].filter(b => b.clientWidth)
        .map(b => [b.scrollWidth > b.clientWidth,
                   getComputedStyle(b, '::before').content.includes('scroll'),
                   getComputedStyle(b).backgroundImage.includes('gradient')])""")
    assert {True, False} <= {wide for wide, *_ in boxes}
    assert all(said == wide and shadow for wide, said, shadow in boxes)
    screen(page, 1200)
    page.until("!document.querySelector('.scroll.wide')")


def test_a_figure_on_a_narrow_screen_can_be_read_scrolls_and_is_seen_whole_by_a_tap(page):
    screen(page, 420)
    open_all(page)
    label = "document.querySelector('.zoom')"
    size = f"[{label}.querySelector('img').offsetWidth, {label}.querySelector('.pane').clientWidth]"
    said = f"getComputedStyle({label}, '::before').content"
    image, pane = page.run(size)
    assert image >= 900 > pane, "eight points of a figure of 10.5 inches are ten pixels then"
    assert page.run(f"getComputedStyle({label}.querySelector('.pane')).overflowX") == "auto"
    assert "scroll" in page.run(said)
    page.run(f"{label}.click()")
    image, pane = page.run(size)
    assert 0 < image <= pane
    assert "scroll" not in page.run(said)
    assert "enlarge" in page.run(said)
    screen(page, 1200)
    assert page.run(said) == "none"


def test_on_a_laptop_no_table_is_cut_and_no_cell_of_numbers_is_broken(page):
    screen(page, 1200)
    page.run("document.querySelectorAll('details:not(.data)').forEach(d => d.open = true)")
    page.run("document.querySelectorAll('button.open').forEach(b => b.click())")
    tables = "[...document.querySelectorAll('.scroll:not(.whole)')].filter(s => s.clientWidth)"
    wide = page.run(f"""{tables}.filter(s => s.scrollWidth > s.clientWidth)
        .map(s => s.querySelector('thead').textContent)""")
    assert wide == []
    high = page.run(f"""{tables}.map(s => s.querySelector('table')).filter(t =>
        t.tHead.offsetHeight > 6 * parseFloat(getComputedStyle(t).lineHeight))
        .map(t => t.tHead.textContent)""")
    assert high == []
    broken = page.run(r"""[...document.querySelectorAll('.scroll td')].filter(c =>
        /^[0-9/]+$/.test(c.textContent.trim())).filter(c => {
            const r = document.createRange(); r.selectNodeContents(c);
            return new Set([...r.getClientRects()].filter(b => b.width > 1)
                .map(b => Math.round(b.top))).size > 1; }).map(c => c.textContent.trim())""")
    assert broken == []


def test_on_paper_all_sections_are_open_and_closed_again_afterwards(page):
    closed = "document.querySelectorAll('details.fold:not([open])').length"
    before = page.run(closed)
    assert before
    page.run(f"addEventListener('beforeprint', () => window.printed = {closed})")
    data = base64.b64decode(page.call("Page.printToPDF")["data"])
    assert data.startswith(b"%PDF")
    assert page.run("window.printed") == 0
    assert page.run(closed) == before


def test_an_open_row_can_be_read_on_a_narrow_screen(page):
    """No word of a table inside it is broken, and no caption runs out of the box."""
    screen(page, 420)
    page.run("document.querySelector('button.open').click()")
    heads = page.run(
        "[...document.querySelectorAll('#d1-detail-1 table thead th')].map(h => h.offsetHeight)"
    )
    assert heads
    line = page.run(
        "parseFloat(getComputedStyle(document.querySelector('#d1-detail-1 table')).lineHeight)"
    )
    assert max(heads) < 5 * line, "words stand in lines, not letters"
    edges = page.run(
        "[...document.querySelectorAll('#d1-detail-1 caption, #d1-detail-1 li')]"
        ".map(e => e.getBoundingClientRect().right)"
    )
    assert max(edges) <= 420


def test_on_paper_all_rows_are_open_but_those_that_a_filter_hides(page):
    box = "document.querySelector('input[data-table=d1-verdicts]')"
    page.run(f"{box}.value = 'quickshear'; {box}.dispatchEvent(new Event('input'))")
    page.run("dispatchEvent(new Event('beforeprint'))")
    seen = f"{ROWS}.map(r => [r.hidden, !r.nextElementSibling.hidden])"
    found = page.run(seen)
    assert [True, False] in found
    assert [False, True] in found
    assert not {(True, True), (False, False)} & {tuple(pair) for pair in found}
    page.run("dispatchEvent(new Event('afterprint'))")
    assert not any(is_open for _, is_open in page.run(seen))


def test_the_picture_of_the_verdicts_says_that_nobody_in_it_is_real(tables, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "docs")
    import example

    page, picture = tmp_path / "report.html", tmp_path / "verdicts.png"
    page.write_text(build(context(tables, statement="Nobody here is real.")))
    assert example.picture(page, picture)
    seen = np.asarray(Image.open(picture).convert("RGB"))
    red = (seen == (0xB0, 0, 0x20)).all(axis=2)
    above = np.flatnonzero(red[:, 25:400].any(axis=1))
    assert above.size
    assert above[0] < 60, "above the table, in words that are red"
