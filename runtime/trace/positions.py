"""Where a part of a traced network puts the tokens that it reads, seen by moving them."""

from __future__ import annotations

from collections.abc import Set
from typing import Any

import torch
from torch import Tensor

from specc.graph.ops import Shape

from .measuring import BATCHES, NONE

Aligned = tuple[tuple[int, ...], int]  # the inputs that the result stands beside, and how many tokens come first
NOWHERE: Aligned = ((), 0)
SOME = 3  # a token that is hardly ever one that counts for nothing


def aligned(module: Any, takes: tuple[Shape, ...], count: int, integers: Set[int] = NONE) -> Aligned:
    """The inputs whose order the `count` tokens of the result keep, and how many more than those there are in front.

    Attention and whatever works token by token give the same tokens in another order when they are given them in that
    order. A part with tensors of its own need not, as with a learnt number for every pair of positions: it is believed
    where it gives as many as it takes, and where there are more the last one has to go with the last one that is read.
    """
    tokens = {i: shape[0] for i, shape in enumerate(takes) if len(shape) == 2}
    beside = {i: length for i, length in tokens.items() if length == count} or tokens
    if len(set(beside.values())) != 1:
        return NOWHERE
    length = next(iter(beside.values()))
    found = tuple(beside), count - length
    owns = any(True for _ in (*module.parameters(), *module.buffers()))
    if owns and count == length:
        return found
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        given = [_drawn(shape, i in integers) for i, shape in enumerate(takes)]
        keeps = (_goes_along if owns else _turns_along)(module, given, found[0], count)
    return found if keeps else NOWHERE


def _drawn(shape: Shape, whole: bool) -> Tensor:
    """Numbers of a batch; whole ones are all the same, as they tell which tokens count."""
    return torch.full((BATCHES[0], *shape), SOME) if whole else torch.rand(BATCHES[0], *shape)


def _turns_along(module: Any, given: list[Tensor], moved: tuple[int, ...], count: int) -> bool:
    """Whether tokens in another order come out in that order."""
    length = min(count, *(given[i].shape[1] for i in moved))
    order = torch.randperm(length)
    turned = [_reordered(x, order) if i in moved else x for i, x in enumerate(given)]
    there, back = (_told(module, inputs) for inputs in (given, turned))
    return torch.allclose(_reordered(there, order), back, rtol=1e-3, atol=1e-4)


def _reordered(x: Tensor, order: Tensor) -> Tensor:
    """The last tokens in another order."""
    start = x.shape[1] - len(order)
    return torch.cat([x[:, :start], x[:, start:][:, order]], 1)


def _goes_along(module: Any, given: list[Tensor], moved: tuple[int, ...], count: int) -> bool:
    """Whether of more tokens than are read the last one changes with the last one, and what is put in front does not.

    The part's own tensors are filled with numbers for it.
    """
    more = count - given[moved[0]].shape[1]
    own = {name: torch.rand(tensor.shape).to(tensor.dtype) for name, tensor in _tensors(module)}
    there = _told(module, given, own)
    for i in moved:
        given[i][:, -1] += 1.0
    changed = (_told(module, given, own) - there).abs().amax((0, 2)) > 0
    return more > 0 and bool(changed[-1]) and not bool(changed[:more].any())


def _tensors(module: Any) -> list[tuple[str, Tensor]]:
    return [*module.named_parameters(), *module.named_buffers()]


@torch.no_grad()
def _told(module: Any, inputs: list[Tensor], own: dict[str, Tensor] | None = None) -> Tensor:
    """What the part gives in evaluation, where nothing is left out at random."""
    training = module.training
    module.eval()
    found: Tensor = torch.func.functional_call(module, own or {}, tuple(inputs))
    module.train(training)
    return found
