"""Normalisation layers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from .base import Op, Saved, Shape, numel


@dataclass(frozen=True, slots=True)
class BatchNorm(Op):
    """Batch normalisation over every axis but the channels; works on feature maps and on vectors."""

    eps: float = 1e-5
    momentum: float = 0.1
    updates: int = 1  # how often a step updates the running statistics with the same batch (see DESIGN, section 4)

    name: ClassVar[str] = "batch_norm"
    prefix: ClassVar[str] = "bn"
    aliases: ClassVar[dict[str, str]] = {"epsilon": "eps"}

    def parameters(self, *inputs: Shape) -> dict[str, Shape]:
        return {"weight": inputs[0][:1], "bias": inputs[0][:1]}

    def buffers(self, *inputs: Shape) -> dict[str, Shape]:
        return {"running_mean": inputs[0][:1], "running_var": inputs[0][:1], "num_batches_tracked": ()}

    def flops(self, inputs: tuple[Shape, ...], output: Shape) -> int:
        return 5 * numel(output)

    def saved(self, inputs: tuple[Shape, ...], output: Shape) -> Saved:
        return Saved(inputs=(0,), floats=2 * inputs[0][0])
