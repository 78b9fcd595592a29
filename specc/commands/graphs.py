"""Commands about the network itself: graph."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import click

from ..diagnostics import SpecError
from ..diagnostics.notices import doing
from .options import Value, main, predicted_on, spec_argument
from .shared import errors_shown, load, say
from .writing import force_option, may_write, written

if TYPE_CHECKING:
    from ..plan import Plan
    from ..system.devices import Device


def _svg(plan: Plan, layers: bool) -> str:
    from ..pictures.blocks import block_diagram
    from ..pictures.drawing import to_svg

    return to_svg(block_diagram(plan, layers=layers))


def _html(plan: Plan, layers: bool) -> str:
    from ..pictures.blocks import block_diagram
    from ..pictures.diagram import diagram
    from ..pictures.page import page

    return page(diagram(plan), *(block_diagram(plan, width, layers=layers) for width in (720, 340)))


def _dot(plan: Plan, layers: bool) -> str:
    from ..pictures.diagram import diagram
    from ..pictures.graph_text import to_dot

    return to_dot(diagram(plan), layers=layers)


def _mermaid(plan: Plan, layers: bool) -> str:
    from ..pictures.diagram import diagram
    from ..pictures.graph_text import to_mermaid

    return to_mermaid(diagram(plan), layers=layers)


WRITERS: Mapping[str, Callable[[Plan, bool], str]] = MappingProxyType({  # by the suffix of the file
    ".svg": _svg, ".html": _html, ".dot": _dot, ".mmd": _mermaid, ".mermaid": _mermaid,
})  # fmt: skip


class Diagrammed(Value):
    """A file whose suffix says how to write the diagram."""

    name = "file"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """The file."""
        path = Path(value)
        if path.suffix.lower() not in WRITERS:
            *most, last = WRITERS
            self.fail(f"`{value}` does not say how to write it: it ends in {', '.join(most)} or {last}", param, ctx)
        return path


@main.command()
@spec_argument
@predicted_on
@click.option(
    "-o", "--output", "target", type=Diagrammed(), metavar="FILE",
    help="Draw blocks, heads, EMA links and windows instead, as .svg, .html, .dot, .mmd or .mermaid.",
)  # fmt: skip
@click.option("--layers", is_flag=True, help="Draw the layers of every block, too.")
@force_option
def graph(
    spec: Path, overrides: tuple[str, ...], device: Device, target: Path | None, layers: bool, force: bool
) -> None:
    """Show the backbone layer by layer: shapes, parameters, FLOPs, and where it may be cut; or draw it in blocks."""
    from ..pipeline import CHECKS, run_passes

    if layers and target is None:
        raise click.UsageError("--layers is for drawings (-o FILE): the table has a row a layer anyway")
    may_write("--output", target, spec, force)
    with errors_shown():
        loaded = load(spec, list(overrides), device)
        draft = run_passes(loaded, CHECKS)
        if draft.failed:
            raise SpecError(draft.diagnostics, loaded.sources)
    if target is not None:
        with doing("drawing the blocks"):
            text = WRITERS[target.suffix.lower()](draft.plan, layers)
        written(target, text)
        return
    from ..views.plan import graph_table

    say(graph_table(draft.graph, draft.blocks))
