"""The runtime: executes a `specc.Plan` with PyTorch; decides nothing that a plan says."""

from __future__ import annotations

from specc.graph.traced.tracing import trace_here

from .engine.session import Session, Step
from .trace import laboratory
from .wrapping import Wrapped, wrap

__all__ = ["Session", "Step", "Wrapped", "wrap"]

trace_here(laboratory.trace)  # torch is here anyway
