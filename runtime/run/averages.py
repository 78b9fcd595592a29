"""Running means of an epoch's figures, kept on the device so that no step waits for them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from specc.plan import Plan
from specc.tasks.task import Task

from ..engine.session import Step
from .metrics import metric
from .team import Team

COUNT = "count"  # no figure's name: those of losses have a dot


@dataclass
class Averages:
    """Sums over the images so far; a checkpoint holds them, so that a resumed epoch's means are of all its images."""

    count: int = 0
    sums: dict[str, Tensor] = field(default_factory=dict)

    def add(self, values: Mapping[str, Tensor], weight: int) -> None:
        """Add the means of a batch of `weight` images."""
        self.count += weight
        for name, value in values.items():
            held = self.sums.get(name)
            self.sums[name] = value.detach() * weight if held is None else held.add_(value.detach() * weight)

    def means(self) -> dict[str, float]:
        """The means so far."""
        return {name: float(total) / max(1, self.count) for name, total in self.sums.items()}

    def tensors(self) -> dict[str, Tensor]:
        """All there is to know, by name; a file of tensors keeps no order, and metrics.csv has one."""
        placed = {f"{place:06d} {name}": total for place, (name, total) in enumerate(self.sums.items())}
        return {COUNT: torch.tensor(self.count), **placed}

    @classmethod
    def of(cls, tensors: Mapping[str, Tensor], device: torch.device) -> Averages:
        """What `tensors` gave, on a device."""
        names = sorted(name for name in tensors if name != COUNT)
        return cls(int(tensors[COUNT]), {name.partition(" ")[2]: tensors[name].to(device) for name in names})

    def of_rank(self, plan: Plan, team: Team) -> Averages:
        """The part of them that goes on in a rank, so that all ranks together have each once."""
        if not team.speaks:
            return Averages(self.count)
        own = {unit.name for unit in plan.units}
        ends = plan.layout is None or plan.layout.last
        return Averages(self.count, {name: total for name, total in self.sums.items() if _unit(name, own) or
                                     ("." not in name and ends)})  # fmt: skip

    def of_all(self, plan: Plan, team: Team) -> Averages:
        """Those of all ranks together, in the order of the whole plan's units; every rank has counted all images."""
        if team.alone:
            return self
        found: dict[str, Tensor] = {}
        for theirs in team.tensors(self.sums):
            for name, total in theirs.items():
                found[name] = found[name] + total if name in found else total
        units = {unit.name: place for place, unit in enumerate(plan.units, 1)}
        order = sorted(found, key=lambda name: units[_unit(name, units)] if "." in name else 0)
        return Averages(self.count, {name: found[name] for name in order})


def _unit(name: str, units: Collection[str]) -> str:
    """The unit that a figure is of: its name and the term's are parted by a dot, and it may have some itself."""
    parts = name.split(".")
    return next((unit for i in range(len(parts), 0, -1) if (unit := ".".join(parts[:i])) in units), "")


def training_figures(step: Step, task: Task, samples: int) -> dict[str, Tensor]:
    """What an epoch's row says of its training: a metric of the backbone and every unit's unweighted losses.

    Of a copy that has a part of a batch it is its part of them.
    """
    losses = {f"{unit}.{term}": value for unit, terms in step.losses.items() for term, value in terms.items()}
    if step.logits is None or step.labels is None:  # another stage's
        return losses
    running = metric(task, task.running).of(step.logits, step.labels)
    part = len(step.labels) / samples
    return {task.running: running if part == 1 else running * part, **losses}
