"""Random backbones: a fold over the current shape, drawing only what applies to it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st

from ..graph.ops import Op, Shape, channels, numel
from .layer_lists import TINY, Document, Size, fitting, read, result

MERGES: tuple[Document, ...] = ({"op": "add"}, {"op": "mul"}, {"op": "concat"}, {"op": "concat", "axis": 1})


@dataclass
class Growing:
    """The layers so far, and the values that another layer may read."""

    shape: Shape
    size: Size = TINY
    layers: list[Document] = field(default_factory=list)
    values: list[tuple[str, Shape]] = field(default_factory=list)  # the last one is what the next layer reads
    products: int = 0  # a product of products soon leaves the floating-point range

    def __post_init__(self) -> None:
        self.values.append(("input", self.shape))

    @property
    def last(self) -> str:
        """The name of the last layer."""
        return self.values[-1][0]

    def append(self, entry: Document, shape: Shape, sources: tuple[str, ...] = (), **own: Any) -> str:
        """One more layer, reading the last one unless `sources` says otherwise."""
        name = f"l{len(self.layers)}"
        origin = {} if sources in ((), (self.last,)) else {"from": sources[0] if len(sources) == 1 else list(sources)}
        self.layers.append({"name": name, **origin, **own, **entry})
        self.values.append((name, shape))
        self.products += entry["op"] == "mul"
        self.shape = shape
        return name


@st.composite
def layers(draw: st.DrawFn, image: Shape, classes: int, size: Size = TINY, most: int = 6) -> Document:
    """A `layers:` backbone of chains, skips and branches, that ends in one number a class."""
    growing = Growing(image, size)
    if image[0] == 1 and numel(image) * 2 <= size.largest and draw(st.integers(0, 7)) == 7:
        for entry in ({"op": "to_integers", "levels": 9}, {"op": "embedding", "out": 2, "rows": 9}):
            growing.append(entry, _shape(entry, growing.shape))
    for _ in range(draw(st.integers(0, most))):
        draw(st.sampled_from((_chain, _chain, _chain, _skip, _branch, _merge_old)))(draw, growing)
    if len(growing.shape) > 1:
        pools = ("global_avg_pool", "flatten") if numel(growing.shape) <= size.largest else ("global_avg_pool",)
        pool = {"op": draw(st.sampled_from(pools))}
        growing.append(pool, _shape(pool, growing.shape))
    growing.append({"op": "linear", "out": classes}, (classes,))
    return {"layers": growing.layers}


def _shape(entry: Document, shape: Shape) -> Shape:
    given = result(entry, shape)
    assert given is not None
    return given


def _chain(draw: st.DrawFn, growing: Growing) -> None:
    """One op or macro on the last value, perhaps repeated, perhaps with its shape asserted."""
    entry = draw(st.sampled_from(fitting(growing.shape, growing.size)))
    shape = _shape(entry, growing.shape)
    own: Document = {}
    again = {**entry, "stride": 1} if "stride" in entry else entry
    strides = entry["op"] in ("max_pool", "avg_pool") and "stride" not in entry  # by its size, every time
    if not strides and result(again, shape) == shape and draw(st.booleans()):
        own["repeat"] = draw(st.integers(1, 3))
    if draw(st.booleans()):
        own["expect"] = list(shape)
    growing.append(entry, shape, **own)


def _skip(draw: st.DrawFn, growing: Growing) -> None:
    """One or two ops that keep the shape, and a shortcut around them."""
    source, shape = growing.values[-1]
    for _ in range(draw(st.integers(1, 2))):
        keeping = [entry for entry in fitting(shape, growing.size) if result(entry, shape) == shape]
        growing.append(draw(st.sampled_from(keeping)), shape)
    _join(draw, growing, (growing.last, shape), (source, shape))


def _branch(draw: st.DrawFn, growing: Growing) -> None:
    """Two ops that read the same value, and are merged."""
    source, shape = growing.values[-1]
    left = draw(st.sampled_from(fitting(shape, growing.size)))
    left_shape = _shape(left, shape)
    one = growing.append(left, left_shape)
    offered = fitting(shape, growing.size)
    mergeable = [entry for entry in offered if _merges(growing, left_shape, _shape(entry, shape))]
    right = draw(st.sampled_from(mergeable))
    other = growing.append(right, _shape(right, shape), (source,))
    _join(draw, growing, (one, left_shape), (other, growing.shape))


def _merge_old(draw: st.DrawFn, growing: Growing) -> None:
    """The last value with one of those before it (or itself), which may cross other shortcuts."""
    own = growing.values[-1]
    older = [value for value in reversed(growing.values) if _merges(growing, own[1], value[1])]
    _join(draw, growing, own, draw(st.sampled_from(older)))


def _merges(growing: Growing, *shapes: Shape) -> list[tuple[Document, Shape]]:
    """The ways to make one value of two, with what they give."""
    found = []
    for entry in MERGES:
        op = read(entry).args
        assert isinstance(op, Op)
        try:
            shape = op.output(*shapes)
        except (ValueError, IndexError):
            continue
        size = growing.size
        grows = entry["op"] == "concat" and (numel(shape) > size.largest or channels(shape) > size.channels)
        if not grows and not (entry["op"] == "mul" and growing.products >= 2):
            found.append((entry, shape))
    return found


def _join(draw: st.DrawFn, growing: Growing, *values: tuple[str, Shape]) -> None:
    order = draw(st.permutations(values))
    entry, shape = draw(st.sampled_from(_merges(growing, *(shape for _, shape in values))))
    growing.append(entry, shape, tuple(name for name, _ in order))
