"""Optimisers: Adam, one that PyTorch does not have, a running average.  Touches no files."""

from __future__ import annotations

import math

import torch
from torch import nn


class AdamP(torch.optim.Optimizer):
    """Adam whose step has no part along the weights, for weights of free scale.

    Parameters
    ----------
    params : iterable
        As for every torch optimiser.
    lr : float
        Learning rate.
    betas : tuple of float
        Decay of the means of gradient and squared gradient.
    eps : float
        Added to the denominator.
    delta : float
        A filter counts as free of scale if the cosine between weights and
        gradient is below ``delta / sqrt(weights in the filter)``.

    Notes
    -----
    Heo et al., "AdamP: slowing down the slowdown for momentum optimizers on
    scale-invariant weights", ICLR 2021, algorithm 2, without weight decay and
    Nesterov momentum; all of its state is tensors, so that it can be written
    without pickling.
    """

    def __init__(
        self, params, lr: float | torch.Tensor = 1e-3, betas=(0.9, 0.999), eps=1e-8, delta=0.1
    ):
        defaults = {"lr": lr, "betas": tuple(map(float, betas)), "eps": eps, "delta": delta}
        super().__init__(params, defaults)

    @torch.no_grad()
    def step(self, closure=None):
        """Update all weights that have a gradient."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is not None:
                    self._update(weight, group)
        return loss

    def _update(self, weight: torch.Tensor, group: dict) -> None:
        state, gradient = self.state[weight], weight.grad
        if not state:
            state["step"] = torch.tensor(0.0)
            state["exp_avg"] = torch.zeros_like(weight)
            state["exp_avg_sq"] = torch.zeros_like(weight)
        if weight.device.type == "cuda":
            self._update_there(weight, gradient, state, group)
            return
        state["step"] += 1
        count, (first, second) = float(state["step"]), group["betas"]
        state["exp_avg"].lerp_(gradient, 1 - first)
        state["exp_avg_sq"].mul_(second).addcmul_(gradient, gradient, value=1 - second)
        spread = state["exp_avg_sq"].sqrt() / math.sqrt(1 - second**count)
        move = state["exp_avg"] / (spread + group["eps"])
        if weight.ndim > 1:
            move = project(weight, gradient, move, group["delta"], group["eps"])
        weight.add_(move, alpha=-group["lr"] / (1 - first**count))

    def _update_there(self, weight, gradient, state: dict, group: dict) -> None:
        """Do the same without a look at any value, for which the CPU would have to wait."""
        # A state that was read from a file has its count on the CPU.
        count = state["step"] = state["step"].to(weight.device)
        count += 1
        (first, second), eps = group["betas"], group["eps"]
        state["exp_avg"].lerp_(gradient, 1 - first)
        state["exp_avg_sq"].mul_(second).addcmul_(gradient, gradient, value=1 - second)
        spread = state["exp_avg_sq"].sqrt() / (1 - second**count).sqrt()
        move = state["exp_avg"] / (spread + eps)
        if weight.ndim > 1:
            move = projected(weight, gradient, move, group["delta"], eps)
        weight.sub_(move * (group["lr"] / (1 - first**count)))


def project(weight, gradient, move, delta: float, eps: float) -> torch.Tensor:
    """Take from a step its part along the weights, if the weights are free of scale.

    Every filter (first axis) is looked at first, then the layer as a whole.
    """
    for rows in (len(weight), 1):
        w, g = weight.reshape(rows, -1), gradient.reshape(rows, -1)
        cosine = torch.nn.functional.cosine_similarity(g, w, dim=1, eps=eps).abs()
        if cosine.max() < delta / math.sqrt(w.shape[1]):
            unit = w / (w.norm(dim=1, keepdim=True) + eps)
            m = move.reshape(rows, -1)
            return (m - unit * (unit * m).sum(dim=1, keepdim=True)).reshape(move.shape)
    return move


def projected(weight, gradient, move, delta: float, eps: float) -> torch.Tensor:
    """Do what :func:`project` does, without a look at any value."""
    as_whole, by_filter = (
        _without(weight, gradient, move, rows, delta, eps) for rows in (1, len(weight))
    )
    whole = torch.where(as_whole[0], as_whole[1], move)
    return torch.where(by_filter[0], by_filter[1], whole)


def _without(weight, gradient, move, rows: int, delta: float, eps: float):
    """Return whether weights in so many rows are free of scale, and the step that this allows."""
    w, g, m = (t.reshape(rows, -1) for t in (weight, gradient, move))
    cosine = torch.nn.functional.cosine_similarity(g, w, dim=1, eps=eps).abs()
    unit = w / (w.norm(dim=1, keepdim=True) + eps)
    free = cosine.max() < delta / math.sqrt(w.shape[1])
    return free, (m - unit * (unit * m).sum(dim=1, keepdim=True)).reshape(move.shape)


def adam(weights, rate: float, betas, device: torch.device, fused: bool = True):
    """Return Adam over weights; ``fused`` updates them in one pass.

    On CUDA a fused one can be recorded (:class:`refacebench.training.recorded.Recorded`), so
    its learning rates are tensors.

    Parameters
    ----------
    weights : torch.nn.Module or list of dict
        A network, or groups of weights that have learning rates of their own (:func:`on_device`).
    """
    weights = weights.parameters() if isinstance(weights, nn.Module) else weights
    betas = tuple(map(float, betas))
    if not fused:
        return torch.optim.Adam(weights, rate, betas)
    if device.type != "cuda":
        return torch.optim.Adam(weights, rate, betas, fused=True)
    return torch.optim.Adam(weights, on_device(rate, device), betas, fused=True, capturable=True)


def on_device(rate: float, device: torch.device) -> float | torch.Tensor:
    """Return a learning rate as a recorded step reads it: on CUDA a tensor there."""
    if device.type != "cuda":
        return rate
    return torch.tensor(rate, dtype=torch.float32, device=device)  # as Adam's kernel reads it


@torch.no_grad()
def update_average(average: nn.Module, network: nn.Module, decay: float) -> None:
    """Move a running average of weights towards a network; buffers are copied."""
    means, weights = tuple(average.parameters()), tuple(network.parameters())
    torch._foreach_lerp_(means, weights, 1.0 - decay)
    buffers = list(average.buffers())
    if buffers:
        torch._foreach_copy_(buffers, list(network.buffers()))
