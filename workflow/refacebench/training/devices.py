"""Where and how networks compute: device, precision, memory, the same bytes every time.

Asks the hardware; sets torch's switches for the time of a block.  Touches no file.
"""

from __future__ import annotations

import contextlib
import os
from typing import Any

import torch


def choose_device(option: str) -> torch.device:
    """Return the device of an option: ``auto`` takes CUDA where there is one.

    Raises
    ------
    ValueError
        If CUDA is asked for and there is none.
    """
    there = torch.cuda.is_available()
    if option == "auto":
        option = "cuda" if there else "cpu"
    device = torch.device(option)
    if device.type == "cuda" and not there:
        raise ValueError(f"device '{option}': torch finds no CUDA device here; use auto or cpu")
    return device


def choose_precision(option: str, device: torch.device) -> str:
    """Return ``bf16`` or ``float32``; ``auto`` takes bf16 where the hardware computes in it.

    The choice follows from the hardware and not from a timing, so that the
    same machine always takes the same one.
    """
    if option in ("bf16", "float32"):
        return option
    if option != "auto":
        raise ValueError(f"precision '{option}': use auto, bf16 or float32")
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float32"
    # Private in torch, so its absence must not matter.
    matrix_unit = getattr(torch.cpu, "_is_amx_tile_supported", bool)
    return "bf16" if device.type == "cpu" and matrix_unit() else "float32"


def home(size: int, device: torch.device) -> torch.device:
    """Return where training data of so many bytes are held: on the device where they fit.

    They may take half of a GPU's free memory, the rest is the networks'; else
    they stay in the computer's and go over batch by batch.
    """
    if device.type != "cuda" or size <= torch.cuda.mem_get_info(device)[0] / 2:
        return device
    return torch.device("cpu")


def memory_order(
    accelerate: str, network: torch.nn.Module, device: torch.device
) -> torch.memory_format:
    """Return the order in which a network's images lie: channels last, or torch's own.

    Convolutions want channels last.  On CUDA torch's group norm puts them back each time,
    which costs more than it brings (docs/validation/gpu.md).
    """
    grouped = any(isinstance(part, torch.nn.GroupNorm) for part in network.modules())
    if accelerate != "auto" or (grouped and torch.device(device).type == "cuda"):
        return torch.contiguous_format
    return torch.channels_last


def send(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    """Return a tensor on a device; a CUDA device is not waited for.

    A plain copy from the computer's memory waits until the device has done all its work.
    """
    if torch.device(device).type != "cuda" or tensor.device.type != "cpu":
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)


def autocast(device: torch.device, precision: str):
    """Return the context in which networks run at a precision."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")


@contextlib.contextmanager
def reproducible(device: torch.device, deterministic: bool = True):
    """Run with deterministic kernels and as many threads as ``OMP_NUM_THREADS`` says.

    The caller's settings and random state are put back afterwards.  Without
    ``deterministic`` a CUDA device may take the kernels that it finds fastest.
    """
    free = not deterministic and device.type == "cuda"
    # cuBLAS is deterministic only with this, and reads it when it starts.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    threads = torch.get_num_threads()
    strict = torch.are_deterministic_algorithms_enabled()
    lenient = torch.is_deterministic_algorithms_warn_only_enabled()
    benchmark = torch.backends.cudnn.benchmark
    memory: Any = torch.utils.deterministic
    filled = memory.fill_uninitialized_memory
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS") or 1))
    torch.use_deterministic_algorithms(not free, warn_only=True)
    torch.backends.cudnn.benchmark = free
    # Memory that a kernel is about to write need not be filled first.
    memory.fill_uninitialized_memory = False
    try:
        # Only the device in use: asking for the others would start CUDA on every one.
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            yield
    finally:
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(strict, warn_only=lenient)
        torch.backends.cudnn.benchmark = benchmark
        memory.fill_uninitialized_memory = filled
