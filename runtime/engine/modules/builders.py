"""The torch module of every op of the vocabulary: mostly its own, given the op's arguments."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import reduce

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from specc.graph import ops
from specc.graph.ops import Shape, channels, is_grid
from specc.graph.ops.cutting import Cut
from specc.graph.ops.opaque import Opaque
from specc.graph.ops.pooling import Pool
from specc.graph.ops.sliding import pair

from ...trace.laboratory import extract
from .normalization import BatchNorm, LayerNorm2d, RmsNorm
from .rearranging import moved, rearrange, rolled
from .registry import Call, Shapes, builds
from .scaling import DropPath, LayerScale, ReLU, SqueezeExcite
from .tokens import Attention, ClassToken, Embedding, PatchEmbed, PositionEmbedding


def _axis(shape: Shape) -> int:
    """Of the channels, in a batch of such values."""
    return 1 if is_grid(shape) else -1


def _conv(op: ops.Conv, shapes: Shapes) -> nn.Module:
    w, made = op.window(shapes[0]), _of_axes(shapes, nn.Conv2d, nn.Conv3d)
    return made(shapes[0][0], op.out, w.k, w.stride, w.pad, dilation=w.dilation, groups=op.groups, bias=op.bias)


def _pool(op: Pool, shapes: Shapes, of_map: type[nn.Module], of_volume: type[nn.Module]) -> nn.Module:
    w, made = op.window(shapes[0]), _of_axes(shapes, of_map, of_volume)
    return made(w.k, w.stride, w.pad, ceil_mode=op.ceil)


def _of_axes(shapes: Shapes, of_map: type[nn.Module], of_volume: type[nn.Module]) -> Callable[..., nn.Module]:
    """Torch has a module for every number of axes."""
    return of_map if len(shapes[0]) == 3 else of_volume


def _conv_transpose(op: ops.ConvTranspose, shapes: Shapes) -> nn.Module:
    k, stride, pad, more = pair(op.k), pair(op.stride), pair(op.pad), pair(op.output_pad)
    return nn.ConvTranspose2d(shapes[0][0], op.out, k, stride, pad, more, groups=op.groups, bias=op.bias)


def _opaque(op: Opaque, shapes: Shapes) -> nn.Module:
    """A part of a traced model, on meta; its `fixed_buffers` hold what no training changes."""
    module: nn.Module = extract(op)
    if {name: tuple(p.shape) for name, p in module.named_parameters()} != op.parameters():
        raise RuntimeError(
            f"what is installed has another `{op.part.source.name}` than the one that the plan was made with"
        )
    return module


def _to_integers(op: ops.ToIntegers, shapes: Shapes) -> nn.Module:
    """The steps between two values, counted from 0."""
    step = (op.high - op.low) / (op.levels - 1)

    @torch.no_grad()
    def rounded(x: Tensor) -> Tensor:
        return (x - op.low).div_(step).round_().clamp_(0, op.levels - 1).long()

    return Call(rounded)


def _mul(op: ops.Mul, shapes: Shapes) -> nn.Module:
    """A vector is a gate with one number a channel: it gets axes of length one behind."""
    rank = 1 + max(map(len, shapes))

    def spread(x: Tensor) -> Tensor:
        return x[(...,) + (None,) * (rank - x.dim())]

    return Call(lambda a, b: spread(a) * spread(b))


def _cut(op: Cut, shapes: Shapes) -> nn.Module:
    start, length = op.run(shapes[0])
    return Call(lambda x: x.narrow(op.axis + 1, start, length).clone())


def _roll(op: ops.Roll, shapes: Shapes) -> nn.Module:
    down, right = pair(op.shift)
    return moved(lambda x: rolled(x, down, right), lambda g: rolled(g, -down, -right))


def _to_map(op: ops.ToMap, shapes: Shapes) -> nn.Module:
    if len(shapes[0]) == 1:
        return Call(lambda x: x[..., None, None])
    _, *size = op.output(*shapes)
    return Call(lambda x: x[:, op.skip :].transpose(1, 2).unflatten(2, size))


def _resize(op: ops.Resize, shapes: Shapes) -> nn.Module:
    _, *size = op.output(*shapes)
    if op.mode == "nearest":
        return Call(lambda x: F.interpolate(x, size, mode="nearest"))
    mode = "bilinear" if len(size) == 2 else "trilinear"
    return Call(lambda x: F.interpolate(x, size, mode=mode, align_corners=op.align_corners))


def _global_avg_pool(shape: Shape) -> nn.Module:
    axes = tuple(range(2, len(shape) + 1)) if is_grid(shape) else (1,)
    return Call(lambda x: x.mean(axes))


def _periodic_basis(op: ops.PeriodicBasis, shapes: Shapes) -> nn.Module:
    length = shapes[0][0]
    return Call(lambda x: x @ _waves(op.out, length, op.wave, x) / math.sqrt(length))


def _waves(count: int, length: int, form: str, like: Tensor) -> Tensor:
    """A (length, count) matrix whose column c has c + 1 periods."""
    position = (torch.arange(length, dtype=like.dtype, device=like.device) + 0.5) / length
    periods = torch.arange(1, count + 1, dtype=like.dtype, device=like.device)
    cosine = (position.mul_(2 * math.pi)[:, None] * periods).cos_()
    return cosine if form == "cosine" else cosine.sign_()


builds(ops.Conv, _conv)
builds(ops.ConvTranspose, _conv_transpose)
builds(ops.Linear, lambda op, shapes: nn.Linear(shapes[0][-1], op.out, bias=op.bias))
builds(Opaque, _opaque)

builds(ops.BatchNorm, lambda op, shapes: BatchNorm(shapes[0][0], op.eps, op.momentum, op.updates))
builds(ops.GroupNorm, lambda op, shapes: nn.GroupNorm(op.groups, shapes[0][0], op.eps))
builds(
    ops.LayerNorm,
    lambda op, shapes: (LayerNorm2d if len(shapes[0]) == 3 else nn.LayerNorm)(channels(shapes[0]), op.eps),
)
builds(ops.RmsNorm, lambda op, shapes: RmsNorm(channels(shapes[0]), _axis(shapes[0]), op.eps))

builds(ops.Relu, lambda op, shapes: ReLU())
builds(ops.Relu6, lambda op, shapes: nn.ReLU6())
builds(ops.LeakyRelu, lambda op, shapes: nn.LeakyReLU(op.slope))
builds(ops.Prelu, lambda op, shapes: nn.PReLU(op.parameters(*shapes)["weight"][0], op.init))
builds(ops.Gelu, lambda op, shapes: nn.GELU(op.approximate))
builds(ops.Silu, lambda op, shapes: nn.SiLU())
builds(ops.Hardswish, lambda op, shapes: nn.Hardswish())
builds(ops.Hardsigmoid, lambda op, shapes: nn.Hardsigmoid())
builds(ops.Sigmoid, lambda op, shapes: nn.Sigmoid())
builds(ops.Tanh, lambda op, shapes: nn.Tanh())
builds(ops.Softmax, lambda op, shapes: nn.Softmax(_axis(shapes[0])))
builds(ops.Scale, lambda op, shapes: Call(lambda x: torch.mul(x, op.by)))
builds(ops.ToIntegers, _to_integers)

builds(ops.MaxPool, lambda op, shapes: _pool(op, shapes, nn.MaxPool2d, nn.MaxPool3d))
builds(ops.AvgPool, lambda op, shapes: _pool(op, shapes, nn.AvgPool2d, nn.AvgPool3d))
builds(
    ops.AdaptiveAvgPool,
    lambda op, shapes: _of_axes(shapes, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d)(op.size),
)
builds(ops.GlobalAvgPool, lambda op, shapes: _global_avg_pool(shapes[0]))

builds(ops.Add, lambda op, shapes: Call(lambda *inputs: reduce(torch.add, inputs)))
builds(ops.Mul, _mul)
builds(ops.Concat, lambda op, shapes: Call(lambda *inputs: torch.cat(inputs, op.axis + 1)))
builds(ops.Slice, _cut)
builds(ops.Split, _cut)

builds(ops.Dropout, lambda op, shapes: nn.Dropout2d(op.p) if op.channels else nn.Dropout(op.p))
builds(ops.DropPath, lambda op, shapes: DropPath(op.p))
builds(ops.LayerScale, lambda op, shapes: LayerScale(op.parameters(*shapes)["weight"], op.init))
builds(ops.SqueezeExcite, lambda op, shapes: SqueezeExcite(op, shapes[0][0]))

builds(ops.PatchEmbed, lambda op, shapes: PatchEmbed(shapes[0][0], op.out, op.k, op.k, bias=op.bias))
builds(ops.Embedding, lambda op, shapes: Embedding(op.rows, op.out))
builds(ops.ClassToken, lambda op, shapes: ClassToken(shapes[0][1]))
builds(ops.PositionEmbedding, lambda op, shapes: PositionEmbedding(*shapes[0]))
builds(ops.SelectToken, lambda op, shapes: Call(lambda x: x[:, op.index]))
builds(ops.Attention, lambda op, shapes: Attention(shapes[0][1], op.heads, op.bias, op.windows))
builds(ops.PeriodicBasis, _periodic_basis)

builds(ops.Flatten, lambda op, shapes: nn.Flatten())
builds(ops.Reshape, lambda op, shapes: Call(lambda x: x.reshape(x.shape[0], *op.shape)))
builds(ops.Transpose, lambda op, shapes: Call(lambda x: x.transpose(1, 2)))
builds(ops.ToTokens, lambda op, shapes: Call(lambda x: x.flatten(2).transpose(1, 2)))
builds(ops.ToMap, _to_map)
builds(ops.Resize, _resize)
builds(ops.Permute, rearrange)
builds(ops.ChannelShuffle, rearrange)
builds(ops.SpaceToDepth, rearrange)
builds(ops.DepthToSpace, rearrange)
builds(ops.WindowPartition, rearrange)
builds(ops.WindowReverse, rearrange)
builds(ops.Roll, _roll)
