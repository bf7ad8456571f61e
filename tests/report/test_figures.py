"""Which scan is shown, and that an image is shown whether or not it could be segmented."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.text import Text

from refacebench import manifest
from refacebench.image import nifti
from refacebench.image.nifti import Volume
from refacebench.report import figures

VARIANTS = ("original", "a", "a+m", "b", "b+m")
LEVEL = {"original": 100.0, "a": 60.0, "a+m": 80.0, "b": 50.0, "b+m": 90.0}


@pytest.fixture
def segmented(tmp_path, monkeypatch):
    """Return what writes the segment stage's manifests of three scans, some of whose rows ended."""
    monkeypatch.setattr(figures.sheet, "draw", lambda shown, *_, **__: shown)
    monkeypatch.setattr(figures.slices, "draw", lambda original, shown, *_, **__: shown)

    def write(ends):
        paths = []
        for variant in VARIANTS:
            rows = [_row(tmp_path, n, variant, ends.get((n, variant))) for n in range(3)]
            paths.append(str(tmp_path / f"{variant}.tsv"))
            manifest.write(pd.DataFrame(rows), paths[-1])
        return paths

    return write


def _row(folder, number, variant, end):
    """Return a row; of another scan the image is brighter by its number."""
    scan, files = f"sub-{number}", {}
    for name, level in (("path", LEVEL[variant]), ("original_path", LEVEL["original"])):
        files[name] = str(folder / f"{scan}_{variant}_{name}.nii.gz")
        data = np.zeros((12, 12, 12), np.float32)
        data[3:9, 3:9, 3:9] = level + number
        nifti.write(Volume(data, np.eye(4)), files[name])
    for name in ("brain_path", "head_path"):
        files[name] = str(folder / f"{scan}_{name}.nii.gz")
        nifti.write(Volume((data > 0).astype(np.uint8), np.eye(4)), files[name])
    stage, status = end or ("segment", "ok")
    if stage == "prepare":
        files["path"] = files["original_path"]
    who = {"dataset": "d", "participant": scan, "scan": scan, "variant": variant}
    return {**who, "status": status, "stage": stage, "reason": "", "template_path": "", **files}


def brightest(shown):
    return [float(volume.data.max()) for volume in shown.values()]


def written(figure):
    return " ".join(text.get_text() for text in figure.findobj(Text))


#: All that a segmenter finds is nothing.
NO_BRAINS = {(n, variant): ("segment", "failed") for n in range(3) for variant in VARIANTS}


def test_slices_and_sheets_are_shown_of_images_that_could_not_be_segmented(segmented):
    sheets = figures.of_sheets(segmented(NO_BRAINS), ["a+m", "b+m"], "private", "")
    assert brightest(sheets["a+m"]) == [100, 60, 80]
    assert brightest(sheets["b+m"]) == [100, 50, 90]
    example = figures.of_example(segmented(NO_BRAINS), VARIANTS, "private", "")
    assert {name: volume.data.max() for name, volume in example.items()} == LEVEL


def test_a_scan_that_could_be_segmented_is_shown_rather(segmented):
    ends = {(0, "b"): ("segment", "failed")}
    example = figures.of_example(segmented(ends), VARIANTS, "private", "")
    assert example["a"].data.max() == LEVEL["a"] + 1
    # But not one of which a variant has no image.
    ends |= {(n, "a+m"): ("reface", "failed") for n in (1, 2)}
    example = figures.of_example(segmented(ends), VARIANTS, "private", "")
    assert example["a"].data.max() == LEVEL["a"]


def test_a_sheet_shows_another_scan_where_the_example_lacks_one_of_the_three(segmented):
    ends = {(0, "a+m"): ("reface", "failed"), (1, "b+m"): ("reface", "failed")}
    ends |= {(2, variant): ("prepare", "excluded") for variant in VARIANTS}
    sheets = figures.of_sheets(segmented(ends), ["a+m", "b+m"], "private", "")
    assert brightest(sheets["a+m"]) == [101, 61, 81]
    assert brightest(sheets["b+m"]) == [100, 50, 90]


def test_what_was_left_out_or_never_made_is_not_shown(segmented):
    """Though the row of such a scan names an image: the one before."""
    ends = {(n, variant): ("prepare", "excluded") for n in range(3) for variant in VARIANTS}
    paths = segmented(ends)
    assert "nothing to show" in written(figures.of_example(paths, VARIANTS, "private", ""))
    ends = {(n, "a+m"): ("reface", "failed") for n in range(3)}
    sheets = figures.of_sheets(segmented(ends), ["a+m", "b+m"], "private", "")
    assert "nothing to show" in written(sheets["a+m"])
    assert brightest(sheets["b+m"]) == [100, 50, 90]


def test_an_image_that_is_gone_is_not_opened(segmented, tmp_path):
    """A segmenter failed on it because it was not there."""
    ends = {(0, "a"): ("segment", "failed")}
    paths = segmented(ends)
    (tmp_path / "sub-0_a_path.nii.gz").unlink()
    example = figures.of_example(paths, VARIANTS, "private", "")
    assert example["a"].data.max() == LEVEL["a"] + 1
