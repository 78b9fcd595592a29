"""Gradients of one group of parameters, made no larger than the plan says."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn
from torch.nn.utils import clip_grad_norm_, clip_grad_value_

from specc.spec.sections.clip import Clip


def clip(config: Clip, parameters: Sequence[nn.Parameter]) -> None:
    """Clip what these parameters have of gradients, in place and without waiting for the device."""
    if config.norm is not None:
        clip_grad_norm_(parameters, config.norm)
    if config.value is not None:
        clip_grad_value_(parameters, config.value)
