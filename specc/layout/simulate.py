"""How a step of several devices goes in time: the plans of all ranks, run by a clock instead of by torch.

Every instruction takes what a device's profile says; what is sent takes the links between devices in turn. Nothing is
on its way before both sides have asked for it, as with gloo and NCCL. A step ends when all that it sent has arrived; of
decoupled stages, when all has arrived that was sent so many steps ago as they may be ahead, and so old are the weights
that they are lent.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from ..plan import Evict, Instruction, Receive, ReceiveSources, Reduce, Send, SendSources, Step
from ..plan.offloading import PARAMETERS
from ..timing.events import Action, Events, Key, Links, Span, Transfer, Went
from .timed import Rank
from .volume import message_bytes, summed

ENDS = "end of the step"


@dataclass(frozen=True)
class Simulation:
    """Several steps of all ranks."""

    went: Went
    images: int  # of a step

    @property
    def steps(self) -> int:
        """How many there were."""
        return len(self.went.ends[0])

    @cached_property
    def step_seconds(self) -> float:
        """Of a step, once they have all come into their rhythm: of the slowest rank, over the second half of them."""
        first, last = (self.steps - 1) // 2, self.steps - 1
        if first == last:
            return max(ends[last] for ends in self.went.ends)
        return max((ends[last] - ends[first]) / (last - first) for ends in self.went.ends)

    @property
    def images_per_second(self) -> float:
        """How many are learnt from."""
        return self.images / self.step_seconds

    @property
    def work(self) -> tuple[float, ...]:
        """Seconds that each rank computes, of a step."""
        return tuple(busy / self.steps for busy in self.went.busy)

    @property
    def idle(self) -> tuple[float, ...]:
        """The share of a step that each rank waits."""
        return tuple(max(0.0, 1 - work / self.step_seconds) for work in self.work)

    @property
    def spans(self) -> tuple[Span, ...]:
        """All that took time, work and transfers."""
        return self.went.spans


def simulate(ranks: Sequence[Rank], links: Links, steps: int | None = None, cores: int | None = None) -> Simulation:
    """So many steps in a row, by default enough of them to come into a rhythm; processes may share `cores`."""
    layout = ranks[0].plan.layout
    assert layout is not None
    count = steps or (1 if len(ranks) == 1 else 6 + 2 * layout.ahead)
    own = [_Program(rank, number, count) for number, rank in enumerate(ranks)]
    transfers = {key: transfer for each in own for key, transfer in each.transfers.items()}
    hosts = [tuple(each.beside.actions(each.number, count)) if each.beside else () for each in own]
    went = Events([*(tuple(each.actions()) for each in own), *hosts], transfers, links, cores).run()
    went = replace(went, ends=went.ends[: len(own)], busy=went.busy[: len(own)])
    return Simulation(went, ranks[0].plan.config.data.batch_size)


class _Program:
    """One rank's actions over all steps, and the transfers that it knows how large they are.

    Between two ranks the messages of a step are numbered, on each channel by itself.
    """

    def __init__(self, rank: Rank, number: int, steps: int) -> None:
        assert rank.plan.layout is not None
        self.rank, self.number, self.steps, self.beside = rank, number, steps, rank.beside
        self.plan, self.layout, self.stages = rank.plan, rank.plan.layout, len(rank.plan.layout.stages)
        self.copy, self.stage = divmod(number, self.stages)
        self.keys = self._keys()
        self.sums = {each.group: i for i, each in enumerate(self.plan.instructions) if isinstance(each, Reduce)}

    @property
    def transfers(self) -> dict[Key, Transfer]:
        """All that it receives or sums, of all steps."""
        found: dict[Key, Transfer] = {}
        for i, key in self.keys.items():
            each = self.plan.instructions[i]
            if isinstance(each, Reduce):
                transfer = self._sum(each)
            elif isinstance(each, Receive | ReceiveSources):
                transfer = Transfer((self._peer(each.source), self.number), message_bytes(self.plan, each))
            else:
                continue
            found |= {(*key, step): transfer for step in range(self.steps)}
        for i, said in self.rank.told.items():
            transfer = Transfer(self._copies, said.bytes, said.latencies, ring=True)
            found |= {self._told(i, step): transfer for step in range(self.steps)}
        return found | (self.beside.transfers(self.number, self.steps) if self.beside else {})

    def actions(self) -> Iterator[Action]:
        """Of all steps."""
        sent = tuple(k for i, k in self.keys.items() if isinstance(self.plan.instructions[i], Send | SendSources))
        for step in range(self.steps):
            for i, each in enumerate(self.plan.instructions):
                if i in self.rank.told:
                    key = self._told(i, step)
                    yield Action("copies", asks=(key,), awaits=(key,))
                action = self._action(i, each, step)
                yield self.beside.around(action, i, self.number, step) if self.beside else action
            arrived = step - self.layout.ahead
            awaits = tuple((*key, arrived) for key in sent if arrived >= 0)
            made = self.beside.all_made(self.number, step) if self.beside else ()
            yield Action(ENDS, awaits=(*awaits, *made), ends=True)

    def _action(self, i: int, each: Instruction, step: int) -> Action:
        label, seconds = str(each), self.rank.seconds[i]
        own = ((*self.keys[i], step),) if i in self.keys else ()
        match each:
            case Send() | SendSources() | Reduce():
                return Action(label, seconds, gives=own)
            case Receive():
                return Action(label, seconds, asks=own, awaits=own)
            case ReceiveSources():
                lent = self._lent(i, step)
                return Action(label, seconds, asks=lent, awaits=lent)
            case Step() if each.group in self.sums:
                return Action(label, seconds, awaits=((*self.keys[self.sums[each.group]], step),))
            case Evict() if (group := each.state.removeprefix(PARAMETERS)) in self.sums:
                return Action(label, seconds, awaits=((*self.keys[self.sums[group]], step),))
        return Action(label, seconds)

    def _told(self, i: int, step: int) -> Key:
        return ("copies", self.stage, i, step)

    def _lent(self, i: int, step: int) -> tuple[Key, ...]:
        """The weights of so many steps ago; until there are some, those of the first step."""
        ahead = self.layout.ahead
        return () if 0 < step <= ahead else ((*self.keys[i], max(step - ahead, 0)),)

    def _keys(self) -> dict[int, tuple[object, ...]]:
        """Names of transfers by the instructions that ask for them."""
        found: dict[int, tuple[object, ...]] = {}
        numbers: defaultdict[tuple[object, ...], int] = defaultdict(int)
        for i, each in enumerate(self.plan.instructions):
            match each:
                case Send() | SendSources():
                    channel: tuple[object, ...] = (self.number, self._peer(each.to), isinstance(each, SendSources))
                case Receive() | ReceiveSources():
                    channel = (self._peer(each.source), self.number, isinstance(each, ReceiveSources))
                case Reduce():
                    found[i] = ("sum", self.stage, each.group)
                    continue
                case _:
                    continue
            found[i] = (*channel, numbers[channel])
            numbers[channel] += 1
        return found

    def _peer(self, stage: int) -> int:
        return self.layout.rank_of(stage, self.copy)

    def _sum(self, each: Reduce) -> Transfer:
        copies, size = self.layout.copies, summed(self.plan, each)
        return Transfer(self._copies, size.by_device(copies), size.latencies(copies), ring=True)

    @property
    def _copies(self) -> tuple[int, ...]:
        return tuple(self.layout.rank_of(self.stage, copy) for copy in range(self.layout.copies))
