"""The works that a calibration measures: drawn over what networks are made of, the same ones every time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from random import Random

from ..graph import ops
from ..graph.node import Node
from ..graph.ops import Op, Order, Shape, numel
from ..graph.ops.tokens import Mixing
from ..system.devices import Device


@dataclass(frozen=True, slots=True)
class Sample:
    """An op at a place, as a work has it."""

    node: Node
    rows: int
    width: int
    order: Order
    turned: bool = False  # the gradient lies in the other order


@dataclass(frozen=True, slots=True)
class Range:
    """How large the works are that a kind of device is measured with; larger ones are extrapolated."""

    flops: float  # of a forward, at most
    bytes: int  # read and written, at most
    rows: tuple[float, float]  # of a batch, as powers of two


RANGES: dict[Device, Range] = {
    "cpu": Range(4e8, 32 << 20, (0, 7)),
    "cuda": Range(4e11, 1 << 30, (2, 11)),
}
LEAST_FLOPS = 1e4
RARE, LARGER = 12, 3  # one in so many may be so many times as large, and of any shape
Maker = Callable[[Random], tuple[Op, Shape]]


def samples(kind: Device) -> Iterator[Sample]:
    """All that are measured on a device of such a kind."""
    random = Random(14)
    for make, count in COUNTS.items():
        yield from _drawn(random, make, count, RANGES[kind])
    for op, shapes, count in _others():
        for _ in range(count):
            yield _sized(random, op, random.choice(shapes), RANGES[kind])
        maps = [each for each in shapes if _is_map(each)]
        if maps and _turns(op, maps[0]):
            for _ in range(count // 2):
                yield replace(_sized(random, op, random.choice(maps), RANGES[kind]), turned=True)


def _drawn(random: Random, make: Maker, count: int, range: Range) -> Iterator[Sample]:
    found = 0
    while found < count:
        op, shape = make(random)
        rows = round(2 ** random.uniform(*range.rows))
        if not op.accepts(shape):
            continue
        node = Node("sample", op, ("input",), (shape,), op.output(shape))
        size = 4 * rows * (numel(shape) + node.size)
        more = LARGER if found % RARE == 0 else 1  # than what is measured of all others
        if more == 1 and not all(map(_usual, (shape, node.shape))):
            continue
        if LEAST_FLOPS < node.flops * rows < more * range.flops and size < more * range.bytes:
            found += 1
            yield Sample(node, rows, random.choice((4, 4, 4, 2)), _order(random, shape))


def _usual(shape: Shape) -> bool:
    """Networks have few channels on large maps and many on small ones."""
    return len(shape) < 3 or shape[0] < 8 or 2**7 <= shape[0] * shape[1] <= 2**13.5


def _order(random: Random, shape: Shape) -> Order:
    return "swapped" if len(shape) == 3 and random.random() < 0.5 else "plain"


def _channels(random: Random, low: float = 2, high: float = 9.3) -> int:
    """Mostly as people choose them."""
    wide = 2 ** random.uniform(low, high)
    step = random.choice((16, 16, 8, 8, 4, 1))
    return max(step, round(wide / step) * step)


def _conv(random: Random) -> tuple[Op, Shape]:
    given = random.choice((1, 3)) if random.random() < 0.12 else _channels(random)
    k, stride = random.choice(((1, 1), (1, 1), (1, 2), (3, 1), (3, 1), (3, 1), (3, 1), (3, 2), (5, 1), (7, 2), (0, 0)))
    if not k:  # patches
        k = stride = random.choice((2, 4, 8))
    return ops.Conv(_channels(random), k=k, stride=stride, pad=0 if k == stride else None), (given, *_side(random))


def _usual_conv(random: Random) -> tuple[Op, Shape]:
    """As in the networks of the literature: few channels on large maps, twice as many on maps half as large."""
    given, side = 2 ** random.randint(4, 9), random.choice((2, 4, 8, 16, 32, 64, 7, 14, 28, 56))
    k, stride = random.choice(((3, 1), (3, 1), (3, 1), (3, 2), (1, 1), (1, 1), (1, 2)))
    out = given * (random.choice((1, 1, 1, 2)) if k == 3 else random.choice((1, 2, 4)))
    if k == 1 and random.random() < 0.5:
        given, out = out, given
    return ops.Conv(out, k=k, stride=stride), (given, side, side)


def _side(random: Random) -> tuple[int, int]:
    side = round(2 ** random.uniform(0.5, 6))
    return side, side


def _grouped(random: Random) -> tuple[Op, Shape]:
    channels = _channels(random, 3)
    groups = channels if random.random() < 0.7 else random.choice((2, 4, 8, 32))
    k, stride = random.choice(((3, 1), (3, 1), (3, 2), (5, 1), (5, 2), (7, 1)))
    return ops.Conv(channels, k=k, stride=stride, groups=groups), (channels, *_side(random))


def _transposed(random: Random) -> tuple[Op, Shape]:
    return ops.ConvTranspose(_channels(random, 2, 8)), (_channels(random, 2, 8), *_side(random))


def _linear(random: Random) -> tuple[Op, Shape]:
    given, out = _channels(random, 4, 12), _channels(random, 3, 11)
    tokens = round(2 ** random.uniform(2, 8.5))
    return ops.Linear(out), (given,) if random.random() < 0.4 else (tokens, given)


def _mixing(random: Random) -> tuple[Op, Shape]:
    heads, width = random.choice((1, 2, 3, 4, 6, 8, 12)), random.choice((1, 3, 8, 16, 16, 32, 32, 64, 64, 128))
    windows = random.choice((1, 1, 1, 4, 9))
    return Mixing(heads, windows), (windows * round(2 ** random.uniform(2, 10.5)), 3 * heads * width)


def _others() -> Iterator[tuple[Op, list[tuple[Shape, ...]], int]]:
    """Ops that move numbers more than they compute; the inputs that each is given, and how often it is measured."""
    sides = ((8, 32), (16, 32), (32, 16), (64, 8), (128, 8), (256, 4), (512, 2), (24, 28), (64, 56))
    maps: list[Shape] = [(c, s, s) for c, s in sides]
    tokens: list[Shape] = [(17, 64), (65, 96), (65, 192), (197, 384)]
    vectors: list[Shape] = [(64,), (256,), (1024,)]

    def of(*shapes: Sequence[Shape], inputs: int = 1) -> list[tuple[Shape, ...]]:
        return [(shape,) * inputs for each in shapes for shape in each]

    yield ops.BatchNorm(), of(maps, maps, maps, vectors), 70
    yield ops.LayerNorm(), of(tokens, vectors), 36
    yield ops.Relu(), of(maps, tokens), 36
    yield ops.Add(), of(maps, tokens, inputs=2), 30
    yield ops.Gelu(), of(tokens, maps), 24
    yield ops.MaxPool(2), of(maps), 16
    yield ops.MaxPool(3, 2, 1), of(maps), 16
    yield ops.AvgPool(2), of(maps), 12
    yield ops.AdaptiveAvgPool(1), of(maps), 16
    yield ops.AdaptiveAvgPool(2), of(maps), 12
    yield ops.GlobalAvgPool(), of(maps, tokens), 20
    single: list[Shape] = [(64, 1, 1), (512, 1, 1), (2048, 1, 1)]
    yield ops.Resize(32), of(maps, single), 36
    yield from ((ops.Resize(size), of(maps, single), 24) for size in (4, 8))
    gated: list[tuple[Shape, ...]] = [((c, s, s), (c,)) for c, s in sides]
    yield ops.Mul(), gated + of(maps, inputs=2), 20
    yield ops.Concat(), of(maps, tokens, inputs=2), 16
    few: tuple[Op, ...] = (
        ops.GroupNorm(4), ops.RmsNorm(), ops.LayerScale(), ops.Prelu(), ops.LeakyRelu(), ops.Relu6(), ops.Silu(),
        ops.Hardswish(), ops.Hardsigmoid(), ops.Sigmoid(), ops.Tanh(), ops.Softmax(), ops.Dropout(), ops.DropPath(0.1),
        ops.Slice(4), ops.Split(2), ops.Roll(1), ops.SpaceToDepth(2), ops.DepthToSpace(2), ops.ChannelShuffle(4),
        ops.Flatten(), ops.ToTokens(),
    )  # fmt: skip
    yield from ((op, of(maps), 10) for op in few)
    yield from ((op, of(tokens), 10) for op in (ops.ClassToken(), ops.PositionEmbedding()))
    yield from ((op, of(maps), 8) for op in (ops.Permute((0, 2, 1)), ops.WindowPartition(2), ops.Scale(2.0)))
    yield ops.WindowReverse(2, 8), of([(64, 64), (64, 16), (64, 192)]), 6
    yield from ((ops.PeriodicBasis(10, wave=wave), of(vectors, [(5000,)]), 6) for wave in ("cosine", "square"))
    yield ops.Embedding(64), of([(1, 16, 16), (1, 32, 32)]), 6


def _is_map(shapes: tuple[Shape, ...]) -> bool:
    """More than one channel at more than one place, so that there are two orders."""
    return all(len(shape) == 3 and min(shape[0], shape[1]) > 1 for shape in shapes)


def _turns(op: Op, maps: tuple[Shape, ...]) -> bool:
    """Whether the op meets gradients in an order that is not its input's, and works on them as they are."""
    return _is_map((op.output(*maps),)) and not (op.view or op.passes_gradient or op.gathered or op.spreads)


def _sized(random: Random, op: Op, shapes: tuple[Shape, ...], range: Range) -> Sample:
    """On as many rows as a drawn size has."""
    node = Node("sample", op, ("a", "b")[: len(shapes)], shapes, op.output(*shapes))
    size = 4 * (sum(map(numel, shapes)) + node.size)
    rows = max(1, round(2 ** random.uniform(13, range.bytes.bit_length() - 1) / size))
    return Sample(node, rows, random.choice((4, 4, 4, 2)), _order(random, shapes[0]))


COUNTS: dict[Maker, int] = {
    _usual_conv: 340, _conv: 240, _grouped: 110, _transposed: 20, _linear: 170, _mixing: 60,
}  # fmt: skip
