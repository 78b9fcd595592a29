"""Where parameters are at every point of a step: what the verifier knows of loads and evicts."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from ..plan import EmaUpdate, Evict, Free, Instruction, Load, Plan
from .promises import held_of


class Whereabouts:
    """What lives on the host, and what of it is on the device; `wrong` is told of what is not where it is used."""

    def __init__(self, plan: Plan, wrong: Callable[[str], None]) -> None:
        self.lent = "parameters" in plan.config.train.offload
        self.held, self.here = held_of(plan), set[str]()
        self._next: str | None = None  # what the last load has had begin to move
        self._work = 0  # how many instructions have worked, and by then ...
        self._came: dict[str, int] = {}  # ... what was loaded, and not yet used
        self._used: dict[str, int] = {}  # ... what was used last
        self._wrong = wrong

    def begin(self, i: Instruction) -> None:
        """The next instruction."""
        self._work += not isinstance(i, Free | Load | Evict)

    def load(self, i: Load) -> None:
        """It comes to the device."""
        if i.state not in self.held:
            self._wrong("is of what does not live on the host")
        if i.state in self.here:
            self._wrong("is on the device already")
        if self._next not in (None, i.state):
            self._wrong(f"comes where `{self._next}` was announced")
        self.here.add(i.state)
        self._next, self._came[i.state] = i.then, self._work

    def evict(self, i: Evict) -> None:
        """It leaves the device."""
        if i.state not in self.here:
            self._wrong("is not on the device")
        if self._used.get(i.state) != self._work:
            self._wrong("was used last before, and should have left then")
        self.here.discard(i.state)

    def used(self, state: str) -> None:
        """Whether something is where it is used."""
        if state in self.held and state not in self.here:
            self._wrong(f"uses `{state}`, which is not on the device")
        if self._came.pop(state, self._work) < self._work - 1:
            self._wrong(f"uses `{state}`, which came before it was needed")
        self._used[state] = self._work

    def reads(self, i: Instruction, group: str) -> None:
        """An instruction reads parameters; averages are made where these live."""
        if not (self.lent and isinstance(i, EmaUpdate)):
            self.used(f"params:{group}")

    def stepped(self, group: str) -> None:
        """Whether a group is stepped where its parameters live, and its gradients are."""
        if f"params:{group}" in self.here:
            self._wrong("comes before its gradients have left the device")

    def left_over(self) -> Iterator[str]:
        """What stays on the device."""
        yield from (f"end: `{state}` is never evicted" for state in sorted(self.here))
        if self._next is not None:
            yield f"end: `{self._next}` was announced and never comes"
