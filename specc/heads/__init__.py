"""Heads: each a configuration in YAML that builds a small graph on a unit's features."""

from __future__ import annotations

from .base import Context, Head, HeadError, Patches, Ramp, Weight
from .classifier import Classifier
from .decoder import Decoder

__all__ = ["Classifier", "Context", "Decoder", "Head", "HeadError", "Patches", "Ramp", "Weight"]
