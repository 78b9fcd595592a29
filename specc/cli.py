"""The command line: `main` with all its commands."""

from __future__ import annotations

from .commands import (
    compare,
    completion,
    estimating,
    explaining,
    fitting,
    graphs,
    listing,
    plans,
    recipes,
    reports,
    runs,
    specs,
    trained,
)
from .commands.options import main

__all__ = [
    "compare", "completion", "estimating", "explaining", "fitting", "graphs", "listing", "main", "plans", "recipes",
    "reports", "runs", "specs", "trained",
]  # fmt: skip
