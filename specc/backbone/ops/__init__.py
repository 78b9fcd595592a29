"""The op vocabulary: one class an op, found by name in `OPS`."""

from __future__ import annotations

from .activation import Gelu, Hardsigmoid, Hardswish, LeakyRelu, Relu, Relu6, Sigmoid, Silu, Softmax, Tanh
from .base import INPUT, NOTHING, Op, Order, RangeError, Saved, Shape, ShapeError, channels, numel, show
from .basis import PeriodicBasis
from .convolution import Conv, Linear
from .merging import Add, Concat, Mul
from .normalization import BatchNorm, GroupNorm, LayerNorm
from .opaque import Opaque
from .pooling import AdaptiveAvgPool, AvgPool, GlobalAvgPool, MaxPool
from .scaling import Dropout, DropPath, LayerScale, SqueezeExcite
from .shaping import Flatten, Resize, ToMap, ToTokens
from .tokens import Attention, ClassToken, PatchEmbed, PositionEmbedding, SelectToken

OPS: dict[str, type[Op]] = {
    op.name: op
    for op in (
        Conv, Linear,
        BatchNorm, GroupNorm, LayerNorm,
        Relu, Relu6, LeakyRelu, Gelu, Silu, Hardswish, Hardsigmoid, Sigmoid, Tanh, Softmax,
        MaxPool, AvgPool, AdaptiveAvgPool, GlobalAvgPool,
        Flatten, ToTokens, ToMap, Resize,
        Add, Mul, Concat,
        Dropout, DropPath, LayerScale, SqueezeExcite,
        PatchEmbed, ClassToken, PositionEmbedding, SelectToken, Attention,
        PeriodicBasis,
    )
}  # fmt: skip

BY_NAME: dict[str, type[Op]] = {**OPS, Opaque.name: Opaque}  # what a plan may hold; nobody writes an opaque op

__all__ = [
    "BY_NAME",
    "INPUT",
    "NOTHING",
    "OPS",
    "AdaptiveAvgPool",
    "Add",
    "Attention",
    "AvgPool",
    "BatchNorm",
    "ClassToken",
    "Concat",
    "Conv",
    "DropPath",
    "Dropout",
    "Flatten",
    "Gelu",
    "GlobalAvgPool",
    "GroupNorm",
    "Hardsigmoid",
    "Hardswish",
    "LayerNorm",
    "LayerScale",
    "LeakyRelu",
    "Linear",
    "MaxPool",
    "Mul",
    "Op",
    "Opaque",
    "Order",
    "PatchEmbed",
    "PeriodicBasis",
    "PositionEmbedding",
    "RangeError",
    "Relu",
    "Relu6",
    "Resize",
    "Saved",
    "SelectToken",
    "Shape",
    "ShapeError",
    "Sigmoid",
    "Silu",
    "Softmax",
    "SqueezeExcite",
    "Tanh",
    "ToMap",
    "ToTokens",
    "channels",
    "numel",
    "show",
]  # fmt: skip
