"""The op vocabulary: one class an op, found by name in `OPS`."""

from __future__ import annotations

from .activation import Relu, Sigmoid
from .base import NOTHING, Op, Saved, Shape, ShapeError, numel, show
from .convolution import Conv, Linear
from .normalization import BatchNorm
from .shaping import Add, Flatten, GlobalAvgPool, MaxPool, Resize

OPS: dict[str, type[Op]] = {
    op.name: op for op in (Conv, Linear, BatchNorm, Relu, Sigmoid, MaxPool, GlobalAvgPool, Flatten, Resize, Add)
}

__all__ = [
    "NOTHING", "OPS", "Add", "BatchNorm", "Conv", "Flatten", "GlobalAvgPool", "Linear", "MaxPool", "Op", "Relu",
    "Resize", "Saved", "Shape", "ShapeError", "Sigmoid", "numel", "show",
]  # fmt: skip
