"""On a GPU: what is computed side by side, recorded and channels last is what the CPU computes.

    python3 -m pytest tests/training/test_cuda.py -m cuda

Skipped where there is no GPU.  Needs torch, nibabel, MONAI and what they need, no more.
"""

import copy
import importlib.util
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from refacebench.training import devices, norms, optimisers  # noqa: E402

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]
LAST = torch.channels_last
SMALL = {
    "pix2pix25d": {"size": 64, "filters": 8, "batch": 2},
    "cyclegan2d": {"size": 64, "filters": 8, "blocks": 2, "discriminator_filters": 8},
    "diffusion25d": {"size": 32, "filters": 16, "batch": 2},
    "cpgan3d": {"size": 16, "filters": 4, "average": 0.9},
}


@pytest.fixture(scope="module")
def tool():
    path = Path(__file__).parents[2] / "benchmarks/train_step.py"
    spec = importlib.util.spec_from_file_location("train_step", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("batch", [1, 3])
def test_instance_norm_is_that_of_the_cpu_and_keeps_the_order(batch):
    torch.manual_seed(0)
    x, g = torch.randn(2, batch, 8, 12, 10, dtype=torch.float64)
    w, b = torch.randn(2, 8, dtype=torch.float64)
    results = []
    for device, kind, order in (
        ("cpu", torch.float64, torch.contiguous_format),
        ("cuda", torch.float32, LAST),
    ):
        given = [t.to(device, kind).requires_grad_(True) for t in (x, w, b)]
        y = norms.instance_norm(given[0].contiguous(memory_format=order), *given[1:], 1e-5)
        assert y.is_contiguous(memory_format=order)
        for gradient in (g.to(device, kind), g.to(device, kind).contiguous(memory_format=LAST)):
            found = torch.autograd.grad(y, given, gradient, retain_graph=True)
            results.append([t.double().cpu() for t in (y.detach(), *found)])
    for other in results[1:]:
        for one, two in zip(results[0], other, strict=True):
            torch.testing.assert_close(one, two, rtol=1e-4, atol=1e-4)


def trained(tool, name, steps=6, change=None, **other):
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


@pytest.mark.parametrize("name", sorted(SMALL))
def test_the_same_training_gives_the_same_bytes(tool, name):
    one, two = trained(tool, name), trained(tool, name)
    assert one[0] == two[0]
    assert all(torch.equal(one[1][k], two[1][k]) for k in one[1])


@pytest.mark.parametrize("name", sorted(SMALL))
def test_a_recorded_joint_step_learns_what_a_plain_one_does(tool, name):
    def plainly(task):
        task.joint, task.side = False, None
        task.run = getattr(task, "_learn_flat", task.learn)

    # Dropout draws in another order when fakes and originals are judged together: there is none.
    ours, theirs = trained(tool, name, 3), trained(tool, name, 3, plainly, accelerate="none")
    for one, two in zip(ours[0], theirs[0], strict=True):
        assert one == pytest.approx(two, rel=5e-3, abs=5e-3)


def test_adamp_on_a_device_is_that_of_the_cpu():
    torch.manual_seed(0)
    start = [torch.randn(4, 3, 2), torch.randn(5)]
    gradients = [[torch.randn_like(w) for w in start] for _ in range(5)]
    # Across the weights alone: a step that is projected.
    gradients[3][0] -= start[0] * (gradients[3][0] * start[0]).sum() / (start[0] ** 2).sum()
    ends = []
    for device in ("cpu", "cuda"):
        weights = [w.clone().to(device).requires_grad_(True) for w in start]
        rate = torch.tensor(0.01, device=device) if device == "cuda" else 0.01
        tool = optimisers.AdamP(weights, rate, (0.0, 0.99), delta=5.0)
        for step in gradients:
            for weight, gradient in zip(weights, step, strict=True):
                weight.grad = gradient.clone().to(device)
            tool.step()
        ends.append([w.detach().cpu() for w in weights])
    for one, two in zip(*ends, strict=True):
        torch.testing.assert_close(one, two, rtol=1e-5, atol=1e-6)


def test_the_average_moves_as_on_the_cpu():
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))
    average = copy.deepcopy(network)
    with torch.no_grad():
        for weight in network.parameters():
            weight.add_(1)
    there = copy.deepcopy(network).cuda(), copy.deepcopy(average).cuda()
    optimisers.update_average(average, network, 0.75)
    optimisers.update_average(there[1], there[0], 0.75)
    for one, two in zip(average.parameters(), there[1].parameters(), strict=True):
        torch.testing.assert_close(one, two.cpu())


def test_what_is_sent_arrives_as_it_was():
    numbers = torch.arange(7)
    assert torch.equal(devices.send(numbers, torch.device("cuda")).cpu(), numbers)
    there = numbers.cuda()
    assert devices.send(there, torch.device("cuda")) is there
