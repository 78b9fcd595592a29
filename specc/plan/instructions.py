"""The instructions of a training step, one dataclass a kind: what it reads and writes follows from its fields.

Values carry data from one instruction to the next; `params:`, `grads:` and `ema:` are the state of optimizer groups and
of a unit's averaged copies.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, MutableMapping
from dataclasses import asdict, dataclass
from functools import cache
from typing import Annotated, Any, ClassVar, Literal, get_type_hints

from pydantic import Discriminator, PlainSerializer, PlainValidator, Tag, TypeAdapter

from ..language.names import Name, Value
from ..spec.sections.train import ADDITIONS
from ..system.plugins import PluginError


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
Sums = Annotated[Name, Touch(("grads:",), ("grads:",))]
After = Annotated[tuple[Name, ...], Touch(reads=("grads:",))]  # not before these gradients are final


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
        kind: Any = type(self)  # for mypy a frozen dataclass with a property has no hash
        for field, prefixes in _touched(kind, how):
            named = getattr(self, field)
            names = (named,) if isinstance(named, str) else named or ()
            yield from (prefix + name for prefix in prefixes for name in names)

    @property
    def about(self) -> str:
        """What it works on."""
        return self.words.format(i=self)

    def __str__(self) -> str:
        return f"{self.kind} {self.about}" + (f" of slice {self.slice}" if self.slice else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Forward(Common):
    """Runs a block on its input, and on the images where a layer of it reads them too."""

    kind: Literal["forward"] = "forward"
    block: int
    source: Reads
    images: ReadsIfAny = None
    uses: Uses
    output: Makes
    graph: MakesIfAny = None  # where somebody will send a gradient through this block
    leaf: MakesIfAny = None  # ... and out of it, to the block before

    urgency: ClassVar[int] = 60
    words: ClassVar[str] = "block{i.block}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Branch(Common):
    """Runs both branches of a unit's EMA links on its features and adds them."""

    kind: Literal["branch"] = "branch"
    unit: Name
    source: Reads
    images: ReadsIfAny = None
    copies: ReadsAverages
    uses: Uses
    leaf: Makes
    graph: Makes
    output: Makes

    urgency: ClassVar[int] = 50
    words: ClassVar[str] = "{i.unit}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Head(Common):
    """Forward, loss and backward of one head on a detached leaf; adds the gradient there to the unit's."""

    kind: Literal["head"] = "head"
    unit: Name
    head: Name
    source: Reads
    target: Reads
    trains: Trains
    gradient: AddsTo

    urgency: ClassVar[int] = 40
    words: ClassVar[str] = "{i.unit}.{i.head}"


@dataclass(frozen=True, slots=True, kw_only=True)
class BranchBackward(Common):
    """Sends the heads' summed gradient back through the branches."""

    kind: Literal["branch_backward"] = "branch_backward"
    unit: Name
    graph: Reads
    leaf: Reads
    cotangent: Reads
    copies: ReadsAverages
    trains: Trains
    gradient: AddsTo

    urgency: ClassVar[int] = 30
    words: ClassVar[str] = "{i.unit}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Backward(Common):
    """Sends a cotangent through a block; what arrives at its input is added to the cotangent of the block before."""

    kind: Literal["backward"] = "backward"
    block: int
    start: int  # the block at which this gradient stops
    graph: AddsTo  # which loses what the last backward through it has used
    leaf: ReadsIfAny = None
    cotangent: Reads
    trains: Trains
    gradient: AddsToIfAny = None
    retain: bool = False  # another one through the same block follows

    urgency: ClassVar[int] = 20
    words: ClassVar[str] = "block{i.block} to block{i.start}"


@dataclass(frozen=True, slots=True, kw_only=True)
class EmaUpdate(Common):
    """ema <- m ema + (1 - m) source, after the unit's backward, from the source's values before this step's."""

    kind: Literal["ema_update"] = "ema_update"
    unit: Name
    uses: Uses
    after: After
    copies: Averages

    urgency: ClassVar[int] = 0
    words: ClassVar[str] = "{i.unit}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step(Common):
    """The optimizer step of a group of parameters; their gradients die."""

    kind: Literal["step"] = "step"
    group: Steps

    urgency: ClassVar[int] = 10
    words: ClassVar[str] = "{i.group}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reduce(Common):
    """Begins to sum a group's gradients over the copies of the network; its step waits for the sums."""

    kind: Literal["reduce"] = "reduce"
    group: Sums

    urgency: ClassVar[int] = 5
    words: ClassVar[str] = "{i.group}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Send(Common):
    """Begins to send a value to another stage, which reads it."""

    kind: Literal["send"] = "send"
    value: Reads
    to: int
    channels_last: bool = False  # how its message lies in memory

    urgency: ClassVar[int] = 5
    words: ClassVar[str] = "{i.value} to stage {i.to}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Receive(Common):
    """Waits for a value of another stage; a gradient is added to what this stage has of it already."""

    kind: Literal["receive"] = "receive"
    value: Makes
    source: int
    what: Literal["images", "labels", "activations"]
    shape: tuple[int, ...]  # of one sample
    width: int = 4  # bytes of a number, where a step in fp32 has four
    channels_last: bool = False  # how it lies in memory
    adds: bool = False

    urgency: ClassVar[int] = 5
    words: ClassVar[str] = "{i.value} from stage {i.source}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SendSources(Common):
    """Begins to send the weights that a unit of another stage averages, as they are before this step."""

    kind: Literal["send_sources"] = "send_sources"
    unit: Name
    to: int
    uses: Uses
    tensors: tuple[Name, ...]

    urgency: ClassVar[int] = 5
    words: ClassVar[str] = "of {i.unit} to stage {i.to}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiveSources(Common):
    """Waits for the weights that a unit averages, where they are another stage's."""

    kind: Literal["receive_sources"] = "receive_sources"
    unit: Name
    source: int
    tensors: tuple[Name, ...]

    urgency: ClassVar[int] = 5
    words: ClassVar[str] = "of {i.unit} from stage {i.source}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Free(Common):
    """Values that nobody reads any more die."""

    kind: Literal["free"] = "free"
    values: tuple[Value, ...]

    urgency: ClassVar[int] = 0

    @property
    def about(self) -> str:
        """The values."""
        return " ".join(self.values)


@dataclass(frozen=True, slots=True, kw_only=True)
class Extension(Common, ABC):
    """A kind from outside: subclasses are frozen dataclasses with a `kind` of their own and fields like those above."""

    urgency: ClassVar[int] = 15
    flops: ClassVar[int] = 0  # of one image

    @property
    def about(self) -> str:
        """What it reads and changes."""
        return " ".join(sorted(self.reads | self.writes))

    @abstractmethod
    def run(self, values: MutableMapping[str, Any], machine: Any) -> None:
        """Do it on a machine (see `specc.step.machine`); `values` are those that are alive, by name."""


def _read(value: Any) -> Extension:
    if isinstance(value, Extension):
        return value
    try:
        added: Any = ADDITIONS[value["kind"]]
    except (KeyError, PluginError) as error:
        raise ValueError(f"no instruction is called {value['kind']!r}: {error}") from error
    found: Extension = TypeAdapter(added.instruction).validate_python(value)
    return found


def _tag(value: Any) -> str | None:
    kind = value.get("kind") if isinstance(value, Mapping) else getattr(value, "kind", None)
    if not isinstance(kind, str):
        return None
    return kind if kind in OWN else "extension"


Communication = Reduce | Send | Receive | SendSources | ReceiveSources
Instruction = Forward | Branch | Head | BranchBackward | Backward | EmaUpdate | Step | Free | Communication | Extension
OWN = {
    "forward", "branch", "head", "branch_backward", "backward", "ema_update", "step", "free",
    "reduce", "send", "receive", "send_sources", "receive_sources",
}  # fmt: skip
AnyInstruction = Annotated[
    Annotated[Forward, Tag("forward")]
    | Annotated[Branch, Tag("branch")]
    | Annotated[Head, Tag("head")]
    | Annotated[BranchBackward, Tag("branch_backward")]
    | Annotated[Backward, Tag("backward")]
    | Annotated[EmaUpdate, Tag("ema_update")]
    | Annotated[Step, Tag("step")]
    | Annotated[Free, Tag("free")]
    | Annotated[Reduce, Tag("reduce")]
    | Annotated[Send, Tag("send")]
    | Annotated[Receive, Tag("receive")]
    | Annotated[SendSources, Tag("send_sources")]
    | Annotated[ReceiveSources, Tag("receive_sources")]
    | Annotated[Extension, PlainValidator(_read), PlainSerializer(asdict), Tag("extension")],
    Discriminator(_tag),
]
