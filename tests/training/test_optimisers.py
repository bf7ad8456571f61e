"""AdamP against Adam, and across weights that are free of scale."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from loading import load

torch = pytest.importorskip("torch")
from refacebench.training.optimisers import AdamP  # noqa: E402


def test_adamp_is_adam_where_weights_are_not_free_of_scale():
    torch.manual_seed(0)
    start = torch.randn(3, 4)
    weights = [start.clone().requires_grad_(), start.clone().requires_grad_()]
    kinds = (AdamP, torch.optim.Adam)
    tools = [k([w], lr=0.1, betas=(0.5, 0.9)) for k, w in zip(kinds, weights, strict=True)]
    for _ in range(5):
        for weight, tool in zip(weights, tools, strict=True):
            tool.zero_grad()
            (weight**2).sum().backward()  # the gradient lies along the weights
            tool.step()
    assert torch.allclose(*weights, atol=1e-6)


def test_adamp_moves_across_weights_that_are_free_of_scale():
    weight = torch.tensor([[3.0, 4.0]], requires_grad=True)
    tool = AdamP([weight], lr=0.1, betas=(0.0, 0.99), delta=10.0)
    weight.grad = torch.tensor([[1.0, 0.0]])
    tool.step()
    # Adam's step is (1, 0); less its part 0.6 along (0.6, 0.8) that is (0.64, -0.48).
    assert weight.detach().numpy() == pytest.approx(np.array([[3 - 0.064, 4 + 0.048]]), abs=1e-5)


def test_adamp_takes_the_steps_of_timm():
    """timm's AdamP, a copy of its authors'; its file needs nothing else of timm."""
    timm = importlib.util.find_spec("timm")
    path = Path(timm.origin).parent / "optim" / "adamp.py"
    theirs = load(path)
    torch.manual_seed(0)
    data, made = torch.randn(16, 3, 8, 8), []
    first, gain = torch.randn(5, 3, 3, 3), torch.ones(5)
    for kind in (AdamP, theirs.AdamP):
        weights = [first.clone().requires_grad_(), gain.clone().requires_grad_()]
        tool = kind(weights, lr=0.01, betas=(0.5, 0.99))
        for _ in range(8):
            tool.zero_grad()
            seen = torch.nn.functional.conv2d(data, weights[0])
            # Normalised: the convolution's weights are free of scale, the gains are not.
            seen = torch.nn.functional.instance_norm(seen, weight=weights[1])
            (seen - 0.3).pow(3).abs().mean().backward()
            tool.step()
        made.append([weight.detach() for weight in weights])
    assert (made[0][0] - first).abs().max() > 0.01
    for ours, other in zip(*made, strict=True):
        torch.testing.assert_close(ours, other, rtol=1e-5, atol=1e-6)
