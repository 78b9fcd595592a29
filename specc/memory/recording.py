"""One predicted step in full: how much is alive during every op, and who takes what and lets go of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from ..plan import Plan
from .prediction import Prediction
from .storage import Allocator, Storage


class Instant(NamedTuple):
    """Memory while one op of an instruction works: the bytes alive at the highest point, by category."""

    instruction: int
    op: str  # nothing for what an instruction does by itself
    bytes: int
    categories: Mapping[str, int]


class Event(NamedTuple):
    """Bytes that are taken, or let go of; both have one `key`."""

    taken: bool
    key: int
    bytes: int
    category: str
    instruction: int  # -1: before the first one
    op: str


class Recording(Allocator):
    """Remembers every op and every storage."""

    def __init__(self) -> None:
        super().__init__()
        self.instants: list[Instant] = []
        self.events: list[Event] = []
        self.instruction, self.op, self.keys = -1, "", 0
        self._top, self._parts = 0, dict[str, int]()

    def begin(self) -> None:
        """The next instruction."""
        super().begin()
        self.end()
        self.instruction += 1
        self._enter("")

    def at(self, op: str) -> None:
        """The op that works from here on."""
        self.end()
        self._enter(op)

    def end(self) -> None:
        """The op has done its work; what an instruction has not begun is none."""
        if self.instruction >= 0:
            alive = {name: size for name, size in self._parts.items() if size}
            self.instants.append(Instant(self.instruction, self.op, self._top, alive))

    def _enter(self, op: str) -> None:
        self.op, self._top, self._parts = op, self.total, dict(self.alive)

    def take(self, size: int, category: str) -> None:
        """So many bytes more."""
        super().take(size, category)
        if self.total > self._top:
            self._top, self._parts = self.total, dict(self.alive)

    def new(self, size: int, category: str = "activations", width: int = 4) -> Storage:
        """A storage whose end is written down too."""
        return Recorded(self, size, category, width)

    def resident(self, size: int, category: str, network: str) -> None:
        """So many bytes that nobody lets go of."""
        self.op = network
        self.took(size, category)
        self.op = ""
        super().resident(size, category, network)

    def passing(self, size: int, category: str = "activations") -> None:
        """Something that is there for a moment."""
        key = self.took(size, category)
        super().passing(size, category)
        self.gave(key, size, category)

    def took(self, size: int, category: str) -> int:
        """Write down that bytes are taken; the key tells who lets go of them."""
        self.keys += 1
        self.events.append(Event(True, self.keys, size, category, self.instruction, self.op))
        return self.keys

    def gave(self, key: int, size: int, category: str) -> None:
        """Write down that they are free."""
        self.events.append(Event(False, key, size, category, self.instruction, self.op))


class Recorded(Storage):
    """A storage of a recording."""

    __slots__ = ("key", "recording")

    def __init__(self, recording: Recording, size: int, category: str, width: int) -> None:
        self.recording, self.key = recording, recording.took(size, category)
        super().__init__(recording, size, category, width)

    def __del__(self) -> None:
        self.recording.gave(self.key, self.bytes, self.category)
        super().__del__()


def record(plan: Plan) -> Recording:
    """The step of a plan, predicted once more, with everything written down."""
    found = Recording()
    Prediction(plan, plan.memory.device, found).run()
    found.end()
    return found
