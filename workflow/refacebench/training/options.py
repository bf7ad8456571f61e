"""Options that mean the same for every trained model.  Touches no file."""

from __future__ import annotations

from refacebench.contracts import Option

AUGMENT = Option(0.0, "Strength of the random shifts, scales and turns.", least=0)
AVERAGE = Option(0.0, "Decay of a running average of the weights; 0 for none.", least=0, most=1)
INTERPOLATION = Option(
    "cubic", "How a result is brought back to the scan's grid.", choices=("linear", "cubic")
)
PRECISION = Option(
    "auto",
    "Number format of the networks; auto takes bf16 where the hardware computes in it.",
    choices=("auto", "bf16", "float32"),
)
DEVICE = Option("auto", "Where it computes; auto takes CUDA where there is one.")
ACCELERATE = Option(
    "auto",
    "Whether memory order, optimiser and recorded steps are those that are fastest here.",
    choices=("auto", "none"),
)
DETERMINISTIC = Option(
    True,
    "Whether the same training on the same kind of machine gives the same model, byte for byte; "
    "false lets a GPU take its fastest kernels. A CPU always gives the same.",
)
