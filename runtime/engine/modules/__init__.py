"""One torch module builder an op, under the op's own name."""

from __future__ import annotations

from . import builders  # noqa: F401 - it registers them
from .normalization import BatchNorm
from .registry import BUILDERS, Call

__all__ = ["BUILDERS", "BatchNorm", "Call"]
