"""What a package needs to add to specc, in one place to import from; docs/extending.md shows each thing."""

from __future__ import annotations

from .graph import ops
from .graph.builder import Builder, LayerBuilder
from .graph.families.base import Family, classifier_head
from .graph.graph import BackboneGraph, Graph
from .graph.ops import Op, Saved, Shape, ShapeError, numel
from .language.schema import (
    Bool,
    Config,
    Count,
    Factor,
    Fraction,
    NonNegative,
    Positive,
    Probability,
    Text,
    Width,
    problem,
)
from .learning.heads.base import Context, Head, builder
from .spec.knobs import Knob
from .spec.models import SpecModel
from .spec.sections.optimizers import Optimizer
from .tasks.datasets import DatasetInfo, ResolvedData
from .tasks.task import Task, Values

__all__ = [
    "BackboneGraph", "Bool", "Builder", "Config", "Context", "Count", "DatasetInfo", "Factor", "Family", "Fraction",
    "Graph", "Head", "Knob", "LayerBuilder", "NonNegative", "Op", "Optimizer", "Positive", "Probability",
    "ResolvedData", "Saved", "Shape", "ShapeError", "SpecModel", "Task", "Text", "Values", "Width", "builder",
    "classifier_head", "numel", "ops", "problem",
]  # fmt: skip
