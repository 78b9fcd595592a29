"""Plans, budgets and margins as tables and JSON documents; nothing is computed here that a plan does not hold."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.box import SIMPLE_HEAD
from rich.table import Table


def table(title: str | None, left: Sequence[str], right: Sequence[str], rows: Iterable[Iterable[str]]) -> Table:
    """Columns of text, then columns of figures."""
    made = Table(box=SIMPLE_HEAD, title=title, title_justify="left")
    for name in left:
        made.add_column(name, overflow="fold")
    for name in right:
        made.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        made.add_row(*row)
    return made
