"""Instructions of a plan for one of several devices: sums over copies of the network, what moves between stages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from ..language.names import Name
from .touches import Common, Makes, Reads, Sums, Uses


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


Communication = Reduce | Send | Receive | SendSources | ReceiveSources
