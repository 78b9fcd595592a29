"""How many bytes move between devices: what each rank of a plan sends and receives in a step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..graph.ops import numel
from ..memory.prediction import lent_bytes
from ..plan import Plan, Receive, ReceiveSources, Reduce
from ..plan.buckets import buckets
from .timed import Rank


@dataclass(frozen=True, slots=True)
class Volume:
    """Bytes that a device sends and receives in a step."""

    sent: float
    received: float


@dataclass(frozen=True, slots=True)
class Sum:
    """A sum of tensors over the copies: how large it is, and in how many messages."""

    bytes: int
    messages: int

    def by_device(self, copies: int) -> float:
        """Bytes that each device sends, and as many that it receives: 2 (n - 1) / n, as round a ring."""
        return 2 * (copies - 1) / copies * self.bytes

    def latencies(self, copies: int) -> int:
        """How many messages a device waits for, one after the other."""
        return 2 * (copies - 1) * self.messages


def summed(plan: Plan, each: Reduce) -> Sum:
    """The gradients of a group, which are in fp32."""
    networks = (plan.networks[name] for name in plan.groups[each.group])
    sizes = [4 * numel(shape) for network in networks for shape in network.graph.trained.values()]
    return Sum(sum(sizes), sum(1 for _ in buckets(sizes, lambda size: size)))


def message_bytes(plan: Plan, each: Receive | ReceiveSources) -> int:
    """What a rank receives by an instruction."""
    if isinstance(each, ReceiveSources):
        return lent_bytes(plan, each)
    assert plan.layout is not None
    rows = plan.layout.rows(plan.config.data.batch_size)[each.slice]
    return rows * (1 if each.what == "labels" else plan.config.views) * numel(each.shape) * each.width


def volumes(ranks: Sequence[Rank]) -> tuple[Volume, ...]:
    """Of all ranks: what one receives another one has sent."""
    sent, received = [0.0] * len(ranks), [0.0] * len(ranks)
    for number, rank in enumerate(ranks):
        layout = rank.plan.layout
        assert layout is not None
        rings = [told.bytes for told in rank.told.values()]
        rings += [summed(rank.plan, each).by_device(layout.copies)
                  for each in rank.plan.instructions if isinstance(each, Reduce)]  # fmt: skip
        sent[number] += sum(rings)
        received[number] += sum(rings)
        for each in rank.plan.instructions:
            if isinstance(each, Receive | ReceiveSources):
                size = message_bytes(rank.plan, each)
                received[number] += size
                sent[layout.rank_of(each.source)] += size
    return tuple(map(Volume, sent, received))
