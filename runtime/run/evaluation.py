"""How good a network is on a set of samples, and how good each of its units is by itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from torch import Tensor

from specc.plan import Plan
from specc.tasks.registry import TASKS

from ..data import Batch
from ..engine.session import Session
from .metrics import Evaluation
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
    session: Session, batches: Iterable[Batch], *, units: bool, seen: Callable[[Tensor, Tensor], None] | None = None
) -> Findings:
    """Look at all samples once, without a gradient and with the statistics that the norms have learnt.

    `seen` is told what the network gives of each batch, and what is right.
    """
    plan = session.plan
    task = TASKS[plan.config.task]
    names = columns(plan) if units else {}
    own = {name: Evaluation(task, task.metrics[:1], judged=False) for name in names.values()}
    whole, told = Evaluation(task), Told(task.kind)
    for images, labels in batches:
        for answer in session.answers(images, labels, units=units):
            found = own[names[answer.unit.name, answer.head.name]] if answer.unit and answer.head else whole
            found.add(answer.output.float(), answer.target)
            if found is whole:
                told.add(answer.output.float(), answer.target)
                if seen:
                    seen(answer.output.float(), answer.target)
            del answer  # or it would be there beside the next one
    figures = {f"{name}.{key}": value for name, each in own.items() for key, value in each.figures().items()}
    return Findings(whole.figures(), figures, told)


def columns(plan: Plan) -> dict[tuple[str, str], str]:
    """What every head that answers by itself is called: as its unit, with a name of its own where several of one do."""
    found: dict[tuple[str, str], str] = {}
    for unit in plan.units:
        found |= {(unit.name, head.name): f"{unit.name}.{head.name}" if len(unit.telling) > 1 else unit.name
                  for head in unit.telling}  # fmt: skip
    return found
