"""When a run is saved."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping

from specc.spec.sections.checkpoint import Checkpoints

from .checkpoint import Best, Position


class Cadence:
    """Knows from where a run stands, and from where it was last saved, whether it is time to save it again."""

    def __init__(self, config: Checkpoints, first_metric: str) -> None:
        self.number, self.unit = config.interval
        self.metric = (config.keep_best.metric or first_metric) if config.keep_best else None
        self.saved_at = time.monotonic()

    @property
    def time_is_up(self) -> bool:
        """Whether it is time by the clock, where that is what counts."""
        return self.unit == "minute" and time.monotonic() - self.saved_at >= 60 * self.number

    def due(self, epoch: int, steps: int, saved: Position | None, time_is_up: bool | None = None) -> bool:
        """Whether it is time, at an epoch (from 0) and after so many steps in all; by a clock, or as somebody says."""
        if self.unit == "minute":
            return self.time_is_up if time_is_up is None else time_is_up
        now, before = (
            (epoch, saved.epoch if saved else 0) if self.unit == "epoch" else (steps, saved.steps if saved else 0)
        )
        return now // self.number > before // self.number

    def better(self, best: Best | None, figures: Mapping[str, float], epoch: int) -> Best | None:
        """The best of an evaluation after an epoch (from 1) and of those before it; the first of equal ones.

        One that is new has no checkpoint yet.
        """
        if self.metric is None:
            return best
        value = figures[self.metric]
        if not math.isfinite(value) or (
            best and best.metric == self.metric and not above(best.metric, value, best.value)
        ):
            return best
        return Best(self.metric, value, epoch, "")


def above(metric: str, value: float, other: float, by: float = 0.0) -> bool:
    """Whether a figure is better than another one, by more than so much."""
    return value < other - by if metric == "loss" else value > other + by
