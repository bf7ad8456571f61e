"""Norms and dropout: the arithmetic, its gradients, and the memory order that is left alone."""

import pytest

torch = pytest.importorskip("torch")
from refacebench.training import norms  # noqa: E402

ORDERS = {"default": torch.contiguous_format, "last": torch.channels_last}


def by_hand(x, weight, bias, eps):
    """Return what the words say: each channel of each image at mean 0 and variance 1, scaled."""
    mean = x.mean(dim=(2, 3), keepdim=True)
    variance = ((x - mean) ** 2).mean(dim=(2, 3), keepdim=True)
    return (x - mean) / (variance + eps).sqrt() * weight[:, None, None] + bias[:, None, None]


@pytest.mark.parametrize("way", [norms.instance_norm, norms.one_by_one])
@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("gradient_order", sorted(ORDERS))
@pytest.mark.parametrize("order", sorted(ORDERS))
def test_instance_norm_by_hand_in_either_order(way, batch, gradient_order, order):
    torch.manual_seed(0)
    x, g = torch.randn(2, batch, 4, 5, 6, dtype=torch.float64)
    x = x.contiguous(memory_format=ORDERS[order]).requires_grad_()
    g = g.contiguous(memory_format=ORDERS[gradient_order])
    weight, bias = torch.randn(2, 4, dtype=torch.float64).unbind()
    given = x, weight.requires_grad_(), bias.requires_grad_()
    found, expected = way(*given, 1e-5), by_hand(*given, 1e-5)
    torch.testing.assert_close(found, expected)
    if way is norms.instance_norm:
        assert found.is_contiguous(memory_format=ORDERS[order])
    mine, theirs = (torch.autograd.grad(y, given, g, retain_graph=True) for y in (found, expected))
    for one, two in zip(mine, theirs, strict=True):
        torch.testing.assert_close(one, two)


def test_dropout_drops_the_same_numbers_in_either_order():
    x = torch.rand(2, 8, 6, 6) + 1
    dropout, found = norms.Dropout(0.5), {}
    for name, order in ORDERS.items():
        torch.manual_seed(3)
        found[name] = dropout(x.contiguous(memory_format=order))
        assert found[name].is_contiguous(memory_format=order)
    assert torch.equal(*found.values())
    assert 0 < (found["last"] == 0).float().mean() < 1
