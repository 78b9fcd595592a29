"""Optimizers from a plan's configuration."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from specc.spec.sections.optimizers import Optimizer

from ..named import named


def make_optimizer(config: Optimizer, parameters: Sequence[nn.Parameter]) -> torch.optim.Optimizer:
    """The optimizer of one group of parameters."""
    made: torch.optim.Optimizer = named(config.torch, f"the optimizer `{config.name}`")(
        parameters, **config.arguments()
    )
    # Or fp16's gradient scaler would leave it to the fused kernel to skip a step, which on a first step leaves momentum
    # without a value. This way the scaler itself looks whether gradients are finite, and calls `step` or does not.
    made._step_supports_amp_scaling = False  # type: ignore[attr-defined]
    return made
