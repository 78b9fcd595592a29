"""The memory of a step from its first op to its last, and which part of it works on which block."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby

from ..language.schema import show_bytes
from ..memory.recording import Instant, record
from ..plan import Forward, Instruction, Plan
from .plan import serves


@dataclass(frozen=True)
class Span:
    """Successive instants with one thing in common: the block that the step works on."""

    label: str
    first: int
    last: int  # inclusive


@dataclass(frozen=True)
class Timeline:
    """Every instant of a plan's step."""

    plan: Plan
    instants: tuple[Instant, ...]

    @cached_property
    def peak(self) -> int:
        """Where the most is alive."""
        return max(range(len(self.instants)), key=lambda i: self.instants[i].bytes)

    @property
    def highest(self) -> Instant:
        """When the most is alive."""
        return self.instants[self.peak]

    @property
    def budget(self) -> int | None:
        """The bytes that the spec allows."""
        budget = self.plan.config.budget
        return budget.memory if budget else None

    def instruction(self, position: int) -> str:
        """What is done at an instant, and for which unit where that does not say so."""
        found = self.plan.instructions[self.instants[position].instruction]
        units = [unit.name for unit in self.plan.units if serves(found, unit)]
        own = any(name in str(found) for name in units)
        return f"{found} ({', '.join(units)})" if units and not own else str(found)

    @cached_property
    def spans(self) -> tuple[Span, ...]:
        """The step by the blocks that it works on, one after the other; a single block by what it does."""
        whole = len(self.plan.blocks) == 1
        labels = [i.kind for i in self.plan.instructions] if whole else list(_blocks(self.plan.instructions))
        positions = groupby(range(len(self.instants)), key=lambda p: labels[self.instants[p].instruction])
        return tuple(Span(label, (own := list(each))[0], own[-1]) for label, each in positions)

    def top(self, span: Span) -> int:
        """Where the most is alive in a part of the step."""
        return max(range(span.first, span.last + 1), key=lambda i: self.instants[i].bytes)

    def sampled(self, most: int) -> Sequence[tuple[float, Instant]]:
        """At most so many instants, with their places from 0 to 1: of neighbours the one where more is alive."""
        count = len(self.instants)
        size = -(-count // most)
        groups = (range(first, min(first + size, count)) for first in range(0, count, size))
        chosen = (max(group, key=lambda i: self.instants[i].bytes) for group in groups)
        return [((i + 0.5) / count, self.instants[i]) for i in chosen]


def timeline(plan: Plan) -> Timeline:
    """The step in full; instruction by instruction where another version of specc predicted it otherwise."""
    found = Timeline(plan, tuple(record(plan).instants))
    if found.highest.bytes == plan.memory.peak_bytes:
        return found
    return Timeline(plan, tuple(Instant(m.instruction, "", m.bytes, m.categories) for m in plan.memory.timeline))


def _blocks(instructions: Sequence[Instruction]) -> Iterator[str]:
    """The block that went forward last, for every instruction."""
    now = ""
    for instruction in instructions:
        now = str(instruction.block) if isinstance(instruction, Forward) else now
        yield now


def told(found: Timeline, beside: Timeline | None = None) -> str:
    """What is to be seen, in words."""
    parts = sorted(found.highest.categories.items(), key=lambda item: -item[1])
    most = ", ".join(f"{name} {show_bytes(size)}" for name, size in parts[:3])
    text = f"One training step peaks at {show_bytes(found.highest.bytes)} in {found.instruction(found.peak)}: {most}."
    if found.budget is not None:
        text += f" The budget is {show_bytes(found.budget)}."
    if beside is not None:
        ratio = beside.highest.bytes / found.highest.bytes
        text += f" End-to-end training peaks at {show_bytes(beside.highest.bytes)}, {ratio:.2g} times as much."
    return text
