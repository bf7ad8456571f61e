"""A few training steps of a refacer on made-up data: as they are, changed, in double precision.

In double precision two orders of the same sums agree to many digits.  In single precision they
do not have to: Adam's first steps are as long for a gradient of rounding noise as for any other.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from unittest import mock

import torch

from loading import load
from refacebench.training import devices

SMALL = {
    "pix2pix25d": {"size": 64, "filters": 8, "batch": 2},
    "cyclegan2d": {"size": 64, "filters": 8, "blocks": 2, "discriminator_filters": 8},
    "diffusion25d": {"size": 32, "filters": 16, "batch": 2},
    "cpgan3d": {"size": 16, "filters": 4, "average": 0.9},
}


def tool():
    """Return benchmarks/train_step.py as a module."""
    return load(Path(__file__).parents[1] / "benchmarks/train_step.py")


@contextlib.contextmanager
def double():
    """Compute in double precision all that says single."""
    torch.set_default_dtype(torch.float64)
    try:
        with mock.patch.object(torch.Tensor, "float", torch.Tensor.double):
            yield
    finally:
        torch.set_default_dtype(torch.float32)


def trained(tool, name: str, steps: int, change=None, **other):
    """Return the losses of every step and the weights after the last one."""
    from refacebench.run import methods

    options = {**methods.declared("refacers", name).defaults, **SMALL[name], **other}
    device = devices.choose_device(options["device"])
    with devices.reproducible(device):
        task = tool.task_of(name, options, device, "float32")
        if change:
            change(task)
        generator = torch.Generator().manual_seed(0)
        losses = []
        for number in range(steps):
            items = (torch.arange(options["batch"]) + number) % len(task.data)
            found = task.step(items, generator)
            losses.append({k: float(v) for k, v in found.items()})
        weights = {
            f"{n}.{k}": v.detach().cpu().clone()
            for n, net in task.networks.items()
            for k, v in net.state_dict().items()
        }
    return losses, weights


def assert_same(one, two) -> None:
    """Assert that two trainings in double precision agree to many digits."""
    for mine, other in zip(one[0], two[0], strict=True):
        assert mine.keys() == other.keys()
        for name in mine:
            assert abs(mine[name] - other[name]) <= 1e-6 * max(1, abs(other[name])), name
    for name, weight in one[1].items():
        assert weight.is_floating_point() <= (weight.dtype == torch.float64), name
        torch.testing.assert_close(weight, two[1][name], rtol=1e-6, atol=1e-7, msg=name)
