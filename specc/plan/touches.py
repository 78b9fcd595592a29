"""What all instructions have: fields that say what is read and what is written."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, ClassVar, Literal, get_args, get_origin, get_type_hints

from ..language.names import Name, State, Value


@dataclass(frozen=True, slots=True)
class Touch:
    """What an instruction does with what a field names: prefixes of what is read, and of what is written."""

    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()


Reads = Annotated[Value, Touch(reads=("",))]
ReadsIfAny = Annotated[Value | None, Touch(reads=("",))]
Makes = Annotated[Value, Touch(writes=("",))]
MakesIfAny = Annotated[Value | None, Touch(writes=("",))]
AddsTo = Annotated[Value, Touch(("",), ("",))]  # a gradient to a cotangent, which the first one makes
AddsToIfAny = Annotated[Value | None, Touch(("",), ("",))]
Uses = Annotated[tuple[Name, ...], Touch(reads=("params:",))]  # parameters of optimizer groups
Trains = Annotated[tuple[Name, ...], Touch(("params:", "grads:"), ("grads:",))]
Steps = Annotated[Name, Touch(("params:", "grads:"), ("params:", "grads:"))]
ReadsAverages = Annotated[Name, Touch(reads=("ema:",))]
Averages = Annotated[Name, Touch(writes=("ema:",))]
Moves = Annotated[State, Touch(reads=("",))]  # of a group's parameters, or a unit's averaged copies
Sums = Annotated[Name, Touch(("grads:",), ("grads:",))]
After = Annotated[tuple[Name, ...], Touch(reads=("grads:",))]  # not before these gradients are final


class Part:
    """What is the same several times in an instruction: it has fields like an instruction's."""

    __slots__ = ()


@cache
def _touched(kind: Any, how: Literal["reads", "writes"]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """The fields of a kind that name what it reads, or writes, with the prefixes of these names."""
    hints = get_type_hints(kind, include_extras=True)
    found = ((name, each) for name, hint in hints.items() for each in getattr(hint, "__metadata__", ()))
    touches = ((name, getattr(touch, how)) for name, touch in found if isinstance(touch, Touch))
    return tuple((name, prefixes) for name, prefixes in touches if prefixes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Common:
    """What all kinds have."""

    kind: str
    slice: int = 0  # of the batch: which of the micro-batches

    urgency: ClassVar[int]  # among instructions that could come next the lowest comes first
    words: ClassVar[str] = ""  # what it works on, of its fields

    @property
    def reads(self) -> frozenset[str]:
        """Values and state that are read."""
        return frozenset(self._named("reads"))

    @property
    def writes(self) -> frozenset[str]:
        """Values and state that are made, changed or added to."""
        return frozenset(self._named("writes"))

    def _named(self, how: Literal["reads", "writes"]) -> Iterator[str]:
        return _named(self, how)

    @property
    def about(self) -> str:
        """What it works on."""
        return self.words.format(i=self)

    def __str__(self) -> str:
        return f"{self.kind} {self.about}" + (f" of slice {self.slice}" if self.slice else "")


def _named(one: Any, how: Literal["reads", "writes"]) -> Iterator[str]:
    """What an instruction, or a part of one, reads or writes; for mypy one with a property has no hash."""
    kind: Any = type(one)
    for field, prefixes in _touched(kind, how):
        found = getattr(one, field)
        names = (found,) if isinstance(found, str) else found or ()
        yield from (prefix + name for prefix in prefixes for name in names)
    for field in _parts(kind):
        yield from (name for part in getattr(one, field) for name in _named(part, how))


@cache
def _parts(kind: Any) -> tuple[str, ...]:
    """The fields of a kind that are tuples of parts."""
    hints = get_type_hints(kind)
    inner = {name: get_args(hint)[0] for name, hint in hints.items() if get_origin(hint) is tuple}
    return tuple(name for name, one in inner.items() if isinstance(one, type) and issubclass(one, Part))
