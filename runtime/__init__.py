"""The runtime: executes a `specc.Plan` with PyTorch."""

from __future__ import annotations

from .engine.session import Session, Step

__all__ = ["Session", "Step"]
