"""Where to cut a backbone into blocks of nearly equal size, by one of several measures."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import accumulate, pairwise
from typing import Literal

from ..graph.choices import pieces
from ..graph.graph import INPUT, BackboneGraph
from ..graph.ops import BYTES, NOTHING, numel

Measure = Literal["layers", "flops", "parameters", "memory"]


def place_cuts(graph: BackboneGraph, count: int, by: Measure, linked: bool = False) -> list[int]:
    """The `count - 1` cuts, as positions of layers, whose largest block is the smallest possible.

    Every block has something to train. Where there are enough, cuts are those that people mean (`BackboneGraph.tiers`).
    If the blocks are `linked`, every cut is one after which a link finds layers to copy, where there are as many.
    """
    cuts = _placed(graph, [graph.index[name] for name in choices(graph, count)], count, by)
    if not linked or _served(graph, cuts):
        return cuts
    places = ([graph.index[name] for name in tier] for tier in graph.tiers)
    copied = ([i for i in tier if copied_until(graph, i) is not None] for tier in places)
    others = (_placed(graph, legal, count, by) for legal in copied if count <= len(legal) + 1)
    return next((found for found in others if _served(graph, found)), cuts)


def _served(graph: BackboneGraph, cuts: Sequence[int]) -> bool:
    """Whether the block after every cut has layers that a link can copy."""
    ends = ((copied_until(graph, cut), after) for cut, after in pairwise([*cuts, len(graph.layers) - 1]))
    return all(end is not None and end <= after for end, after in ends)


def copied_until(graph: BackboneGraph, cut: int) -> int | None:
    """The last layer of the shortest run that an EMA link from the next block can copy, None if there is none.

    The run reads the value of the cut and no other, hands on one, and has parameters; the network's head is in none. It
    may be a part of the next layer, if that reads several values.
    """
    last = len(graph.layers) - 2
    whole = _copied(graph, cut, last)
    if whole is not None or last <= cut or len(graph.read_from_outside(cut + 1, 1)) < 2:
        return whole
    parts = taken_apart(graph, cut + 1)
    return None if _copied(parts, cut, cut + 1 + len(parts.layers) - len(graph.layers)) is None else cut + 1


def taken_apart(graph: BackboneGraph, position: int) -> BackboneGraph:
    """The graph with the nodes of a layer as layers."""
    layers = graph.layers
    return replace(graph, layers=(*layers[:position], *pieces(layers[position]), *layers[position + 1 :]))


def _copied(graph: BackboneGraph, cut: int, last: int) -> int | None:
    value = graph.layers[cut].nodes[-1].name
    firsts = [i for i in range(cut + 1, last + 1) if graph.read_from_outside(i, 1) in ((value,), ())]
    for count in range(1, last - cut + 1):
        for first in (i for i in firsts if i + count - 1 <= last):
            run = graph.layers[first : first + count]
            read = {name for layer in run for node in layer.nodes for name in node.inputs}
            whole = all(layer.nodes[-1].name in read for layer in run[:-1])
            if whole and any(layer.weighted for layer in run) and graph.read_from_outside(first, count) == (value,):
                return first + count - 1
    return None


def _placed(graph: BackboneGraph, legal: list[int], count: int, by: Measure) -> list[int]:
    costs = layer_costs(graph, by)
    if by == "layers" and len(legal) == sum(costs) - 1:  # one after each
        return even_cuts(legal, count)
    return balanced_cuts(costs, legal, count)


def choices(graph: BackboneGraph, count: int) -> tuple[str, ...]:
    """The cuts to choose from for so many blocks."""
    return next((cuts for cuts in graph.tiers if count <= len(cuts) + 1), graph.tiers[-1])


def even_cuts(legal: Sequence[int], count: int) -> list[int]:
    """`count - 1` of the legal positions, spread evenly and without repetition. Needs at least as many.

    >>> even_cuts([0, 1, 2, 3, 4, 5, 6], 4)
    [1, 3, 5]
    """
    return [legal[round(i * (len(legal) + 1) / count) - 1] for i in range(1, count)]


def balanced_cuts(costs: Sequence[int], legal: Sequence[int], count: int) -> list[int]:
    """`count - 1` of the legal positions with the smallest possible largest block, near the places of equal shares.

    Needs at least as many legal positions. A cut at i ends a block with layer i.

    >>> balanced_cuts([5, 1, 1, 1, 4], [0, 1, 2, 3], 3)
    [0, 3]
    """
    spent = list(accumulate(costs))
    ends = [0, *(spent[i] for i in legal), spent[-1]]  # what lies before the start, each legal cut and the end
    limit = _smallest_limit(ends, count)
    latest = _latest(ends, count, limit)
    mirrored = _latest([spent[-1] - end for end in reversed(ends)], count, limit)
    earliest = [len(ends) - 1 - i for i in reversed(mirrored)]
    cuts, last = [], 0
    for k, (low, high) in enumerate(zip(earliest, latest, strict=True), 1):
        low, high = max(low, last + 1), min(high, _reach(ends, last, limit))
        last = _nearest(ends, low, high, k * spent[-1] / count)
        cuts.append(legal[last - 1])
    return cuts


def _smallest_limit(ends: Sequence[int], count: int) -> int:
    """The size of the largest block in the best division, by bisection over what a block may cost."""
    low = max((b - a for a, b in pairwise(ends)), default=0)
    low = max(low, -(-ends[-1] // count))
    return bisect_left(range(ends[-1]), True, lo=low, key=lambda limit: _feasible(ends, count, limit))


def _feasible(ends: Sequence[int], count: int, limit: int) -> bool:
    """Whether blocks within the limit, each as large as can be, are at most `count`."""
    at = 0
    for _ in range(count):
        at = _reach(ends, at, limit)
    return at == len(ends) - 1


def _reach(ends: Sequence[int], start: int, limit: int) -> int:
    """The last end of a block that starts at `start` and stays within the limit."""
    return bisect_right(ends, ends[start] + limit) - 1


def _latest(ends: Sequence[int], count: int, limit: int) -> list[int]:
    """The latest places of `count - 1` different cuts within the limit."""
    found, at = [], 0
    for k in range(1, count):
        at = min(_reach(ends, at, limit), len(ends) - 1 - count + k)
        found.append(at)
    return found


def _nearest(ends: Sequence[int], low: int, high: int, wanted: float) -> int:
    """The index from `low` to `high` whose end is nearest to what is wanted."""
    after = min(max(bisect_right(ends, wanted), low), high)
    before = max(after - 1, low)
    return before if wanted - ends[before] <= ends[after] - wanted else after


def layer_costs(graph: BackboneGraph, by: Measure) -> list[int]:
    """What every layer adds to a block. Memory: bytes that it keeps for backward, a sample, in fp32."""
    if by == "layers":
        return [int(layer.trained) for layer in graph.layers]
    if by == "memory":
        return list(_kept_bytes(graph))
    if by == "flops":
        return [sum(node.flops for node in layer.nodes) for layer in graph.layers]
    return [sum(numel(shape) for node in layer.nodes for shape in node.parameters.values()) for layer in graph.layers]


def _kept_bytes(graph: BackboneGraph) -> Iterator[int]:
    """Bytes that each layer is the first to keep; a storage that ops share, in place or as a view, counts once."""
    whole = graph.part(0, len(graph.layers) - 1)
    storage, sizes = {INPUT: INPUT}, {INPUT: 4 * numel(graph.input)}
    kept: set[str] = set()
    for layer in graph.layers:
        total = 0
        for node in layer.nodes:
            shares = node.op.view or node.name in whole.overwriting
            storage[node.name] = storage[node.inputs[0]] if shares else node.name
            sizes.setdefault(storage[node.name], BYTES[node.dtype] * numel(node.shape))
            saved = NOTHING if node.op.blocks_gradient else node.saved
            values = {storage[node.inputs[i]] for i in saved.inputs} | ({storage[node.name]} if saved.output else set())
            total += sum(sizes[value] for value in values - kept) + 4 * saved.elements + saved.bytes
            kept |= values
        yield total
