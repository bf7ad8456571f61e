"""Peak memory of every native defacer on prepared scans, beside what a job asks for.

    python benchmarks/memory.py RUN/results/prepare/DATASET/BATCH.tsv

Each scan in a process of its own, as in a run (`peak_mb` of the manifests).
"""

import argparse
import os
import tempfile
from pathlib import Path

import numpy as np

from refacebench import manifest
from refacebench.image import nifti
from refacebench.run import estimate, memory, methods
from refacebench.stages import deface
from refacebench.vocabulary import OK


def main():
    """Print a table: a row a defacer."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("prepared", type=Path)
    parser.add_argument(
        "--methods", nargs="*", default=memory.MEASURED["deface"] + ("cpgan_hull", "deepdefacer")
    )
    given = parser.parse_args()
    rows = manifest.read(given.prepared)
    rows = rows[rows["status"] == OK]
    os.chdir(given.prepared.absolute().parents[3])
    size = max(np.prod(nifti.read_mask(path).shape) for path in rows["head_path"]) / 1e6
    print(f"largest scan: {size:.1f} million voxels")
    print("| defacer | peak, MB | asked, MB |\n|---|---|---|")
    for name in given.methods:
        chosen = methods.choose("defacers", name, {})
        if chosen.engine != "native":
            continue
        with tempfile.TemporaryDirectory() as folder:
            made = deface.run_batch(
                rows, Path(folder, "out.tsv"), chosen, Path(folder, "d"), version="1", seed=0
            )
        failed = "" if (made["status"] == OK).all() else f" ({made['reason'].max()})"
        asked = memory.by_voxels(estimate.cost_of("deface", name), size)
        print(f"| {name}{failed} | {made['peak_mb'].max():.0f} | {asked} |", flush=True)


if __name__ == "__main__":
    main()
