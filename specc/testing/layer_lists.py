"""Which ops and macros can follow a shape, with small arguments: asked of the ops themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from ..graph.builder import Builder
from ..graph.macros import MACROS
from ..graph.ops import OPS, Op, Shape, ShapeError, channels, numel
from ..graph.ops.entry import Entry, arguments, kind_of, make

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


def offers(name: str, shape: Shape) -> Iterable[Arguments]:
    """Small arguments for an op or macro at a shape; the op itself decides whether they fit."""
    offer = OFFERS.get(name)
    if offer is not None:
        return offer(shape) if callable(offer) else offer
    kind = kind_of(name)
    assert kind is not None
    return [] if any(arguments(kind).values()) else [{}]


def _divisors(n: int) -> list[int]:
    return [d for d in (1, 2, 3, 4) if n % d == 0]


def _shrinks(shape: Shape) -> bool:
    """Whether there is anything left to shrink: a stride over a single pixel is a warning."""
    return len(shape) == 3 and min(shape[1:]) >= 2


def _conv(shape: Shape) -> Iterator[Arguments]:
    yield from ({"out": out} for out in WIDTHS)
    yield {"out": shape[0], "bias": True}
    yield {"out": 4, "k": 1}
    yield {"out": shape[0], "groups": shape[0]}
    yield {"out": 2 * shape[0], "groups": shape[0], "k": [1, 3]}
    yield {"out": 4, "k": 5, "dilation": 2}
    if _shrinks(shape):
        yield {"out": 6, "stride": 2}
        yield {"out": 4, "k": 2, "stride": [2, 1], "pad": 0}


def _pool(shape: Shape) -> list[Arguments]:
    ways: list[Arguments] = [{"k": 2}, {"k": 3, "stride": 2, "pad": 1}, {"k": 3, "stride": 1, "pad": 1}]
    return [*ways, {"k": 2, "ceil": True}] if _shrinks(shape) else []


def _heads(shape: Shape) -> list[int]:
    return _divisors(shape[-1])[:2]


def _conv_transpose(shape: Shape) -> Iterator[Arguments]:
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


def _window_reverse(shape: Shape) -> Iterator[Arguments]:
    yield {"size": 1, "to": [1, shape[0]]}
    if shape[0] % 4 == 0:
        yield {"size": 2, "to": [2, shape[0] // 2]}


def _attention(shape: Shape) -> Iterator[Arguments]:
    for heads in _heads(shape):
        yield {"heads": heads}
        yield from ({"heads": heads, "windows": windows} for windows in _divisors(shape[0])[1:])


def _to_map(shape: Shape) -> Iterator[Arguments]:
    yield {}
    yield {"skip": 1}
    if len(shape) == 2:
        yield {"size": [1, shape[0]]}


def _residual(shape: Shape) -> Iterator[Arguments]:
    yield {"out": shape[0]}
    yield {"out": 6}
    if _shrinks(shape):
        yield {"out": 4, "stride": 2}


def _inverted(shape: Shape) -> Iterator[Arguments]:
    yield {"out": shape[0], "expand_to": 2 * shape[0]}
    yield {"out": 4, "expand_to": shape[0], "squeeze": 2, "activation": "hardswish"}
    if _shrinks(shape):
        yield {"out": 4, "expand_to": 6, "stride": 2, "k": 5}


# what has required arguments, and what is more than its defaults: always the same, or by the shape
OFFERS: dict[str, list[Arguments] | Callable[[Shape], Iterable[Arguments]]] = {
    "conv": _conv,
    "linear": [*({"out": out} for out in WIDTHS), {"out": 4, "bias": False}],
    "max_pool": _pool,
    "avg_pool": _pool,
    "adaptive_avg_pool": [{"size": size} for size in (2, 1, 3)],
    "resize": [{"size": 4}, {"size": [3, 5]}, {"size": 6, "align_corners": False}, {"size": 5, "mode": "nearest"}],
    "group_norm": lambda shape: [{"groups": groups} for groups in _divisors(channels(shape))],
    "dropout": [{"p": 0.0}],  # nothing random: two runs are to be compared
    "drop_path": [{"p": 0.0}],
    "layer_scale": [{"init": 0.5}],
    "leaky_relu": [{}, {"slope": 0.2}],
    "gelu": [{}, {"approximate": "tanh"}],
    "squeeze_excite": [{"squeeze": 2}, {"squeeze": 3, "activation": "silu", "gate": "hardsigmoid"}],
    "patch_embed": [{"out": 4, "k": k} for k in (2, 1, 3)],
    "attention": _attention,
    "conv_transpose": _conv_transpose,
    "prelu": [{}, {"slopes": "channels"}],
    "scale": [{"by": -0.5}],
    "reshape": _reshape,
    "permute": _permute,
    "roll": [{"shift": 1}, {"shift": [-1, 0]}],
    "slice": lambda shape: [{"stop": n, "start": 1, "axis": axis} for axis, n in enumerate(shape) if n > 1],
    "split": lambda shape: [{"index": 1, "axis": axis} for axis, length in enumerate(shape) if length % 2 == 0],
    "window_partition": lambda shape: [{"size": size} for size in (2, [1, shape[-1]])],
    "window_reverse": _window_reverse,
    "to_integers": [],  # nothing before them learns: `backbones` puts them first
    "embedding": [],
    "to_map": _to_map,
    "select_token": [{}, {"index": 1}],
    "conv_bn_relu": _residual,
    "basic_block": _residual,
    "bottleneck": _residual,
    "inverted_residual": _inverted,
    "mlp": [{"hidden": 4}],
    "transformer_block": lambda shape: [{"heads": heads, "mlp": 4} for heads in _heads(shape)],
    "convnext_block": [{"layer_scale": 0.5}],
}
