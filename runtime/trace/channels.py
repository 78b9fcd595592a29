"""Where the channels are: some models keep feature maps as (H, W, C), which the ops know as tokens (H · W, C).

Signals (C, L) have their channels first as well, which the ops know as maps of one row, (C, 1, L).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set

from specc.graph.ops import Shape, numel, on_grid

from .calls import Call

FIRST = frozenset({
    "Conv2d", "BatchNorm2d", "GroupNorm", "LayerNorm2d", "MaxPool2d", "AvgPool2d", "AdaptiveAvgPool2d", "max_pool2d",
    "avg_pool2d", "adaptive_avg_pool2d", "SqueezeExcitation",
    "Conv3d", "BatchNorm3d", "MaxPool3d", "AvgPool3d", "AdaptiveAvgPool3d", "max_pool3d", "avg_pool3d",
    "adaptive_avg_pool3d", "conv3d",
})  # fmt: skip
ALONG = frozenset({  # a signal's one axis
    "Conv1d", "ConvTranspose1d", "BatchNorm1d", "MaxPool1d", "AvgPool1d", "AdaptiveAvgPool1d", "AdaptiveMaxPool1d",
    "conv1d", "max_pool1d", "avg_pool1d", "adaptive_avg_pool1d", "adaptive_max_pool1d",
})  # fmt: skip
LAST = frozenset({"LayerNorm", "Linear"})
ALIKE = frozenset({
    "ReLU", "ReLU6", "LeakyReLU", "GELU", "SiLU", "Hardswish", "Hardsigmoid", "Sigmoid", "Tanh", "Identity", "Dropout",
    "StochasticDepth", "relu", "relu6", "gelu", "silu", "hardswish", "hardsigmoid", "sigmoid", "tanh", "dropout",
    "add", "mul", "cat",
})  # fmt: skip
VIEWS = frozenset({"view", "reshape", "unflatten", "flatten"})


def channels_last(calls: Sequence[Call]) -> frozenset[str]:
    """The samples with three axes or more whose channels come last, as those who make and read them tell."""
    maps = {call.name for call in calls if call.kind == "sample" and len(call.shape) > 2}
    seen = {name: {True} for name in _seen_as_tokens(calls, maps)}
    return _told(calls, maps, FIRST, seen, last=True)


def _seen_as_tokens(calls: Sequence[Call], maps: Set[str]) -> Iterator[str]:
    """The samples (H, W, C) that are seen as (H · W, C), or are seen so themselves."""
    named = {call.name: call for call in calls}
    for call in calls:
        pair = [named[name] for name in (*call.reads[:1], call.name)] if call.what in VIEWS else []
        axes = sorted(len(each.shape) for each in pair if each.kind == "sample")
        if len(axes) == 2 and axes[0] == 2 < axes[1] and len({each.shape[-1] for each in pair}) == 1:
            yield from maps & {each.name for each in pair}


def signals(calls: Sequence[Call]) -> frozenset[str]:
    """The samples with two axes whose channels come first; others are tokens."""
    return _told(calls, {call.name for call in calls if call.kind == "sample" and len(call.shape) == 2}, ALONG, {})


def _told(
    calls: Sequence[Call], among: Set[str], first: Set[str], seen: Mapping[str, Set[bool]], *, last: bool = False
) -> frozenset[str]:
    """The samples of which all who touch them, or what is like them, tell that their channels come last, or first.

    Of some it is `seen` before.
    """
    from networkx.utils import UnionFind

    alike = UnionFind(among)
    told = {name: set(said) for name, said in seen.items()}
    for call in calls:
        touched = [name for name in (*call.reads, call.name) if name in among]
        if call.what in ALIKE:
            alike.union(*touched)
        if call.what in first | LAST:
            for name in touched:
                told.setdefault(name, set()).add(call.what in LAST)
    votes: dict[str, set[bool]] = {}
    for name, said in told.items():
        votes.setdefault(alike[name], set()).update(said)
    return frozenset(name for name in among if votes.get(alike[name]) == {last})


def folded(shape: Shape, last: bool, signal: bool = False) -> Shape:
    """A sample's shape as the ops know it."""
    if signal:
        return on_grid(shape)
    return (numel(shape[:-1]), shape[-1]) if last else shape
