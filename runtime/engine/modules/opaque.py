"""Parts of torchvision's models, for which the vocabulary has no word."""

from __future__ import annotations

from torch import nn

from specc.graph.ops import Shape
from specc.graph.ops.opaque import Opaque
from specc.graph.traced.torchvision import extract

from .registry import builder


@builder
def opaque(op: Opaque, shapes: tuple[Shape, ...]) -> nn.Module:
    """The part of the model, on meta; its `fixed_buffers` hold what no training changes."""
    module: nn.Module = extract(op)
    if {name: tuple(p.shape) for name, p in module.named_parameters()} != op.parameters():
        raise RuntimeError(f"this torchvision has another `{op.part.model}` than the one that the plan was made with")
    return module
