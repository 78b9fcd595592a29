"""What the time of a piece of work depends on: the kind of table to look into, and where in it."""

from __future__ import annotations

from math import log2, prod

from ..graph.ops import Conv, ConvTranspose, Linear, channels, numel
from ..graph.ops.pooling import Pool
from ..graph.ops.tokens import Mixing
from .work import Work

Features = tuple[float, ...]
BACK = "/back"  # after the name of a loss, for its backward
MOVE = "move/"  # before the name of what is in no graph
TURNED = ", turned"  # after the name of an op, for its backward of gradients that lie in another order
TOGETHER = ("step/", "average", "clip")  # what handles many tensors in one go
_ALIGNED = 16  # channels that a vector of a processor, or a tile of a GPU, takes at a time


def kind_of(work: Work) -> str:
    """The table that a piece of work belongs to."""
    if work.node is None:
        back = work.what.startswith("loss/") and work.direction != "forward"
        return f"{MOVE}{work.what}" + BACK * back
    op = work.node.op
    if isinstance(op, Conv) and op.groups > 1:
        return "grouped conv"
    return work.what + TURNED * work.turned


def is_together(work: Work) -> bool:
    """Whether all calls are one piece of work; otherwise each takes the same time."""
    return work.node is None and work.what.startswith(TOGETHER)


def features_of(work: Work) -> Features:
    """Numbers by which works of one kind are alike or not, mostly logarithms to the base of two."""
    node = work.node
    if node is None:
        return (_log(work.moved / work.calls), _log(work.calls) if is_together(work) else 0.0)
    given, op, layout = node.in_shapes[0], node.op, _layout(work)
    match op:
        case Conv() | ConvTranspose():
            return (*_convolution(op, given, node.shape, work.rows), *layout)
        case Linear():
            count = work.rows * (numel(given) // given[-1])
            aligned = float(given[-1] % _ALIGNED == 0 == op.out % _ALIGNED)
            return (_log(count), _log(given[-1]), _log(op.out), aligned, layout[1])
        case Mixing():
            tokens = node.shape[0] // op.windows
            return (_log(work.rows * op.windows * op.heads), _log(tokens), _log(node.shape[1] / op.heads), layout[1])
    largest = max(numel(shape) for shape in (*node.in_shapes, node.shape))
    window = prod(op.window(given).k) if isinstance(op, Pool) else 1
    return (_log(work.rows * largest), _log(channels(given)), _log(numel(given) / channels(given)),
            _log(len(node.in_shapes) * largest / node.size), _log(window), *layout)  # fmt: skip


def _convolution(op: Conv | ConvTranspose, given: tuple[int, ...], made: tuple[int, ...], rows: int) -> Features:
    """Of a transposed one the maps change places."""
    small = given if isinstance(op, ConvTranspose) else made
    k, stride = (prod(v) if isinstance(v, tuple) else v ** (len(given) - 1) for v in (op.k, op.stride))
    into, out = given[0] // op.groups, op.out // op.groups
    return (
        _log(rows * numel(small[1:])), _log(numel(small[1:])), _log(into), _log(out), _log(op.groups), _log(k),
        _log(stride), float(given[0] % _ALIGNED == 0), float(op.out % _ALIGNED == 0),
    )  # fmt: skip


def _layout(work: Work) -> tuple[float, float]:
    """Whether channels come last, and whether numbers are in low precision.

    A single channel or position lies the same either way, but for the kernels of convolutions.
    """
    given = work.node.in_shapes[0] if work.node else ()
    kernels = work.node is not None and isinstance(work.node.op, Conv | ConvTranspose)
    swapped = "swapped" in work.order and (kernels or (len(given) == 3 and min(given[0], numel(given[1:])) > 1))
    return float(swapped), float(work.width < 4)


def _log(number: float) -> float:
    return log2(max(number, 1.0))
