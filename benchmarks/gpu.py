"""Measure training and refacing on a GPU: one command, a table of every trained network.

    bash benchmarks/gpu.sh                            # minutes; writes gpu.json
    python benchmarks/gpu.py --only cyclegan2d --out gpu.json
    python benchmarks/gpu.py --tiny                   # the same on any CPU, numbers without meaning
    python benchmarks/gpu.py --table gpu.json         # what docs/validation/gpu.md shows

Every case runs in a process of its own within a limit of seconds, so that a slow or broken one
takes nothing from the others; what it had measured until then is kept.  The file is written
anew after each case.

Of a case: ``plain`` is the straightforward loop (single precision, slices from a DataLoader,
default memory order, Adam as it is, kernel by kernel), ``ours`` the loop of refacebench, and the
others are ours with one thing changed.  ``busy`` is the share of time in which the GPU
computed anything at all (NVML), ``memory_gb`` the most that was allocated, ``card_gb`` the
most that was taken from the card.  ``head`` are the seconds of one head of 1 mm, after a first
one.
All data are noise of the published size; no network that is kept is trained here.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import json
import os
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path
from unittest import mock

import numpy as np

HERE = Path(__file__).resolve()
sys.path[:0] = [str(HERE.parent), str(HERE.parents[1] / "workflow")]

#: Options of a few seconds on a CPU, to try the tool.
TINY = {
    "pix2pix25d": {"size": 64, "filters": 8},
    "cyclegan2d": {"size": 64, "filters": 8, "blocks": 1, "discriminator_filters": 8},
    "diffusion25d": {"size": 64, "filters": 16, "batch": 2},
    "cpgan3d": {"size": 16, "filters": 4},
    "sfcn": {"voxel_mm": 16.0, "channels": [8, 16, 8], "batch": 4},
    "siamese": {"pixels": 16, "filters": 4},
}
REFACERS = ("pix2pix25d", "cyclegan2d", "diffusion25d", "cpgan3d")
#: Cases in the order of what is asked first, and the seconds that each may take.
CASES = {
    "pix2pix25d": 45,
    "cyclegan2d": 60,
    "diffusion25d": 75,
    "cpgan3d": 75,
    "sfcn": 35,
    "siamese": 20,
    "norms": 20,
    "ages": 50,
}
#: A variant is not begun with less time than this left, in seconds.
LEAST = 6.0


class Busy:
    """Asks the driver ten times a second whether the GPU computes, while a block runs."""

    def __enter__(self):
        self.seen, self.done = [], threading.Event()
        self.thread = threading.Thread(target=self._ask, daemon=True)
        self.thread.start()
        return self

    def _ask(self):
        try:
            import pynvml

            pynvml.nvmlInit()
            card = pynvml.nvmlDeviceGetHandleByIndex(0)
            while not self.done.wait(0.1):
                self.seen.append(pynvml.nvmlDeviceGetUtilizationRates(card).gpu)
        except Exception as error:  # no such driver: the share stays unknown
            print(f"NVML: {error}", file=sys.stderr)

    def __exit__(self, *_):
        self.done.set()
        self.thread.join()

    def share(self) -> float | None:
        """Return the mean share, without the first third, when the window was still filling."""
        later = self.seen[len(self.seen) // 3 :]
        return round(statistics.mean(later) / 100, 2) if later else None


def wait(device) -> None:
    """Wait until the device has done all its work."""
    import torch

    if device.type == "cuda":
        torch.cuda.synchronize()


def rate(step, device, seconds: float, warm: int = 6) -> dict:
    """Return steps a second of a function, how busy the GPU was and what memory it took."""
    import torch

    cuda = device.type == "cuda"
    if cuda:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    began = time.perf_counter()
    for _ in range(warm):
        step()
    wait(device)
    first = time.perf_counter() - began
    with Busy() as busy:
        began, done = time.perf_counter(), 0
        while time.perf_counter() - began < seconds:
            for _ in range(max(1, min(20, done))):
                step()
                done += 1
            wait(device)
        took = time.perf_counter() - began
    found = {"steps_per_s": round(done / took, 2), "first_steps_s": round(first, 1)}
    found["busy"] = busy.share()
    if cuda:
        found["memory_gb"] = round(torch.cuda.max_memory_allocated() / 1e9, 2)
        found["card_gb"] = round(torch.cuda.max_memory_reserved() / 1e9, 2)
    return found


class Case:
    """One case's measurements, written down one by one within its limit."""

    def __init__(self, name: str, tiny: bool, limit: float, seconds: float, parts=()):
        import torch

        from refacebench.training import devices

        self.name, self.end, self.seconds = name, time.monotonic() + limit, seconds
        self.given = TINY.get(name, {}) if tiny else {}
        self.tiny, self.parts = tiny, parts
        self.device = devices.choose_device("auto")
        self.precision = devices.choose_precision("auto", self.device)
        self.card = torch.cuda.get_device_name() if self.device.type == "cuda" else "cpu"
        first = {"case": name, "card": self.card, "torch": torch.__version__}
        self.say(**first, precision=self.precision, given=self.given)

    def say(self, **found) -> None:
        """Print what was found, a line of JSON for the parent process."""
        print("FOUND " + json.dumps(found), flush=True)

    def left(self) -> float:
        """Return the seconds that are left."""
        return self.end - time.monotonic()

    def part(self, name: str, work) -> None:
        """Do a part if there is time, and keep its result or what went wrong."""
        if self.parts and name not in self.parts:
            return
        if self.left() < LEAST:
            self.say(**{name: "no time left"})
            return
        began = time.monotonic()
        try:
            found = work()
        except Exception as error:
            found = {"error": f"{type(error).__name__}: {error}"[:600]}
            if os.environ.get("GPU_TRACE"):
                import traceback

                traceback.print_exc()
        found["part_s"] = round(time.monotonic() - began, 1)
        self.say(**{name: found})


def options_of(case: Case, **other) -> dict:
    """Return the options of a refacer of the case."""
    from refacebench.run import methods

    defaults = methods.declared("refacers", case.name).defaults
    return {**defaults, **case.given, **other}


def stepper(task, batch: int):
    """Return a function that does the next step of a task on random items."""
    import torch

    generator, choice = torch.Generator().manual_seed(0), torch.Generator().manual_seed(1)
    sums = {}

    def step():
        items = torch.randint(len(task.data), (batch,), generator=choice)
        for name, value in task.step(items, generator).items():
            sums[name] = sums.get(name, 0.0) + value.double()

    return step


def plain_stepper(tool, case: Case, task, batch: int, workers: int):
    """Return a function that does the next step of the straightforward loop."""
    import torch

    data, read = tool.data_of(case.name, task.options, "cpu")
    items = tool.Items(read, data, 1_000_000, batch)
    cuda = case.device.type == "cuda"
    loader = iter(torch.utils.data.DataLoader(items, batch, num_workers=workers, pin_memory=cuda))
    generator = torch.Generator().manual_seed(0)
    sums = {}

    def step():
        tensors = [t.to(case.device, non_blocking=True) for t in next(loader)]
        losses = tool.learn(task, task.complete(generator, *tensors))
        for name, value in losses.items():
            sums[name] = sums.get(name, 0.0) + value.double()

    return step


def refacer(case: Case) -> None:
    """Measure a refacer: both loops, ours with one thing changed, one head."""
    import torch
    import train_step as tool

    from refacebench.training import devices

    options = options_of(case)
    batch, seconds = options["batch"], case.seconds
    simple = {**options, "accelerate": "none", "compile": False}
    case.say(size=options["size"], batch=batch)

    def made(chosen, precision):
        for network in (task := tool.task_of(case.name, chosen, case.device, precision)).networks:
            task.networks[network].train()
        return task

    def plain():
        workers = 4 if case.device.type == "cuda" and case.name != "cpgan3d" else 0
        task = made(simple, "float32")
        return rate(plain_stepper(tool, case, task, batch, workers), case.device, seconds)

    def ours(change=None, deterministic=True, **other):
        with devices.reproducible(case.device, deterministic):
            task = made({**options, **other}, case.precision)
            if change:
                change(task)
            return rate(stepper(task, batch), case.device, seconds)

    def followed(chosen, shown):
        with devices.reproducible(case.device):
            task, found = made(chosen, case.precision), {}
            generator = torch.Generator().manual_seed(1)
            for number in range(1, shown[0 if case.tiny else -1] + 1):
                items = (torch.arange(batch) + number * batch) % len(task.data)
                values = task.step(items, generator)
                if number in shown:
                    found[str(number)] = {k: float(f"{float(v):.4g}") for k, v in values.items()}
            return found

    def flops():
        return {"tflop": round(tool.count_flops(made(simple, "float32"), batch) / 1e12, 4)}

    def losses():
        with devices.reproducible(case.device):
            pair = [made(simple, "float32"), made(options, "float32")]
            return tool.losses_after(*pair, 10, batch)

    case.part("ours", ours)
    case.part("plain", plain)
    case.part("head", lambda: head(tool, case, options))
    case.part("one_after_the_other", lambda: ours(apart))
    if case.name == "cpgan3d":
        case.part("channels_last", lambda: ours(lay_3d))
        case.part("losses", lambda: followed(options, (1, 10, 50, 200)))
        case.part("losses_one_rate", lambda: followed({**options, "equalised": False}, (1, 10)))
    else:
        with mock.patch.object(devices, "memory_order", return_value=torch.contiguous_format):
            case.part("default_order", ours)
    case.part("not_recorded", lambda: ours(kernel_by_kernel))
    case.part("losses_after_10", losses)
    case.part("work", flops)
    case.part("norms", lambda: norms_kept(made(options, case.precision)))
    # Trying all kernels takes long.
    case.part("fastest_kernels", lambda: ours(deterministic=False))


def head(tool, case: Case, options: dict) -> dict:
    """Return the seconds to reface one head as published, after a first one."""
    where = case.device, case.precision
    with mock.patch.object(tool, "HEAD_SHAPE", (44, 64, 64) if case.tiny else tool.HEAD_SHAPE):
        if case.name == "cpgan3d":
            return tool.time_hull_refacing(options, *where)
        return tool.time_refacing(case.name, options, *where, (options["composite"],))


def apart(task) -> None:
    """Let networks and batches that could run together run one after the other."""
    task.joint, task.side = False, None


def kernel_by_kernel(task) -> None:
    """Do not record the step."""
    task.run = getattr(task, "_learn_flat", task.learn)


def lay_3d(task) -> None:
    """Lay volumes channels last."""
    import torch

    for network in task.networks.values():
        network.to(memory_format=torch.channels_last_3d)


def norms_kept(task) -> dict:
    """Count the norms of the kept network whose output lies as its input."""
    import torch

    kept, handles = [], []
    net = getattr(task, "source", task.networks[task.product])
    last = {4: torch.channels_last, 5: torch.channels_last_3d}

    def look(_, given, got):
        order = last.get(got.ndim)
        if order and given[0].is_contiguous(memory_format=order) and not given[0].is_contiguous():
            kept.append(got.is_contiguous(memory_format=order))

    for module in net.modules():
        if "Norm" in type(module).__name__:
            handles.append(module.register_forward_hook(look))
    given = task.batch(torch.arange(task.options["batch"]), torch.Generator().manual_seed(0))
    task.learn(given) if isinstance(given, dict) else task.learn(*given)
    for handle in handles:
        handle.remove()
    return {"channels_last_in": len(kept), "channels_last_out": sum(kept)}


@functools.lru_cache(maxsize=8)
def volumes_of_ages(shape, count: int, seed: int):
    """Return heads of noise with a dark ball that grows with the age, and the ages."""
    rng = np.random.default_rng(seed)
    ages = rng.uniform(20, 80, count)
    grid = np.stack(np.meshgrid(*[np.linspace(-1, 1, n) for n in shape], indexing="ij"))
    radius = np.sqrt((grid**2).sum(axis=0))
    made = []
    for age in ages:
        volume = np.where(radius < 0.9, rng.normal(1, 0.2, shape), 0)
        volume[radius < 0.15 + 0.25 * (age - 20) / 60 + rng.normal(0, 0.01)] = 0.3
        made.append(volume.astype(np.float16))
    return np.stack(made), ages


def age_task(case: Case, options: dict, people: int, held: int, precision: str, on_cpu=False):
    """Return the training task of the age network on made-up volumes."""
    from refacebench.age_models import _input
    from refacebench.training import devices, sfcn

    shape = tuple(map(int, _input.box_shape(options["input"], options["voxel_mm"])))
    sides = [volumes_of_ages(shape, n, seed) for seed, n in enumerate((people, held))]
    middles = sfcn.centers(sides[0][1], options["bin_years"])
    where = (lambda _, device: "cpu") if on_cpu else devices.home
    with mock.patch.object(devices, "home", where):
        task = sfcn.AgeTask(*sides, middles, options, 0, case.device, precision)
    task.data = task.volumes
    task.networks["network"].train()
    return task


def age_options(case: Case) -> dict:
    """Return the options of the age network."""
    from refacebench.run import methods

    return {**methods.declared("age_models", "sfcn").defaults, **case.given}


def sfcn(case: Case) -> None:
    """Measure the age network at a study's size."""
    from refacebench.training import devices
    from refacebench.training import sfcn as network

    options = age_options(case)
    people = 8 if case.tiny else 64
    case.say(size=f"{options['voxel_mm']:g} mm", batch=options["batch"])

    def ours(deterministic=True):
        with devices.reproducible(case.device, deterministic):
            task = age_task(case, options, people, 2, case.precision)
            return rate(stepper(task, options["batch"]), case.device, case.seconds)

    def plain():
        task = age_task(case, options, people, 2, "float32", on_cpu=True)
        return rate(stepper(task, options["batch"]), case.device, case.seconds)

    def head():
        task = age_task(case, options, options["batch"], 2, case.precision)
        given = task.networks["network"], task.held[0][:1], task.middles
        times = []
        for _ in range(3):
            began = time.perf_counter()
            network.predict(*given, case.device, case.precision)
            wait(case.device)
            times.append(time.perf_counter() - began)
        return {"whole_wall": round(times[-1], 4)}

    case.part("ours", ours)
    case.part("plain", plain)
    case.part("head", head)
    case.part("fastest_kernels", lambda: ours(False))


def ages(case: Case) -> None:
    """Train the age network at a study's size on made-up heads, as long as there is time."""
    import torch

    from refacebench.training import devices, loop

    case.given = TINY["sfcn"] if case.tiny else {}
    options = age_options(case)
    people, held = (12, 4) if case.tiny else (160, 40)

    def learnt():
        with devices.reproducible(case.device):
            task = age_task(case, options, people, held, case.precision)
            generator = torch.Generator().manual_seed(0)
            total = options["epochs"] + options["decay_epochs"]
            found, epoch, began = {}, 0, time.monotonic()
            while epoch < total and case.left() > LEAST:
                epoch += 1
                factor = 1 - max(0, epoch - options["epochs"]) / (options["decay_epochs"] + 1)
                for group in task.optimisers["network"].param_groups:
                    group["lr"] = options["learning_rate"] * factor
                task.networks["network"].train()
                for items in loop.order(people, people, 0, epoch).split(options["batch"]):
                    task.step(items, generator)
                if epoch in (1, 10, 20, 40, 80, total):
                    found[f"mae_after_{epoch}"] = round(task.validate()["val_mae"], 2)
            wait(case.device)
            found |= {"epochs": epoch, "train_s": round(time.monotonic() - began, 1)}
            found["mae_end"] = round(task.validate()["val_mae"], 2)
            ages = task.held[1]
            found["mae_of_mean_age"] = round(float(np.abs(ages - 50).mean()), 2)
            found |= {"people": people, "held": held}
            return found

    case.part("learnt", learnt)


def siamese(case: Case) -> None:
    """Measure the training of the siamese attack: 40 people, two scans a side, on CPU and GPU."""
    from refacebench.attackers import siamese as attack
    from refacebench.contracts import Enrolled

    options = {**attack.METHOD.defaults, **case.given}
    people = np.array([f"sub-{n:02d}" for n in range(40)])
    who, rng = np.repeat(people, 2), np.random.default_rng(0)
    shape = (len(who), 5, len(options["channels"]), options["pixels"], options["pixels"])
    sides = [
        Enrolled(who, who, who, {"pictures": rng.uniform(-1, 1, shape).astype(np.float16)})
        for _ in range(2)
    ]
    case.say(size=options["pixels"], batch=options["batch"])
    steps = 10 if case.tiny else 200

    def train(device):
        chosen = {**options, "device": device, "steps": steps}
        attack.train(*sides, people, {**chosen, "steps": 5}, [0, 6])
        with Busy() as busy:
            began = time.perf_counter()
            attack.train(*sides, people, chosen, [0, 6])
            wait(case.device)
            took = time.perf_counter() - began
        return {"steps_per_s": round(steps / took, 2), "busy": busy.share()}

    case.part("ours", lambda: train(str(case.device)))
    case.part("on_cpu", lambda: train("cpu"))


def norms(case: Case) -> None:
    """Time ways to normalise each channel of each image, forward and backward, in bf16."""
    import torch
    from torch.nn import functional

    from refacebench.training import norms as ours

    last, default = torch.channels_last, torch.contiguous_format
    half = torch.bfloat16 if case.device.type == "cuda" else torch.float32

    def native(x, w, b):
        return functional.instance_norm(x, weight=w, bias=b)

    def copied(x, w, b):
        return native(x, w, b).contiguous(memory_format=last)

    def single(x, w, b):
        return ours.one_by_one(x, w, b, 1e-5)

    def groups(x, w, b):
        return functional.group_norm(x, 8, w.to(x.dtype), b.to(x.dtype))

    ways = {
        "instance, default order": (native, default),
        "instance, channels last, copied back": (copied, last),
        "batch norm image by image, channels last": (single, last),
        "batch norm image by image, default order": (single, default),
        "group, default order": (groups, default),
        "group, channels last": (groups, last),
    }
    shapes = [(1, 32, 256, 256), (1, 128, 64, 64), (4, 64, 128, 128), (16, 256, 16, 16)]
    if case.tiny:
        shapes = [(2, 8, 8, 8)]

    def timed(way, order, shape):
        x = torch.randn(shape, device=case.device).to(half).contiguous(memory_format=order)
        x.requires_grad_(True)
        w, b = (torch.randn(shape[1], device=case.device, requires_grad=True) for _ in range(2))
        gradient = torch.randn(shape, device=case.device).to(half)
        gradient = gradient.contiguous(memory_format=order)

        def step():
            y = way(x, w, b)
            torch.autograd.grad(y, (x, w, b), gradient)

        for _ in range(5):
            step()
        wait(case.device)
        began, count = time.perf_counter(), 5 if case.tiny else 100
        for _ in range(count):
            step()
        wait(case.device)
        eager = (time.perf_counter() - began) / count * 1e6
        with torch.no_grad():
            kept = way(x, w, b).is_contiguous(memory_format=order)
        return [round(eager, 1), replayed(step, case.device), kept]

    for shape in shapes:
        label = "x".join(map(str, shape))
        case.part(
            label,
            lambda shape=shape: {k: timed(*way, shape) for k, way in ways.items()},
        )


def replayed(step, device) -> float | None:
    """Return the microseconds of a step that is replayed from a recording."""
    import torch

    if device.type != "cuda":
        return None
    side = torch.cuda.Stream()
    with torch.cuda.stream(side):
        step()
    wait(device)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    began = time.perf_counter()
    for _ in range(100):
        graph.replay()
    wait(device)
    return round((time.perf_counter() - began) * 1e4, 1)


def run_case(name: str, tiny: bool, limit: float, seconds: float, parts=()) -> dict:
    """Run one case in a process of its own and return what it found until its limit."""
    command = [sys.executable, str(HERE), "--case", name, "--limit", str(limit)]
    command += ["--seconds", str(seconds)] + ["--tiny"] * tiny
    command += ["--parts", *parts] if parts else []
    found, began = {}, time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    killer = threading.Timer(limit + 20, process.kill)
    killer.start()
    for line in process.stdout:
        if line.startswith("FOUND "):
            found |= json.loads(line.removeprefix("FOUND "))
            print(name, line.removeprefix("FOUND ").strip(), flush=True)
    code = process.wait()
    killer.cancel()
    if code:
        found["ended"] = "killed at its limit" if code < 0 else f"status {code}"
    found["case_s"] = round(time.monotonic() - began, 1)
    return found


def run_all(chosen, tiny, out: Path, seconds: float, limit: float | None, parts=()) -> None:
    """Run the cases one after the other, and write the file after each."""
    began, found = time.monotonic(), {}
    for name in chosen:
        found[name] = run_case(name, tiny, CASES[name], seconds, parts)
        with contextlib.suppress(OSError):
            out.write_text(json.dumps(found, indent=1) + "\n")
        if limit is not None and time.monotonic() - began > limit:
            print("the whole limit is over", flush=True)
            break
    print(table(found))
    print(f"{time.monotonic() - began:.0f} s in all")


def table(found: dict) -> str:
    """Return the tables for a document as Markdown text.

    >>> case = {"card": "A", "ours": {"steps_per_s": 4.0}, "plain": {"steps_per_s": 2.0}}
    >>> print(table({"x": case}).splitlines()[4])
    | `x` |  |  | 2 | 4 | 2.0 |  |  |  |  |
    """
    rows = [
        "| network | size | batch | plain, steps/s | ours, steps/s | ratio | GPU busy | memory, GB "
        "| one head, s | TFLOP/s |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name, case in found.items():
        own, plain = _of(case, "ours", "steps_per_s"), _of(case, "plain", "steps_per_s")
        if own is None and plain is None:
            continue
        work = _of(case, "work", "tflop")
        head = case.get("head") if isinstance(case.get("head"), dict) else {}
        cells = [
            f"`{name}`",
            case.get("size"),
            case.get("batch"),
            _short(plain),
            _short(own),
            f"{own / plain:.1f}" if own and plain else None,
            _of(case, "ours", "busy"),
            _of(case, "ours", "memory_gb"),
            head.get("whole_wall") or head.get("composited_wall"),
            _short(work * own) if work and own else None,
        ]
        rows.append("| " + " | ".join("" if c is None else str(c) for c in cells) + " |")
    changed = ("fastest_kernels", "one_after_the_other", "default_order", "channels_last")
    changed += ("not_recorded", "on_cpu")
    if any(isinstance(case.get(c), dict) for case in found.values() for c in changed):
        rows = [*rows, "", "| steps/s | ours | " + " | ".join(changed).replace("_", " ") + " |"]
        rows.append("|---|---|" + "---|" * len(changed))
        for name, case in found.items():
            if _of(case, "ours", "steps_per_s") is not None:
                values = [_short(_of(case, c, "steps_per_s")) or "" for c in ("ours", *changed)]
                rows.append(f"| `{name}` | " + " | ".join(values) + " |")
    cards = sorted({case["card"] for case in found.values() if case.get("card")})
    return "\n".join([f"Card: {', '.join(cards)}", "", *rows])


def _of(case: dict, part: str, name: str):
    """Return one number of a part that was measured, else None."""
    found = case.get(part)
    return found.get(name) if isinstance(found, dict) else None


def _short(value) -> str | None:
    return None if value is None else f"{value:.3g}"


def main() -> None:
    """Read the command line; measure, or print the table of a file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--parts", nargs="+", default=[], help="of a case, such as ours; else all")
    parser.add_argument("--out", type=Path, default=Path("gpu.json"))
    parser.add_argument("--tiny", action="store_true", help="small sizes, to try the tool")
    parser.add_argument("--seconds", type=float, default=2.5, help="of each measurement")
    parser.add_argument("--limit", type=float, help="seconds after which no case is begun")
    parser.add_argument("--table", type=Path, help="print the tables of this file, measure nothing")
    parser.add_argument("--case", choices=CASES, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.table:
        print(table(json.loads(chosen.table.read_text())))
    elif chosen.case:
        case = Case(chosen.case, chosen.tiny, chosen.limit, chosen.seconds, chosen.parts)
        run = globals().get(chosen.case, refacer)
        run(case)
    else:
        given = chosen.only, chosen.tiny, chosen.out, chosen.seconds, chosen.limit
        run_all(*given, chosen.parts)


if __name__ == "__main__":
    main()
