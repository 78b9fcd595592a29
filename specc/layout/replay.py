"""One rank of a layout, replayed in symbols as far as it gets without what others have not sent yet."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal, NamedTuple

from ..plan import (
    Channel,
    EmaUpdate,
    Evict,
    Free,
    Instruction,
    Load,
    Plan,
    Receive,
    ReceiveSources,
    Reduce,
    Send,
    SendSources,
    Step,
)
from ..plan.values import IMAGES, LABELS, cotangent, features, of_slice
from ..plan.whereabouts import Whereabouts
from .symbols import SOURCE, Sum, Whole

Kind = Literal["values", "sources"]


class Message(NamedTuple):
    """Something on its way between two stages."""

    name: str
    how: tuple[object, ...]  # how its bytes are to be read
    symbols: tuple[Sum, ...]


class Shared:
    """What ranks have between them: messages on their way, and which sums were begun."""

    def __init__(self, plan: Plan, ranks: Sequence[Plan]) -> None:
        assert ranks[0].layout is not None
        self.copies, self.channels = ranks[0].layout.copies, ranks[0].layout.channels
        self.queues: dict[tuple[int, Channel], deque[Message]] = {
            (copy, each): deque() for copy in range(self.copies) for each in self.channels
        }
        self.sums: dict[int, list[str]] = {}  # by stage, in the order in which they are begun
        self.begun: Counter[tuple[int, str]] = Counter()  # in how many copies
        target = plan.config.learns.target.shape(plan.data)
        self.shapes = {of_slice(IMAGES, i): plan.data.shape for i in range(plan.config.train.micro_batches)}
        for i in range(plan.config.train.micro_batches):
            self.shapes[of_slice(LABELS, i)] = target
            for block in plan.blocks:
                graph = plan.networks[block.name].graph
                made = {node.name: node.shape for node in graph.nodes}
                shapes = {"": block.output} | {name: made[name] for name in graph.gives}
                for skip, shape in shapes.items():
                    gradients = (cotangent(block.index, start, i, skip) for start in range(block.index + 1))
                    self.shapes |= dict.fromkeys((features(block.index, i, skip), *gradients), shape)


class Replay:
    """One rank, as far as it has come."""

    def __init__(self, whole: Whole, shared: Shared, rank: Plan) -> None:
        assert rank.layout is not None
        self.whole, self.shared, self.plan, self.layout = whole, shared, rank, rank.layout
        self.found: list[str] = []
        given = whole.given if self.layout.stage == 0 else ()
        self.callers = {*given, *(whole.left if self.layout.last else ())}
        self.state = whole.state(rank, given)
        self.used = dict.fromkeys(given, -1)
        self.done: Counter[str] = Counter()
        self.summed: list[str] = []  # groups whose sums were begun
        self.latest = -1  # of the whole's instructions that are no steps
        self.position = 0
        self.previous = -1  # instruction that was no free
        self.whereabouts = Whereabouts(rank, self._wrong)

    @property
    def now(self) -> Instruction:
        """The instruction that comes next."""
        return self.plan.instructions[self.position]

    @property
    def ended(self) -> bool:
        """Whether it has done all."""
        return self.position == len(self.plan.instructions)

    def go_on(self) -> bool:
        """Do what can be done without waiting; whether something was."""
        began = self.position
        while not self.ended and not self._waits(self.now):
            self._do(self.now)
            if not isinstance(self.now, Free | Load | Evict):
                self.previous = self.position
            self.position += 1
        return self.position > began

    def waiting(self) -> str:
        """What for, of one that has not ended."""
        return f"rank {self.layout.rank}: {self.position}: {self.now}: waits for ever"

    def left_over(self) -> Iterator[str]:
        """What there is at the end and should not be, and the other way round."""
        alive, rank = self.state.values.keys(), f"rank {self.layout.rank}"
        yield from (f"{rank}: `{name}` is never freed" for name in sorted(alive - self.callers))
        yield from (f"{rank}: `{name}` is not there at the end" for name in sorted(self.callers - alive))
        yield from (f"{rank}: `{name}` was lent for nothing" for name in self.state.lent)
        yield from (f"{rank}: {left}" for left in self.whereabouts.left_over())

    def _wrong(self, what: str) -> None:
        self.found.append(f"rank {self.layout.rank}: {self.position}: {self.now}: {what}")

    def _waits(self, i: Instruction) -> bool:
        match i:
            case Receive():
                return not self.shared.queues.get((self.layout.copy, self._from(i.source, "values")), True)
            case ReceiveSources():
                return not self.shared.queues.get((self.layout.copy, self._from(i.source, "sources")), True)
            case Step() if i.group in self.summed:
                return self.shared.begun[self.layout.stage, i.group] < self.shared.copies
        return False

    def _do(self, i: Instruction) -> None:
        self._use(name for name in i.reads | i.writes if ":" not in name)
        self.whereabouts.see(i)
        match i:
            case Free():
                self._free(i)
            case Load() | Evict():
                pass  # where parameters are changes nothing that is computed
            case Reduce():
                self._reduce(i)
            case Send():
                self._put(i.to, "values", Message(i.value, (i.slice, i.channels_last), (self._read(i.value),)))
            case Receive():
                self._receive(i)
            case SendSources():
                self._put(i.to, "sources", Message(i.unit, i.tensors, tuple(self._lend(i))))
            case ReceiveSources():
                self._borrow(i)
            case _:
                self._compute(i)

    # ------------------------------------------------------------------------------------------- what is computed

    def _compute(self, i: Instruction) -> None:
        place = self.whole.places.get(str(i))
        if place is None or self.whole.instructions[place] != i:
            self._wrong("is not what it is in the whole step")
            return
        if not isinstance(i, Step):  # which may wait for sums while others go on
            if place < self.latest:
                self._wrong("comes before what it follows in the whole step")
            self.latest = max(self.latest, place)
        self.done[str(i)] += 1
        self._sums(i)
        for name, wanted in self.whole.seen[str(i)].items():
            if self._read(name) != wanted:
                self._wrong(f"`{name}` is not what it is in the whole step")
        self.state.run(i)
        if isinstance(i, EmaUpdate):  # weights are lent for one average
            sources = self.whole.tensors.sources(i.unit)
            self.state.lent = {name: each for name, each in self.state.lent.items() if name not in sources}

    def _sums(self, i: Instruction) -> None:
        """A step is of gradients that were summed, where there are copies, and nothing is added to a sum.

        Copies that keep a part of the gradients each have summed them when they are there.
        """
        if isinstance(i, Step):
            if (self.shared.copies > 1 and not self.layout.sharded) != (i.group in self.summed):
                self._wrong("its gradients are to be summed over the copies, where there are some")
        elif late := sorted(name for name in i.writes if name.removeprefix("grads:") in self.summed):
            self._wrong(f"adds to `{late[0]}`, which is being summed")

    def _read(self, name: str) -> Sum:
        kind, _, rest = name.rpartition(":")
        apart = (kind in ("params", "grads") and rest in self.whole.plan.groups and rest not in self.plan.groups) or (
            kind == "ema" and rest not in self.plan.by_unit
        )
        found = None if apart else self.state.look(name)
        if found is None:
            self._wrong(f"`{name.removeprefix(SOURCE)}` is not there")
        return found or ()

    def _free(self, i: Free) -> None:
        for name in i.values:
            if self.state.values.pop(name, None) is None:
                self._wrong(f"`{name}` is not alive")
            elif self.used[name] != self.previous:
                self._wrong(f"`{name}` was used last at {self.used[name]} and should have been freed there")
            if name in self.callers:
                self._wrong(f"`{name}` belongs to the caller")

    def _use(self, names: Iterable[str]) -> None:
        self.used |= dict.fromkeys(names, self.position)

    # ------------------------------------------------------------------------------------------------ what moves

    def _from(self, stage: int, kind: Kind) -> Channel:
        return Channel(stage, self.layout.stage, kind)

    def _put(self, to: int, kind: Kind, message: Message) -> None:
        channel = Channel(self.layout.stage, to, kind)
        if channel in self.shared.channels:
            self.shared.queues[self.layout.copy, channel].append(message)
        else:
            self._wrong("there is no such channel")

    def _take(self, source: int, kind: Kind, name: str, how: tuple[object, ...]) -> tuple[Sum, ...] | None:
        """The next message, where it is the one that is waited for."""
        channel = self._from(source, kind)
        if channel not in self.shared.channels:
            self._wrong("there is no such channel")
            return None
        message = self.shared.queues[self.layout.copy, channel].popleft()
        if (message.name, message.how) == (name, how):
            return message.symbols
        self._wrong(f"gets `{message.name}` instead, or as something else")
        return None

    def _receive(self, i: Receive) -> None:
        there = self.state.values.get(i.value)
        if self.shared.shapes.get(i.value) != i.shape:
            self._wrong("there is no such value of this shape")
        if i.adds != (there is not None):
            self._wrong("there is nothing to add to" if i.adds else "it is there already")
        for parts in self._take(i.source, "values", i.value, (i.slice, i.channels_last)) or ((),):
            self.state.values[i.value] = tuple(sorted((*(there or ()), *parts)))

    def _lend(self, i: SendSources) -> Iterator[Sum]:
        for name in i.tensors:
            if self.whole.tensors.owner(name) not in i.uses:
                self._wrong(f"does not say that it uses `{name}`")
            yield self._read(SOURCE + name)

    def _borrow(self, i: ReceiveSources) -> None:
        for name, each in zip(i.tensors, self._take(i.source, "sources", i.unit, i.tensors) or (), strict=False):
            self.state.lent[name] = each

    def _reduce(self, i: Reduce) -> None:
        order = self.shared.sums.setdefault(self.layout.stage, [])
        place = len(self.summed)
        if i.group in self.summed or i.group not in self.plan.groups:
            self._wrong("there is nothing to sum")
        if place == len(order):
            order.append(i.group)
        elif order[place] != i.group:
            self._wrong(f"another copy sums `{order[place]}` here")
        self.summed.append(i.group)
        self.shared.begun[self.layout.stage, i.group] += 1
