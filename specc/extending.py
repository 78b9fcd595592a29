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
from .learning.losses import Loss
from .learning.losses import Sizes as LossSizes
from .learning.losses import Use as LossMemory
from .plan.instructions import (
    Backward,
    Branch,
    BranchBackward,
    EmaUpdate,
    Extension,
    Forward,
    Instruction,
    Step,
)
from .plan.instructions import Head as HeadStep
from .plan.touches import AddsTo, After, Makes, Reads, Steps, Trains, Uses
from .spec.augmentations import Augmentation
from .spec.knobs import Knob
from .spec.models import SpecModel
from .spec.sections.log import Log
from .spec.sections.optimizers import Optimizer
from .spec.sections.train import Addition
from .tasks.datasets import DatasetInfo, ResolvedData
from .tasks.task import Task, Values

__all__ = [
    "Addition", "AddsTo", "After", "Augmentation", "BackboneGraph", "Backward", "Bool", "Branch", "BranchBackward",
    "Builder", "Config", "Context", "Count", "DatasetInfo", "EmaUpdate", "Extension", "Factor", "Family", "Forward",
    "Fraction", "Graph", "Head", "HeadStep", "Instruction", "Knob", "LayerBuilder", "Log", "Loss", "LossMemory",
    "LossSizes", "Makes", "NonNegative", "Op", "Optimizer", "Positive", "Probability", "Reads", "ResolvedData",
    "Saved", "Shape", "ShapeError", "SpecModel", "Step", "Steps", "Task", "Text", "Trains", "Uses", "Values",
    "Width", "builder", "classifier_head", "numel", "ops", "problem",
]  # fmt: skip
