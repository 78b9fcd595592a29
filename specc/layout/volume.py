"""How many bytes move between devices: what each rank of a plan sends and receives in a step."""

from __future__ import annotations

from dataclasses import dataclass

from ..graph.ops import numel
from ..memory.prediction import lent_bytes
from ..plan import Plan, Receive, ReceiveSources, Reduce
from ..plan.buckets import buckets


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
        return turns(copies) / copies * self.bytes

    def latencies(self, copies: int) -> int:
        """How many messages a device waits for, one after the other."""
        return turns(copies) * self.messages


def turns(copies: int) -> int:
    """Of a ring that sums: once round to add up, and once round to tell."""
    return 2 * (copies - 1)


def summed(plan: Plan, each: Reduce) -> Sum:
    """The gradients of a group, which are in fp32."""
    networks = (plan.networks[name] for name in plan.groups[each.group])
    sizes = [4 * numel(shape) for network in networks for shape in network.parameters.values()]
    return Sum(sum(sizes), sum(1 for _ in buckets(sizes, lambda size: size)))


def message_bytes(plan: Plan, each: Receive | ReceiveSources) -> int:
    """What a rank receives by an instruction."""
    if isinstance(each, ReceiveSources):
        return lent_bytes(plan, each)
    count, slices = plan.batch, plan.config.train.micro_batches
    rows = (each.slice + 1) * count // slices - each.slice * count // slices
    return rows * (1 if each.what == "labels" else plan.config.views) * numel(each.shape) * each.width


def volumes(plans: tuple[Plan, ...]) -> tuple[Volume, ...]:
    """Of all ranks: what one receives another one has sent."""
    sent, received = [0.0] * len(plans), [0.0] * len(plans)
    for rank, plan in enumerate(plans):
        layout = plan.layout
        assert layout is not None
        for each in plan.instructions:
            match each:
                case Receive() | ReceiveSources():
                    size = message_bytes(plan, each)
                    received[rank] += size
                    sent[layout.rank_of(each.source)] += size
                case Reduce():
                    size_of_ring = summed(plan, each).by_device(layout.copies)
                    sent[rank] += size_of_ring
                    received[rank] += size_of_ring
    return tuple(map(Volume, sent, received))
