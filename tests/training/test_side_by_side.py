"""What a GPU does at once (two batches, two networks) is what is done one after the other."""

import pytest

torch = pytest.importorskip("torch")
import side_by_side  # noqa: E402
from refacebench.training import devices  # noqa: E402


@pytest.fixture(scope="module")
def tool():
    return side_by_side.tool()


@pytest.mark.parametrize("name", ["cpgan3d", "cyclegan2d", "pix2pix25d"])
def test_joint_steps_learn_what_steps_one_after_the_other_do(tool, name):
    asked = []

    def jointly(task):
        task.joint = True
        for discriminator in [task.d] if name != "cyclegan2d" else task.d.values():
            discriminator.register_forward_pre_hook(lambda _, given: asked.append(given))

    size = {"size": 32, "discriminator_layers": 2} if name != "cpgan3d" else {"size": 8}
    with side_by_side.double():
        together = side_by_side.trained(tool, name, 2, jointly, device="cpu", **size)
        apart = side_by_side.trained(tool, name, 2, device="cpu", **size)
    side_by_side.assert_same(together, apart)
    # Fakes and originals went in at once: one pass less of a discriminator in each step.
    assert len(asked) == 2 * {"cpgan3d": 3, "cyclegan2d": 4, "pix2pix25d": 2}[name]


def test_images_lie_in_the_order_that_their_network_wants():
    """Group norm puts channels back on CUDA: a network with one takes torch's order there."""
    plain, grouped = torch.nn.Conv2d(1, 4, 3), torch.nn.Sequential(torch.nn.GroupNorm(1, 4))
    cpu, cuda = torch.device("cpu"), torch.device("cuda")
    last, default = torch.channels_last, torch.contiguous_format
    assert devices.memory_order("auto", plain, cuda) == last
    assert devices.memory_order("auto", grouped, cpu) == last
    assert devices.memory_order("auto", grouped, cuda) == default
    assert devices.memory_order("none", plain, cpu) == default
