"""HTML pages without external resources: filled templates and pictures as data addresses.

Writes nothing.
"""

from __future__ import annotations

import base64
import io
from pathlib import Path


def fill(template: Path, **values) -> str:
    """Return a template with its values filled in.

    Text is escaped; a value that the template names and that is not given is an error.
    """
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(template.parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template.name).render(**values)


def png_address(data: bytes) -> str:
    """Return a PNG file's bytes as a data address.

    >>> png_address(b"PNG")
    'data:image/png;base64,UE5H'
    """
    return "data:image/png;base64," + base64.b64encode(data).decode()


def embed(path: str | Path) -> str:
    """Return a PNG as a data address, with 256 colours where that is smaller."""
    from PIL import Image

    raw = Path(path).read_bytes()
    small = io.BytesIO()
    with Image.open(io.BytesIO(raw)) as image:
        image.convert("RGB").quantize(256).save(small, "PNG", optimize=True)
    data = min(raw, small.getvalue(), key=len)
    return png_address(data)
