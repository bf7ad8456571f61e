"""Time training and refacing beside the straightforward loop of the same network.

    python benchmarks/train_step.py cyclegan2d
    python benchmarks/train_step.py pix2pix25d --steps 200 --workers 4
    python benchmarks/train_step.py cyclegan2d --set compile=true
    python benchmarks/train_step.py diffusion25d --set batch=8 size=96
    python benchmarks/train_step.py cpgan3d --parts train --set size=32
    python benchmarks/train_step.py cyclegan2d --parts flops --gpu-tflops 50

Takes the GPU where there is one, else OMP_NUM_THREADS threads of the CPU; run it on
either.  Both loops train the same network from the same start at the same batch:

plain
    single precision, slices from a DataLoader, default memory order, PyTorch's Adam as it
    is, one kernel at a time: the loop that a reader of the paper would write;
ours
    the loop of refacebench: slices held on the device, precision ``auto``, channels last,
    fused Adam and, on CUDA, the step recorded as a graph and networks side by side.  Of these
    cpgan3d has no channels last and its own optimiser.

Prints JSON.  Part ``train``: seconds a step (CPU: process time; CUDA: wall time), their
ratio, the losses of both after the same steps on the same batches and, at the published
size, an estimate of the paper's whole run.  Part ``reface``: the time to reface one head of
1 mm.  Part ``flops``: floating point operations of one step, counted in its matrix products
and convolutions, forward and backward; with ``--gpu-tflops`` (what a GPU sustains on such
work, a small part of its peak) the hours that follow.  What is labelled ESTIMATE was
computed and not measured.
"""

import argparse
import copy
import json
import os
import time

import numpy as np
import torch

from refacebench.head import hull as privacy_transform
from refacebench.image import convex_hull, nifti
from refacebench.refacers import cpgan3d, cyclegan2d, diffusion25d, pix2pix25d
from refacebench.run import methods
from refacebench.training import (
    cpgan,
    devices,
    head_stack,
    loop,
    slice_task,
    slicewise,
    whole_heads,
    working_grid,
)
from refacebench.training import slices as _slices

#: The parts of the methods that work slice by slice.
SLICEWISE = {
    "pix2pix25d": pix2pix25d.SLICEWISE,
    "cyclegan2d": cyclegan2d.SLICEWISE,
    "diffusion25d": diffusion25d.SLICEWISE,
}

PARTS = ("train", "flops", "reface")
METHODS = ("pix2pix25d", "cyclegan2d", "diffusion25d", "cpgan3d")
#: Steps of the published trainings, where the paper states them (CP-GAN's does not).
PAPER_STEPS = {"cyclegan2d": 200 * 6300}
#: Options that the operations of a step depend on.
SIZES = ("size", "batch", "filters", "blocks", "max_filters", "conv", "patch")
SIZES += ("discriminator_filters", "discriminator_layers", "discriminator_stride")
#: A head of 1 mm: the grid of a common T1w protocol.
HEAD_SHAPE = (176, 256, 256)


def random_slices(size: int, slices: int = 64) -> _slices.Slices:
    """Return a scan of noise, half of which was changed."""
    rng, shape = np.random.default_rng(0), (slices, size, size)
    source, target = (rng.uniform(-1, 1, shape).astype(np.float16) for _ in range(2))
    changed = np.zeros(shape, bool)
    changed[:, size // 2 :] = True
    frame = working_grid.WorkingGrid("RAS", np.zeros(3), np.ones(3), shape, slices // 2)
    return _slices.Slices(source, changed, target, frame, 1.0, 1.0)


def head() -> tuple[nifti.Volume, np.ndarray]:
    """Return an ellipsoid of a head's size without its lower front quarter, and that quarter."""
    grid = np.indices(HEAD_SHAPE, dtype=np.float32)
    radii = np.array([75, 95, 110], np.float32) * HEAD_SHAPE / (176, 256, 256)
    place = [(g - n / 2) / r for g, n, r in zip(grid, HEAD_SHAPE, radii, strict=True)]
    inside = sum(p**2 for p in place) < 1
    noise = np.random.default_rng(0).uniform(300, 700, HEAD_SHAPE)
    changed = (place[1] > 0.2) & (place[2] < 0)
    values = np.where(inside & ~changed, noise, 0).astype(np.float32)
    return nifti.Volume(values, np.eye(4)), changed


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


def random_heads(options: dict, device, heads: int = 4) -> head_stack.HeadStack:
    """Return scans of noise, a box of brain in a box of head, for cpgan3d."""
    size, rng = options["size"], np.random.default_rng(0)
    shape = (size, size, size)
    hull, brain = np.zeros(shape, bool), np.zeros(shape, bool)
    for mask, margin in ((hull, size // 8), (brain, size // 4)):
        mask[(slice(margin, size - margin),) * 3] = True
    made = []
    for _ in range(heads):
        target = rng.uniform(0, 1, shape).astype(np.float16)
        tissue = np.where(brain, target, np.float16(0))
        made.append(whole_heads.WholeHead(hull, brain, tissue, target, None, 1.0, 1.0, 0.0))
    return head_stack.HeadStack(made, device)


def data_of(name: str, options: dict, device):
    """Return random training data and how single items are read from it."""
    if name == "cpgan3d":
        return random_heads(options, device), lambda heads, items, generator: heads.get(items)
    stack = slicewise.make_stack([random_slices(options["size"])], options, device, "all")
    return stack, SLICEWISE[name].task.read


def clock(device: torch.device) -> float:
    """Return seconds: wall time on CUDA after it has finished, else of this process."""
    if device.type == "cuda":
        torch.cuda.synchronize()
        return time.perf_counter()
    return time.process_time()


def task_of(name: str, options: dict, device, precision: str):
    """Return a training task on random data; the same options give the same start."""
    data, _ = data_of(name, options, device)
    if name == "cpgan3d":
        criterion = cpgan3d.CRITERIA[options["criterion"]]
        return cpgan.CPGAN(data, data, options, 0, device, precision, criterion)
    method = SLICEWISE[name]
    return method.task(method, data, data, options, 0, device, precision)


def learn(task, given) -> dict:
    """Do the method's update on what ``complete`` returned."""
    return task.learn(given) if isinstance(given, dict) else task.learn(*given)


def time_ours(task, steps: int, batch: int) -> float:
    """Return the seconds of a step of the project's loop."""
    generator = torch.Generator().manual_seed(0)
    order = loop.order(len(task.data), (steps + 3) * batch, 0, 1).split(batch)
    sums = 0.0
    for number, items in enumerate(order):
        if number == 3:
            start = clock(task.device)
        sums = sums + sum(task.step(items, generator).values()).double()
    return (clock(task.device) - start) / steps


def time_plain(name: str, task, steps: int, batch: int, workers: int) -> float:
    """Return the seconds of a step of the straightforward loop."""
    data, read = data_of(name, task.options, "cpu")
    loader = torch.utils.data.DataLoader(
        Items(read, data, steps + 3, batch),
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
        losses = learn(task, task.complete(generator, *tensors))
        sums = sums + sum(losses.values()).double()
    return (clock(task.device) - start) / steps


def losses_after(plain, ours, steps: int, batch: int) -> dict:
    """Return the losses of both loops after the same steps on the same batches."""
    generator = torch.Generator().manual_seed(1)
    for number in range(steps):
        items = (torch.arange(batch) + number * batch) % len(ours.data)
        given = ours.batch(items, generator)
        theirs = learn(plain, copy.deepcopy(given))
        own = ours.run(*(cpgan.flat(given) if isinstance(given, dict) else given))
    return {
        name: {k: round(float(v), 4) for k, v in values.items()}
        for name, values in (("plain", theirs), ("ours", own))
    }


def time_refacing(
    name: str, options: dict, device, precision: str, composites=(True, False)
) -> dict[str, float]:
    """Return the seconds to reface one head of 1 mm, composited and whole."""
    volume, changed = head()
    times = {}
    for composite in composites:
        chosen = {**options, "composite": composite}
        with devices.reproducible(device):
            torch.manual_seed(0)
            network = SLICEWISE[name].network(chosen)
            order = devices.memory_order(chosen["accelerate"], network, device)
            network = network.to(device=device, memory_format=order).eval()
        model = slice_task.SliceModel(network, 1.0, device, precision, chosen)
        if device.type == "cuda":  # kernels load at their first use
            methods.declared("refacers", name).run(model, volume, changed, chosen)
        start, wall = clock(device), time.perf_counter()
        methods.declared("refacers", name).run(model, volume, changed, chosen)
        kind = "composited" if composite else "whole"
        times[kind] = round(clock(device) - start, 2)
        times[f"{kind}_wall"] = round(time.perf_counter() - wall, 2)
    return times


def time_hull_refacing(options: dict, device, precision: str) -> dict[str, float]:
    """Return the seconds of cpgan3d for one hull image of 1 mm."""
    volume, removed = head()
    inside = (volume.data > 0) | removed
    brain = (np.indices(HEAD_SHAPE)[2] > HEAD_SHAPE[2] // 2) & (volume.data > 0)
    tissue = np.where(brain, volume.data, 0).astype(np.float32)
    image = volume.with_data(
        privacy_transform.to_image(
            privacy_transform.Gamma(convex_hull.convex_hull(inside), brain, tissue)
        )
    )
    network, _ = cpgan.networks(options)
    model = cpgan.TrainedGenerator(network.to(device).eval(), 0, device, precision)
    if device.type == "cuda":
        cpgan3d.reface(model, image, ~brain, options)
    start, wall = clock(device), time.perf_counter()
    cpgan3d.reface(model, image, ~brain, options)
    used = {"whole": clock(device) - start, "whole_wall": time.perf_counter() - wall}
    return {k: round(v, 2) for k, v in used.items()}


def count_flops(task, batch: int) -> int:
    """Return the floating point operations of one step, a multiplication and an addition as two.

    Only matrix products and convolutions, forward and backward, are counted:
    nearly all of the work.
    """
    from torch.utils.flop_counter import FlopCounterMode

    generator = torch.Generator().manual_seed(0)
    given = task.batch(torch.arange(batch) % len(task.data), generator)
    with FlopCounterMode(display=False) as counter:
        learn(task, given)
    return counter.get_total_flops()


def gpu_hours(flops: float, steps: int, tflops: float) -> float:
    """Return the hours of so many steps at a sustained speed in 10^12 operations a second.

    >>> gpu_hours(3.6e12, 1000, 1.0)
    1.0
    """
    if not tflops > 0:
        raise ValueError(f"--gpu-tflops {tflops}: give what the GPU sustains, above zero")
    return flops * steps / (tflops * 1e12) / 3600


def estimate(name: str, flops: int, default: bool, tflops: float | None, steps: int | None) -> dict:
    """Return the operations of a step and, where speed and steps are known, the hours.

    Parameters
    ----------
    default : bool
        The options are the published size, so that the paper's steps hold.
    tflops : float or None
        What a GPU sustains, from the user.
    steps : int or None
        Of the training, from the user; else the paper's, where it states them.
    """
    result = {"tflop_per_step": round(flops / 1e12, 4)}
    if steps is None and default:
        steps = PAPER_STEPS.get(name)
    if tflops is not None:
        count = steps or 100_000
        result |= {
            "ESTIMATE_gpu_tflops_sustained": tflops,
            "ESTIMATE_steps": count,
            "ESTIMATE_hours_from_counted_operations": round(gpu_hours(flops, count, tflops), 3),
        }
    return result


def measure(name: str, given: dict, steps: int, workers: int, parts, tflops=None, of=None) -> dict:
    """Return all measurements of one method."""
    defaults = methods.declared("refacers", name).defaults
    options = {**defaults, **given}
    device = devices.choose_device(options["device"])
    precision = devices.choose_precision(options["precision"], device)
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
    default = all(options[k] == v for k, v in defaults.items() if k in SIZES)
    simple = {**options, "accelerate": "none", "compile": False}
    if "train" in parts:
        # Deterministic kernels for ours, as in a training; the plain loop may take any.
        plain = task_of(name, simple, device, "float32")
        plain_step = time_plain(name, plain, steps, batch, workers)
        with devices.reproducible(device):
            own_step = time_ours(task_of(name, options, device, precision), steps, batch)
            pair = [task_of(name, simple, device, "float32")]
            pair.append(task_of(name, options, device, precision))
            losses = losses_after(*pair, min(steps, 20), batch)
        result |= {
            "step_seconds_plain": round(plain_step, 5),
            "step_seconds_ours": round(own_step, 5),
            "ratio": round(plain_step / own_step, 2),
            f"losses_after_{min(steps, 20)}_steps": losses,
        }
        if name in PAPER_STEPS and default:
            hours = PAPER_STEPS[name] * own_step / 3600
            result["ESTIMATE_hours_of_the_papers_run"] = round(hours, 2)
    if "flops" in parts:
        # Neither recorded nor compiled: the counter must see every operation.
        flops = count_flops(task_of(name, simple, device, "float32"), batch)
        result |= estimate(name, flops, default, tflops, of)
    if "reface" in parts and name == "cpgan3d":
        result["reface_seconds_1mm_head"] = time_hull_refacing(options, device, precision)
    elif "reface" in parts:
        result["reface_seconds_1mm_head"] = time_refacing(name, options, device, precision)
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
    parser.add_argument("--parts", nargs="+", default=["train", "reface"], choices=PARTS)
    parser.add_argument("--gpu-tflops", type=float, help="sustained, for the estimate of flops")
    parser.add_argument("--training-steps", type=int, help="of the estimate; else the paper's")
    parser.add_argument("--set", nargs="*", default=[], metavar="OPTION=VALUE")
    chosen = parser.parse_args()
    given = {k: value(v) for k, _, v in (pair.partition("=") for pair in chosen.set)}
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS") or 1))
    speed = (chosen.gpu_tflops, chosen.training_steps)
    result = measure(chosen.method, given, chosen.steps, chosen.workers, chosen.parts, *speed)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
