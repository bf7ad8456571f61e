"""Say how this version is tagged, or what keeps it from being one.

``python .ci/tag.py [TAG]``: with a tag, it must be that of the version.  Reads pyproject.toml,
CITATION.cff and CHANGELOG.md of this checkout, and the names of its tags.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def faults(root: Path, tag: str = "", tags: Iterable[str] = ()) -> list[str]:
    """Return what keeps a checkout from being released, a sentence each.

    Parameters
    ----------
    root : Path
        The checkout.
    tag : str
        The tag that it has already; empty for none.
    tags : iterable of str
        All tags that there are; the version's must not be among them where it is yet to be made.
    """
    version = read_version(root)
    found = []
    cited = re.search(r"^version: (\S+)$", (root / "CITATION.cff").read_text(), re.M)
    if cited is None or cited[1] != version:
        found.append(f"CITATION.cff: write version: {version}")
    changes = (root / "CHANGELOG.md").read_text()
    if not re.search(rf"^## \[{re.escape(version)}\] - \d{{4}}-\d\d-\d\d$", changes, re.M):
        found.append(f"CHANGELOG.md: there is no section '## [{version}] - YYYY-MM-DD'")
    if not re.search(r"^## \[Unreleased\]$", changes, re.M):
        found.append("CHANGELOG.md: there is no section '## [Unreleased]'")
    if tag and tag != f"v{version}":
        found.append(f"the tag is {tag}, and pyproject.toml says version {version}")
    if not tag and f"v{version}" in tags:
        found.append(f"v{version} is tagged already: raise the version in pyproject.toml")
    return found


def read_version(root: Path) -> str:
    """Return the version in a checkout's pyproject.toml."""
    return tomllib.loads((root / "pyproject.toml").read_text())["project"]["version"]


def main(tag: str = "") -> int:
    """Print the commands that tag this version, or what is to be mended first."""
    listed = subprocess.run(["git", "tag"], cwd=ROOT, capture_output=True, text=True, check=False)
    found = faults(ROOT, tag, listed.stdout.split())
    if found:
        print("This version cannot be released yet:", *found, sep="\n- ", file=sys.stderr)
        return 1
    version = read_version(ROOT)
    if tag:
        print(f"{tag} is version {version}")
    else:
        print(f'git tag -a v{version} -m "{version}"', f"git push origin v{version}", sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
