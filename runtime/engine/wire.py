"""What moves between the devices of a run, by torch's process groups: sums over copies, values between stages."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, Protocol

import torch
import torch.distributed as dist
from torch import Tensor, nn

from specc.plan import Channel, Layout, Plan, ReceiveSources
from specc.plan.buckets import buckets

from .groups import new_group
from .sharding import mesh_of

Kind = Literal["values", "sources"]


class Waits(Protocol):
    """Something that was begun."""

    def wait(self) -> Any:
        """Until it is done."""


class Wire:
    """One rank's end of all that moves; all ranks make theirs at the same time.

    Every two stages have a process group for each direction, and one for the weights that are lent: within a group
    messages arrive in the order in which they were sent, and none waits behind one of another group.

    Decoupled stages may be some steps ahead: so long what was sent may be on its way, and so old are the weights that
    are lent. That is a number of steps, not of seconds, so a run gives the same numbers every time.
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
        apart = [_group(layout, [layout.rank_of(stage, copy) for copy in copies]) for stage in stages]
        self.mesh = mesh_of(self.copies) if layout.sharded else None
        self.norms = apart[layout.stage] if plan.config.devices.sync_batch_norm else None  # nobody waits behind sums
        self._pending: dict[str, list[Waits]] = {}
        self._sent: list[tuple[Waits | None, Tensor]] = []  # in this step
        self._earlier: deque[list[tuple[Waits | None, Tensor]]] = deque()  # in those before it
        self._borrowed: Counter[str] = Counter()  # by units, and how often
        self._lenders = [(each.unit, each.source) for each in plan.instructions if isinstance(each, ReceiveSources)]

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

    def borrow(self, unit: str, x: Tensor, source: int) -> None:
        """Fill a tensor with the weights that another stage lends a unit; with older ones where stages are decoupled.

        The first is waited for, so that a run that goes on begins with the weights of its checkpoint.
        """
        self._borrowed[unit] += 1
        if not 1 < self._borrowed[unit] <= self.layout.ahead + 1:
            self.receive(x, source, "sources")

    def finish(self, spare: Mapping[str, Tensor]) -> None:
        """No step follows: wait until all has arrived, and take what was lent and is needed no more."""
        for missed in range(self.layout.ahead):
            for unit, source in self._lenders:
                if self._borrowed[unit] > missed + 1:
                    self.receive(torch.empty_like(spare[unit]), source, "sources")
        self._borrowed.clear()
        for step in (*self._earlier, self._sent):
            _await(step)
        self._earlier.clear()
        self._sent = []

    @property
    def held(self) -> Iterator[Tensor]:
        """What was sent in earlier steps and may be on its way."""
        return (x for step in self._earlier for _, x in step)

    def settle(self) -> None:
        """The step ends: wait until all has arrived that was sent so many steps ago as stages may be ahead."""
        self._earlier.append(self._sent)
        self._sent = []
        while len(self._earlier) > self.layout.ahead:
            _await(self._earlier.popleft())


def _await(sent: Sequence[tuple[Waits | None, Tensor]]) -> None:
    for begun, _ in sent:
        if begun is not None:  # of another rank's group
            begun.wait()


def _group(layout: Layout, ranks: list[int]) -> Any:
    """All ranks make all groups, in one order; None for those that this one is not in."""
    made = new_group(ranks) if len(ranks) > 1 else None
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
