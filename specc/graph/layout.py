"""Where tokens stand in the image: which of them are pixels of which grid, followed through a graph op by op."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from .node import Node
from .ops import ClassToken, Concat, Embedding, PatchEmbed, Shape, ToTokens, Transpose
from .ops.cutting import Cut
from .ops.sliding import pair


@dataclass(frozen=True, slots=True)
class Layout:
    """Rows and columns of positions, row by row, after `skip` tokens that are no position (class tokens)."""

    size: tuple[int, int]
    skip: int = 0
    turned: bool = False  # the channels come first now, as an MLP-Mixer has them in between

    @property
    def tokens(self) -> int:
        """How many there are."""
        return self.skip + self.size[0] * self.size[1]


@dataclass(frozen=True, slots=True)
class Lost:
    """There is no such grid any more: the node put the positions in an order that is not the image's."""

    node: str


Places = Layout | Lost


def layouts(
    nodes: Iterable[Node], known: Mapping[str, Places], seen: Mapping[str, Layout] | None = None
) -> dict[str, Places]:
    """The places of every value that the nodes make, from those of the tokens they begin with.

    What a tracer has `seen` is so, whatever is derived.
    """
    found = dict(known)
    for node in nodes:
        if seen and len(node.shape) == 2 and node.name in seen:
            found[node.name] = seen[node.name]
            continue
        sources = zip(node.inputs, node.in_shapes, strict=True)
        found[node.name] = _places(node, [found.get(name) or of_shape(shape) for name, shape in sources])
    return found


def of_shape(shape: Shape) -> Layout:
    """The places of a feature map; a vector has a single one."""
    return Layout((shape[1], shape[2]) if len(shape) == 3 else (1, 1))


def _places(node: Node, sources: list[Places]) -> Places:
    """The places of the node's result; a map that is made of tokens is believed to be one."""
    if len(node.shape) != 2:
        return of_shape(node.shape)
    known = [source for source in sources if isinstance(source, Layout)]
    lost = [source for source in sources if isinstance(source, Lost)]
    return lost[0] if lost else _of_tokens(node, known) or Lost(node.name)


def _of_tokens(node: Node, sources: list[Layout]) -> Layout | None:
    first, op = sources[0], node.op
    match op:
        case PatchEmbed():
            (_, h, w), (kh, kw) = node.in_shapes[0], pair(op.k)
            return Layout((h // kh, w // kw))
        case ToTokens():
            return first
        case Embedding() if len(node.in_shapes[0]) == 3:
            return first
        case Transpose():
            return _turned(first, node.shape)
        case ClassToken() if not first.turned:
            return replace(first, skip=first.skip + 1)
        case Cut(axis=0) if not first.turned:
            return _beheaded(first, *op.run(node.in_shapes[0]))
    kept = op.keeps_positions or (isinstance(op, Concat | Cut) and op.axis == 1 and not first.turned)
    return first if kept and all(source == first for source in sources) else None


def _turned(layout: Layout, shape: Shape) -> Layout | None:
    """Tokens and channels exchanged, or back again: there must be as many tokens as before."""
    fits = not layout.turned or shape[0] == layout.tokens
    return replace(layout, turned=not layout.turned) if fits else None


def _beheaded(layout: Layout, start: int, length: int) -> Layout | None:
    """Only tokens at the beginning that are no positions may be cut off."""
    whole = start <= layout.skip and start + length == layout.tokens
    return replace(layout, skip=layout.skip - start) if whole else None
