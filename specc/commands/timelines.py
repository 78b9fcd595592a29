"""What `specc plan --timeline` draws: a chart in the terminal, rows for programs, or a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..diagnostics.notices import doing
from .options import Value
from .output import clean, write
from .shared import console
from .writing import written

if TYPE_CHECKING:
    from ..plan import Plan

HERE = Path("-")  # instead of a file


class Drawing(Value):
    """An SVG file, or the terminal."""

    name = "file"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """The file; what has another suffix is most likely no file at all, but the spec."""
        path = Path(value)
        if path != HERE and path.suffix.lower() != ".svg":
            self.fail(f"it writes an SVG, and `{value}` has not that suffix; to draw here, give it last", param, ctx)
        return path


def show_timeline(plan: Plan, target: Path | None) -> None:
    """Draw it beside end-to-end training of the same backbone."""
    from ..compiler.variants import end_to_end

    with doing("planning end-to-end training"):
        beside = end_to_end(plan)
    if target is not None:
        from ..pictures.drawing import to_svg
        from ..pictures.timeline import memory_timeline

        with doing("drawing the timeline"):
            picture = to_svg(memory_timeline(plan, beside))
        written(target, picture)
        return
    screen = console(stderr=False)
    if not screen.is_terminal:
        for i, moment in zip(plan.instructions, plan.memory.timeline, strict=True):
            parts = (f"{name}={size}" for name, size in moment.categories.items())
            write("\t".join(map(clean, (str(i), str(moment.bytes), *parts))))
        return
    from ..pictures.chart import chart
    from ..views.timeline import timeline

    screen.print(chart(timeline(plan), timeline(beside) if beside else None, screen.width), soft_wrap=True)
