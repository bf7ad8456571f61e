"""Work on a GPU: a training step recorded once and replayed; two pieces of it side by side."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch

#: Steps that run as usual before one is recorded: kernels choose their algorithms in them.
WARM_UP = 3


class Recorded:
    """A training step recorded once as a CUDA graph and then replayed.

    Small steps spend their time on launching kernels one by one; a replay
    launches them all at once and computes the same.

    Parameters
    ----------
    step : callable
        From tensors on the device to a dict of detached losses.  It may not
        look at a value on the CPU, and its optimisers must be capturable.
    networks, optimisers : dict
        Whose state the step changes; as it was before, after recording.
    """

    def __init__(self, step: Callable, networks: Mapping, optimisers: Mapping):
        self.step, self.networks, self.optimisers = step, networks, optimisers
        self.graph: torch.cuda.CUDAGraph | None = None
        self.inputs: list[torch.Tensor] = []
        self.losses: dict[str, torch.Tensor] = {}

    def __call__(self, *inputs: torch.Tensor) -> dict[str, torch.Tensor]:
        """Do one step; the losses are overwritten by the next call."""
        shapes = [tensor.shape for tensor in inputs]
        graph = self.graph
        if graph is None or shapes != [tensor.shape for tensor in self.inputs]:
            graph = self._record(inputs)
        for place, tensor in zip(self.inputs, inputs, strict=True):
            place.copy_(tensor)
        graph.replay()
        return dict(self.losses)

    def _record(self, inputs) -> torch.cuda.CUDAGraph:
        self.inputs = [tensor.clone() for tensor in inputs]
        random = torch.cuda.get_rng_state()
        before = [tensor.clone() for tensor in self._weights()]
        moments = [tensor.clone() for tensor in self._moments()]
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(WARM_UP):
                self.step(*self.inputs)
        torch.cuda.current_stream().wait_stream(side)
        self.graph = graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self.losses = self.step(*self.inputs)
        with torch.no_grad():
            for tensor, old in zip(self._weights(), before, strict=True):
                tensor.copy_(old)
            if moments:
                for tensor, old in zip(self._moments(), moments, strict=True):
                    tensor.copy_(old)
            else:  # the first step made them, and Adam starts from zeros
                for tensor in self._moments():
                    tensor.zero_()
        torch.cuda.set_rng_state(random)
        return graph

    def _weights(self) -> list[torch.Tensor]:
        return [t for net in self.networks.values() for t in net.state_dict().values()]

    def _moments(self) -> list[torch.Tensor]:
        states = [s for o in self.optimisers.values() for s in o.state.values()]
        return [t for state in states for t in state.values() if torch.is_tensor(t)]


def side_stream(device: torch.device, wanted: bool = True) -> torch.cuda.Stream | None:
    """Return what :func:`beside` needs; None on the CPU or where it is not wanted."""
    return torch.cuda.Stream(device) if wanted and device.type == "cuda" else None


def beside(stream: torch.cuda.Stream | None, main: tuple, side: tuple) -> tuple:
    """Return the results of two independent functions, on a GPU computed at the same time.

    A network of a few images leaves most of a GPU idle.  The backward pass runs where the
    forward pass did.

    Parameters
    ----------
    stream : torch.cuda.Stream or None
        Where the second one runs; None: after the first.
    main, side : (callable, torch.Tensor, ...)
        A function that returns one tensor, and what it is given.  The weights of a network
        must be in one of them only, and always in the same.
    """
    first, second = main[0], side[0]
    if stream is None:
        return first(*main[1:]), second(*side[1:])
    current = torch.cuda.current_stream()
    stream.wait_stream(current)
    with torch.cuda.stream(stream):
        other = second(*side[1:])
    one = first(*main[1:])
    current.wait_stream(stream)
    # Memory is given back where it was taken: not before the other stream is done with it.
    for tensor in side[1:]:
        tensor.record_stream(stream)
    other.record_stream(current)
    return one, other
