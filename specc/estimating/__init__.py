"""What training a network end to end would take, in one call; no spec has to be written, and nothing is run."""

from __future__ import annotations

from .estimate import Advice, Estimate, estimate
from .example import NotAnExample

__all__ = ["Advice", "Estimate", "NotAnExample", "estimate"]
