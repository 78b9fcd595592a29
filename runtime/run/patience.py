"""When a training is over before its last epoch."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping

from specc.spec.sections.early_stopping import EarlyStopping

from .cadence import above


class Patience:
    """Looks at the figures of every epoch, and has enough of them when none was better for a while.

    All that it knows is in the rows of metrics.csv, which a checkpoint holds: a resumed run stops where it would have.
    """

    def __init__(self, config: EarlyStopping | None, first_metric: str) -> None:
        self.config = config
        self.metric = (config.metric or first_metric) if config else ""
        self.best, self.at, self.epoch = math.nan, 0, 0  # the best figure, its epoch, and the last one (from 1)

    def add(self, figures: Mapping[str, float]) -> None:
        """An epoch more."""
        self.epoch += 1
        value = figures.get(self.metric, math.nan)
        if self.config and self._better(value):
            self.best, self.at = value, self.epoch

    def _better(self, value: float) -> bool:
        if not self.at:
            return math.isfinite(value)
        return self.config is not None and above(self.metric, value, self.best, self.config.min_delta)

    def restore(self, metrics: bytes, half: str) -> None:
        """The epochs that a checkpoint recorded in metrics.csv."""
        for row in csv.DictReader(metrics.decode(errors="replace").splitlines()):
            self.add({self.metric: _number(row.get(f"{half}_{self.metric}"))})

    @property
    def over(self) -> bool:
        """Whether to go on would be in vain."""
        return self.config is not None and self.epoch - self.at >= self.config.patience

    def __str__(self) -> str:
        shown = f"{self.best:.4f}" if self.metric == "loss" else f"{self.best:.2%}"
        best = f"was best after epoch {self.at} ({shown})" if self.at else "was never a number"
        return f"stopped early after epoch {self.epoch}: {self.metric.replace('_', ' ')} {best}"


def _number(text: str | None) -> float:
    try:
        return float(text or "nan")
    except ValueError:
        return math.nan
