"""The learning rate of every epoch or step, by its number alone: so a resumed run goes on as it would have."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn
from torch.optim.lr_scheduler import OneCycleLR

from specc.spec.sections.schedule import Schedule
from specc.spec.sections.train import Train

from ..errors import RunError
from ..named import named


class Rates:
    """What the optimizers' groups are told before each step: `lr`, and with `one_cycle` the momentum too."""

    def __init__(self, train: Train, steps: int) -> None:
        self.schedule, self.lr, self.epochs, self.steps = train.schedule, train.optimizer.lr, train.epochs, steps
        self.total = self.epochs * self._each
        self.cycle = OneCycle(train, self.total) if self.schedule.name == "one_cycle" else None

    @property
    def _each(self) -> int:
        """How much of what the schedule counts an epoch is."""
        return self.steps if self.schedule.by == "steps" else 1

    def at(self, epoch: int, step: int) -> dict[str, Any]:
        """For a step of an epoch, both from 0."""
        position = epoch * self._each + (step if self.schedule.by == "steps" else 0)
        if self.cycle is not None:
            return self.cycle.at(position)
        warm = self.schedule.warmup_steps or self.schedule.warmup_epochs * self._each
        return {"lr": learning_rate(self.schedule, self.lr, position, self.total, warm)}

    def last(self, epoch: int) -> float:
        """The learning rate at an epoch's end."""
        rate: float = self.at(epoch, self.steps - 1)["lr"]
        return rate

    @property
    def notes(self) -> list[str]:
        """What of the schedule is never reached, where only the data set tells."""
        if self.schedule.by == "epochs":
            return []
        late = [f"the milestone {step}" for step in self.schedule.milestones if step >= self.total]
        warm = self.schedule.warmup_steps or self.schedule.warmup_epochs * self.steps
        late += [f"the end of the warm-up, {warm}," for _ in range(1) if warm >= self.total]
        return [f"{what} is never reached: the training has {self.total} steps" for what in late]


def learning_rate(schedule: Schedule, lr: float, position: int, total: int, warm: int | None = None) -> float:
    """The rate at `position` (from 0) of `total`; warm-up moves from `warmup_lr` to the curve, as InfoPro's code.

    Torch's schedulers of the same names multiply the rate of the step before, so that their last digits depend on all
    steps before: these are theirs but for that.
    """
    value = _curve(schedule, lr, position, total)
    warm = schedule.warmup_epochs if warm is None else warm
    if position < warm:
        return value * position / warm + schedule.warmup_lr * (warm - position) / warm
    return value


def _curve(schedule: Schedule, lr: float, position: int, total: int) -> float:
    if schedule.name == "cosine":
        return 0.5 * lr * (1 + math.cos(math.pi * (position + schedule.count_from) / total))
    if schedule.name == "step":
        return lr * schedule.gamma ** sum(position >= milestone for milestone in schedule.milestones)
    if schedule.name == "poly":
        return schedule.min_lr + (lr - schedule.min_lr) * math.pow(1 - position / total, schedule.power)
    return lr


class OneCycle:
    """Torch's `OneCycleLR` on an optimizer of one number, put where it is asked for."""

    def __init__(self, train: Train, total: int) -> None:
        config = train.optimizer
        self.optimizer: torch.optim.Optimizer = named(config.torch, f"the optimizer `{config.name}`")(
            [nn.Parameter(torch.zeros(1))], **config.arguments()
        )
        try:
            self.scheduler = OneCycleLR(self.optimizer, config.lr, total_steps=total, **train.schedule.cycle)
        except ZeroDivisionError:
            message = f"`one_cycle` rises in one of {total} {train.schedule.by}, from nowhere to the top at once"
            help = ("another `pct_start`", "`by: steps` in `train.schedule`, or more epochs")
            raise RunError(message, help) from None
        self.optimizer.step()  # or torch warns that no step was taken
        self.keys = ["lr", *(k for k in ("momentum", "betas") if train.schedule.cycle_momentum)]

    def at(self, position: int) -> dict[str, Any]:
        """What it says of a step."""
        self.scheduler.load_state_dict({"last_epoch": position - 1})
        self.scheduler.step()
        (group,) = self.optimizer.param_groups
        return {key: group[key] for key in self.keys if key in group}
