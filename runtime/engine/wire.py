"""What moves between the devices of a run, by torch's process groups: sums over copies, values between stages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Protocol

import torch
import torch.distributed as dist
from torch import Tensor, nn

from specc.plan import Channel, Layout, Plan
from specc.plan.buckets import buckets

Kind = Literal["values", "sources"]


class Waits(Protocol):
    """Something that was begun."""

    def wait(self) -> Any:
        """Until it is done."""


class Wire:
    """One rank's end of all that moves; all ranks make theirs at the same time.

    Every two stages have a process group for each direction, and one for the weights that are lent: within a group
    messages arrive in the order in which they were sent, and none waits behind one of another group.
    """

    def __init__(self, plan: Plan) -> None:
        assert plan.layout is not None
        self.layout = layout = plan.layout
        stages, copies = range(len(layout.stages)), range(layout.copies)
        made = {
            (copy, each): _group(layout, [layout.rank_of(stage, copy) for stage in sorted((each.source, each.to))])
            for copy in copies for each in layout.channels
        }  # fmt: skip
        self._channels = {each: group for (copy, each), group in made.items() if copy == layout.copy}
        sums = [_group(layout, [layout.rank_of(stage, copy) for copy in copies]) for stage in stages]
        self.copies = sums[layout.stage]
        self._pending: dict[str, list[Waits]] = {}
        self._sent: list[tuple[Waits | None, Tensor]] = []

    def reduce(self, group: str, parameters: Sequence[nn.Parameter]) -> None:
        """Begin to sum gradients over the copies; they become views of the messages that they travel in."""
        own = [parameter for parameter in parameters if parameter.grad is not None]
        self._pending[group] = [
            dist.all_reduce(_message(bucket), group=self.copies, async_op=True)
            for bucket in buckets(own, lambda parameter: _gradient(parameter).nbytes)
        ]

    def await_sums(self, group: str) -> None:
        """Wait for what `reduce` has begun."""
        for each in self._pending.pop(group, ()):
            each.wait()

    def send(self, x: Tensor, to: int, kind: Kind = "values") -> None:
        """Begin to send a tensor, which stays until `settle`."""
        channel = self._channels[Channel(self.layout.stage, to, kind)]
        self._sent.append((dist.isend(_flat(x), self.layout.rank_of(to), group=channel), x))

    def receive(self, x: Tensor, source: int, kind: Kind = "values") -> Tensor:
        """Wait for a tensor of this shape, and fill it."""
        channel = self._channels[Channel(source, self.layout.stage, kind)]
        dist.recv(_flat(x), self.layout.rank_of(source), group=channel)
        return x

    def settle(self) -> None:
        """Wait until all that was sent has arrived."""
        while self._sent:
            begun, _ = self._sent.pop(0)
            if begun is not None:  # of another rank's group
                begun.wait()


def _group(layout: Layout, ranks: list[int]) -> Any:
    """All ranks make all groups, in one order; None for those that this one is not in."""
    made = dist.new_group(ranks) if len(ranks) > 1 else None
    return made if layout.rank in ranks else None


def _message(parameters: Sequence[nn.Parameter]) -> Tensor:
    """One tensor of several gradients as they lie in memory; one gradient is its own."""
    gradients = [_dense(_gradient(parameter)) for parameter in parameters]
    if len(gradients) == 1:
        parameters[0].grad = gradients[0]
        return _flat(gradients[0])
    message, first = torch.cat([_flat(each) for each in gradients]), 0
    for parameter, each in zip(parameters, gradients, strict=True):
        parameter.grad = message.as_strided(each.size(), each.stride(), first)
        first += each.numel()
    return message


def _gradient(parameter: nn.Parameter) -> Tensor:
    assert parameter.grad is not None
    return parameter.grad


def _flat(x: Tensor) -> Tensor:
    """Its numbers as they lie in memory."""
    return x.as_strided((x.numel(),), (1,), x.storage_offset())


def _dense(x: Tensor) -> Tensor:
    """The same where its numbers lie side by side in some order, else a copy."""
    last = sum((count - 1) * step for count, step in zip(x.size(), x.stride(), strict=True))
    return x if last + 1 == x.numel() and 0 not in x.stride() else x.contiguous()
