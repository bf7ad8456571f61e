"""Hands MkDocs the pages that are made from the code (``generated.py``)."""

import posixpath
import re
import sys
from pathlib import Path

from mkdocs.structure.files import File
from mkdocs.utils import get_relative_url

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "workflow")]

import generated  # noqa: E402

#: How the files name a page that `make docs` builds from the code.
BUILT = re.compile(r"`site/([\w/]+)\.html(#[\w-]+)?`")
#: What the theme would load from the network, and our copy of it.
REMOTE, OURS = "https://unpkg.com/iframe-worker/shim", "assets/iframe-worker.js"


def on_files(files, config):
    """Add the generated pages."""
    for path, text in generated.pages().items():
        files.append(File.generated(config, path, content=text))
    return files


def on_page_markdown(markdown, page, config, files):
    """Link the pages that only the site has: the files name them without a link."""
    folder = posixpath.dirname(page.file.src_uri)

    def linked(found):
        name, anchor = found.groups()
        there = posixpath.relpath(f"{name}.md", folder or ".")
        return f"[{found[0]}]({there}{anchor or ''})"

    return BUILT.sub(linked, markdown)


def on_post_page(output, page, config):
    """Let no page load anything from elsewhere."""
    return output.replace(REMOTE, get_relative_url(OURS, page.url))


def on_post_template(output, template_name, config):
    """Nor any page that has no source, as that for missing pages."""
    return output.replace(REMOTE, OURS)
