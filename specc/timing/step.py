"""The time of a step: the sum of its instructions', each that of its work, and of what the host is waited for."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from ..plan import Plan
from ..plan.moving import MOVING
from ..profiles import Profile
from ..profiles.model import Overhead, Source
from .beside import Beside, Timed, beside_of, is_beside
from .events import Action, Events, Links
from .measured import times_on
from .work import Work
from .workbook import works

NONE = Overhead(0.0, 1.0)
AFTER = "host"  # what is waited for at the end
WAITS = (*MOVING, AFTER)


@dataclass(frozen=True, slots=True)
class StepTime:
    """A step on a device as predicted."""

    instructions: tuple[float, ...]  # seconds of each, in the plan's order; a load or an evict waits
    by_kind: Mapping[str, float]  # seconds by what is computed, or waited for
    images: int  # of a step
    source: Source
    profile: str  # the name of the profile
    device: str  # as people call it
    after: float = 0.0  # seconds that the host makes steps when the device is through
    beside: Beside | None = None  # what the host does meanwhile

    @property
    def seconds(self) -> float:
        """Of the whole step."""
        return sum(self.instructions) + self.after

    @property
    def waits(self) -> float:
        """Seconds that the device waits for its host."""
        return sum(self.by_kind.get(kind, 0.0) for kind in WAITS)

    @property
    def images_per_second(self) -> float:
        """How many images are learnt from in a second."""
        return self.images / self.seconds


@dataclass(frozen=True, slots=True)
class Paces:
    """How long a device works at each instruction, and what its host does beside it."""

    instructions: tuple[float, ...]
    by_kind: Mapping[str, float]
    beside: Beside | None = None


def step_time(plan: Plan, profile: Profile) -> StepTime:
    """How long a step of the plan takes on a device."""
    return time_of(plan, works(plan, profile.kind), profile)


def time_of(plan: Plan, work: Sequence[Sequence[Work]], profile: Profile) -> StepTime:
    """The time of a step whose work is known."""
    found = paces(plan, work, profile)
    told = plan.config.data.batch_size, profile.source, profile.name, profile.device
    if found.beside is None:
        return StepTime(found.instructions, found.by_kind, *told)
    *ends, last = _ends(plan, found, found.beside)
    taken = tuple(end - begin for begin, end in pairwise((0.0, *ends)))
    waited = [taken[i] - seconds for i, seconds in enumerate(found.instructions)]
    after = last - ends[-1]
    waits = {kind: sum(waited[i] for i, each in enumerate(plan.instructions) if each.kind == kind) for kind in MOVING}
    return StepTime(taken, {**found.by_kind, **waits, AFTER: after}, *told, after, found.beside)


def _ends(plan: Plan, found: Paces, beside: Beside) -> Sequence[float]:
    """When each instruction ends on the device, and when all is made."""
    own = [
        replace(beside.around(Action(str(each), found.instructions[i]), i, 0, 0), ends=True)
        for i, each in enumerate(plan.instructions)
    ]
    own.append(Action(AFTER, awaits=beside.all_made(0, 0), ends=True))
    return Events([own, [*beside.actions(0, 1)]], beside.transfers(0, 1), Links(1.0)).run().ends[0]


def paces(plan: Plan, work: Sequence[Sequence[Work]], profile: Profile) -> Paces:
    """How long each instruction of a step takes by itself whose work is known."""
    config, times = plan.config, times_on(profile)
    by_kind: defaultdict[str, float] = defaultdict(float)
    instructions, timed = [], list[Timed]()
    for instruction, own in zip(plan.instructions, work, strict=True):
        beside = profile.overheads.get(type(instruction).__name__, NONE)
        found = [beside.factor * seconds for seconds in times.of(own, config.train.precision)]
        timed.append(list(zip(own, found, strict=True)))
        here = [(each.what, seconds) for each, seconds in timed[-1] if not is_beside(each)]
        for what, seconds in here:
            by_kind[what] += seconds
        if beside.seconds:
            by_kind["instructions"] += beside.seconds
        instructions.append(sum(seconds for _, seconds in here) + beside.seconds)
    return Paces(tuple(instructions), dict(by_kind), beside_of(plan, timed))
