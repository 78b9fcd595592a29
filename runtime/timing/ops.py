"""Measures an op: its forward, and the gradients of its inputs and of its parameters."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from specc.graph.node import Node
from specc.graph.ops import Shape, numel
from specc.graph.ops.tokens import Mixing
from specc.memory.storage import Direction
from specc.timing.samples import Sample

from ..engine.modules import BUILDERS
from .clock import Clock

APART = 16 << 20  # bytes that are gone through before the same ones come again: a step finds little in the caches
MOST_COPIES = 12
LEAST = 1e-6  # seconds, that are told of a gradient which the engine alone takes longer over


def copies(size: int) -> int:
    """Of what takes so many bytes, so that little of it is in a cache when its turn comes."""
    return max(1, min(MOST_COPIES, APART // size))


class Mixer(nn.Module):
    """The fused part of attention alone."""

    def __init__(self, op: Mixing) -> None:
        super().__init__()
        self.op = op

    def forward(self, x: Tensor) -> Tensor:
        """Queries, keys and values side by side, as the projection gives them."""
        q, k, v = (self._split(part) for part in x.chunk(3, -1))
        return F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(*x.shape[:2], -1)

    def _split(self, x: Tensor) -> Tensor:
        """Every window by itself."""
        return x.reshape(x.shape[0] * self.op.windows, -1, self.op.heads, x.shape[2] // self.op.heads).transpose(1, 2)


class OpBench:
    """Measures ops on a device."""

    def __init__(self, device: torch.device, clock: Clock) -> None:
        self.device, self.clock = device, clock

    @cached_property
    def engine(self) -> float:
        """Seconds of a backward in which nothing is computed."""
        x = torch.zeros(4, device=self.device, requires_grad=True)
        y, gradient = x.view(2, 2), torch.ones(2, 2, device=self.device)
        return min(self.clock.seconds(lambda: torch.autograd.grad(y, x, gradient, retain_graph=True)) for _ in range(9))

    def measure(self, sample: Sample) -> dict[Direction, float]:
        """Seconds of the directions that the op has."""
        node = sample.node
        module = self._module(sample)
        size = 4 * sample.rows * (sum(map(numel, node.in_shapes)) + node.size)
        sets = [self._inputs(sample) for _ in range(copies(size))]
        found: dict[Direction, float] = {}
        turn = itertools.cycle(sets)
        found["forward"] = self.clock.seconds(lambda: module(*next(turn)))
        outs = [module(*inputs) for inputs in sets]
        if outs[0].grad_fn is None:
            return found
        gradients = itertools.cycle(
            [(out, inputs, _gradient(sample, out)) for out, inputs in zip(outs, sets, strict=True)]
        )
        parameters: list[Tensor] = list(module.parameters())
        if sets[0][0].requires_grad:
            found["input"] = self._backward(gradients, lambda inputs: inputs)
        if parameters:
            found["parameters"] = self._backward(gradients, lambda inputs: parameters)
        return found

    def _backward(
        self, turn: Iterator[tuple[Tensor, list[Tensor], Tensor]], wanted: Callable[[list[Tensor]], list[Tensor]]
    ) -> float:
        def back() -> None:
            out, inputs, gradient = next(turn)
            torch.autograd.grad(out, wanted(inputs), gradient, retain_graph=True, allow_unused=True)

        return max(LEAST, self.clock.seconds(back) - self.engine)

    def _module(self, sample: Sample) -> nn.Module:
        node = sample.node
        module = Mixer(node.op) if isinstance(node.op, Mixing) else BUILDERS[node.op.name](node.op, node.in_shapes)
        module = module.to(self.device, self._dtype(sample) if node.op.autocast == "low" else torch.float32)
        return module.to(memory_format=torch.channels_last) if sample.order == "swapped" else module

    def _dtype(self, sample: Sample) -> torch.dtype:
        return torch.float32 if sample.width == 4 else torch.bfloat16

    def _inputs(self, sample: Sample) -> list[Tensor]:
        return [self._input(sample, sample.node, shape) for shape in sample.node.in_shapes]

    def _input(self, sample: Sample, node: Node, shape: Shape) -> Tensor:
        size = (sample.rows, *shape)
        if node.op.reads == "int64":
            return torch.randint(node.op.below or 2, size, device=self.device)
        dtype = torch.float32 if node.op.autocast == "full" else self._dtype(sample)
        x = torch.randn(size, device=self.device).to(dtype)
        if sample.order == "swapped":
            x = x.contiguous(memory_format=torch.channels_last)
        return x.requires_grad_()


def _gradient(sample: Sample, out: Tensor) -> Tensor:
    """As the result lies, or in the other order."""
    if not sample.turned:
        return torch.ones_like(out)
    other = torch.contiguous_format if sample.order == "swapped" else torch.channels_last
    return torch.ones_like(out, memory_format=other)
