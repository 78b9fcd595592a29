"""Which ops and macros can follow a shape, with small arguments: asked of the ops themselves."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ..graph.builder import Builder
from ..graph.macros import MACROS
from ..graph.ops import OPS, Op, Shape, ShapeError, channels, numel
from ..graph.ops.entry import Entry, arguments, kind_of, make
from ..graph.ops.ranges import adapter

Arguments = dict[str, Any]
Document = dict[str, Any]

WIDTHS = (4, 2, 6, 8)
WIDENED = ("out", "hidden", "squeeze", "expand_to", "mlp")  # arguments that say how wide something is


@dataclass(frozen=True)
class Size:
    """How large generated specs are; the widths are `factor` times the tiny ones."""

    sides: tuple[int, int] = (4, 12)  # of images, from and to
    batches: tuple[int, ...] = (4, 6, 8)
    largest: int = 600  # numbers a sample that a layer may give
    factor: int = 1

    @property
    def channels(self) -> int:
        """The most that a layer may give."""
        return 24 * self.factor


TINY = Size()
REALISTIC = Size((32, 64), (16, 32, 64), 100_000, 8)


def fitting(shape: Shape, size: Size = TINY) -> list[Document]:
    """Every entry that can follow `shape`, the simplest first; a new op without required arguments appears by itself.

    >>> [entry["op"] for entry in fitting((4,))][:3]
    ['relu', 'linear', 'linear']
    """
    offered = ({"op": name, **widened(args, shape, size)} for name in ordered() for args in offers(name, shape))
    return [entry for entry in offered if fits(entry, shape, size)]


def widened(args: Arguments, shape: Shape, size: Size) -> Arguments:
    """The arguments for a size; what follows from the shape stays."""
    if size.factor == 1 or "groups" in args or (len(shape) == 3 and args.get("out") == shape[0] >= size.factor):
        return args
    return {key: value * size.factor if key in WIDENED else value for key, value in args.items()}


def ordered() -> list[str]:
    """All ops and macros, the simplest first; merging ops are drawn elsewhere, and an `opaque` op needs its module."""
    first = ["relu", "conv", "linear", "batch_norm", "layer_norm"]
    single = [
        name for name, op in OPS.usable().items() if op.arity == 1 and name not in (*first, "periodic_basis", "opaque")
    ]
    return [*first, *single, *MACROS]


def fits(entry: Document, shape: Shape, size: Size = TINY) -> bool:
    """Whether the entry applies, and gives something of moderate size."""
    given = result(entry, shape)
    return given is not None and numel(given) <= size.largest and (len(given) == 1 or channels(given) <= size.channels)


def result(entry: Document, shape: Shape) -> Shape | None:
    """What the entry makes of `shape`; None where it does not apply."""
    part = read(entry).args
    if isinstance(part, Op):
        return part.output(shape) if part.arity == 1 and part.accepts(shape) else None
    b = Builder(shape)
    try:
        part.expand(b)
    except (ShapeError, IndexError, ValueError):  # a macro for maps looks at axes that tokens lack
        return None
    return b.shape


def read(entry: Document) -> Entry:
    """The entry as the compiler reads it."""
    name = entry["op"]
    kind = kind_of(name)
    assert kind is not None
    return Entry(name, make(kind, {key: value for key, value in entry.items() if key != "op"}))


def offers(name: str, shape: Shape) -> Iterator[Arguments]:
    """Small arguments for an op or macro at a shape; the op itself decides whether they fit."""
    offer = OFFERS.get(name)
    if offer is not None:
        yield from offer(shape)
        return
    kind = kind_of(name)
    assert kind is not None
    if not any(arguments(kind).values()):
        adapter(kind)
        yield {}


def _divisors(n: int) -> list[int]:
    return [d for d in (1, 2, 3, 4) if n % d == 0]


def _shrinks(shape: Shape) -> bool:
    """Whether there is anything left to shrink: a stride over a single pixel is a warning."""
    return len(shape) == 3 and min(shape[1:]) >= 2


def _conv(shape: Shape) -> Iterator[Arguments]:
    if len(shape) != 3:
        return
    yield from ({"out": out} for out in WIDTHS)
    yield {"out": shape[0], "bias": True}
    yield {"out": 4, "k": 1}
    yield {"out": shape[0], "groups": shape[0]}
    yield {"out": 2 * shape[0], "groups": shape[0], "k": [1, 3]}
    yield {"out": 4, "k": 5, "dilation": 2}
    if _shrinks(shape):
        yield {"out": 6, "stride": 2}
        yield {"out": 4, "k": 2, "stride": [2, 1], "pad": 0}


def _linear(shape: Shape) -> Iterator[Arguments]:
    yield from ({"out": out} for out in WIDTHS)
    yield {"out": 4, "bias": False}


def _pool(shape: Shape) -> Iterator[Arguments]:
    if _shrinks(shape):
        yield {"k": 2}
        yield {"k": 3, "stride": 2, "pad": 1}
        yield {"k": 3, "stride": 1, "pad": 1}
        yield {"k": 2, "ceil": True}


def _adaptive(shape: Shape) -> Iterator[Arguments]:
    yield from ({"size": size} for size in (2, 1, 3))


def _resize(shape: Shape) -> Iterator[Arguments]:
    yield from ({"size": size} for size in (4, [3, 5]))
    yield {"size": 6, "align_corners": False}
    yield {"size": 5, "mode": "nearest"}


def _group_norm(shape: Shape) -> Iterator[Arguments]:
    yield from ({"groups": groups} for groups in _divisors(channels(shape)))


def _heads(shape: Shape) -> list[int]:
    return _divisors(shape[-1])[:2] if len(shape) == 2 else []


def _conv_transpose(shape: Shape) -> Iterator[Arguments]:
    if len(shape) == 3:
        yield {"out": 4}
        yield {"out": shape[0], "groups": shape[0], "bias": True}
        yield {"out": 2, "k": [3, 2], "stride": [1, 2], "pad": [1, 0], "output_pad": [0, 1]}


def _reshape(shape: Shape) -> Iterator[Arguments]:
    if len(shape) > 1:
        yield {"shape": [1, 1, numel(shape)]}
        yield {"shape": [numel(shape) // shape[-1], shape[-1]]}
    yield {"shape": [1, *shape]} if len(shape) < 3 else {"shape": [shape[1], shape[0], shape[2]]}


def _permute(shape: Shape) -> Iterator[Arguments]:
    yield {"axes": list(reversed(range(len(shape))))}
    if len(shape) == 3:
        yield {"axes": [0, 2, 1]}


def _slice(shape: Shape) -> Iterator[Arguments]:
    for axis, length in enumerate(shape):
        if length > 1:
            yield {"stop": length, "start": 1, "axis": axis}


def _split(shape: Shape) -> Iterator[Arguments]:
    yield from ({"index": 1, "axis": axis} for axis, length in enumerate(shape) if length % 2 == 0)


def _window_partition(shape: Shape) -> Iterator[Arguments]:
    if len(shape) == 3:
        yield from ({"size": size} for size in (2, [1, shape[2]]))


def _window_reverse(shape: Shape) -> Iterator[Arguments]:
    if len(shape) == 2:
        yield {"size": 1, "to": [1, shape[0]]}
        if shape[0] % 4 == 0:
            yield {"size": 2, "to": [2, shape[0] // 2]}


def _attention(shape: Shape) -> Iterator[Arguments]:
    for heads in _heads(shape):
        yield {"heads": heads}
        yield from ({"heads": heads, "windows": windows} for windows in _divisors(shape[0])[1:])


def _patch_embed(shape: Shape) -> Iterator[Arguments]:
    if len(shape) == 3:
        yield from ({"out": 4, "k": k} for k in (2, 1, 3))


def _to_map(shape: Shape) -> Iterator[Arguments]:
    yield {}
    yield {"skip": 1}
    if len(shape) == 2:
        yield {"size": [1, shape[0]]}


def _residual(shape: Shape) -> Iterator[Arguments]:
    if len(shape) == 3:
        yield {"out": shape[0]}
        yield {"out": 6}
        if _shrinks(shape):
            yield {"out": 4, "stride": 2}


def _inverted(shape: Shape) -> Iterator[Arguments]:
    if len(shape) == 3:
        yield {"out": shape[0], "expand_to": 2 * shape[0]}
        yield {"out": 4, "expand_to": shape[0], "squeeze": 2, "activation": "hardswish"}
        if _shrinks(shape):
            yield {"out": 4, "expand_to": 6, "stride": 2, "k": 5}


OFFERS: dict[str, Any] = {
    "conv": _conv,
    "linear": _linear,
    "max_pool": _pool,
    "avg_pool": _pool,
    "adaptive_avg_pool": _adaptive,
    "resize": _resize,
    "group_norm": _group_norm,
    "dropout": lambda _: [{"p": 0.0}],  # nothing random: two runs are to be compared
    "drop_path": lambda _: [{"p": 0.0}],
    "layer_scale": lambda _: [{"init": 0.5}],
    "leaky_relu": lambda _: [{}, {"slope": 0.2}],
    "gelu": lambda _: [{}, {"approximate": "tanh"}],
    "squeeze_excite": lambda _: [{"squeeze": 2}, {"squeeze": 3, "activation": "silu", "gate": "hardsigmoid"}],
    "patch_embed": _patch_embed,
    "attention": _attention,
    "conv_transpose": _conv_transpose,
    "prelu": lambda shape: [{}, *([{"slopes": "channels"}] if len(shape) != 2 else [])],
    "scale": lambda _: [{"by": -0.5}],
    "reshape": _reshape,
    "permute": _permute,
    "roll": lambda _: [{"shift": 1}, {"shift": [-1, 0]}],
    "slice": _slice,
    "split": _split,
    "space_to_depth": lambda shape: [{}] if _shrinks(shape) else [],
    "depth_to_space": lambda shape: [{}] if len(shape) == 3 else [],
    "window_partition": _window_partition,
    "window_reverse": _window_reverse,
    "to_integers": lambda _: [],  # nothing before them learns: `backbones` puts them first
    "embedding": lambda _: [],
    "to_map": _to_map,
    "select_token": lambda shape: [{}, {"index": 1}] if len(shape) == 2 else [],
    "conv_bn_relu": _residual,
    "basic_block": _residual,
    "bottleneck": _residual,
    "inverted_residual": _inverted,
    "mlp": lambda shape: [{"hidden": 4}] if len(shape) < 3 else [],
    "transformer_block": lambda shape: [{"heads": heads, "mlp": 4} for heads in _heads(shape)],
    "convnext_block": lambda shape: [{"layer_scale": 0.5}] if len(shape) == 3 else [],
}
