"""What a package needs for the torch parts of what it adds; docs/extending.md shows each thing."""

from __future__ import annotations

from .data.arrays import Arrays, CropFlip
from .data.config import DataConfig
from .data.draws import Draws
from .data.errors import DataError
from .data.splits import Split, Splits, in_memory
from .engine.modules.registry import Call
from .run.logs.protocol import LoggedRun, Logger
from .run.metrics import Metric, share

__all__ = [
    "Arrays", "Call", "CropFlip", "DataConfig", "DataError", "Draws", "LoggedRun", "Logger", "Metric", "Split",
    "Splits", "in_memory", "share",
]  # fmt: skip
