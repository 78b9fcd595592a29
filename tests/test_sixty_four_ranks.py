"""Up to 64 ranks without 64 processes: the runtime runs each rank's own plan in a fake process group of torch's.

What it asks of torch.distributed is written down, played against what the others ask, and held to the simulation: the
same messages in the same order, the same bytes, and when an event for each says that it arrives, the same times.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch.distributed as dist
from torch import Tensor
from torch._subclasses import FakeTensorMode
from torch.testing._internal.distributed.fake_pg import FakeStore

from runtime.engine.session import Session
from runtime.engine.wire import Wire
from runtime.memory.trace import Corrections, fake_batch
from specc.layout import every_rank, stages_of
from specc.layout.simulate import simulate
from specc.layout.timed import Rank, ranks_on
from specc.layout.volume import volumes
from specc.plan import Channel, Instruction
from specc.profiles import find
from specc.timing.events import Action, Events, Links, Transfer

from .documents import Document, compiled

LINKS = Links(1e9, 1e-5)
Key = tuple[object, ...]


def chain(count: int) -> Document:
    """So many blocks of one convolution each, and a classifier."""
    layers: list[Document] = []
    for i in range(count):
        layers += [
            {"name": f"conv{i}", "op": "conv", "out": 4 + i % 3, "k": 3, "pad": 1},
            {"name": f"act{i}", "op": "relu"},
        ]
    layers += [{"name": "pool", "op": "global_avg_pool"}, {"name": "fc", "op": "linear", "out": 4}]
    data = {"dataset": "synthetic", "image_size": 4, "channels": 3, "classes": 4, "samples": 16, "batch_size": 11}
    return {"backbone": {"layers": layers}, "split": {"after": [f"act{i}" for i in range(count - 1)]}, "data": data,
            "auxiliary": {"classifier": {"layers": "0c1f"}}}  # fmt: skip


@dataclass
class Log:
    """What one rank asks of torch.distributed, as actions of a device, and how many bytes each message has."""

    rank: int
    wire: Wire
    actions: list[Action] = field(default_factory=list)
    sizes: dict[Key, int] = field(default_factory=dict)
    numbers: Counter[object] = field(default_factory=Counter)
    asks: list[Key] = field(default_factory=list)  # by the instruction at hand, as all below
    awaits: list[Key] = field(default_factory=list)
    gives: list[Key] = field(default_factory=list)

    def key(self, group: Any, size: int, peer: int | None = None) -> Key:
        """The name of a message: its channel, or that it is one of a stage's sums, and its number there."""
        channels = [each for each, own in self.wire._channels.items() if own is group]
        name: Any = channels[0] if channels else "sum"
        assert (peer is None) == (not channels)
        layout = self.wire.layout
        if peer is not None:  # the group's two ends are this rank and the one that is named
            assert peer == layout.rank_of(name.to if name.source == layout.stage else name.source)
        number, self.numbers[name] = self.numbers[name], self.numbers[name] + 1
        self.sizes[key := (name, layout.copy if channels else layout.stage, number)] = size
        return key

    def ends(self, label: str, seconds: float = 0.0, *, step: bool = False) -> None:
        """An instruction, or a step: it waits, takes its time, and then lets others have what it has."""
        asks, awaits, gives = (tuple(each) for each in (self.asks, self.awaits, self.gives))
        self.actions.append(Action(label, seconds, asks, awaits, gives, ends=step))
        self.asks, self.awaits, self.gives = [], [], []


class Begun:
    """What torch gives for something that goes on: that it is waited for is written down."""

    def __init__(self, log: Log, key: Key) -> None:
        self.log, self.key = log, key

    def wait(self) -> None:
        self.log.awaits.append(self.key)


@contextmanager
def written_down(log: Log) -> Iterator[None]:
    """Torch's own functions, which are asked all the same."""
    own = {name: getattr(dist, name) for name in ("isend", "recv", "all_reduce")}

    def isend(x: Tensor, to: int, group: Any) -> Begun:
        own["isend"](x, to, group=group)
        key = log.key(group, x.nbytes, to)
        log.gives.append(key)
        return Begun(log, key)

    def recv(x: Tensor, source: int, group: Any) -> None:
        own["recv"](x, source, group=group)
        key = log.key(group, x.nbytes, source)
        log.asks.append(key)
        log.awaits.append(key)

    def all_reduce(x: Tensor, group: Any, async_op: bool) -> Begun:
        own["all_reduce"](x, group=group, async_op=async_op)
        assert group is log.wire.copies
        key = log.key(group, x.nbytes)
        log.gives.append(key)
        return Begun(log, key)

    for name, function in {"isend": isend, "recv": recv, "all_reduce": all_reduce}.items():
        setattr(dist, name, function)
    try:
        yield
    finally:
        for name, function in own.items():
            setattr(dist, name, function)


def logged(rank: Rank, steps: int) -> Log:
    """What the runtime asks in so many steps of a rank's plan."""
    plan = rank.plan
    assert plan.layout is not None
    dist.init_process_group("fake", rank=plan.layout.rank, world_size=plan.layout.count, store=FakeStore())
    try:
        log = Log(plan.layout.rank, wire := Wire(plan))
        session = Session(plan, "cpu", initialise=False, wire=wire)
        with written_down(log):
            for _ in range(steps):
                a_step(session, log, rank)
    finally:
        dist.destroy_process_group()
    return log


def a_step(session: Session, log: Log, rank: Rank) -> None:
    """Every instruction takes its time once it has all that it waits for."""
    layout, left = rank.plan.layout, deque(zip(rank.plan.instructions, rank.seconds, strict=True))
    assert layout is not None

    def begins(instruction: Instruction) -> None:
        if instruction is not left[0][0]:
            ends()
        assert instruction is left[0][0]

    def ends() -> None:
        before, seconds = left.popleft()
        log.ends(str(before), seconds)

    session.executor.observer, session.executor.done = begins, ends
    given = fake_batch(rank.plan) if layout.stage == 0 else (None, None)
    session.train_step(*given, samples=rank.plan.config.data.batch_size)
    log.ends("end of the step", step=True)


def transfers(logs: Sequence[Log], ranks: Sequence[Rank]) -> dict[Key, Transfer]:
    """Of every message the two that have it, or of a sum all of a stage; both sides have to speak of as many bytes."""
    layout = ranks[0].plan.layout
    assert layout is not None
    asked: defaultdict[Key, list[tuple[int, int]]] = defaultdict(list)
    for log in logs:
        for key, size in log.sizes.items():
            asked[key].append((log.rank, size))
    found: dict[Key, Transfer] = {}
    for key, sides in asked.items():
        (name, whose, _), sizes = key, {size for _, size in sides}
        assert len(sizes) == 1, f"{key}: {sides}"
        (size,), members = sizes, tuple(rank for rank, _ in sides)
        if isinstance(name, Channel):
            ends = layout.rank_of(name.source, whose), layout.rank_of(name.to, whose)
            unread = layout.ahead and name.kind == "sources" and members == ends[:1]  # lent for a later step
            assert unread or set(members) == set(ends), f"{key} is sent and not received, or the other way round"
            found[key] = Transfer(ends, size)
        else:
            turns = 2 * (layout.copies - 1)
            assert members == tuple(layout.rank_of(whose, copy) for copy in range(layout.copies))
            found[key] = Transfer(members, turns / layout.copies * size, turns, ring=True)
    return found


def moved(found: dict[Key, Transfer], count: int) -> dict[str, list[float]]:
    """Bytes that every rank sends, and receives, in all."""
    sent, received = [0.0] * count, [0.0] * count
    for each in found.values():
        for sender in each.members if each.ring else each.members[:1]:
            sent[sender] += each.bytes
        for receiver in each.members if each.ring else each.members[1:]:
            received[receiver] += each.bytes
    return {"sent": sent, "received": received}


LAYOUTS: dict[str, tuple[int, Document, Document, int]] = {
    "64 ranks, 16 stages of 4 copies": (16, {"data_parallel": 4, "block_parallel": 16}, {}, 1),
    "8 stages": (8, {"block_parallel": 8}, {"train": {"micro_batches": 2}, "levels": [{"name": "a", "window": 2}]}, 2),
    "12 ranks whose links cross stages": (
        6, {"data_parallel": 2, "block_parallel": 6}, {"ema_links": [{"from": "next", "momentum": 0.9}]}, 3,
    ),
    "decoupled": (
        4, {"block_parallel": 4, "mode": "decoupled", "staleness": 2},
        {"ema_links": [{"from": "next", "momentum": 0.9}]}, 6,
    ),
}  # fmt: skip


@pytest.mark.parametrize("layout", LAYOUTS)
def test_what_the_runtime_asks_of_every_rank_is_what_is_simulated(layout: str) -> None:
    blocks, devices, parts, steps = LAYOUTS[layout]
    plan = compiled(**chain(blocks) | parts, devices=devices)
    ranks = ranks_on(every_rank(plan, stages_of(plan)), find("h100"))
    with FakeTensorMode(), Corrections():
        logs = [logged(rank, steps) for rank in ranks]
    messages = transfers(logs, ranks)
    went = Events([log.actions for log in logs], messages, LINKS).run()
    simulated = simulate(ranks, LINKS, steps)
    for own, wanted in zip(went.ends, simulated.went.ends, strict=True):
        assert own == pytest.approx(wanted, rel=1e-9)
    assert went.busy == pytest.approx(simulated.went.busy, rel=1e-9)
    if plan.config.devices.mode == "synchronous":  # else weights are not lent in every step
        found, step = moved(messages, len(ranks)), volumes(ranks)
        assert found["sent"] == pytest.approx([steps * each.sent for each in step])
        assert found["received"] == pytest.approx([steps * each.received for each in step])
