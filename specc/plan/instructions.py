"""The instructions of a training step, one dataclass a kind: what it reads and writes follows from its fields.

Values carry data from one instruction to the next; `params:`, `grads:` and `ema:` are the state of optimizer groups and
of a unit's averaged copies.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, MutableMapping
from dataclasses import asdict, dataclass
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Discriminator, PlainSerializer, PlainValidator, Tag, TypeAdapter

from ..graph.graph import IfAny
from ..language.names import Name, Value
from ..spec.sections.train import ADDITIONS
from ..system.plugins import PluginError
from .communication import Communication, Receive, ReceiveSources, Reduce, Send, SendSources
from .moving import Evict, Load, Moving
from .touches import (
    AddsTo,
    AddsToIfAny,
    After,
    Averages,
    Common,
    Makes,
    MakesIfAny,
    Part,
    Reads,
    ReadsAverages,
    ReadsIfAny,
    Steps,
    Trains,
    Uses,
)


@dataclass(frozen=True, slots=True)
class Entry(Part):
    """A skip that a block reads beside its input."""

    source: Reads
    leaf: MakesIfAny = None  # where a gradient goes out of the block to where the skip comes from


@dataclass(frozen=True, slots=True)
class Given(Part):
    """A skip that a block gives beside its output."""

    output: Makes
    graph: MakesIfAny = None  # where somebody will send a gradient through the block from here


@dataclass(frozen=True, slots=True)
class Root(Part):
    """Where one more gradient comes into a block."""

    graph: AddsTo
    cotangent: Reads


@dataclass(frozen=True, slots=True)
class Outlet(Part):
    """Where a gradient goes out of a block to where a skip comes from, if it does not stop here."""

    leaf: Reads
    gradient: AddsToIfAny = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Forward(Common):
    """Runs a block on its input, and on the images where a layer of it reads them too.

    What crosses beside the features it reads and gives in the order in which its graph names it.
    """

    kind: Literal["forward"] = "forward"
    block: int
    source: Reads
    images: ReadsIfAny = None
    uses: Uses
    output: Makes
    graph: MakesIfAny = None  # where somebody will send a gradient through this block
    leaf: MakesIfAny = None  # ... and out of it, to the block before
    skips: Annotated[tuple[Entry, ...], IfAny] = ()
    gives: Annotated[tuple[Given, ...], IfAny] = ()

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
    roots: Annotated[tuple[Root, ...], IfAny] = ()  # further ones, at what crosses beside the features
    outlets: Annotated[tuple[Outlet, ...], IfAny] = ()

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


Instruction = (
    Forward | Branch | Head | BranchBackward | Backward | EmaUpdate | Step | Free | Communication | Moving | Extension
)
OWN = {
    "forward", "branch", "head", "branch_backward", "backward", "ema_update", "step", "free",
    "reduce", "send", "receive", "send_sources", "receive_sources", "load", "evict",
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
    | Annotated[Load, Tag("load")]
    | Annotated[Evict, Tag("evict")]
    | Annotated[Extension, PlainValidator(_read), PlainSerializer(asdict), Tag("extension")],
    Discriminator(_tag),
]
