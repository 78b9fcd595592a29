"""Where parameters are at every point of a step: nothing works with what is away, nothing stays, each moves once.

What witnesses know of loads and evicts, by themselves: what an instruction touches is what it says of itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from .communication import Reduce, SendSources
from .instructions import EmaUpdate, Free, Instruction, Step
from .model import Plan
from .moving import Evict, Load

PARAMETERS, AVERAGES = "params:", "ema:"


def held_of(plan: Plan) -> set[str]:
    """What lives on the host, of which each part is loaded once and evicted once."""
    if not plan.config.train.offload:
        return set()
    groups = {f"{PARAMETERS}{n.group}" for n in plan.networks.values() if n.group is not None and n.parameters}
    if "parameters" not in plan.config.train.offload:
        return groups
    copies = ((unit.name, plan.networks[link.ema]) for unit in plan.units for link in unit.links)
    return groups | {f"{AVERAGES}{unit}" for unit, network in copies if network.parameters}


class Whereabouts:
    """What of it is on the device; `wrong` is told of what is not where it is used."""

    def __init__(self, plan: Plan, wrong: Callable[[str], None]) -> None:
        self.lent = "parameters" in plan.config.train.offload
        self.held, self.here = held_of(plan), set[str]()
        self._next: str | None = None  # what the last load has had begin to move
        self._work = 0  # how many instructions have worked, and by then ...
        self._came: dict[str, int] = {}  # ... what was loaded, and not yet used
        self._used: dict[str, int] = {}  # ... what was used last
        self._left: dict[str, int] = {}  # ... what was evicted
        self._loaded: set[str] = set()
        self._summed: set[str] = set()  # over copies, until just before the step
        self._wrong = wrong

    def see(self, i: Instruction) -> None:
        """The next instruction, with all that follows from it."""
        self.begin(i)
        match i:
            case Load():
                self.load(i)
            case Evict():
                self.evict(i)
            case Step():
                self.stepped(i.group)
            case Reduce():
                self._summed.add(PARAMETERS + i.group)
                self.used(PARAMETERS + i.group)
            case SendSources():
                pass  # which are the host's
            case _:
                self._touched(i)

    def _touched(self, i: Instruction) -> None:
        for name in sorted(i.reads | i.writes):
            if name.startswith(PARAMETERS):
                self.reads(i, name.removeprefix(PARAMETERS))
            elif name.startswith(AVERAGES) and not isinstance(i, EmaUpdate):
                self.used(name)

    def begin(self, i: Instruction) -> None:
        """The next instruction."""
        self._work += not isinstance(i, Free | Load | Evict)

    def load(self, i: Load) -> None:
        """It comes to the device."""
        for state in (i.state, i.then):
            if state is not None and state not in self.held:
                self._wrong(f"`{state}` does not live on the host")
        if i.state in self.here:
            self._wrong("is on the device already")
        elif i.state in self._loaded:
            self._wrong("comes again")
        if self._next not in (None, i.state):
            self._wrong(f"comes where `{self._next}` was announced")
        self.here.add(i.state)
        self._loaded.add(i.state)
        self._next, self._came[i.state] = i.then, self._work

    def evict(self, i: Evict) -> None:
        """It leaves the device."""
        if i.state not in self.here:
            self._wrong("is not on the device")
        if self._used.get(i.state) != self._work and i.state not in self._summed:
            self._wrong("was used last before, and should have left then")
        self.here.discard(i.state)
        self._left[i.state] = self._work

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
            self.used(f"{PARAMETERS}{group}")

    def stepped(self, group: str) -> None:
        """Whether a group is stepped where its parameters live, and its gradients are."""
        state = f"{PARAMETERS}{group}"
        if state in self.here:
            self._wrong("comes before its gradients have left the device")
        elif state in self._summed and self._left.get(state, self._work) < self._work - 1:
            self._wrong("its gradients are summed until they leave, and left before")

    def left_over(self) -> Iterator[str]:
        """What stays on the device."""
        yield from (f"`{state}` is never evicted" for state in sorted(self.here))
        if self._next is not None:
            yield f"`{self._next}` was announced and never comes"
