"""CP-GAN's networks and losses: published size, every scale, known values."""

import pytest

torch = pytest.importorskip("torch")
from refacebench.training import (  # noqa: E402
    cpgan_networks,
    pyramid,
)


def test_six_scales_with_links_of_one_channel_at_the_published_size():
    with torch.device("meta"):
        g = cpgan_networks.Generator()
        d = cpgan_networks.Discriminator()
        edges = [4, 8, 16, 32, 64, 128]
        assert g.scales == d.scales == edges
        gammas = [torch.zeros(2, 3, e, e, e) for e in edges]
        noise = torch.zeros(g.noise_shape(2))
        volumes = g(noise, gammas)
        assert [tuple(v.shape) for v in volumes] == [(2, 1, e, e, e) for e in edges]
        assert d(volumes, gammas).shape == (2,)
    assert noise.shape == (2, 1, 4, 4, 4)
    assert len(g.blocks) == len(g.links) == len(d.blocks) == 6
    assert [link.out_channels for link in g.links] == [1] * 6


@pytest.mark.parametrize("conv", ["dense", "mbconv"])
def test_every_scale_of_both_networks_sees_transform_and_link(conv):
    torch.manual_seed(0)
    g, d = (
        kind(16, 4, 8, conv, 2) for kind in (cpgan_networks.Generator, cpgan_networks.Discriminator)
    )
    gammas = [torch.rand(1, 3, e, e, e, requires_grad=True) for e in g.scales]
    volumes = [torch.rand(1, 1, e, e, e, requires_grad=True) for e in g.scales]
    d(volumes, gammas).sum().backward()
    assert all(t.grad.abs().sum() > 0 for t in [*volumes, *gammas])
    gammas = [torch.rand(1, 3, e, e, e, requires_grad=True) for e in g.scales]
    noise = torch.randn(g.noise_shape(1), requires_grad=True)
    g(noise, gammas)[-1].sum().backward()
    assert all(t.grad.abs().sum() > 0 for t in [noise, *gammas])
    depthwise = [m for m in g.modules() if getattr(m, "groups", 1) > 1]
    assert bool(depthwise) == (conv == "mbconv")


def test_impossible_sizes_and_convolutions_are_refused():
    with pytest.raises(ValueError, match="size 48"):
        cpgan_networks.scales(48)
    with pytest.raises(ValueError, match="conv 'sparse'"):
        cpgan_networks.Generator(8, 2, 4, "sparse")


def test_relativistic_loss_by_hand():
    real, fake = torch.tensor([2.0, 0.0]), torch.tensor([0.5, 1.0])
    # (1.5 - 1)^2 = 0.25 and (-1 - 1)^2 = 4; against averages it would be another number.
    assert cpgan_networks.relativistic(real, fake) == pytest.approx((0.25 + 4) / 2)
    assert cpgan_networks.relativistic(fake, real) == pytest.approx((6.25 + 0) / 2)


def test_composition_at_every_scale_is_the_average_of_the_fine_one():
    generator = torch.Generator().manual_seed(0)
    g = cpgan_networks.Generator(16, 2, 4)
    brain = (torch.rand(1, 1, 16, 16, 16) < 0.4).float()
    tissue = torch.rand(1, 1, 16, 16, 16) * brain
    batch = pyramid.inputs((torch.ones_like(brain), brain, tissue, tissue), g, generator)
    flat = [torch.full((1, 1, e, e, e), 0.7) for e in g.scales]
    found = pyramid.compose(flat, batch)
    assert torch.equal(found[-1], torch.where(brain > 0, tissue, torch.tensor(0.7)))
    for volume, edge in zip(found, g.scales, strict=True):
        assert torch.allclose(volume, pyramid.pool(found[-1], 16 // edge), atol=1e-6)
