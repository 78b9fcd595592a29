"""Instructions of a plan whose parameters live on the host: they come to the device, and leave it again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from ..language.names import State
from .touches import Common, Moves


@dataclass(frozen=True, slots=True, kw_only=True)
class Load(Common):
    """Waits until parameters are on the device, and has the next ones begin to move there."""

    kind: Literal["load"] = "load"
    state: Moves
    then: State | None = None  # what the next load waits for; none where it would take memory of no use

    urgency: ClassVar[int] = 5
    words: ClassVar[str] = "{i.state}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Evict(Common):
    """Begins to move a group's gradients to the host, where its step waits for them; the parameters leave the device.

    These have not changed there, so that nothing need be moved of averaged copies.
    """

    kind: Literal["evict"] = "evict"
    state: Moves

    urgency: ClassVar[int] = 5
    words: ClassVar[str] = "{i.state}"


Moving = Load | Evict
MOVING = ("load", "evict")
