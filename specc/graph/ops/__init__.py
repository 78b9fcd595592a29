"""The op vocabulary, one class an op, found by name in `OPS`: what each says of itself; not how torch computes it."""

from __future__ import annotations

from ...system.plugins import Registry
from ...tasks.dtypes import BYTES, DType
from .activation import (
    Gelu,
    Hardsigmoid,
    Hardswish,
    LeakyRelu,
    Prelu,
    Relu,
    Relu6,
    Scale,
    Sigmoid,
    Silu,
    Softmax,
    Tanh,
    ToIntegers,
)
from .base import (
    INPUT,
    NOTHING,
    DTypeError,
    Op,
    Order,
    RangeError,
    Saved,
    Shape,
    ShapeError,
    channels,
    is_grid,
    numel,
    on_grid,
    show,
)
from .convolution import Conv, ConvTranspose, Linear, PeriodicBasis
from .cutting import Slice, Split
from .merging import Add, Concat, Mul
from .normalization import BatchNorm, GroupNorm, LayerNorm, RmsNorm
from .opaque import Opaque
from .pooling import AdaptiveAvgPool, AvgPool, GlobalAvgPool, MaxPool
from .rearranging import ChannelShuffle, DepthToSpace, Permute, Roll, SpaceToDepth, WindowPartition, WindowReverse
from .scaling import Dropout, DropPath, LayerScale, SqueezeExcite
from .shaping import Flatten, Reshape, Resize, ToMap, ToTokens, Transpose
from .tokens import Attention, ClassToken, Embedding, PatchEmbed, PositionEmbedding, SelectToken

_OWN: dict[str, type[Op]] = {
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
        ConvTranspose, Prelu, Scale, RmsNorm, ToIntegers, Embedding,
        Reshape, Transpose, Slice, Split,
        Permute, ChannelShuffle, SpaceToDepth, DepthToSpace, WindowPartition, WindowReverse, Roll,
        PeriodicBasis,
    )
}  # fmt: skip

OPS: Registry[type[Op]] = Registry("op", Op, _OWN)
BY_NAME: Registry[type[Op]] = Registry(
    "op", Op, {**_OWN, Opaque.name: Opaque}
)  # what a plan may hold; nobody writes an opaque op

__all__ = [
    "BYTES", "BY_NAME", "INPUT", "NOTHING", "OPS", "AdaptiveAvgPool", "Add", "Attention", "AvgPool", "BatchNorm",
    "ChannelShuffle", "ClassToken", "Concat", "Conv", "ConvTranspose", "DType", "DTypeError", "DepthToSpace",
    "DropPath", "Dropout", "Embedding", "Flatten", "Gelu", "GlobalAvgPool", "GroupNorm", "Hardsigmoid", "Hardswish",
    "LayerNorm", "LayerScale", "LeakyRelu", "Linear", "MaxPool", "Mul", "Op", "Opaque", "Order", "PatchEmbed",
    "PeriodicBasis", "Permute", "PositionEmbedding", "Prelu", "RangeError", "Relu", "Relu6", "Reshape", "Resize",
    "RmsNorm", "Roll", "Saved", "Scale", "SelectToken", "Shape", "ShapeError", "Sigmoid", "Silu", "Slice",
    "Softmax", "SpaceToDepth", "Split", "SqueezeExcite", "Tanh", "ToIntegers", "ToMap", "ToTokens", "Transpose",
    "WindowPartition", "WindowReverse", "channels", "is_grid", "numel", "on_grid", "show",
]  # fmt: skip
