"""Random levels, EMA links and heads for a given backbone and its cuts: legality is asked of the library beforehand."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from hypothesis import strategies as st

from ..graph.graph import BackboneGraph, Graph
from ..graph.layout import Places
from ..graph.ops import ShapeError
from ..language.plugged import without_arguments
from ..learning.heads import HEADS, Context
from ..spec.sections.auxiliary import Auxiliary
from .layer_lists import Document

Weight = float | dict[str, float]


@dataclass(frozen=True)
class UnitEnd:
    """Where a unit with an auxiliary network ends: its block, its index among the units with heads, and their count."""

    block: int
    index: int
    count: int


@dataclass(frozen=True)
class CutBackbone:
    """A backbone that is cut: what levels, links and heads are drawn for."""

    graph: BackboneGraph
    cuts: tuple[int, ...]  # positions of the layers that end a block, the last block's left out
    classes: int

    @property
    def blocks(self) -> int:
        """How many there are."""
        return len(self.cuts) + 1

    def block_of(self, layer: int) -> int:
        """The block that a layer belongs to."""
        return sum(cut < layer for cut in self.cuts)


# -- levels ---------------------------------------------------------------------------------------------------------


@st.composite
def levels(draw: st.DrawFn, blocks: int, zero_weights: bool) -> list[Document]:
    """One to three levels; a unit may be skipped where another one trains its blocks."""
    windows = [draw(st.integers(1, blocks))]
    windows += draw(st.lists(st.integers(1, blocks), max_size=2))
    later = (1.0, 0.5, 0.0) if zero_weights else (1.0, 0.5)
    weights = [draw(st.sampled_from(later if level else (1.0, 0.5))) for level in range(len(windows))]
    units = [(level, end) for level, window in enumerate(windows) for end in range(window - 1, blocks)]
    skipped: list[tuple[int, int]] = []
    for unit in units:
        rest = [
            (windows[level], end) for level, end in units if weights[level] and (level, end) not in (*skipped, unit)
        ]
        if _trains_all(rest, blocks) and draw(st.booleans()):
            skipped.append(unit)
    found = []
    for level, window in enumerate(windows):
        document: Document = {"name": f"level{level}", "window": "all" if blocks == window == 1 and level else window}
        document |= _maybe("weight", weights[level], 1.0)
        document |= _maybe("skip", [end for i, end in skipped if i == level], [])
        kept = [end for end in range(window - 1, blocks) if (level, end) not in skipped]
        if bool(kept) and draw(st.booleans()):
            document["units"] = [{"unit": draw(st.sampled_from(kept)), "weight": 0.25}]
        found.append(document)
    return found


def _trains_all(units: Iterable[tuple[int, int]], blocks: int) -> bool:
    """Whether the windows of the units (size, last block) cover every block."""
    return {block for window, end in units for block in range(end - window + 1, end + 1)} == set(range(blocks))


def _maybe(key: str, value: Any, default: Any) -> Document:
    return {} if value == default else {key: value}


def unit_ends(blocks: int, level: Document) -> list[UnitEnd]:
    """The units of a level that have auxiliary networks: all but the one that ends with the last block."""
    first = 0 if level["window"] == "all" else level["window"] - 1
    ends = (end for end in range(first, blocks - 1) if end not in level.get("skip", ()))
    return [UnitEnd(end, end - first, blocks - 1 - first) for end in ends]


# -- links ----------------------------------------------------------------------------------------------------------


@st.composite
def links(draw: st.DrawFn, cut: CutBackbone, drawn: Sequence[Document]) -> list[Document]:
    """Up to two EMA links that every unit can have and whose outputs can be added."""
    ends = sorted({end for level in drawn for end in _ends(cut, level)})
    candidates = product(("next", *(layer.name for layer in cut.graph.layers[1:-1])), (1, 2))
    possible = [link for link in candidates if _possible(cut, ends, *link)]
    if not possible or draw(st.integers(0, 3)) == 0:
        return []
    source, count = draw(st.sampled_from(possible))
    serving = [level["name"] for level in drawn if _served(cut, _ends(cut, level), source)]
    found = []
    for _ in range(draw(st.integers(1, 2))):
        link: Document = {"from": source, "bias": draw(st.sampled_from(("branch", "none", "scaled", "parameter")))}
        link |= _maybe("layers", count, 1)
        link |= draw(st.sampled_from(({}, {"momentum": 0.5}, {"init": "copy"}, {"average_buffers": True})))
        if draw(st.booleans()):
            link["levels"] = draw(st.lists(st.sampled_from(serving), min_size=1, unique=True))
        found.append(link)
    return found


def _ends(cut: CutBackbone, level: Document) -> list[int]:
    return [unit.block for unit in unit_ends(cut.blocks, level)]


def _served(cut: CutBackbone, ends: Iterable[int], source: str) -> dict[int, int]:
    """Those of the blocks that end before what is copied, each with the first layer that is."""
    first = {end: cut.cuts[end] + 1 if source == "next" else cut.graph.index[source] for end in ends}
    return {end: layer for end, layer in first.items() if layer > cut.cuts[end]}


def _possible(cut: CutBackbone, ends: Iterable[int], source: str, count: int) -> bool:
    """Whether the link can be built for every unit that it serves, and serves one."""
    served = _served(cut, ends, source)
    return bool(served) and all(_copies(cut, end, first, count) for end, first in served.items())


def _copies(cut: CutBackbone, end: int, first: int, count: int) -> bool:
    """Whether layers first.. can be copied after block `end`: in one block, before the head, fed by one like value."""
    graph, last = cut.graph, first + count - 1
    if last >= len(graph.layers) - 1 or cut.block_of(first) != cut.block_of(last):
        return False
    nodes = [node for layer in graph.layers[first : last + 1] for node in layer.nodes]
    read, own = {name for node in nodes for name in node.inputs}, {node.name for node in nodes}
    if not any(node.parameters for node in nodes) or not own <= {*read, nodes[-1].name}:
        return False
    entries, before = graph.read_from_outside(first, count), graph.layers[cut.cuts[end]]
    if len(entries) != 1 or graph.shapes[entries[0]] != before.shape:
        return False
    return first != cut.cuts[end] + 1 or entries[0] == before.nodes[-1].name  # the next one may read what only crosses


def through(
    cut: CutBackbone, unit: UnitEnd, level: Document, drawn: Sequence[Document]
) -> Iterator[tuple[Graph, Places]]:
    """The copies of layers between a unit's last block and its heads, and where their positions stand."""
    for link in drawn:
        if level["name"] in link.get("levels", [level["name"]]):
            for first in _served(cut, [unit.block], link["from"]).values():
                run = first, link.get("layers", 1)
                start = cut.graph.layouts[cut.graph.layers[cut.cuts[unit.block]].nodes[-1].name]
                yield cut.graph.copy_of(*run), cut.graph.places_through(*run, start)


# -- heads ----------------------------------------------------------------------------------------------------------


def contexts(cut: CutBackbone, drawn: Sequence[Document], linked: Sequence[Document]) -> list[Context]:
    """Every unit where a head would stand."""
    found = []
    for level in drawn:
        for unit in unit_ends(cut.blocks, level):
            copies = tuple(through(cut, unit, level, linked))
            end = cut.cuts[unit.block]
            shape = (copies[0][0] if copies else cut.graph.layers[end]).shape  # of what the heads read
            where = end, unit.index, unit.count, tuple(places for _, places in copies)
            found.append(Context(shape, cut.graph.input, cut.classes, cut.graph, *where))
    return found


def standing(key: str, options: Iterable[Document], where: Sequence[Context]) -> list[Document]:
    """Those of a head's options that can be built at all the places."""
    return [option for option in options if _stands(key, option, where)]


def _stands(key: str, option: Document, where: Sequence[Context]) -> bool:
    if key == "similarity" and any(context.feature[1:] == (1, 1) for context in where):
        return False  # the deviation over a single pixel is not a number
    head = Auxiliary.model_validate({key: option}).heads()[key]
    try:
        for context in where:
            head.graphs(context)
    except (ShapeError, IndexError):
        return False
    return True


def _patched(base: Document) -> list[Document]:
    """A head on a grid of patches, in every way."""
    ways = product(
        ([2, 2], [1, 2], [1, 1], [3, 2]), ("separate", "shared"), ("losses", "outputs"), ("joint", "sequential")
    )
    return [
        {**base, "patches": {"grid": grid, "weights": weights, "fuse": fuse, "execution": execution}}
        for grid, weights, fuse, execution in ways
    ]


OPTIONS: dict[str, list[Document]] = {
    "classifier": [
        {"layers": "0c1f"},
        {"layers": "1c2f", "hidden": 4},
        {"layers": "1c1f", "hidden": 4, "loss": "contrastive"},
        {"layers": [{"op": "relu"}, {"op": "layer_norm"}], "linears": 2, "hidden": 4},
        *_patched({"layers": "0c1f"}),
    ],
    "pooled_linear": [{"features": 16}],
    "periodic": [{}, {"pool": 1, "wave": "square"}],
    "similarity": [{}],
    "reconstruction": [{"channels": 3}, {"channels": 2, "loss": "mse"}, *_patched({"channels": 2})],
    "pointwise": [{"convolutions": 1, "linears": 1}, *_patched({"convolutions": 1, "linears": 1})],
    "augmented": [{"depth": 1}, {"depth": 2, "pyramid": 0.0}],
    "goodness": [{}, {"negatives": "images"}, *_patched({})],
}


@st.composite
def auxiliary(draw: st.DrawFn, where: Sequence[Context], zero_weights: bool) -> Document:
    """One head everywhere, and perhaps more of them; the first trains always."""
    known = OPTIONS | {key: [{}] for key in without_arguments(HEADS)}
    possible = {key: found for key, options in known.items() if (found := standing(key, options, where))}
    keys = draw(st.lists(st.sampled_from(list(possible)), min_size=1, max_size=3, unique=True))
    weights: list[Weight] = [1.0, 0.5, {"first": 1.0, "last": 0.5}]
    chosen: Document = {}
    for key in keys:
        zeros: list[Weight] = [0.0, {"first": 1.0, "last": 0.0}] if zero_weights and chosen else []
        weight = draw(st.sampled_from([*weights, *zeros]))
        chosen[key] = {**draw(st.sampled_from(possible[key])), **_maybe("weight", weight, 1.0)}
    return chosen
