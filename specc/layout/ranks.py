"""From a plan for one device to what each of several does: its own instructions, and what moves between them.

All ranks keep to one order of the whole step, so nobody waits in a circle. What is sent goes as soon as it is there;
what is received is waited for as late as its reader and the order in which it was sent allow.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

from ..graph.ops import Order, numel
from ..memory.prediction import Prediction
from ..plan import (
    Channel,
    EmaUpdate,
    Forward,
    Free,
    Instruction,
    Layout,
    Plan,
    Receive,
    ReceiveSources,
    Reduce,
    Send,
    SendSources,
    Step,
)
from ..plan.lifetimes import with_frees, with_retain
from ..plan.offloading import held, with_moves, without_moves
from ..plan.shards import same
from ..plan.values import IMAGES, LABELS
from .owners import Owners
from .packages import taken
from .pipelines import Arrange

What = Literal["images", "labels", "activations"]


def laid_out(plan: Plan, rank: int, stages: Sequence[int] = (0,)) -> Plan:
    """What a rank does, whose devices are as the spec says, in stages that begin with these blocks; memory included."""
    layout = _layout(plan, rank, stages)
    return _own(plan, layout, _by_stage(plan, layout))


def every_rank(plan: Plan, stages: Sequence[int] = (0,), arrange: Arrange | None = None) -> tuple[Plan, ...]:
    """What all of them do, in an order of their own where somebody arranges it.

    Those of one stage with as many samples, and as many rows of its parameters, have all but their number in common.
    """
    first = _layout(plan, 0, stages)
    by_stage, found = _by_stage(plan, first), list[Plan]()
    if arrange is not None:
        by_stage = [arrange(stage, len(by_stage), own) for stage, own in enumerate(by_stage)]
    known: dict[tuple[int, ...], Plan] = {}
    for rank in range(first.count):
        layout = replace(first, rank=rank)
        key = same(plan, layout)
        if key not in known:
            known[key] = _own(plan, layout, by_stage)
        own = known[key]
        assert own.layout is not None
        found.append(replace(own, layout=replace(own.layout, rank=rank)))
    return tuple(found)


def _layout(plan: Plan, rank: int, stages: Sequence[int]) -> Layout:
    devices = plan.config.devices
    ahead = devices.staleness if devices.mode == "decoupled" and len(stages) > 1 else 0
    slices = plan.config.train.micro_batches
    sharded = devices.shard and devices.data_parallel > 1
    return Layout(
        devices.data_parallel, tuple(stages), rank, plan.fingerprint, ahead=ahead, slices=slices, sharded=sharded
    )


def _by_stage(plan: Plan, layout: Layout) -> list[list[Instruction]]:
    """The instructions of every stage."""
    whole: list[Instruction] = [each for each in without_moves(plan.instructions) if not isinstance(each, Free)]
    if len(layout.stages) == 1:
        return [whole]
    moves = Moves(plan, Owners(plan, layout), whole)
    return [moves.of(stage) for stage in range(len(layout.stages))]


def _own(plan: Plan, layout: Layout, by_stage: Sequence[Sequence[Instruction]]) -> Plan:
    owners, ordered = Owners(plan, layout), list(by_stage[layout.stage])
    layout = replace(layout, channels=tuple(sorted(set(channels(by_stage)))))
    if layout.copies > 1 and not layout.sharded:  # shards add up by themselves
        ordered = list(with_reduces(ordered))
    ordered = list(with_moves(ordered, held(plan.config.train.offload, owners.networks, owners.units)))
    own = replace(
        plan, layout=layout, networks=owners.networks, blocks=owners.blocks, units=owners.units,
        instructions=tuple(with_frees(with_retain(ordered), len(plan.blocks) - 1)),
    )  # fmt: skip
    return replace(own, memory=Prediction(own, plan.memory.device).run())


def channels(by_stage: Sequence[Sequence[Instruction]]) -> Iterator[Channel]:
    """What the instructions of all stages send on."""
    for stage, own in enumerate(by_stage):
        for each in own:
            if isinstance(each, Send | SendSources):
                yield Channel(stage, each.to, "values" if isinstance(each, Send) else "sources")


def with_reduces(ordered: Sequence[Instruction]) -> Iterator[Instruction]:
    """Sums over all copies begin as soon as a group's gradients are final; steps wait while the next ones are made.

    A step comes after the sums of the next group have begun, so that these move while something is computed; the last
    one waits for its own. None comes before its turn: until then others read what it changes.
    """
    final: dict[int, list[str]] = {}
    steps = {each.group: each for each in ordered if isinstance(each, Step)}
    for group in steps:
        made = (i for i, each in enumerate(ordered) if f"grads:{group}" in each.writes and not isinstance(each, Step))
        final.setdefault(max(made, default=-1), []).append(group)
    begun: list[str] = []  # of those whose steps have not been made
    due: set[str] = set()
    for i, each in enumerate(ordered):
        if isinstance(each, Step):
            due.add(each.group)
        else:
            yield each
        for group in final.get(i, ()):
            yield Reduce(group=group)
            begun.append(group)
        for group in [group for group in begun[:-1] if group in due]:
            yield steps[group]
            begun.remove(group)
    yield from (steps[group] for group in begun)


@dataclass(frozen=True, slots=True)
class Move:
    """A value that goes from one stage to another: after which instruction of the whole, and before which."""

    value: str
    source: int
    to: int
    made: int
    read: int
    adds: bool
    slice: int


@dataclass(frozen=True, slots=True)
class Lent:
    """Tensors of one stage that a unit of another averages: after which instruction of the whole, and before which."""

    unit: str
    source: int
    to: int
    made: int
    read: int
    uses: tuple[str, ...]
    tensors: tuple[str, ...]


class Described(NamedTuple):
    """How a value lies in memory."""

    shape: tuple[int, ...]  # of one sample
    width: int  # bytes of a number
    order: Order


def described(plan: Plan) -> dict[str, Described]:
    """Every value of a step, by name."""
    prediction, found = Prediction(plan, plan.memory.device), dict[str, Described]()
    prediction.begin()
    for each in (None, *plan.instructions):
        if each is not None:
            prediction.step.run(each)
        for name, value in prediction.step.values.items():
            if name not in found:
                found[name] = Described(tuple(value.shape), value.storage.width, value.order)
    return found


class Moves:
    """What moves between the stages of a step."""

    def __init__(self, plan: Plan, owners: Owners, whole: Sequence[Instruction]) -> None:
        self.plan, self.owners, self.whole = plan, owners, whole
        self.at = [owners.of(each) for each in whole]
        self.values = described(plan)
        self.moves = self._in_order(list(self._values()))
        self.lent = list(self._lent())

    def of(self, stage: int) -> list[Instruction]:
        """The instructions of one stage."""
        before: dict[int, list[Instruction]] = {}
        after: dict[int, list[Instruction]] = {}
        for move in self.moves:
            if move.source == stage:
                after.setdefault(move.made, []).append(self._send(move))
            if move.to == stage:
                before.setdefault(move.read, []).append(self._receive(move))
        for lent in self.lent:
            if lent.source == stage:
                sources = SendSources(unit=lent.unit, to=lent.to, uses=lent.uses, tensors=lent.tensors)
                after.setdefault(lent.made, []).append(sources)
            if lent.to == stage:
                taken = ReceiveSources(unit=lent.unit, source=lent.source, tensors=lent.tensors)
                before.setdefault(lent.read, []).append(taken)
        ordered = list(after.get(-1, ()))
        for i, each in enumerate(self.whole):
            ordered += before.get(i, ())
            if self.at[i] == stage:
                ordered.append(each)
            ordered += after.get(i, ())
        return ordered

    def _values(self) -> Iterator[Move]:
        """Every value that is read where it is not made; a gradient of several heads goes once from each stage."""
        made: dict[str, dict[int, int]] = {name: {0: -1} for name in self._given()}  # value: stage: position
        moved: set[tuple[str, int]] = set()
        for i, each in enumerate(self.whole):
            here = self.at[i]
            for value in sorted(name for name in taken(each) if ":" not in name):
                there = here in made.get(value, {})
                for stage, position in sorted(made.get(value, {}).items()):
                    if stage != here and (value, here) not in moved:
                        yield Move(value, stage, here, position, i, there, each.slice)
                        there = True
                moved.add((value, here))
            for value in (name for name in each.writes if ":" not in name):
                made.setdefault(value, {})[here] = i

    def _in_order(self, moves: list[Move]) -> list[Move]:
        """Between two stages values are received in the order in which they were sent."""
        found: list[Move] = []
        for pair in sorted({(move.source, move.to) for move in moves}):
            own = sorted((m for m in moves if (m.source, m.to) == pair), key=lambda m: (m.made, m.value))
            soonest = len(self.whole)
            for move in reversed(own):
                soonest = min(soonest, move.read)
                found.append(replace(move, read=soonest))
        return sorted(found, key=lambda m: (m.made, m.value))

    def _given(self) -> Iterator[str]:
        """The batch, which the first stage is given."""
        read = {name for each in self.whole for name in each.reads}
        return (name for name in sorted(read) if name.partition("@")[0] in (IMAGES, LABELS))

    def _send(self, move: Move) -> Send:
        swapped = self.values[move.value].order == "swapped"
        return Send(value=move.value, to=move.to, channels_last=swapped, slice=move.slice)

    def _receive(self, move: Move) -> Receive:
        value, name = self.values[move.value], move.value.partition("@")[0]
        what: What = "images" if name == IMAGES else "labels" if name == LABELS else "activations"
        width = value.width if what == "activations" else self._given_width(what)
        return Receive(
            value=move.value, source=move.source, what=what, shape=value.shape, width=width,
            channels_last=value.order == "swapped", adds=move.adds, slice=move.slice,
        )  # fmt: skip

    def _given_width(self, what: What) -> int:
        """Bytes of a number of the batch, which may be integers."""
        task, data = self.plan.config.learns, self.plan.data
        given = task.target if what == "labels" else task.input
        return given.bytes(data) // numel(given.shape(data))

    def _lent(self) -> Iterator[Lent]:
        """The weights that units average, from every other stage that has some of them.

        Statistics change with every forward of their block, so they go after the last one before the average; weights,
        which change with its step alone, go at the beginning. On a channel they arrive in the order of their readers.
        """
        soonest: dict[tuple[int, int], int] = {}
        for i, each in enumerate(self.whole):
            if isinstance(each, EmaUpdate):
                for lent in self._of_update(i, each):
                    channel = (lent.source, lent.to)
                    soonest[channel] = max(lent.made, soonest.get(channel, -1))
                    yield replace(lent, made=soonest[channel])

    def _of_update(self, i: int, update: EmaUpdate) -> Iterator[Lent]:
        found: dict[int, tuple[list[str], list[str]]] = {}
        for link in self.plan.by_unit[update.unit].links:
            owner = self.owners.of_block(link.source_block)
            if owner != self.at[i]:
                blocks, tensors = found.setdefault(owner, ([], []))
                blocks.append(link.source_block)
                tensors += link.sources.values()
        for owner, (blocks, tensors) in sorted(found.items()):
            uses, names = tuple(dict.fromkeys(blocks)), tuple(sorted(set(tensors)))  # however the plan was read
            yield Lent(update.unit, owner, self.at[i], self._changed(i, uses, names), i, uses, names)

    def _changed(self, i: int, blocks: Sequence[str], tensors: Sequence[str]) -> int:
        """The last instruction before this one that changes some of these tensors."""
        weights = {name for block in blocks for name in self.plan.networks[block].parameters}
        if weights.issuperset(tensors):
            return -1
        forwards = (j for j, each in enumerate(self.whole[:i])
                    if isinstance(each, Forward) and f"block{each.block}" in blocks)  # fmt: skip
        return max(forwards, default=-1)
