"""The runtime: executes a `specc.Plan` with PyTorch; decides nothing that a plan says."""

from __future__ import annotations

from .engine.session import Session, Step

__all__ = ["Session", "Step"]
