"""The training loop: order, learning rate, when it stops."""

import pytest

torch = pytest.importorskip("torch")
from refacebench.training import loop  # noqa: E402
from refacebench.training.task import Schedule  # noqa: E402


def test_order_is_keyed_by_seed_and_epoch():
    first = loop.order(10, 20, 1, 1)
    assert sorted(first.tolist()) == sorted(2 * list(range(10)))
    assert torch.equal(first, loop.order(10, 20, 1, 1))
    assert not torch.equal(first, loop.order(10, 20, 1, 2))
    assert not torch.equal(first, loop.order(10, 20, 2, 1))


class Rising:
    """A task whose validation gets worse after its first epoch."""

    criterion, product = "val", "net"

    def __init__(self):
        self.networks = {"net": torch.nn.Linear(1, 1)}
        self.optimisers = {"net": torch.optim.SGD(self.networks["net"].parameters(), lr=1.0)}
        self.rates, self.epoch = [], 0

    def step(self, items, generator):
        self.rates.append(self.optimisers["net"].param_groups[0]["lr"])
        return {"loss": torch.zeros(())}

    def validate(self):
        self.epoch += 1
        return {"val": 1.0 if self.epoch == 1 else 2.1}


def test_rising_validation_stops_the_training(tmp_path):
    task = Rising()
    schedule = Schedule(20, 20, 2)
    best, progress = loop.fit(task, 4, schedule, tmp_path, 0, {})
    assert progress.picked == 1
    assert progress.epoch == 1 + loop.RISE_LENGTH
    assert "stayed above 2 times its best" in progress.stopped
    assert set(best) == {"weight", "bias"}


def test_learning_rate_falls_linearly(tmp_path):
    task = Rising()
    loop.fit(task, 2, Schedule(2, 3, 2), tmp_path, 0, {})
    assert task.rates == pytest.approx([1, 1, 0.75, 0.5, 0.25])
