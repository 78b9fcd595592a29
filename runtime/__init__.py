"""The runtime: executes a `specc.Plan` with PyTorch; decides nothing that a plan says."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from specc.graph.traced.tracing import trace_here
from specc.tasks.own.asking import ask_here

from .engine.session import Session, Step
from .trace import laboratory
from .wrapping import Wrapped, wrap

if TYPE_CHECKING:
    from .run.from_python import ask, evaluate, resume, train

__all__ = ["Session", "Step", "Wrapped", "ask", "evaluate", "resume", "train", "wrap"]

_LATE = dict.fromkeys(("ask", "evaluate", "resume", "train"), "runtime.run.from_python")  # a session needs no run


def __getattr__(name: str) -> Any:
    if name in _LATE:
        return getattr(import_module(_LATE[name]), name)
    raise AttributeError(f"module 'runtime' has no attribute '{name}'")


trace_here(laboratory.trace)  # torch is here anyway
ask_here(lambda source: import_module("runtime.data.own.asking").ask(source))
