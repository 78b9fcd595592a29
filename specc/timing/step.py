"""The time of a step: the sum of its instructions', each that of its work."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..plan import Plan
from ..profiles import Profile
from ..profiles.model import Overhead, Source
from .measured import times_on
from .work import Work
from .workbook import works

NONE = Overhead(0.0, 1.0)


@dataclass(frozen=True, slots=True)
class StepTime:
    """A step on a device as predicted."""

    instructions: tuple[float, ...]  # seconds of each, in the plan's order
    by_kind: Mapping[str, float]  # seconds by what is computed
    images: int  # of a step
    source: Source
    profile: str  # the name of the profile
    device: str  # as people call it

    @property
    def seconds(self) -> float:
        """Of the whole step."""
        return sum(self.instructions)

    @property
    def images_per_second(self) -> float:
        """How many images are learnt from in a second."""
        return self.images / self.seconds


def step_time(plan: Plan, profile: Profile) -> StepTime:
    """How long a step of the plan takes on a device."""
    return time_of(plan, works(plan, profile.kind), profile)


def time_of(plan: Plan, work: Sequence[Sequence[Work]], profile: Profile) -> StepTime:
    """The time of a step whose work is known."""
    config = plan.config
    by_kind: defaultdict[str, float] = defaultdict(float)
    instructions = []
    times = times_on(profile)
    for instruction, own in zip(plan.instructions, work, strict=True):
        beside = profile.overheads.get(type(instruction).__name__, NONE)
        found = [beside.factor * seconds for seconds in times.of(own, config.train.precision)]
        for each, seconds in zip(own, found, strict=True):
            by_kind[each.what] += seconds
        if beside.seconds:
            by_kind["instructions"] += beside.seconds
        instructions.append(sum(found) + beside.seconds)
    return StepTime(tuple(instructions), dict(by_kind), config.data.batch_size, profile.source, profile.name,
                    profile.device)  # fmt: skip
