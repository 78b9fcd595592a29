"""Macros: named patterns of ops that a spec may use wherever it may use an op."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from ..language.schema import Extent, Probability, Real, Width
from .builder import Builder
from .ops import (
    OPS,
    Add,
    Attention,
    BatchNorm,
    Conv,
    Dropout,
    DropPath,
    Gelu,
    Hardswish,
    LayerNorm,
    LayerScale,
    Linear,
    Op,
    Relu,
    SqueezeExcite,
    ToMap,
    ToTokens,
    channels,
)
from .ops.base import Named
from .ops.sliding import Paddings, Sizes, spread


class Macro(Named):
    """A pattern of ops.

    An argument that is handed on to an op has the type of the op's own, which says its range; what is derived from
    arguments is held to the ops' ranges when they are added (`Builder.add`).
    """

    __slots__ = ()
    prefix: ClassVar[str] = "block"  # how an unnamed one is numbered; empty: its ops are numbered themselves
    aliases: ClassVar[dict[str, str]] = {
        "channels": "out", "filters": "out", "out_channels": "out", "width": "out", "strides": "stride",
    }  # fmt: skip

    def expand(self, b: Builder) -> None:
        """Append the ops, reading the builder's last value."""
        raise NotImplementedError


def _residual(b: Builder, convolutions: Sequence[Conv], stride: Sizes) -> None:
    """Convolutions with batch norm and ReLU; before the last ReLU the input is added, projected where size or width
    changes.
    """
    source, out = b.last, convolutions[-1].out
    for i, conv in enumerate(convolutions, 1):
        b.add(conv, f"conv{i}")
        main = b.add(BatchNorm(), f"bn{i}")
        if i < len(convolutions):
            b.add(Relu(), f"relu{i}")
    if spread(stride, len(b.shapes[source]) - 1) != (1,) * (len(b.shapes[source]) - 1) or b.shapes[source][0] != out:
        b.add(Conv(out, k=1, stride=stride, pad=0), "downsample.conv", [source])
        source = b.add(BatchNorm(), "downsample.bn")
    b.add(Add(), "add", [main, source])
    b.add(Relu(), f"relu{len(convolutions)}")


@dataclass(frozen=True, slots=True)
class ConvBnRelu(Macro):
    """Convolution, batch norm, ReLU."""

    out: Width
    k: Sizes = 3
    stride: Sizes = 1
    pad: Paddings | None = None
    groups: Width = 1
    bias: bool = False

    prefix: ClassVar[str] = ""
    aliases: ClassVar[dict[str, str]] = Conv.aliases

    def expand(self, b: Builder) -> None:
        conv = Conv(self.out, self.k, self.stride, self.pad, self.groups, bias=self.bias)
        b.chain((conv, BatchNorm(), Relu()))


@dataclass(frozen=True, slots=True)
class BasicBlock(Macro):
    """Two 3×3 convolutions and a shortcut (He et al. 2016, section 3)."""

    out: Width
    stride: Sizes = 1

    def expand(self, b: Builder) -> None:
        _residual(b, (Conv(self.out, stride=self.stride), Conv(self.out)), self.stride)


@dataclass(frozen=True, slots=True)
class Bottleneck(Macro):
    """1×1, 3×3 with the stride, 1×1, and a shortcut (torchvision's layout); `inner` is the width of the 3×3."""

    out: Width
    inner: Width | None = None
    stride: Extent = 1
    groups: Width = 1

    def expand(self, b: Builder) -> None:
        inner = self.inner or max(1, self.out // 4)
        middle = Conv(inner, stride=self.stride, groups=self.groups)
        _residual(b, (Conv(inner, k=1), middle, Conv(self.out, k=1)), self.stride)


@dataclass(frozen=True, slots=True)
class Mlp(Macro):
    """Linear, GELU, linear back to the input's width, dropout after each (Dosovitskiy et al. 2021, section 3.1)."""

    hidden: Width
    dropout: Probability = 0.0

    prefix: ClassVar[str] = "mlp"
    aliases: ClassVar[dict[str, str]] = {"width": "hidden", "mlp_dim": "hidden"}

    def expand(self, b: Builder) -> None:
        width = b.shape[-1]
        b.add(Linear(self.hidden), "0")
        b.add(Gelu(), "1")
        _drop(b, self.dropout, "2")
        b.add(Linear(width), "3")
        _drop(b, self.dropout, "4")


def _drop(b: Builder, p: float, name: str) -> None:
    if p:
        b.add(Dropout(p), name)


@dataclass(frozen=True, slots=True)
class TransformerBlock(Macro):
    """Pre-norm attention and MLP, each with a shortcut (Dosovitskiy et al. 2021, equations 2 and 3)."""

    heads: Width
    mlp: Width
    dropout: Probability = 0.0

    aliases: ClassVar[dict[str, str]] = {"num_heads": "heads", "hidden": "mlp", "mlp_dim": "mlp"}

    def expand(self, b: Builder) -> None:
        source = b.last
        b.add(LayerNorm(1e-6), "ln_1")
        b.add(Attention(self.heads), "self_attention")
        _drop(b, self.dropout, "dropout")
        middle = b.add(Add(), "add1", [b.last, source])
        b.add(LayerNorm(1e-6), "ln_2")
        with b.scope("mlp"):
            Mlp(self.mlp, self.dropout).expand(b)
        b.add(Add(), "add2", [b.last, middle])


@dataclass(frozen=True, slots=True)
class InvertedResidual(Macro):
    """1×1 expansion, depthwise convolution, squeeze and excitation, 1×1 projection (Howard et al. 2019, section 5)."""

    out: Width
    expand_to: Width
    k: Sizes = 3
    stride: Extent = 1
    squeeze: Width | None = None
    activation: Literal["relu", "hardswish"] = "relu"

    def expand(self, b: Builder) -> None:
        source, wide = b.last, self.expand_to
        norm = BatchNorm(eps=1e-3, momentum=0.01)
        activation = Hardswish() if self.activation == "hardswish" else Relu()
        parts: list[tuple[Op, ...]] = []
        if wide != b.shape[0]:
            parts.append((Conv(wide, k=1), norm, activation))
        parts.append((Conv(wide, self.k, self.stride, groups=wide), norm, activation))
        if self.squeeze:
            parts.append((SqueezeExcite(self.squeeze, gate="hardsigmoid"),))
        parts.append((Conv(self.out, k=1), norm))
        for i, part in enumerate(parts):
            for j, op in enumerate(part):
                b.add(op, f"block.{i}.{j}" if len(part) > 1 else f"block.{i}")
        if self.stride == 1 and b.shape == b.shapes[source]:
            b.add(Add(), "add", [b.last, source])


@dataclass(frozen=True, slots=True)
class ConvNextBlock(Macro):
    """Depthwise 7×7, layer norm, MLP over channels, layer scale and a shortcut (Liu et al. 2022, section 2)."""

    layer_scale: Real = 1e-6
    drop_path: Probability = 0.0

    name: ClassVar[str] = "convnext_block"

    def expand(self, b: Builder) -> None:
        source, c = b.last, channels(b.shape)
        b.add(Conv(c, k=7, groups=c, bias=True), "block.0")
        _, h, w = b.shape
        b.add(ToTokens(), "block.1")
        b.add(LayerNorm(1e-6), "block.2")
        b.add(Linear(4 * c), "block.3")
        b.add(Gelu(), "block.4")
        b.add(Linear(c), "block.5")
        b.add(ToMap((h, w)), "block.6")
        b.add(LayerScale(self.layer_scale), "layer_scale")
        if self.drop_path:
            b.add(DropPath(self.drop_path), "drop_path")
        b.add(Add(), "add", [b.last, source])


MACROS: dict[str, type[Macro]] = {
    macro.name: macro
    for macro in (ConvBnRelu, BasicBlock, Bottleneck, Mlp, TransformerBlock, InvertedResidual, ConvNextBlock)
}
OPS.taken.update(MACROS)
