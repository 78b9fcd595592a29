"""Plans, budgets and margins as tables and JSON documents; nothing is computed here that a plan does not hold."""

from __future__ import annotations

from .columns import Column
from .tables import Table, table

__all__ = ["Column", "Table", "table"]
