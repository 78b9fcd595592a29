"""Replay a plan symbolically and list the promises that it breaks. No torch.

What an instruction touches is derived here anew, from units and networks and as the executor treats it, so that an
error in `dependencies` or `schedule` cannot hide itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from ..plan import HeadPlan, Instruction, Plan, Unit, branch_cotangent, branch_output, cotangent, features, tape
from .wiring import miswired

Source = tuple[str, ...]  # what a gradient comes from: a head, a backward, a branch's backward


def verify(plan: Plan) -> list[str]:
    """Every broken promise, of a step as ``position: instruction: what is wrong``; empty for a sound plan."""
    replay = Replay(plan)
    for position, instruction in enumerate(plan.instructions):
        replay.run(position, instruction)
    return [*replay.found, *replay.left_over(), *miswired(plan)]


@dataclass(slots=True)
class Value:
    """A value that is alive: the instruction that used it last and, for a cotangent, the heads that are in it."""

    used: int
    heads: set[Source] = field(default_factory=set)


class Replay:
    """The state of a step after some of its instructions, without the numbers."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.found: list[str] = []
        self.expected = Counter(_expected(plan))
        self.contributors = _contributors(plan)
        self.values: dict[str, Value] = {features(-1): Value(-1)}
        self.gradients: dict[str, set[Source]] = {group: set() for group in self.contributors}
        self.stepped: set[str] = set()
        self.averaged: set[str] = set()  # units whose EMA copies have their new values
        self.done: Counter[Source] = Counter()
        self.position = self.previous = -1  # of this instruction, and of the last one that was not a free
        self.instruction = Instruction("free")

    def run(self, position: int, instruction: Instruction) -> None:
        """Replay one instruction."""
        self.position, self.instruction = position, instruction
        if instruction.kind != "free":
            self.previous = position
            identity = _identity(instruction)
            self.done[identity] += 1
            if self.done[identity] > self.expected[identity]:
                self._wrong("does not belong here" if identity not in self.expected else "comes again")
                return
        getattr(self, f"_{instruction.kind}")(instruction)

    def left_over(self) -> Iterator[str]:
        """What should have happened until the end of the step and did not."""
        for identity in self.expected - self.done:
            yield f"end: {' '.join(identity)} never comes"
        for name in self.values.keys() - {features(-1), features(len(self.plan.blocks) - 1)}:
            yield f"end: `{name}` is never freed"

    # ------------------------------------------------------------------------------------------- instructions

    def _forward(self, i: Instruction) -> None:
        starts = _starts(self.plan, i.block)
        self._flag("needs_grad", i.needs_grad, bool(starts))
        self._flag("input_grad", i.input_grad, any(start < i.block for start in starts))
        self._read(features(i.block - 1))
        self._read_images([self.plan.blocks[i.block].name])
        self._read_parameters(self.plan.blocks[i.block].name)
        self._write(features(i.block))
        if starts:
            self._write(tape(i.block))

    def _branch(self, i: Instruction) -> None:
        unit = self.plan.by_unit[i.unit]
        self._read(features(unit.end))
        self._read_images([link.ema for link in unit.links])
        self._read_branch(unit)
        self._write(branch_output(unit.name))

    def _head(self, i: Instruction) -> None:
        unit = self.plan.by_unit[i.unit]
        head = next(head for head in unit.heads if head.name == i.head)
        self._read(branch_output(unit.name) if unit.links else features(unit.end))
        for group in _groups(self.plan, head.networks):
            self._read_parameters(group)
            self._gradient(group, _identity(i))
        into = branch_cotangent(unit.name) if unit.links else cotangent(unit.end, unit.start)
        self._accumulate(into, {(unit.name, head.name)})

    def _branch_backward(self, i: Instruction) -> None:
        unit = self.plan.by_unit[i.unit]
        self._read(branch_output(unit.name))
        self._read_branch(unit)
        for group in _branch_groups(self.plan, unit):
            self._gradient(group, _identity(i))
        heads = self._complete(branch_cotangent(unit.name), {(unit.name, head.name) for head in unit.heads})
        self._accumulate(cotangent(unit.end, unit.start), heads)

    def _backward(self, i: Instruction) -> None:
        group = self.plan.blocks[i.block].name
        through = self.expected.keys() - self.done.keys()
        more = any(kind == "backward" and block == group for kind, block, *_ in through)
        self._flag("retain", i.retain, more)
        self._read(tape(i.block))
        self._read_parameters(group)
        self._gradient(group, _identity(i))
        heads = self._complete(cotangent(i.block, i.start), set(_heads_through(self.plan, i.block, i.start)))
        if i.start < i.block:
            self._accumulate(cotangent(i.block - 1, i.start), heads)

    def _ema_update(self, i: Instruction) -> None:
        for link in self.plan.by_unit[i.unit].links:
            self._read_parameters(link.source_block)
        self.averaged.add(i.unit)

    def _step(self, i: Instruction) -> None:
        for source in sorted(self.contributors[i.group] - self.gradients[i.group]):
            self._wrong(f"comes before the gradient of {' '.join(source)}")
        self.stepped.add(i.group)

    def _free(self, i: Instruction) -> None:
        for name in i.values:
            value = self.values.pop(name, None)
            if value is None:
                self._wrong(f"`{name}` is not alive")
            elif value.used != self.previous:
                self._wrong(f"`{name}` was read last at {value.used} and should have been freed there")
            if name in (features(-1), features(len(self.plan.blocks) - 1)):
                self._wrong(f"`{name}` belongs to the caller")

    # ------------------------------------------------------------------------------------------- values and state

    def _wrong(self, what: str) -> None:
        self.found.append(f"{self.position}: {self.instruction}: {what}")

    def _flag(self, name: str, is_set: bool, wanted: bool) -> None:
        if is_set != wanted:
            self._wrong(f"`{name}` should be {wanted}")

    def _read(self, name: str) -> Value:
        if name not in self.values:
            self._wrong(f"reads `{name}`, which is not alive")
        value = self.values.get(name, Value(self.position))
        value.used = self.position
        return value

    def _read_images(self, networks: Iterable[str]) -> None:
        if any(self.plan.networks[name].graph.reads_images for name in networks):
            self._read(features(-1))

    def _write(self, name: str) -> None:
        self.values[name] = Value(self.position)

    def _accumulate(self, name: str, heads: Iterable[Source]) -> None:
        """Add the gradient of `heads` to a cotangent, which the first one makes."""
        value = self.values.setdefault(name, Value(self.position))
        value.used = self.position
        value.heads.update(heads)

    def _complete(self, name: str, wanted: set[Source]) -> set[Source]:
        """Read a cotangent that must hold exactly the gradients of the heads `wanted`."""
        heads = self._read(name).heads
        for unit, head in sorted(wanted - heads):
            self._wrong(f"`{name}` lacks the gradient of {unit}.{head}")
        for unit, head in sorted(heads - wanted):
            self._wrong(f"`{name}` holds the gradient of {unit}.{head}, which must not come here")
        return heads

    def _read_parameters(self, group: str) -> None:
        if group in self.stepped:
            self._wrong(f"reads the parameters of {group} after their step")

    def _read_branch(self, unit: Unit) -> None:
        if unit.name in self.averaged:
            self._wrong("reads EMA copies after their update")
        for group in _branch_groups(self.plan, unit):
            self._read_parameters(group)

    def _gradient(self, group: str, source: Source) -> None:
        if group in self.stepped:
            self._wrong(f"adds to the gradient of {group} after its step")
        self.gradients.setdefault(group, set()).add(source)


# ------------------------------------------------------------------------------------------------ what a step must hold


def _identity(i: Instruction) -> Source:
    """An instruction without its flags; two equal ones in a step are one too many."""
    block = f"block{i.block}" if i.block >= 0 else ""
    start = f"to block{i.start}" if i.kind == "backward" else ""
    return (i.kind, *(part for part in (block, i.unit, i.head, i.group, start) if part))


def _expected(plan: Plan) -> Iterator[Source]:
    """Every instruction of the step but the frees."""
    for block in plan.blocks:
        yield ("forward", block.name)
        yield from (_backward_of(block.index, start) for start in _starts(plan, block.index))
    for unit in plan.units:
        yield from (_head_of(unit, head) for head in unit.heads)
        if unit.links:
            yield from ((kind, unit.name) for kind in ("branch", "branch_backward", "ema_update"))
    yield from (("step", group) for group in _contributors(plan))


def _contributors(plan: Plan) -> dict[str, set[Source]]:
    """Every optimizer group that has parameters, and what its gradient is the sum of."""
    wanted: dict[str, set[Source]] = {group: set() for group in _groups(plan, plan.networks)}
    for block in plan.blocks:
        for group in _groups(plan, [block.name]):
            wanted[group] |= {_backward_of(block.index, start) for start in _starts(plan, block.index)}
    for unit in plan.units:
        for head in unit.heads:
            for group in _groups(plan, head.networks):
                wanted[group].add(_head_of(unit, head))
        for group in _branch_groups(plan, unit):
            wanted[group].add(("branch_backward", unit.name))
    return wanted


def _groups(plan: Plan, networks: Iterable[str]) -> list[str]:
    """The optimizer groups of networks that have parameters to step."""
    members = (plan.networks[name] for name in networks)
    return sorted({n.group for n in members if n.group is not None and n.parameters})


def _branch_groups(plan: Plan, unit: Unit) -> list[str]:
    return _groups(plan, [link.bias for link in unit.links if link.bias])


def _backward_of(block: int, start: int) -> Source:
    return _identity(Instruction("backward", block=block, start=start))


def _head_of(unit: Unit, head: HeadPlan) -> Source:
    return _identity(Instruction("head", unit=unit.name, head=head.name))


def _starts(plan: Plan, block: int) -> set[int]:
    """The first blocks of all windows that hold `block`: gradient passes through it once for each."""
    windows = {unit.start for unit in plan.units if unit.start <= block <= unit.end}
    return {start for start in windows if any(_trains(plan, b) for b in range(start, block + 1))}


def _trains(plan: Plan, block: int) -> bool:
    """Whether a block has parameters: a gradient that would reach only blocks without any is not sent."""
    return bool(plan.networks[f"block{block}"].parameters)


def _heads_through(plan: Plan, block: int, start: int) -> Iterator[Source]:
    """The heads whose gradient passes the end of `block` on its way to `start`."""
    for unit in plan.units:
        if unit.start == start and unit.start <= block <= unit.end:
            yield from ((unit.name, head.name) for head in unit.heads)
