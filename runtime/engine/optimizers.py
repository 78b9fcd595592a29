"""Optimizers from a plan's configuration."""

from __future__ import annotations

import torch
from torch import nn

from specc.spec.sections.optimizer import Decaying, Optimizer

from ..named import named
from .model import Model


def make_optimizer(config: Optimizer, model: Model, group: str) -> torch.optim.Optimizer:
    """The optimizer of one group of parameters."""
    arguments = config.arguments()
    if model.sharded and "fused" in arguments:  # kernels that take no parts of tensors
        arguments["fused"] = False
    made: torch.optim.Optimizer = named(config.torch, f"the optimizer `{config.name}`")(
        parameter_groups(config, model, group), **arguments
    )
    # Or fp16's gradient scaler would leave it to the fused kernel to skip a step, which on a first step leaves momentum
    # without a value. This way the scaler itself looks whether gradients are finite, and calls `step` or does not.
    made._step_supports_amp_scaling = False  # type: ignore[attr-defined]
    return made


def parameter_groups(config: Optimizer, model: Model, group: str) -> list[dict[str, object]]:
    """The parameters of a group, and apart from them those whose weights do not decay."""
    excluded = config.weight_decay_exclude if isinstance(config, Decaying) else ()
    found: dict[bool, list[nn.Parameter]] = {False: [], True: []}
    for kind, parameter in model.kinds(group):
        found[kind in excluded].append(parameter)
    groups: list[dict[str, object]] = [{"params": found[False]}] if found[False] else []
    return groups + ([{"params": found[True], "weight_decay": 0.0}] if found[True] else [])
