"""Draw originals, defaced and refaced heads of a finished run: a slice and two renderings each.

Shows faces: only for public data (docs/refaced.png is made of the demo's).

    python benchmarks/refaced_heads.py results demo pydeface+prior3d docs/refaced.png
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from refacebench import manifest
from refacebench.head import matrices, rendering
from refacebench.image import nifti
from refacebench.image.nifti import Volume
from refacebench.vocabulary import split_variant

#: People in the picture; views of the renderings.
PEOPLE, VIEWS = 3, 2


def strip(volume: Volume, matrix: np.ndarray, white: float) -> np.ndarray:
    """Return a middle sagittal slice and renderings side by side, uint8 (rows, columns)."""
    seen = rendering.render(volume, matrix, {"views": VIEWS, "lights": 1})
    edge = seen.views.shape[-1]
    upright = nifti.reorient(volume)
    step = seen.pixel_mm / upright.spacing
    middle = np.linalg.solve(matrix @ upright.affine, [-3.0, 10.0, -35.0, 1.0])[:3]
    around = np.arange(edge) - edge / 2
    y, z = (np.rint(middle[a] + around * step[a]).astype(int) for a in (1, 2))
    inside = [(at >= 0) & (at < n) for at, n in zip((y, z), upright.shape[1:], strict=True)]
    x = int(np.clip(round(middle[0]), 0, upright.shape[0] - 1))
    plane = upright.data[x][y.clip(0, upright.shape[1] - 1)][:, z.clip(0, upright.shape[2] - 1)]
    slice_ = np.clip(plane.T / white, 0, 1) * 255 * inside[0][None] * inside[1][:, None]
    return np.hstack([slice_[::-1].astype(np.uint8), *seen.views[:, 0]])


def draw(heads: list[list[np.ndarray]], titles, path: Path) -> None:
    """Write a picture: one row a person, one column a variant."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot
    from PIL import Image

    figure, grid = pyplot.subplots(
        len(heads), len(titles), figsize=(11, 1.27 * len(heads) + 0.3), dpi=110
    )
    for row, strips in zip(grid, heads, strict=True):
        for axes, picture in zip(row, strips, strict=True):
            axes.imshow(picture, cmap="gray", vmin=0, vmax=255, interpolation="bilinear")
            axes.set_axis_off()
    for axes, title in zip(grid[0], titles, strict=True):
        axes.set_title(title, fontsize=9)
    figure.subplots_adjust(0, 0, 1, 0.93, 0.02, 0.02)
    figure.canvas.draw()
    colours = np.asarray(figure.canvas.buffer_rgba())[..., :3]
    # All is grey: a third of the bytes.
    Image.fromarray(colours.mean(axis=2).astype(np.uint8)).save(path, optimize=True)


def main() -> None:
    """Read the first test people of a run whose paths are relative to the folder of results."""
    results, dataset, variant, path = Path(sys.argv[1]), *sys.argv[2:]
    defacer = split_variant(variant)[0]
    folders = (results / "deface" / dataset / defacer, results / "reface" / dataset / variant)
    tables = [manifest.read_many(sorted(f.glob("test-measured-*.tsv"))) for f in folders]
    both = tables[0].merge(tables[1][["scan", "path"]], on="scan", suffixes=("", "_refaced"))
    heads = []
    for row in both.head(PEOPLE).to_dict("records"):
        paths = [row["original_path"], row["path"], row["path_refaced"]]
        volumes = [nifti.read(results.parent / p) for p in paths]
        matrix = matrices.read_matrix(results.parent / row["template_path"])
        white = float(np.percentile(volumes[0].data, 99.7))
        heads.append([strip(volume, matrix, white) for volume in volumes])
    draw(heads, ("original", defacer, variant), Path(path))


if __name__ == "__main__":
    main()
