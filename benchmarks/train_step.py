"""Time training and refacing beside the straightforward loop of the same network.

    PYTHONPATH=workflow python benchmarks/train_step.py cyclegan2d
    PYTHONPATH=workflow python benchmarks/train_step.py pix2pix25d --steps 200 --workers 4
    PYTHONPATH=workflow python benchmarks/train_step.py cyclegan2d --set compile=true
    PYTHONPATH=workflow python benchmarks/train_step.py diffusion25d --set batch=8 size=96 patch=2

Takes the GPU where there is one, else OMP_NUM_THREADS threads of the CPU; run it on
either.  Both loops train the same network from the same start at the same batch:

plain
    single precision, slices from a DataLoader, default memory order, PyTorch's Adam as it
    is, one kernel at a time: the loop that a reader of the paper would write;
ours
    the loop of refacebench: slices held on the device, precision ``auto``, channels last,
    fused Adam and, on CUDA, the step recorded as a graph.

Prints JSON: seconds a step (CPU: process time; CUDA: wall time), their ratio, the losses
of both after the same steps on the same batches, the time to reface one head of 1 mm,
and, at the published size, an estimate (labelled so) of the paper's whole run.
"""

import argparse
import json
import os
import time

import numpy as np
import torch

from refacebench import images, registry
from refacebench.refacers import _slices, _slicewise, _training

METHODS = ("pix2pix25d", "cyclegan2d", "diffusion25d")
#: Steps of the published trainings, where the paper states them.
PAPER_STEPS = {"cyclegan2d": 200 * 6300}
#: A head of 1 mm: the grid of a common T1w protocol.
HEAD_SHAPE = (176, 256, 256)


def random_slices(size: int, slices: int = 64) -> _slices.Slices:
    """Return a scan of noise, half of which was changed."""
    rng, shape = np.random.default_rng(0), (slices, size, size)
    source, target = (rng.uniform(-1, 1, shape).astype(np.float16) for _ in range(2))
    changed = np.zeros(shape, bool)
    changed[:, size // 2 :] = True
    frame = _slices.Frame("RAS", np.zeros(3), np.ones(3), shape, slices // 2)
    return _slices.Slices(source, changed, target, frame, 1.0, 1.0)


def head() -> tuple[images.Volume, np.ndarray]:
    """Return an ellipsoid of a head's size without its lower front quarter, and that quarter."""
    grid = np.indices(HEAD_SHAPE, dtype=np.float32)
    radii = np.array([75, 95, 110], np.float32)
    place = [(g - n / 2) / r for g, n, r in zip(grid, HEAD_SHAPE, radii, strict=True)]
    inside = sum(p**2 for p in place) < 1
    noise = np.random.default_rng(0).uniform(300, 700, HEAD_SHAPE)
    changed = (place[1] > 0.2) & (place[2] < 0)
    values = np.where(inside & ~changed, noise, 0).astype(np.float32)
    return images.Volume(values, np.eye(4)), changed


class Items(torch.utils.data.Dataset):
    """Slices one by one, as a DataLoader wants them."""

    def __init__(self, read, stack, steps: int, batch: int):
        self.read, self.stack, self.count = read, stack, steps * batch

    def __len__(self) -> int:
        """Return the number of items in all steps."""
        return self.count

    def __getitem__(self, number: int):
        """Return the tensors of one slice."""
        generator = torch.Generator().manual_seed(number)
        item = torch.tensor([number % len(self.stack)])
        return [tensor[0] for tensor in self.read(self.stack, item, generator)]


def clock(device: torch.device) -> float:
    """Return seconds: wall time on CUDA after it has finished, else of this process."""
    if device.type == "cuda":
        torch.cuda.synchronize()
        return time.perf_counter()
    return time.process_time()


def task_of(module, options: dict, device, precision: str):
    """Return a training task on random slices; the same options give the same start."""
    stack = _slicewise.make_stack([random_slices(options["size"])], options, device, "all")
    return module.METHOD.task(module.METHOD, stack, stack, options, 0, device, precision)


def time_ours(task, steps: int, batch: int) -> float:
    """Return the seconds of a step of the project's loop."""
    generator = torch.Generator().manual_seed(0)
    order = _training.order(len(task.data), (steps + 3) * batch, 0, 1).split(batch)
    sums = 0.0
    for number, items in enumerate(order):
        if number == 3:
            start = clock(task.device)
        sums = sums + sum(task.step(items, generator).values()).double()
    return (clock(task.device) - start) / steps


def time_plain(task, read, steps: int, batch: int, workers: int) -> float:
    """Return the seconds of a step of the straightforward loop."""
    stack = _slicewise.make_stack([random_slices(task.options["size"])], task.options, "cpu", "all")
    loader = torch.utils.data.DataLoader(
        Items(read, stack, steps + 3, batch),
        batch,
        num_workers=workers,
        pin_memory=task.device.type == "cuda",
    )
    generator = torch.Generator().manual_seed(0)
    sums = 0.0
    for number, tensors in enumerate(loader):
        if number == 3:
            start = clock(task.device)
        tensors = [tensor.to(task.device, non_blocking=True) for tensor in tensors]
        losses = task.learn(*task.complete(generator, *tensors))
        sums = sums + sum(losses.values()).double()
    return (clock(task.device) - start) / steps


def losses_after(plain, ours, steps: int, batch: int) -> dict:
    """Return the losses of both loops after the same steps on the same batches."""
    generator = torch.Generator().manual_seed(1)
    for number in range(steps):
        items = (torch.arange(batch) + number * batch) % len(ours.data)
        tensors = ours.batch(items, generator)
        theirs = plain.learn(*(tensor.clone() for tensor in tensors))
        own = ours.run(*tensors)
    return {
        name: {k: round(float(v), 4) for k, v in values.items()}
        for name, values in (("plain", theirs), ("ours", own))
    }


def time_refacing(module, options: dict, device, precision: str) -> dict[str, float]:
    """Return the seconds to reface one head of 1 mm, composited and whole."""
    volume, changed = head()
    times = {}
    for composite in (True, False):
        chosen = {**options, "composite": composite}
        with _training.reproducible(device):
            torch.manual_seed(0)
            network = module.METHOD.network(chosen)
            order = torch.channels_last
            network = network.to(device=device, memory_format=order).eval()
        model = _slicewise.Model(network, 1.0, device, precision, chosen)
        if device.type == "cuda":  # kernels load at their first use
            module.reface(model, volume, changed, chosen)
        start, wall = clock(device), time.perf_counter()
        module.reface(model, volume, changed, chosen)
        name = "composited" if composite else "whole"
        times[name] = round(clock(device) - start, 2)
        times[f"{name}_wall"] = round(time.perf_counter() - wall, 2)
    return times


def measure(name: str, given: dict, steps: int, workers: int, parts) -> dict:
    """Return all measurements of one method."""
    module = registry.load("refacers", name)
    options = {**module.OPTIONS, **given}
    device = _training.choose_device(options["device"])
    precision = _training.choose_precision(options["precision"], device)
    batch = options["batch"]
    result = {
        "method": name,
        "device": torch.cuda.get_device_name() if device.type == "cuda" else "cpu",
        "threads": int(os.environ.get("OMP_NUM_THREADS") or 1),
        "torch": torch.__version__,
        "precision": precision,
        "size": options["size"],
        "batch": batch,
        "given": given,
    }
    simple = {**options, "accelerate": "none", "compile": False}
    if "train" in parts:
        # Deterministic kernels for ours, as in a training; the plain loop may take any.
        plain = task_of(module, simple, device, "float32")
        plain_step = time_plain(plain, module.METHOD.task.read, steps, batch, workers)
        with _training.reproducible(device):
            own_step = time_ours(task_of(module, options, device, precision), steps, batch)
            pair = [task_of(module, simple, device, "float32")]
            pair.append(task_of(module, options, device, precision))
            losses = losses_after(*pair, min(steps, 20), batch)
        result |= {
            "step_seconds_plain": round(plain_step, 5),
            "step_seconds_ours": round(own_step, 5),
            "ratio": round(plain_step / own_step, 2),
            f"losses_after_{min(steps, 20)}_steps": losses,
        }
        default = all(options[k] == module.OPTIONS[k] for k in ("size", "batch", "filters"))
        if name in PAPER_STEPS and default:
            hours = PAPER_STEPS[name] * own_step / 3600
            result["ESTIMATE_hours_of_the_papers_run"] = round(hours, 2)
    if "reface" in parts:
        result["reface_seconds_1mm_head"] = time_refacing(module, options, device, precision)
    return result


def value(text: str):
    """Return a value of the command line: JSON, or else the text itself."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def main():
    """Read the command line, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("method", choices=METHODS)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--workers", type=int, default=0, help="of the plain loop's DataLoader")
    parser.add_argument("--parts", nargs="+", default=["train", "reface"])
    parser.add_argument("--set", nargs="*", default=[], metavar="OPTION=VALUE")
    chosen = parser.parse_args()
    given = {k: value(v) for k, _, v in (pair.partition("=") for pair in chosen.set)}
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS") or 1))
    print(json.dumps(measure(chosen.method, given, chosen.steps, chosen.workers, chosen.parts)))


if __name__ == "__main__":
    main()
