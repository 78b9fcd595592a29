"""Heads: each a configuration in YAML that builds a small graph on a unit's features."""

from __future__ import annotations

from .augmented import Augmented
from .base import Context, Head, Ramp, Weight
from .classifier import Classifier
from .decoder import Decoder
from .errors import HeadError
from .goodness import Goodness
from .patches import Patches
from .periodic import Periodic
from .pointwise import Pointwise
from .pooled_linear import PooledLinear
from .similarity import Similarity

__all__ = [
    "Augmented", "Classifier", "Context", "Decoder", "Goodness", "Head", "HeadError", "Patches", "Periodic",
    "Pointwise", "PooledLinear", "Ramp", "Similarity", "Weight",
]  # fmt: skip
