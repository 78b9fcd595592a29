"""What a step does beside the ops of its graphs: sums, copies, losses, optimizers; under the names of their works."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from specc.learning.losses import LOSSES, Sizes
from specc.spec.sections.optimizers import OPTIMIZERS
from specc.timing.features import BACK

from ..engine.losses import loss_function
from ..named import named
from .ops import copies

SIZES = (1 << 8, 1 << 12, 1 << 16, 1 << 19, 1 << 22)  # numbers
TENSORS = (
    (1, 1 << 8),
    (40, 1 << 6),
    (10, 1 << 14),
    (1, 1 << 18),
    (40, 1 << 14),
    (3, 1 << 20),
)  # how many, and how large
LOSS_SIZES = ((8, 10), (32, 10), (64, 256), (128, 1024), (32, 3 * 32 * 32))


@dataclass(frozen=True, slots=True)
class Move:
    """A call to be measured; `size` bytes are read and written by each of so many calls of torch's."""

    what: str
    size: float
    calls: int
    call: Callable[[], object]


def moves(device: torch.device) -> Iterator[Move]:
    """All that are measured, made one after the other."""
    for count in SIZES:
        yield from _in_turn(2 * count, partial(_simple, count, device))
    for tensors, count in TENSORS:
        yield from _in_turn(3 * tensors * count, partial(_of_parameters, tensors, count, device))
    for rows, numbers in LOSS_SIZES:
        yield from _losses(rows, numbers, device)


def _in_turn(numbers: int, make: Callable[[], Iterator[Move]]) -> Iterator[Move]:
    """The same moves on one set of tensors after the other: a step finds little of what they move in the caches."""
    for same in zip(*(make() for _ in range(copies(4 * numbers))), strict=True):
        yield replace(same[0], call=partial(_next, itertools.cycle(move.call for move in same)))


def _next(turn: Iterator[Callable[[], object]]) -> None:
    next(turn)()


def _simple(count: int, device: torch.device) -> Iterator[Move]:
    a, b = torch.randn(2, count, device=device).unbind()
    size = 4 * count
    half, wide, tall = a.to(torch.bfloat16), b.view(2, -1), b.view(1, 16, -1, 1)
    turned = torch.empty_like(tall, memory_format=torch.channels_last)
    calls: dict[str, tuple[float, Callable[[], object]]] = {
        "add": (3 * size, lambda: a.add_(b)), "mul": (2 * size, lambda: a / 2.0), "copy": (2 * size, a.clone),
        "cast": (1.5 * size, lambda: half.to(torch.float32)), "write": (2 * size, lambda: wide.copy_(a.view(2, -1))),
        "mean": (3.5 * size, lambda: torch.stack([a, b]).mean(0)), "views": (2 * size, a.clone),
        "turn": (2 * size, lambda: tall.contiguous(memory_format=torch.channels_last)),
        "add turned": (3 * size, lambda: turned + tall), "place": (size, lambda: torch.zeros_like(a)),
    }  # fmt: skip
    for what, (moved, call) in calls.items():
        yield Move(what, moved, 1, call)


def _of_parameters(count: int, numbers: int, device: torch.device) -> Iterator[Move]:
    tensors, size = [torch.randn(numbers, device=device) for _ in range(count)], 4 * numbers
    others = [torch.zeros_like(tensor) for tensor in tensors]
    yield Move("average", 3 * size, count, lambda: torch._foreach_lerp_(others, tensors, 0.01))
    parameters = [torch.nn.Parameter(tensor) for tensor in tensors]
    for parameter in parameters:
        parameter.grad = torch.randn_like(parameter)
    yield Move("clip", 3 * size, count, lambda: torch.nn.utils.clip_grad_norm_(parameters, 1e9))
    for name, kind in OPTIMIZERS.own.items():
        config = kind.model_validate({"name": name})
        made = named(config.torch, name)(parameters, **config.arguments())
        for group in made.param_groups:
            group["lr"] = 0.0
        state = config.state_bytes([tuple(tensor.shape) for tensor in tensors]) / count
        yield Move(f"step/{name}", 3 * size + 2 * state, count, made.step)


def _losses(rows: int, numbers: int, device: torch.device) -> Iterator[Move]:
    labels, classes = torch.arange(rows, device=device) % 2, 2
    for name, loss in LOSSES.own.items():
        shape = (rows, numbers) if loss.compares != "map" else (rows, 2, math.ceil(numbers / 2), 1)
        out = torch.rand(shape, device=device).clamp(0.01, 0.99).requires_grad_()
        target = {"images": torch.rand_like(out).detach(), "one_hot": torch.eye(classes, device=device)[labels]}.get(
            loss.target, labels
        )
        if loss.compares == "map":
            target = labels[:, None, None].expand(rows, *shape[2:]).contiguous()
        elif loss.compares == "multi_label":
            target = torch.zeros_like(out)
        elif loss.target == "pairs":
            target = labels[: rows // 2]
        yield from _loss(name, out, target, Sizes(rows, out[0].numel(), out.shape[1], classes))


def _loss(name: str, out: Tensor, target: Tensor, sizes: Sizes) -> Iterator[Move]:
    """The bytes are those that the machine of shapes tells of."""
    function, use = loss_function(name, 0.0), LOSSES[name].use(sizes)
    said = function(out, target)
    forward = sizes.full + 2 * use.passing + sum(use.kept)
    yield Move(f"loss/{name}", forward, 1, lambda: function(out, target))
    backward = 2 * (sizes.full + sum(size for size, _ in use.backward))
    yield Move(f"loss/{name}{BACK}", backward, 1, lambda: torch.autograd.grad(said, out, retain_graph=True))
