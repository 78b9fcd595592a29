"""What a trace recorded, as plain values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from specc.graph.ops import Op, Shape
from specc.graph.ops.opaque import TracedPart
from specc.graph.ops.source import Source

# sample:   one float tensor with the batch in front and one to three further axes: what ops read and make
# split:    several tensors, or one that no gradient comes to
# foreign:  any other tensor that depends on the image: no batch in front, too many axes, or drawn
# constant: a tensor that does not depend on the image
# number:   no tensor at all
Kind = Literal["sample", "split", "foreign", "constant", "number"]


@dataclass(frozen=True, slots=True)
class Ref:
    """The value of another call, as an argument."""

    name: str


@dataclass(frozen=True, slots=True)
class Call:
    """One step of a model's forward: of a module, a function, a method, or the reading of an attribute."""

    name: str
    what: str  # the module's class, the function's or method's name, `get_attr` (a parameter), `constant` or `input`
    path: str  # of the module or attribute; "" for functions
    scope: str  # the innermost module in which it happens
    kind: Kind
    shape: Shape = ()  # of the value: without the batch for samples
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)  # the module's plain attributes
    fill: float | None = None  # the number that an attribute begins with everywhere
    trains: tuple[str, ...] = ()  # the tensors of the module or attribute that a step changes, each by its one name
    odd: bool = False  # some of its parameters are not trained, or it has hooks

    @property
    def reads(self) -> tuple[str, ...]:
        """The values it reads, in order."""
        return tuple(_refs((self.args, tuple(self.kwargs.values()))))

    @property
    def owns(self) -> bool:
        """Whether it may have parameters of its own."""
        return bool(self.path)

    def argument(self, position: int, name: str, default: Any = None) -> Any:
        """An argument given by position or by name."""
        return self.args[position] if position < len(self.args) else self.kwargs.get(name, default)


def _refs(value: Any) -> Iterator[str]:
    if isinstance(value, Ref):
        yield value.name
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _refs(item)
    elif isinstance(value, slice):
        yield from _refs((value.start, value.stop, value.step))


class Laboratory(Protocol):
    """Where the parts of a traced model can be run on tensors."""

    def opaque(self, part: TracedPart, takes: tuple[Shape, ...]) -> Op:
        """The part as an op, measured."""
        ...

    def movement(self, part: TracedPart, takes: Shape) -> Op | None:
        """The op of the vocabulary that moves numbers to the same places."""
        ...


@dataclass(frozen=True, slots=True)
class Traced:
    """A whole model: its calls in order, the name of the result, and its modules that are nothing but lists."""

    source: Source
    calls: tuple[Call, ...]
    output: str
    lists: frozenset[str]
