"""HTML pages without external resources: filled templates and pictures as data addresses.

Reads the templates beside this module; writes nothing.
"""

from __future__ import annotations

import base64
from pathlib import Path


def fill(template: str, **values) -> str:
    """Return a template of this folder with its values filled in.

    Text is escaped; a value that the template names and that is not given is an error.
    """
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(**values)


def png_address(data: bytes) -> str:
    """Return a PNG file's bytes as a data address.

    >>> png_address(b"PNG")
    'data:image/png;base64,UE5H'
    """
    return "data:image/png;base64," + base64.b64encode(data).decode()
