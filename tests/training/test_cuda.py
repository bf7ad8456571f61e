"""On a GPU: what is computed side by side, recorded and channels last is what the CPU computes.

    python3 -m pytest tests/training/test_cuda.py -m cuda

Skipped where there is no GPU.  Needs torch, nibabel, MONAI and what they need, no more.
"""

import copy

import pytest

torch = pytest.importorskip("torch")

import side_by_side  # noqa: E402
from refacebench.training import devices, norms, optimisers, recorded  # noqa: E402
from side_by_side import SMALL, trained  # noqa: E402

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]
LAST = torch.channels_last


@pytest.fixture(scope="module")
def tool():
    return side_by_side.tool()


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


@pytest.mark.parametrize("name", sorted(SMALL))
def test_the_same_training_gives_the_same_bytes(tool, name):
    one, two = (trained(tool, name, 6) for _ in range(2))
    assert one[0] == two[0]
    assert all(torch.equal(one[1][k], two[1][k]) for k in one[1])


def plainly(task):
    """One after the other, kernel by kernel."""
    task.joint, task.side = False, None
    task.run = getattr(task, "_learn_flat", task.learn)


@pytest.mark.parametrize("name", sorted(SMALL))
def test_a_recorded_joint_step_learns_what_a_plain_one_does(tool, name):
    with side_by_side.double():
        ours = trained(tool, name, 4)
        theirs = trained(tool, name, 4, plainly, accelerate="none")
    side_by_side.assert_same(ours, theirs)


def late(function):
    """Return a function whose work begins later on its stream, and so does its backward pass."""

    def work(*given):
        torch.cuda._sleep(3_000_000)  # cycles: more than the whole of a small step
        found = function(*given)
        if found.requires_grad:
            found.register_hook(lambda _: torch.cuda._sleep(3_000_000))
        return found

    return work


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("replayed", [True, False])
def test_nothing_is_used_before_the_other_stream_is_done_with_it(
    tool, which, replayed, monkeypatch
):
    """Whoever does not wait for a stream finds old numbers when that stream comes late."""
    beside, calls = recorded.beside, []

    def beside_late(stream, *both):
        calls.append(stream)
        both = [(late(b[0]), *b[1:]) if n == which else b for n, b in enumerate(both)]
        return beside(stream, *both)

    def unrecorded(task):
        if not replayed:
            task.run = task.learn

    with side_by_side.double():
        theirs = trained(tool, "cyclegan2d", 4, plainly, accelerate="none")
        monkeypatch.setattr(recorded, "beside", beside_late)
        ours = trained(tool, "cyclegan2d", 4, unrecorded)
    assert calls
    assert None not in calls
    side_by_side.assert_same(ours, theirs)


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
