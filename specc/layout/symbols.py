"""A step computed in symbols: what a value is, told by the instruction that made it and what that has read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from ..plan import (
    Backward,
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
    Step,
)

STATISTICS = "statistics:"  # of a block, which its forwards change
SOURCE = "source:"  # a tensor that is averaged
Sum = tuple[int, ...]  # the symbols of what was added up, in their order


class Symbols:
    """One number for everything that is the same."""

    def __init__(self) -> None:
        self._known: dict[object, int] = {}

    def of(self, what: object) -> int:
        """Its number."""
        return self._known.setdefault(what, len(self._known))


@dataclass(frozen=True, slots=True)
class Tensors:
    """Which tensors of blocks are averaged, and what they change with."""

    plan: Plan

    def sources(self, unit: str) -> tuple[str, ...]:
        """Those that a unit averages."""
        return tuple(sorted({name for link in self.plan.by_unit[unit].links for name in link.sources.values()}))

    def owner(self, name: str) -> str | None:
        """The network that has a tensor."""
        return next((n.name for n in self.plan.networks.values() if name in n.tensors), None)

    def state(self, name: str) -> str:
        """What changes a tensor: the step of its group, or forwards."""
        network = self.plan.networks[self.owner(name) or ""]
        return f"params:{network.group}" if name in network.parameters else f"{STATISTICS}{network.name}"


@dataclass
class State:
    """What there is at a point of a step, as symbols: values that are alive, parameters, averages, statistics."""

    plan: Plan
    tensors: Tensors
    symbols: Symbols
    values: dict[str, Sum]
    held: dict[str, Sum] = field(default_factory=dict)
    lent: dict[str, Sum] = field(default_factory=dict)  # by tensor of another stage

    def look(self, name: str) -> Sum | None:
        """What is there under a name; of what was never changed nothing was added up."""
        kind, _, rest = name.rpartition(":")
        if not kind:
            return self.values.get(name)
        if kind + ":" == SOURCE:
            return self.source(rest)
        return self.held.get(name, ())

    def source(self, tensor: str) -> Sum | None:
        """What a tensor is that is averaged, here or lent."""
        if self.tensors.owner(tensor) in self.plan.networks:
            return self.held.get(self.tensors.state(tensor), ())
        return self.lent.get(tensor)

    def read_by(self, i: Instruction) -> Iterator[str]:
        """What an instruction reads, but for what it only adds to, and for what it only comes after."""
        if isinstance(i, EmaUpdate):
            yield from (SOURCE + name for name in self.tensors.sources(i.unit))
            yield f"ema:{i.unit}"
        else:
            yield from sorted(i.reads - added_by(i))

    def run(self, i: Instruction) -> None:
        """Put what an instruction makes where it puts it."""
        made = self.symbols.of((str(i), *((name, self.look(name)) for name in self.read_by(i))))
        for name in i.writes:
            where = self.held if ":" in name else self.values
            where[name] = tuple(sorted((*where.get(name, ()), made))) if name in added_by(i) else (made,)
        if isinstance(i, Forward):
            name = f"{STATISTICS}block{i.block}"
            self.held[name] = (*self.held.get(name, ()), made)
        if isinstance(i, Step):
            self.held.pop(f"grads:{i.group}")


def added_by(i: Instruction) -> set[str]:
    """What an instruction adds to, whatever is there before."""
    if isinstance(i, Step | Extension) or not isinstance(i, Head | BranchBackward | Backward):
        return set()
    into = {i.gradient, *(outlet.gradient for outlet in i.outlets)} if isinstance(i, Backward) else {i.gradient}
    return {name for name in i.writes if name.startswith("grads:")} | {name for name in into if name}


class Whole:
    """The step of one device in symbols: what each of its instructions reads."""

    def __init__(self, plan: Plan, given: tuple[str, ...]) -> None:
        self.plan, self.symbols, self.tensors = plan, Symbols(), Tensors(plan)
        self.given = given
        self.instructions = [each for each in plan.instructions if not isinstance(each, Free | Load | Evict)]
        self.places = {str(each): place for place, each in enumerate(self.instructions)}
        self.seen: dict[str, dict[str, Sum | None]] = {}
        state = self.state(plan, given)
        for each in self.instructions:
            self.seen[str(each)] = {name: state.look(name) for name in state.read_by(each)}
            state.run(each)
        freed = {name for each in plan.instructions if isinstance(each, Free) for name in each.values}
        self.left = state.values.keys() - freed - set(given)  # for the caller

    def state(self, plan: Plan, given: tuple[str, ...]) -> State:
        """The beginning of a step, of the whole or of a rank."""
        return State(plan, self.tensors, self.symbols, {name: (self.symbols.of(name),) for name in given})
