"""How good a network is on a set of samples, and how good each of its units is by itself."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field

from torch import Tensor

from specc.plan import Plan
from specc.tasks.registry import TASKS
from specc.tasks.task import Task

from ..data.loader import Part
from ..engine.session import Session
from .metrics import Evaluation
from .team import ALONE, Team
from .told import Told


@dataclass(frozen=True, slots=True)
class Findings:
    """The task's metrics and the loss of the network, and of every unit that answers by itself the first metric."""

    whole: dict[str, float] = field(default_factory=dict)
    units: dict[str, float] = field(default_factory=dict)
    told: Told | None = field(default=None, compare=False)  # of every class, by the network

    def columns(self, half: str) -> dict[str, float]:
        """All of them, as metrics.csv calls them."""
        return {f"{half}_{name}": value for name, value in (self.whole | self.units).items()}


NOTHING = Findings()


def evaluated(
    session: Session, parts: Iterable[Part], *, units: bool, seen: Callable[[Tensor, Tensor], None] | None = None,
    whole_plan: Plan | None = None, team: Team = ALONE,
) -> Findings:  # fmt: skip
    """Look at all samples once, without a gradient and with the statistics that the norms have learnt.

    `seen` is told what the network gives of each batch, and what is right. Several ranks look at a part of every batch
    each, and all learn what they found together.
    """
    plan = whole_plan or session.plan
    names = columns(plan) if units else {}
    counts = Counts(TASKS[plan.config.task], tuple(dict.fromkeys(names.values())))
    for batch, samples in parts:
        counts_here = part_of(session.plan, samples)
        if not counts_here and not gathers(session.plan):
            continue
        images, labels = batch or (None, None)
        del batch
        for answer in session.answers(images, labels, units=units, samples=samples):
            if not counts_here:
                continue
            named = answer.unit and answer.head and names[answer.unit.name, answer.head.name]
            own = counts.units[named] if named else counts.whole
            own.add(answer.output.float(), answer.target)
            if own is counts.whole:
                counts.told.add(answer.output.float(), answer.target)
                if seen:
                    seen(answer.output.float(), answer.target)
            del answer  # or it would be there beside the next one
    return counts.of_all(team).findings()


def part_of(plan: Plan, samples: int) -> int:
    """How many of a batch's samples this device looks at: of a few some copies have none."""
    return samples if plan.layout is None else len(plan.layout.share(samples))


def gathers(plan: Plan) -> bool:
    """Whether others wait for this device in every batch, as it has a part of what they need."""
    return plan.layout is not None and plan.layout.sharded


class Counts:
    """What is counted of the network and of its units by name, and of every class."""

    def __init__(self, task: Task, units: Collection[str]) -> None:
        self.task = task
        self.units = {name: Evaluation(task, task.metrics[:1], judged=False) for name in units}
        self.whole, self.told = Evaluation(task), Told(task.kind)

    def of_all(self, team: Team) -> Counts:
        """What all ranks have counted together."""
        if team.alone:
            return self
        found = Counts(self.task, self.units)
        own = {name + key: tensor for name, each in self._named() for key, tensor in each.tensors().items()}
        for theirs in team.tensors(own):
            for name, each in found._named():
                each.take({key.removeprefix(name): theirs[key] for key in theirs if key.startswith(name)})
        return found

    def findings(self) -> Findings:
        """What that means."""
        units = {f"{name}.{key}": value for name, each in self.units.items() for key, value in each.figures().items()}
        return Findings(self.whole.figures(), units, self.told)

    def _named(self) -> Iterator[tuple[str, Evaluation | Told]]:
        yield from (("whole/", self.whole), ("told/", self.told))
        yield from ((f"unit {name}/", each) for name, each in self.units.items())


def columns(plan: Plan) -> dict[tuple[str, str], str]:
    """What every head that answers by itself is called: as its unit, with a name of its own where several of one do."""
    found: dict[tuple[str, str], str] = {}
    for unit in plan.units:
        found |= {(unit.name, head.name): f"{unit.name}.{head.name}" if len(unit.telling) > 1 else unit.name
                  for head in unit.telling}  # fmt: skip
    return found
