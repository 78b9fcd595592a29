"""The command line: `main` with all its commands."""

from __future__ import annotations

from .commands import completion, listing, plans, recipes, runs, specs, trained
from .commands.options import main

__all__ = ["completion", "listing", "main", "plans", "recipes", "runs", "specs", "trained"]
