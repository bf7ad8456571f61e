"""Networks of the slice-wise refacers: published sizes, what they see, their statistics."""

import pytest

torch = pytest.importorskip("torch")
from refacebench.training import networks  # noqa: E402


def test_generator_has_the_published_size():
    unet = networks.UNet(3, 3)
    assert networks.count_parameters(unet) == 54_413_955  # 54.414 M in the authors' log
    kinds = [type(m).__name__ for m in unet.modules()]
    assert (kinds.count("Conv2d"), kinds.count("ConvTranspose2d")) == (8, 8)
    assert (kinds.count("Norm"), kinds.count("Dropout")) == (13, 3)


def test_discriminator_has_the_published_size():
    net = networks.PatchDiscriminator(6)
    assert networks.count_parameters(net) == 2_768_705  # 2.769 M in the authors' log
    assert [type(m).__name__ for m in net.net].count("Conv2d") == 5


def test_discriminator_sees_70_by_70_pixels():
    # Running averages: the statistics of a whole image would see all of it.
    net = networks.PatchDiscriminator(2, filters=4, per_image=False).eval()
    image = torch.rand(1, 2, 128, 128, requires_grad=True)
    logits = net(image)
    assert logits.shape[-2:] == (14, 14)
    logits[0, 0, 7, 7].backward()
    seen = image.grad.abs().sum(dim=(0, 1)) > 0
    assert seen.any(dim=0).sum() == seen.any(dim=1).sum() == 70


@pytest.mark.parametrize(("size", "levels"), [(16, 4), (64, 6), (96, 5), (128, 7)])
def test_small_generators_have_fewer_levels(size, levels):
    unet = networks.UNet(4, 1, size, 4).eval()
    assert [type(m).__name__ for m in unet.modules()].count("Conv2d") == levels
    assert unet(torch.zeros(2, 4, size, size)).shape == (2, 1, size, size)


def test_impossible_size_is_refused():
    with pytest.raises(ValueError, match="multiple of 16"):
        networks.UNet(3, 1, 40)


def test_slice_statistics_are_those_of_batch_norm_at_batch_one():
    torch.manual_seed(0)
    own = networks.UNet(3, 1, 32, 4, per_image=True)
    batch = networks.UNet(3, 1, 32, 4, per_image=False)  # no dropout at this size
    batch.load_state_dict(own.state_dict())
    x = torch.rand(5, 3, 32, 32)
    one_by_one = torch.cat([batch(image[None]) for image in x])
    assert torch.allclose(own(x), one_by_one, atol=1e-5)
    assert torch.allclose(own.eval()(x), one_by_one, atol=1e-5)
    assert not torch.allclose(batch(x), one_by_one, atol=1e-3)
