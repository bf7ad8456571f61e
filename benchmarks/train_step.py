"""Time one training step and the refacing of one scan by pix2pix25d, on random slices.

    PYTHONPATH=workflow python benchmarks/train_step.py --size 96 --filters 16 --batch 8

Prints CPU seconds (process time; on a GPU also wall seconds) as JSON.
"""

import argparse
import json
import time

import numpy as np
import torch

from refacebench.refacers import _slices, _training, pix2pix25d


def random_scan(rng: np.random.Generator, slices: int, size: int) -> _slices.Slices:
    """Return a scan of noise, half of which was changed."""
    shape = (slices, size, size)
    source, target = (rng.uniform(-1, 1, shape).astype(np.float16) for _ in range(2))
    changed = np.zeros(shape, bool)
    changed[:, size // 2 :] = True
    frame = _slices.Frame("RAS", np.zeros(3), np.ones(3), shape, slices // 2)
    return _slices.Slices(source, changed, target, frame, 1.0, 1.0)


def clock(device: torch.device) -> np.ndarray:
    """Return CPU and wall seconds, after the device has finished."""
    if device.type == "cuda":
        torch.cuda.synchronize()
    return np.array([time.process_time(), time.perf_counter()])


def measure(options: dict, steps: int) -> dict:
    """Return the seconds of a step (the fastest of ``steps``) and of 100 slices refaced."""
    device = _training.choose_device(options["device"])
    precision = _training.choose_precision(options["precision"], device)
    rng = np.random.default_rng(0)
    with _training.reproducible(device):
        scan = random_scan(rng, 100, options["size"])
        stack = _slices.Stack([scan], "all", device, options["mask_channel"])
        task = pix2pix25d.Pix2Pix(stack, stack, options, 0, device, precision)
        generator = torch.Generator().manual_seed(0)
        times = []
        for number in range(steps + 2):
            start = clock(device)
            task.step(torch.arange(options["batch"]) + number % 10, generator)
            times.append(clock(device) - start)
        start = clock(device)
        task.validate()
        refaced = clock(device) - start
    cpu, wall = np.min(times[2:], axis=0)
    return {
        "device": str(device),
        "precision": precision,
        "step_cpu": round(cpu, 4),
        "step_wall": round(wall, 4),
        "100_slices_cpu": round(refaced[0], 3),
        "100_slices_wall": round(refaced[1], 3),
    }


def main():
    """Read the command line, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("size", "filters", "batch", "steps"):
        parser.add_argument(f"--{name}", type=int, default=pix2pix25d.OPTIONS.get(name, 10))
    for name in ("precision", "device"):
        parser.add_argument(f"--{name}", default="auto")
    chosen = vars(parser.parse_args())
    steps = chosen.pop("steps")
    print(json.dumps({**chosen, **measure({**pix2pix25d.OPTIONS, **chosen}, steps)}, indent=1))


if __name__ == "__main__":
    main()
