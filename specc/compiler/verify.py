"""Replay a plan symbolically and list the promises that it breaks. No torch.

What an instruction touches is derived here anew, from units and networks and as the executor treats it, so that an
error in `dependencies` or `schedule` cannot hide itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import assert_never

from ..plan import (
    Backward,
    Branch,
    BranchBackward,
    EmaUpdate,
    Evict,
    Extension,
    Forward,
    Free,
    Head,
    Instruction,
    Load,
    Plan,
    Receive,
    ReceiveSources,
    Reduce,
    Send,
    SendSources,
    Step,
    Unit,
)
from ..plan.values import IMAGES, LABELS, cotangent, features, of_branch, of_slice
from ..plan.whereabouts import Whereabouts
from .gradients import Gradients, beside
from .promises import (
    BRANCH,
    backward_source,
    biases_of,
    branch_groups_of,
    contributors_of,
    expected_of,
    groups_of,
    heads_of,
    identity,
)
from .wiring import miswired


def verify(plan: Plan) -> list[str]:
    """Every broken promise, of a step as ``position: instruction: what is wrong``; empty for a sound plan."""
    replay = Replay(plan)
    for position, instruction in enumerate(plan.instructions):
        replay.run(position, instruction)
    return [*replay.found, *replay.left_over(), *miswired(plan), *beside(plan)]


@dataclass(slots=True)
class Value:
    """A value that is alive: the instruction that used it last and, for a cotangent, the heads that are in it."""

    used: int
    heads: set[str] = field(default_factory=set)


class Replay:
    """The state of a step after some of its instructions, without the numbers."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.slices = range(plan.config.train.micro_batches)
        self.found: list[str] = []
        self.crossing = Gradients(plan)
        self.expected = Counter(expected_of(plan, self.crossing))
        self.contributors = contributors_of(plan, self.crossing)
        given = [of_slice(name, slice) for slice in self.slices for name in (IMAGES, LABELS)]
        self.callers = {*given, *(features(len(plan.blocks) - 1, slice) for slice in self.slices)}
        self.values = {name: Value(-1) for name in given}
        self.gradients: dict[str, set[str]] = {group: set() for group in self.contributors}
        self.stepped: set[str] = set()
        self.whereabouts = Whereabouts(plan, self._wrong)
        self.averaged: set[str] = set()  # units whose EMA copies have their new values
        self.done: Counter[str] = Counter()
        self.position = self.previous = -1  # of this instruction, and of the last one that was not a free
        self.instruction: Instruction = Free(values=())

    def run(self, position: int, instruction: Instruction) -> None:
        """Replay one instruction."""
        self.position, self.instruction = position, instruction
        self.whereabouts.begin(instruction)
        if not isinstance(instruction, Free):
            self.previous = position
            self.done[str(instruction)] += 1
            often = self.done[str(instruction)] > self.expected[str(instruction)]
            if often and not isinstance(instruction, Extension):
                self._wrong("comes again" if str(instruction) in self.expected else "does not belong here")
                return
        match instruction:
            case Forward():
                self._forward(instruction)
            case Branch():
                self._branch(instruction)
            case Head():
                self._head(instruction)
            case BranchBackward():
                self._branch_backward(instruction)
            case Backward():
                self._backward(instruction)
            case EmaUpdate():
                self._ema_update(instruction)
            case Step():
                self._step(instruction)
            case Free():
                self._free(instruction)
            case Load():
                self.whereabouts.load(instruction)
            case Evict():
                self.whereabouts.evict(instruction)
                self._final(instruction.state.removeprefix("params:"))
            case Extension():
                self._extension(instruction)
            case Reduce() | Send() | Receive() | SendSources() | ReceiveSources():
                self._wrong("is of one of several devices, and this plan is of one for all")
            case _:
                assert_never(instruction)

    def left_over(self) -> Iterator[str]:
        """What should have happened until the end of the step and did not."""
        yield from (f"end: {missing} never comes" for missing in self.expected - self.done)
        yield from (f"end: `{name}` is never freed" for name in self.values.keys() - self.callers)
        yield from (f"end: {left}" for left in self.whereabouts.left_over())

    # ------------------------------------------------------------------------------------------- instructions

    def _forward(self, i: Forward) -> None:
        block, crossing = self.plan.blocks[i.block], self.crossing.forward(i.block, i.slice)
        source = features(i.block - 1, i.slice) if i.block else of_slice(IMAGES, i.slice)
        self._named(
            source=source, images=self._images([block.name], i.slice), output=features(i.block, i.slice),
            uses=(block.name,), **crossing,
        )  # fmt: skip
        self._read(i.source, i.images, *(entry.source for entry in i.skips))
        self._read_parameters(block.name)
        self._write(i.output, i.graph, i.leaf, *(entry.leaf for entry in i.skips))
        self._write(*(name for given in i.gives for name in (given.output, given.graph)))

    def _branch(self, i: Branch) -> None:
        unit = self.plan.by_unit[i.unit]
        images = self._images([link.ema for link in unit.links], i.slice)
        source = features(unit.end, i.slice, unit.read)
        self._named(source=source, images=images, copies=unit.name, uses=biases_of(unit),
                    **{what: of_branch(unit.name, name, i.slice) for what, name in BRANCH.items()})  # fmt: skip
        self._read(i.source, i.images)
        self._read_branch(unit)
        self._write(i.output, i.graph, i.leaf)

    def _head(self, i: Head) -> None:
        unit = self.plan.by_unit[i.unit]
        head = next(head for head in unit.heads if head.name == i.head)
        into = cotangent(unit.end, unit.start, i.slice, unit.read)
        source = features(unit.end, i.slice, unit.read)
        if unit.links:
            into, source = (of_branch(unit.name, what, i.slice) for what in ("grad", "features"))
        target = of_slice(IMAGES if head.target == "images" else LABELS, i.slice)
        self._named(source=source, target=target, trains=(f"{i.unit}.{i.head}",), gradient=into)
        self._read(i.source, i.target)
        groups = groups_of(self.plan, head.networks)
        self._read_parameters(*groups)
        self._gradients(groups)
        self._accumulate(i.gradient, {f"{i.unit}.{i.head}"})

    def _branch_backward(self, i: BranchBackward) -> None:
        unit = self.plan.by_unit[i.unit]
        graph, leaf, grad = (of_branch(unit.name, what, i.slice) for what in ("graph", "leaf", "grad"))
        into = cotangent(unit.end, unit.start, i.slice, unit.read)
        self._named(graph=graph, leaf=leaf, cotangent=grad, copies=unit.name, trains=biases_of(unit), gradient=into)
        self._read(i.graph, i.leaf)
        self._read_branch(unit)
        self._gradients(branch_groups_of(self.plan, unit))
        heads = self._complete(i.cotangent, set(heads_of(unit)))
        self._accumulate(i.gradient, heads)

    def _backward(self, i: Backward) -> None:
        group = self.plan.blocks[i.block].name
        starts = self.crossing.starts(i.block)
        more = any(not self.done[backward_source(i.block, start, i.slice)] for start in starts)
        self._named(retain=more, trains=(group,), **self.crossing.backward(i.block, i.start, i.slice))
        self._read(i.graph, i.leaf, *(root.graph for root in i.roots), *(outlet.leaf for outlet in i.outlets))
        self._read_parameters(group)
        self._gradients([group])
        cotangents = (i.cotangent, *(root.cotangent for root in i.roots))
        for value, name in zip(self.crossing.roots(i.block, i.start), cotangents, strict=False):
            self._complete(name, self.crossing.arriving(i.block, i.start, value))
        for name, value in self.crossing.outlets(i.block, i.start).items():
            into = self.crossing.into(i.block, i.start, i.slice, name)
            assert into is not None
            self._accumulate(into, self.crossing.leaving(i.block, i.start, value))

    def _ema_update(self, i: EmaUpdate) -> None:
        unit = self.plan.by_unit[i.unit]
        sources = tuple(dict.fromkeys(link.source_block for link in unit.links))
        self._named(uses=sources, after=(f"block{unit.end}",), copies=unit.name)
        self._read_parameters(*sources)
        for slice in self.slices:
            branch = identity("branch", i.unit, slice)
            if not self.done[branch]:
                self._wrong(f"comes before {branch}")
        self.averaged.add(i.unit)

    def _step(self, i: Step) -> None:
        self.whereabouts.stepped(i.group)
        self._final(i.group)
        self.stepped.add(i.group)

    def _final(self, group: str) -> None:
        for source in sorted(self.contributors.get(group, set()) - self.gradients.get(group, set())):
            self._wrong(f"comes before the gradient of {source}")

    def _free(self, i: Free) -> None:
        for name in i.values:
            value = self.values.pop(name, None)
            if value is None:
                self._wrong(f"`{name}` is not alive")
            elif value.used != self.previous:
                self._wrong(f"`{name}` was read last at {value.used} and should have been freed there")
            if name in self.callers:
                self._wrong(f"`{name}` belongs to the caller")

    def _extension(self, i: Extension) -> None:
        """Of a kind from outside only what it says itself is known."""
        for name in sorted(i.reads):
            kind, _, rest = name.rpartition(":")
            if kind in ("params", "grads"):
                self._read_parameters(rest)
            elif not kind:
                self._read(name)
        self._write(*(name for name in i.writes - i.reads if ":" not in name))

    # ------------------------------------------------------------------------------------------- values and state

    def _wrong(self, what: str) -> None:
        self.found.append(f"{self.position}: {self.instruction}: {what}")

    def _named(self, **wanted: object) -> None:
        """Whether the instruction's fields are what they should be."""
        for name, value in wanted.items():
            if getattr(self.instruction, name) != value:
                self._wrong(f"`{name}` should be {value}")

    def _images(self, networks: Iterable[str], slice: int) -> str | None:
        read = any(self.plan.networks[name].reads_images for name in networks)
        return of_slice(IMAGES, slice) if read else None

    def _read(self, *names: str | None) -> None:
        for name in filter(None, names):
            self._value(name).used = self.position

    def _value(self, name: str) -> Value:
        if name not in self.values:
            self._wrong(f"reads `{name}`, which is not alive")
        return self.values.get(name, Value(self.position))

    def _write(self, *names: str | None) -> None:
        self.values |= {name: Value(self.position) for name in filter(None, names)}

    def _accumulate(self, name: str, heads: Iterable[str]) -> None:
        """Add the gradient of `heads` to a cotangent, which the first one makes."""
        value = self.values.setdefault(name, Value(self.position))
        value.used = self.position
        value.heads.update(heads)

    def _complete(self, name: str, wanted: set[str]) -> set[str]:
        """Read a cotangent that must hold exactly the gradients of the heads `wanted`."""
        value = self._value(name)
        value.used, heads = self.position, value.heads
        for head in sorted(wanted - heads):
            self._wrong(f"`{name}` lacks the gradient of {head}")
        for head in sorted(heads - wanted):
            self._wrong(f"`{name}` holds the gradient of {head}, which must not come here")
        return heads

    def _read_parameters(self, *groups: str) -> None:
        for group in groups:
            if group in self.stepped:
                self._wrong(f"reads the parameters of {group} after their step")
            self.whereabouts.reads(self.instruction, group)

    def _read_branch(self, unit: Unit) -> None:
        if unit.name in self.averaged:
            self._wrong("reads EMA copies after their update")
        self._read_parameters(*branch_groups_of(self.plan, unit))
        self.whereabouts.used(f"ema:{unit.name}")

    def _gradients(self, groups: Iterable[str]) -> None:
        for group in groups:
            if group in self.stepped:
                self._wrong(f"adds to the gradient of {group} after its step")
            self.gradients.setdefault(group, set()).add(str(self.instruction))
