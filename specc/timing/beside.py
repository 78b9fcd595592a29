"""The host beside a device: parameters come and gradients leave while the device computes, and steps are made there.

Moves are one after the other each way. The host makes one step after the other, each once its gradients have come, and
the device is never more than `LEAVING` blocks ahead of the gradients that leave it. A step ends when all is made.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from ..memory.stepping import HOST
from ..plan import Evict, Load, Plan, Step
from ..plan.moving import MOVING
from ..plan.offloading import PARAMETERS
from .events import Action, Key, Transfer
from .work import Work

AVERAGE = HOST + "average"  # of the weights, when all steps are made
LEAVING = 2
Timed = Sequence[tuple[Work, float]]  # the works of an instruction, and how long they take


@dataclass(frozen=True)
class Beside:
    """What is beside the instructions of a device, in seconds."""

    plan: Plan
    coming: Mapping[int, tuple[tuple[str, float], ...]] = field(default_factory=dict)  # what begins to, by loads
    leaving: Mapping[int, float] = field(default_factory=dict)  # by evicts of what has gradients
    made: Mapping[int, float] = field(default_factory=dict)  # by instructions
    last: float = 0.0  # when all else is made

    @property
    def inwards(self) -> float:
        """Seconds that parameters are on their way."""
        return sum(seconds for each in self.coming.values() for _, seconds in each)

    @property
    def outwards(self) -> float:
        """Seconds that gradients are on their way."""
        return sum(self.leaving.values())

    @property
    def work(self) -> float:
        """Seconds that the host works."""
        return sum(self.made.values()) + self.last

    def around(self, action: Action, i: int, device: int, step: int) -> Action:
        """An action of the device, with what it asks of its host and waits for."""
        each, gives = self.plan.instructions[i], list(action.gives)
        asks, awaits = list(action.asks), list(action.awaits)
        if isinstance(each, Load):
            asks += [("load", device, state, step) for state, _ in self.coming.get(i, ())]
            awaits.append(("load", device, each.state, step))
        if i in self.leaving:
            before = [other for other in self.leaving if other < i]
            if len(before) >= LEAVING:
                awaits.append(("evict", device, before[-LEAVING], step))
            gives.append(("evict", device, i, step))
        if i in self.made:
            gives.append(("told", device, i, step))
        return replace(action, asks=tuple(asks), awaits=tuple(awaits), gives=tuple(gives))

    def all_made(self, device: int, step: int) -> tuple[Key, ...]:
        """What the end of a step waits for."""
        return tuple(("made", device, i, step) for i in (*self.made, *((-1,) if self.last else ())))

    def transfers(self, device: int, steps: int) -> dict[Key, Transfer]:
        """All that moves, and word of what is to be made and what was."""
        found: dict[Key, Transfer] = {}
        for step in range(steps):
            for state, seconds in (pair for each in self.coming.values() for pair in each):
                found["load", device, state, step] = Transfer((device,), seconds=seconds, way="in")
            for i, seconds in self.leaving.items():
                found["evict", device, i, step] = Transfer((device,), seconds=seconds, way="out")
            told = {key: Transfer((device,)) for i in self.made for key in [("told", device, i, step)]}
            found |= told | dict.fromkeys(self.all_made(device, step), Transfer((device,)))
        return found

    def actions(self, device: int, steps: int) -> Iterator[Action]:
        """What the host does."""
        for step in range(steps):
            for i, seconds in self.made.items():
                gone = [("evict", device, other, step) for other in self._gone_before(i)]
                awaits = (("told", device, i, step), *gone)
                yield Action(str(self.plan.instructions[i]), seconds, awaits=awaits, gives=(("made", device, i, step),))
            if self.last:
                yield Action("average", self.last, gives=(("made", device, -1, step),))

    def _gone_before(self, i: int) -> Iterator[int]:
        """The evict of the gradients that a step is of."""
        each = self.plan.instructions[i]
        if isinstance(each, Step):
            wanted = Evict(state=f"{PARAMETERS}{each.group}")
            yield from (other for other in self.leaving if self.plan.instructions[other] == wanted)


def beside_of(plan: Plan, works: Sequence[Timed]) -> Beside | None:
    """What is beside a plan's instructions; None where nothing of it lives on the host."""
    if not plan.config.train.offload:
        return None
    coming, leaving, made, last = (
        dict[int, tuple[tuple[str, float], ...]](),
        dict[int, float](),
        dict[int, float](),
        0.0,
    )
    here: set[str] = set()
    for i, (each, own) in enumerate(zip(plan.instructions, works, strict=True)):
        if isinstance(each, Load):
            states = [state for state in (each.state, each.then) if state is not None and state not in here]
            coming[i] = tuple(zip(states, _of(own, "load"), strict=True))
            here.update(states)
        elif isinstance(each, Evict):
            here.discard(each.state)
            leaving |= {i: sum(seconds)} if (seconds := _of(own, "evict")) else {}
        elif on_host(own):
            weights = sum(_of(own, AVERAGE)) * isinstance(each, Step)
            made[i] = sum(seconds for _, seconds in own) - weights
            last += weights
    return Beside(plan, coming, leaving, made, last)


def on_host(works: Timed) -> bool:
    """Whether these are the host's."""
    return any(work.what.startswith(HOST) for work, _ in works)


def is_beside(work: Work) -> bool:
    """Whether the device does something else meanwhile."""
    return work.what in MOVING or work.what.startswith(HOST)


def _of(works: Timed, what: str) -> list[float]:
    return [seconds for work, seconds in works if work.what == what]
