"""Optimizers from a plan's configuration. All are fused: one kernel a group and no temporary copy of its parameters."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from specc.spec.models import Optimizer, Sgd


def make_optimizer(
    config: Optimizer, parameters: Sequence[nn.Parameter], *, fused: bool = True
) -> torch.optim.Optimizer:
    """The optimizer of one group of parameters; fp16 takes the unfused one, whose steps a gradient scaler can skip."""
    if isinstance(config, Sgd):
        return torch.optim.SGD(
            parameters,
            lr=config.lr,
            momentum=config.momentum,
            nesterov=config.nesterov,
            weight_decay=config.weight_decay,
            fused=fused,
        )
    first, second = config.betas
    return torch.optim.AdamW(
        parameters, lr=config.lr, betas=(first, second), eps=config.eps, weight_decay=config.weight_decay, fused=fused
    )
