"""Optimizers from a plan's configuration. All are fused: one kernel a group and no temporary copy of its parameters."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from specc.spec.sections.optimizers import Optimizer, Sgd


def make_optimizer(config: Optimizer, parameters: Sequence[nn.Parameter]) -> torch.optim.Optimizer:
    """The optimizer of one group of parameters."""
    made = _make(config, parameters)
    # Or fp16's gradient scaler would leave it to the fused kernel to skip a step, which on a first step leaves momentum
    # without a value. This way the scaler itself looks whether gradients are finite, and calls `step` or does not.
    made._step_supports_amp_scaling = False  # type: ignore[attr-defined]
    return made


def _make(config: Optimizer, parameters: Sequence[nn.Parameter]) -> torch.optim.Optimizer:
    if isinstance(config, Sgd):
        return torch.optim.SGD(
            parameters,
            lr=config.lr,
            momentum=config.momentum,
            nesterov=config.nesterov,
            weight_decay=config.weight_decay,
            fused=True,
        )
    first, second = config.betas
    return torch.optim.AdamW(
        parameters, lr=config.lr, betas=(first, second), eps=config.eps, weight_decay=config.weight_decay, fused=True
    )
