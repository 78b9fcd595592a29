"""The command line: `main` with all its commands."""

from __future__ import annotations

from .commands import listing, plans, runs, specs, trained
from .commands.options import main

__all__ = ["listing", "main", "plans", "runs", "specs", "trained"]
