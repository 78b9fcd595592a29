"""How long a step takes on a device: what its ops compute and move, counted by the step itself. Nothing is run."""

from __future__ import annotations

from .step import StepTime, step_time
from .work import Work
from .workbook import Workbook, works

__all__ = ["StepTime", "Work", "Workbook", "step_time", "works"]
