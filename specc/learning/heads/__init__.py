"""Heads: each a configuration in YAML that builds a small graph on a unit's features."""

from __future__ import annotations

from ...language.schema import Config
from ...system.plugins import Registry
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

HEADS: Registry[type[Config]] = Registry(  # by their keys in a spec
    "head",
    Head,
    {
        "classifier": Classifier, "pointwise": Pointwise, "pooled_linear": PooledLinear, "augmented": Augmented,
        "periodic": Periodic, "goodness": Goodness, "similarity": Similarity, "reconstruction": Decoder,
    },
)  # fmt: skip

__all__ = [
    "HEADS", "Augmented", "Classifier", "Context", "Decoder", "Goodness", "Head", "HeadError", "Patches", "Periodic",
    "Pointwise", "PooledLinear", "Ramp", "Similarity", "Weight",
]  # fmt: skip
