"""The example page of the documentation and the picture in the README, from a finished demo.

    make example RESULTS=results      # or: python docs/example.py results

Writes ``docs/example/report.html`` and, where Chromium is installed, ``docs/verdicts.png``: the top
of the page, cut where the table of verdicts ends.  Takes a run on synthetic people alone, as the
page has their faces in it.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image, ImageOps

DOCS = Path(__file__).parent
#: A page in a repository is downloaded with every clone.
MOST_BYTES = 3_000_000
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
#: Of the picture, pixels.
WIDTH = 1400
#: What is said of every table of a synthetic data set (``vocabulary.SYNTHETIC_NOTE``).
SYNTHETIC = "SYNTHETIC"


def refusal(results: Path) -> str:
    """Return why a run may not become the example, or nothing."""
    page, summary = results / "report.html", results / "summary.txt"
    if not page.is_file() or not summary.is_file():
        return f"{results} holds no finished run: run `make demo` first"
    named = [line for line in summary.read_text().splitlines() if line.startswith("Dataset ")]
    real = [line for line in named if SYNTHETIC not in line]
    if real or not named:
        return f"{results} has a data set of real people: {', '.join(real) or 'unknown'}"
    if page.stat().st_size > MOST_BYTES:
        return f"{page} has {page.stat().st_size} bytes; the example may have {MOST_BYTES}"
    return ""


def picture(page: Path, out: Path) -> bool:
    """Photograph the page's table of verdicts; tell whether there is a browser for it."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        return False
    with tempfile.TemporaryDirectory() as folder:
        # Only the table of verdicts, below the page's own sentence that nobody in it is real.
        script = (
            "<script>addEventListener('load', () => {"
            "const box = document.querySelector('table.verdicts').closest('.decision');"
            "const note = document.querySelector('p.synthetic');"
            "note.style.cssText = 'color: #b00020; margin: 0 0 .6rem; max-width: none';"
            "document.body.replaceChildren(note, box);"
            "document.body.style.cssText = 'max-width: none; padding-bottom: 0';"
            "document.title = document.documentElement.scrollHeight;"
            "})</script>"
        )
        shown = Path(folder) / "page.html"
        shown.write_text(page.read_text() + script)
        command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
        dom = subprocess.run(
            [*command, f"--window-size={WIDTH},300", "--dump-dom", shown.as_uri()],
            capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip
        height = int(dom.split("<title>")[1].split("</title>")[0])
        subprocess.run(
            [*command, f"--screenshot={out}", f"--window-size={WIDTH},{height + 90}",
             shown.as_uri()],
            capture_output=True, check=True,
        )  # fmt: skip
    _cut_below(out)
    return True


def _cut_below(picture: Path, margin: int = 16) -> None:
    """Cut the white below the table: how much of a window is page depends on the browser."""
    image = Image.open(picture).convert("RGB")
    bottom = ImageOps.invert(image).getbbox()[3]
    image.crop((0, 0, image.width, min(bottom + margin, image.height))).save(picture)


def main(results: str = "results") -> int:
    """Write the example, or say why not."""
    reason = refusal(Path(results))
    if reason:
        print(f"no example was made: {reason}", file=sys.stderr)
        return 1
    page = DOCS / "example" / "report.html"
    page.write_bytes((Path(results) / "report.html").read_bytes())
    print(f"{page}: {page.stat().st_size} bytes")
    if picture(page, DOCS / "verdicts.png"):
        print(f"{DOCS / 'verdicts.png'}: {(DOCS / 'verdicts.png').stat().st_size} bytes")
    else:
        print("docs/verdicts.png is as it was: no Chromium on this machine")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
