"""What vision transformers do with tokens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ...language.schema import Border, Width
from ...tasks.dtypes import DType
from .base import (
    INPUT,
    SAVES_INPUT,
    Autocast,
    Lies,
    Op,
    ParameterKind,
    Saved,
    Shape,
    ShapeError,
    SubOp,
    need_map,
    need_tokens,
    numel,
    show,
)
from .convolution import Conv, Linear
from .shaping import ToTokens
from .sliding import Size, pair


@dataclass(frozen=True, slots=True)
class PatchEmbed(Op):
    """The image cut into patches of `k` pixels, each mapped to a token: (C, H, W) becomes (T, out)."""

    out: Width
    k: Size = 16
    bias: bool = True

    saves: ClassVar[Saved] = SAVES_INPUT
    autocast: ClassVar[Autocast] = "low"
    aliases: ClassVar[dict[str, str]] = {
        "patch_size": "k", "patch": "k", "kernel": "k", "kernel_size": "k", "dim": "out", "width": "out",
        "embed_dim": "out", "hidden_dim": "out", "use_bias": "bias",
    }  # fmt: skip

    def output(self, *inputs: Shape) -> Shape:
        _, h, w = need_map(self, inputs[0])
        kh, kw = pair(self.k)
        if h % kh or w % kw:
            raise ShapeError(f"`patch_embed` cannot cut {show(inputs[0])} into patches of {kh}×{kw}")
        return (h // kh * (w // kw), self.out)

    def parameters(self, *inputs: Shape) -> dict[str, Shape]:
        return {"weight": (self.out, inputs[0][0], *pair(self.k))} | ({"bias": (self.out,)} if self.bias else {})

    def flops(self, inputs: tuple[Shape, ...], output: Shape) -> int:
        return numel(output) * (2 * inputs[0][0] * numel(pair(self.k)) + self.bias)

    def parts(self, *inputs: Shape) -> tuple[SubOp, ...]:
        return ("map", Conv(self.out, self.k, self.k, 0, bias=self.bias), (INPUT,)), ("tokens", ToTokens(), ("map",))


@dataclass(frozen=True, slots=True)
class ClassToken(Op):
    """One learnt token before all others."""

    holds: ClassVar[ParameterKind] = "embeddings"
    autocast: ClassVar[Autocast] = "widest"

    passes_gradient: ClassVar[bool] = True  # a slice
    result_lies: ClassVar[Lies] = "plain"

    def output(self, *inputs: Shape) -> Shape:
        tokens, d = need_tokens(self, inputs[0])
        return (tokens + 1, d)

    def parameters(self, *inputs: Shape) -> dict[str, Shape]:
        return {"weight": (1, 1, inputs[0][1])}

    def initial(self, parameter: str) -> float | None:
        return 0.0


@dataclass(frozen=True, slots=True)
class PositionEmbedding(Op):
    """A learnt vector added to every token."""

    holds: ClassVar[ParameterKind] = "embeddings"
    cost: ClassVar[int] = 1
    keeps_positions: ClassVar[bool] = True
    prefix: ClassVar[str] = "pos_embedding"
    passes_gradient: ClassVar[bool] = True

    def output(self, *inputs: Shape) -> Shape:
        return need_tokens(self, inputs[0])

    def parameters(self, *inputs: Shape) -> dict[str, Shape]:
        return {"weight": (1, *inputs[0])}


@dataclass(frozen=True, slots=True)
class Embedding(Op):
    """The integers of a one-channel map or of a vector as tokens: each looks up one of `rows` learnt vectors, counted
    from 0. `to_integers` makes integers of an image.
    """

    out: Width
    rows: Width = 256

    holds: ClassVar[ParameterKind] = "embeddings"
    saves: ClassVar[Saved] = SAVES_INPUT
    reads: ClassVar[DType] = "int64"
    result_lies: ClassVar[Lies] = "plain"
    aliases: ClassVar[dict[str, str]] = {
        "dim": "out", "width": "out", "embedding_dim": "out", "num_embeddings": "rows", "vocabulary": "rows",
        "levels": "rows",
    }  # fmt: skip

    def output(self, *inputs: Shape) -> Shape:
        if len(inputs[0]) == 2 or (len(inputs[0]) == 3 and inputs[0][0] != 1):
            raise ShapeError(f"`embedding` takes a map of one channel (1×H×W) or a vector, not {show(inputs[0])}")
        return (numel(inputs[0]), self.out)

    def parameters(self, *inputs: Shape) -> dict[str, Shape]:
        return {"weight": (self.rows, self.out)}

    @property
    def below(self) -> int:
        return self.rows


@dataclass(frozen=True, slots=True)
class SelectToken(Op):
    """One of the tokens, by default the first: (T, D) becomes (D,)."""

    index: Border = 0

    prefix: ClassVar[str] = "token"
    aliases: ClassVar[dict[str, str]] = {"token": "index", "position": "index"}
    view: ClassVar[bool] = True

    def output(self, *inputs: Shape) -> Shape:
        tokens, d = need_tokens(self, inputs[0])
        if self.index >= tokens:
            raise ShapeError(f"`select_token` with index {self.index} needs more tokens than {show(inputs[0])} has")
        return (d,)


@dataclass(frozen=True, slots=True)
class Attention(Op):
    """Multi-head self-attention with its input and output projections, as `torch.nn.MultiheadAttention`; with `windows`
    the tokens are so many groups, one after the other, and each looks at its own group alone.
    """

    heads: Width
    bias: bool = True
    windows: Width = 1

    keeps_positions: ClassVar[bool] = True
    autocast: ClassVar[Autocast] = "low"
    aliases: ClassVar[dict[str, str]] = {
        "num_heads": "heads", "n_heads": "heads", "qkv_bias": "bias", "use_bias": "bias",
    }  # fmt: skip

    def output(self, *inputs: Shape) -> Shape:
        tokens, d = need_tokens(self, inputs[0])
        if d % self.heads:
            raise ShapeError(f"`attention` with heads {self.heads} cannot divide the width of tokens {show(inputs[0])}")
        if tokens % self.windows:
            raise ShapeError(f"`attention` cannot divide the tokens {show(inputs[0])} into windows {self.windows}")
        return (tokens, d)

    def parameters(self, *inputs: Shape) -> dict[str, Shape]:
        d = inputs[0][1]
        weights = {"in_proj_weight": (3 * d, d), "out_proj.weight": (d, d)}
        return weights | ({"in_proj_bias": (3 * d,), "out_proj.bias": (d,)} if self.bias else {})

    def flops(self, inputs: tuple[Shape, ...], output: Shape) -> int:
        tokens, d = output
        projections = 4 * tokens * d * (2 * d + self.bias)
        seen = tokens // self.windows
        softmax = 5 * self.heads * tokens * seen
        return projections + softmax + 4 * tokens * seen * d

    def saved(self, inputs: tuple[Shape, ...], output: Shape) -> Saved:
        """The input, q, k, v, what the heads return and, for each head and token, the logarithm of its sum in fp32.

        CUDA pads the tokens to a multiple of 32 in that last one in fp32. A head width that no fused kernel takes would
        keep heads · T · T probabilities instead.
        """
        tokens, d = output
        return Saved(inputs=(0,), if_trained=True, elements=4 * tokens * d, bytes=4 * self.heads * tokens)

    def parts(self, *inputs: Shape) -> tuple[SubOp, ...]:
        d = inputs[0][1]
        return (
            ("in_proj", Linear(3 * d, self.bias), (INPUT,)),
            ("chunks", Chunks(), ("in_proj",)),
            ("mixed", Mixing(self.heads, self.windows), ("chunks",)),
            ("out_proj", Linear(d, self.bias), ("mixed",)),
        )


@dataclass(frozen=True, slots=True)
class Chunks(Op):
    """Queries, keys and values of one product, inside of attention; their gradients are put together."""

    view: ClassVar[bool] = True


@dataclass(frozen=True, slots=True)
class Mixing(Op):
    """The fused part of attention: values weighted by how queries and keys match."""

    heads: int
    windows: int = 1

    autocast: ClassVar[Autocast] = "low"

    def output(self, *inputs: Shape) -> Shape:
        return (inputs[0][0], inputs[0][1] // 3)

    def flops(self, inputs: tuple[Shape, ...], output: Shape) -> int:
        tokens, d = output
        return (5 * self.heads + 4 * d) * tokens * (tokens // self.windows)

    def saved(self, inputs: tuple[Shape, ...], output: Shape) -> Saved:
        return Saved(inputs=(0,), output=True, bytes=4 * self.heads * output[0])
