"""A block diagram in the languages of Graphviz and Mermaid, which lay it out themselves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from .diagram import BlockShown, Diagram
from .palette import SERIES, series


def to_dot(found: Diagram, *, layers: bool = False) -> str:
    """For `dot`: features along the arrows, cuts dashed, EMA links dotted."""
    lines = [f"digraph {_quoted(found.name)} {{", "  rankdir=TB;",
             '  node [shape=box, style="rounded", fontname="sans-serif"];',
             '  edge [fontname="sans-serif", fontsize=10];',
             f"  input [shape=plaintext, label={found.samples}];"]  # fmt: skip
    for block in found.blocks:
        lines += _dot_block(block) if layers else [f"  block{block.index} [label={_quoted(*_block_lines(block))}];"]
    ends = {block.index: _ends(block, layers) for block in found.blocks}
    lines.append(f"  input -> {ends[0][0]} [label={_quoted(found.blocks[0].input)}];")
    for before, after in zip(found.blocks, found.blocks[1:], strict=False):
        label = _quoted(before.output, "cut")
        lines.append(f"  {ends[before.index][1]} -> {ends[after.index][0]} [label={label}, style=dashed];")
    for i, unit in enumerate(found.units):
        colour = series(unit.level).light
        lines.append(f'  unit{i} [label={_quoted(*unit.lines)}, color="{colour}"];')
        lines.append(f'  {ends[unit.end][1]} -> unit{i} [color="{colour}"];')
        lines += (f'  {ends[k][1]} -> unit{i} [style=dotted, arrowhead=none, color="{colour}", label=window];'
                  for k in range(unit.start, unit.end))  # fmt: skip
        lines += (
            f"  {ends[link.source][0]} -> unit{i} [style=dotted, constraint=false, label=EMA];" for link in unit.links
        )
    return "\n".join([*lines, "}"]) + "\n"


def _dot_block(block: BlockShown) -> Iterator[str]:
    yield f"  subgraph cluster_block{block.index} {{"
    yield f"    label={_quoted(f'block {block.index}')};"
    for i, layer in enumerate(block.layers):
        yield f"    {_layer(block, i)} [label={_quoted(layer.name, layer.ops, layer.output)}];"
    for i in range(len(block.layers) - 1):
        yield f"    {_layer(block, i)} -> {_layer(block, i + 1)};"
    yield "  }"


def _quoted(*lines: str) -> str:
    """Lines as a string of dot's."""
    return '"' + "\\n".join(line.replace("\\", "\\\\").replace('"', '\\"') for line in lines) + '"'


def to_mermaid(found: Diagram, *, layers: bool = False) -> str:
    """For Markdown pages that draw it: features along the arrows, cuts and windows dotted, EMA links dotted upwards."""
    lines = [
        "---",
        f"title: {_plain(found.name)}",
        "---",
        "flowchart TD",
        f"  input([{found.samples} {_plain(found.blocks[0].input)}])",
    ]
    for block in found.blocks:
        lines += _mermaid_block(block) if layers else [f"  block{block.index}{_node(_block_lines(block))}"]
    ends = {block.index: _ends(block, layers) for block in found.blocks}
    lines.append(f"  input --> {ends[0][0]}")
    for before, after in zip(found.blocks, found.blocks[1:], strict=False):
        lines.append(f'  {ends[before.index][1]} -. "{_plain(before.output)}, cut" .-> {ends[after.index][0]}')
    for i, unit in enumerate(found.units):
        lines.append(f"  unit{i}{_node(unit.lines)}:::level{unit.level % len(SERIES)}")
        lines.append(f"  {ends[unit.end][1]} --> unit{i}")
        lines += (f'  {ends[k][1]} -. "window" .- unit{i}' for k in range(unit.start, unit.end))
        lines += (f'  {ends[link.source][0]} -. "EMA" .-> unit{i}' for link in unit.links)
    used = sorted({unit.level % len(SERIES) for unit in found.units})
    lines += (f"  classDef level{level} stroke:{series(level).light},stroke-width:2px" for level in used)
    return "\n".join(lines) + "\n"


def _mermaid_block(block: BlockShown) -> Iterator[str]:
    yield f'  subgraph block{block.index}["block {block.index}"]'
    for i, layer in enumerate(block.layers):
        yield f"    {_layer(block, i)}{_node((layer.name, layer.ops, layer.output))}"
    for i in range(len(block.layers) - 1):
        yield f"    {_layer(block, i)} --> {_layer(block, i + 1)}"
    yield "  end"


def _node(lines: Sequence[str]) -> str:
    return '["' + "<br>".join(map(_plain, lines)) + '"]'


def _plain(text: str) -> str:
    """Text without what Mermaid reads as something else: these characters by their numbers, as it asks for."""
    return "".join(f"#{ord(c)};" if c in '"#&<>;`\\[]{}|' else c for c in text)


def _block_lines(block: BlockShown) -> tuple[str, ...]:
    return f"block {block.index}", block.span, f"{block.parameters:,} parameters"


def _layer(block: BlockShown, number: int) -> str:
    return f"block{block.index}_{number}"


def _ends(block: BlockShown, layers: bool) -> tuple[str, str]:
    """The nodes that what comes before and after a block is connected with."""
    if not layers:
        return f"block{block.index}", f"block{block.index}"
    return _layer(block, 0), _layer(block, len(block.layers) - 1)
