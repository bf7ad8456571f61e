"""What a GPU does at once (two batches, two networks) is what is done one after the other."""

import pytest

pytest.importorskip("torch")
import side_by_side  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")


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
