"""Running means of an epoch's figures, kept on the device so that no step waits for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from specc.tasks.task import Task

from ..engine.session import Step
from .metrics import metric

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


def training_figures(step: Step, task: Task, labels: Tensor) -> dict[str, Tensor]:
    """What an epoch's row says of its training: a metric of the backbone and every unit's unweighted losses."""
    losses = {f"{unit}.{term}": value for unit, terms in step.losses.items() for term, value in terms.items()}
    if step.logits is None:  # another device's
        return losses
    return {task.running: metric(task, task.running).of(step.logits, labels), **losses}
