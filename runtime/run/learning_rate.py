"""The learning rate of every epoch."""

from __future__ import annotations

import math

from specc.spec.sections.train import Schedule


def learning_rate(schedule: Schedule, lr: float, epoch: int, epochs: int) -> float:
    """The rate in `epoch` (from 0) of `epochs`; warm-up moves from `warmup_lr` to the curve, as InfoPro's code."""
    value = _curve(schedule, lr, epoch, epochs)
    warm = schedule.warmup_epochs
    if epoch < warm:
        return value * epoch / warm + schedule.warmup_lr * (warm - epoch) / warm
    return value


def _curve(schedule: Schedule, lr: float, epoch: int, epochs: int) -> float:
    if schedule.name == "cosine":
        return 0.5 * lr * (1 + math.cos(math.pi * (epoch + schedule.count_from) / epochs))
    if schedule.name == "step":
        return lr * schedule.gamma ** sum(epoch >= milestone for milestone in schedule.milestones)
    if schedule.name == "poly":
        return schedule.min_lr + (lr - schedule.min_lr) * math.pow(1 - epoch / epochs, schedule.power)
    return lr
