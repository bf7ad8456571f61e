"""benchmarks/train_step.py: counted operations, the estimate, both loops of every method."""

import json
from pathlib import Path

import pytest

from loading import load

torch = pytest.importorskip("torch")

ROOT = Path(__file__).parents[2]
CPU = torch.device("cpu")
#: Small enough for a second.
TINY = {
    "cpgan3d": {"size": 8, "filters": 2, "max_filters": 4, "batch": 2},
    "cyclegan2d": {"size": 16, "filters": 4, "blocks": 1, "discriminator_layers": 1},
}


@pytest.fixture(scope="module")
def tool():
    return load(ROOT / "benchmarks/train_step.py")


def test_hours_by_hand(tool):
    assert tool.gpu_hours(2e12, 9000, 5.0) == pytest.approx(1.0)
    with pytest.raises(ValueError, match="above zero"):
        tool.gpu_hours(2e12, 9000, 0.0)


def test_hours_need_a_speed_and_are_called_an_estimate(tool):
    bare = tool.estimate("cyclegan2d", 394_000_000_000, True, None, None)
    assert bare == {"tflop_per_step": 0.394}
    papers = tool.estimate("cyclegan2d", 394_000_000_000, True, 39.4, None)
    assert papers["ESTIMATE_steps"] == 1_260_000
    assert papers["ESTIMATE_hours_from_counted_operations"] == 3.5
    # Another size is not the paper's training, and CP-GAN's length is not published.
    assert tool.estimate("cyclegan2d", 1, False, 1.0, None)["ESTIMATE_steps"] == 100_000
    assert tool.estimate("cpgan3d", 1, True, 1.0, None)["ESTIMATE_steps"] == 100_000
    assert tool.estimate("cyclegan2d", 1, True, 1.0, 7)["ESTIMATE_steps"] == 7


class Line:
    """A task whose step is y = w x for 3 vectors of 5 numbers, two of them out."""

    def __init__(self):
        self.layer, self.data = torch.nn.Linear(5, 2, bias=False), [0]

    def batch(self, items, generator):
        return (torch.ones(3, 5),)

    def learn(self, x):
        loss = self.layer(x).square().mean()
        loss.backward()
        return {"loss": loss.detach()}


def test_operations_of_a_product_by_hand(tool):
    # Forward 3 x 5 x 2 multiplications and as many additions; backward for the weights alone.
    assert tool.count_flops(Line(), 1) == 2 * 2 * (3 * 5 * 2)


def test_cyclegan_of_the_papers_size_takes_its_operations(tool):
    """A slice of 16 x 16 in place of 256 x 256, the same networks: 1/256 of the operations."""
    from refacebench.refacers import cyclegan2d

    # A discriminator of five strides ends at nothing here; three layers are 1/16 smaller yet.
    options = {**cyclegan2d.METHOD.defaults, "size": 16, "discriminator_layers": 1, "device": "cpu"}
    task = tool.task_of("cyclegan2d", options, CPU, "float32")
    pixels = 16 * 16
    # Multiplications a pixel of one generator, from its layers' sizes.
    edges, deep = 49 * 32 * 2, 9 * 128 * 128 * 18 / 16
    stairs = 9 * (32 * 64 / 4 + 64 * 128 / 16) + 9 * (128 * 64 / 16 + 64 * 32 / 4)
    forward = 2 * pixels * (edges + deep + stairs)
    x = torch.zeros(1, 1, 16, 16)
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter, torch.no_grad():
        task.g["ab"](x)
    assert counter.get_total_flops() == forward
    # Four passes forward, and backward twice as much of each; the discriminators come on top.
    counted = tool.count_flops(task, 1)
    assert 0.98 * 12 * forward < counted < 1.3 * 12 * forward


@pytest.mark.parametrize("name", sorted(TINY))
def test_both_loops_learn_the_same(tool, name):
    result = tool.measure(name, {**TINY[name], "precision": "float32"}, 2, 0, ["train", "flops"])
    json.dumps(result)
    assert result["ratio"] > 0
    assert result["tflop_per_step"] >= 0
    plain, ours = result["losses_after_2_steps"].values()
    assert plain == pytest.approx(ours, rel=0.02, abs=2e-3)
    assert not any("hours" in key for key in result)
