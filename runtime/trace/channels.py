"""Where the channels are: some models keep feature maps as (H, W, C), which the ops know as tokens (H · W, C)."""

from __future__ import annotations

from collections.abc import Sequence

from specc.graph.ops import Shape

from .calls import Call

FIRST = frozenset({
    "Conv2d", "BatchNorm2d", "GroupNorm", "LayerNorm2d", "MaxPool2d", "AvgPool2d", "AdaptiveAvgPool2d", "max_pool2d",
    "avg_pool2d", "adaptive_avg_pool2d", "SqueezeExcitation",
})  # fmt: skip
LAST = frozenset({"LayerNorm", "Linear"})
ALIKE = frozenset({
    "ReLU", "ReLU6", "LeakyReLU", "GELU", "SiLU", "Hardswish", "Hardsigmoid", "Sigmoid", "Tanh", "Identity", "Dropout",
    "StochasticDepth", "relu", "relu6", "gelu", "silu", "hardswish", "hardsigmoid", "sigmoid", "tanh", "dropout",
    "add", "mul", "cat",
})  # fmt: skip


def channels_last(calls: Sequence[Call]) -> frozenset[str]:
    """The samples with three axes whose channels come last, as those who make and read them tell."""
    from networkx.utils import UnionFind

    maps = {call.name for call in calls if call.kind == "sample" and len(call.shape) == 3}
    alike = UnionFind(maps)
    told: dict[str, set[bool]] = {}
    for call in calls:
        touched = [name for name in (*call.reads, call.name) if name in maps]
        if call.what in ALIKE:
            alike.union(*touched)
        if call.what in FIRST | LAST:
            for name in touched:
                told.setdefault(name, set()).add(call.what in LAST)
    votes: dict[str, set[bool]] = {}
    for name, said in told.items():
        votes.setdefault(alike[name], set()).update(said)
    return frozenset(name for name in maps if votes.get(alike[name]) == {True})


def folded(shape: Shape, last: bool) -> Shape:
    """A sample's shape as the ops know it."""
    return (shape[0] * shape[1], shape[2]) if last else shape
