"""One torch module builder an op, of the op's own name."""

from __future__ import annotations

from . import activation, basis, convolution, cutting, merging, opaque, pooling, rearranging, scaling, shaping, tokens  # noqa: F401 - they register
from .normalization import BatchNorm
from .registry import BUILDERS, Builder, Call, builder

__all__ = [
    "BUILDERS", "BatchNorm", "Builder", "Call", "activation", "builder", "convolution", "merging", "pooling", "scaling",
    "shaping", "tokens",
]  # fmt: skip
