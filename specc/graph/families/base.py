"""What the families share; rules that turn their names of tensors into those that another library uses."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import ClassVar

from ...language.schema import Config
from ..builder import LayerBuilder
from ..graph import BackboneGraph
from ..macros import Macro
from ..ops import GlobalAvgPool, Linear, Shape
from ..problems import Problem
from .twins import NoTwin, Twin

Replacement = str | Callable[[re.Match[str]], str]
Rules = tuple[tuple[str, Replacement], ...]  # a pattern for the beginning of the name, and what stands there instead


class Family(Config):
    """A backbone that a few numbers describe; `family` names it in the spec."""

    alternatives: ClassVar[tuple[str, ...]] = ("family",)
    torchvision_rules: ClassVar[Rules] = ()  # from its own names of tensors to torchvision's

    def expand(self, input: Shape, classes: int) -> BackboneGraph:
        """The graph for images of shape `input` (C, H, W); raises `ShapeError` or `BackboneError`."""
        raise NotImplementedError

    def remarks(self, input: Shape) -> tuple[Problem, ...]:
        """What the user should know of how images of shape `input` are read; no mistakes."""
        return ()

    def torchvision_name(self, name: str) -> str | None:
        """What torchvision calls the tensor `name` in its model of this network; None where it has no such model."""
        return rename(name, self.torchvision_rules) if self.torchvision_rules else None

    def twin(self, image: Shape) -> Twin:
        """torchvision's model of this network for images of a shape; raises `NoTwin` where there is none."""
        raise NoTwin("it has none of this family")


def residual_stages(b: LayerBuilder, blocks: Sequence[int], block: Callable[[int, int], Macro]) -> None:
    """Layers ``stage1.0 ...``; ``block(stage, stride)`` is the pattern of one; later stages begin with stride 2."""
    for stage, count in enumerate(blocks):
        for i in range(count):
            with b.layer(f"stage{stage + 1}.{i}"):
                block(stage, 2 if stage and not i else 1).expand(b)


def classifier_head(b: LayerBuilder, classes: int) -> None:
    """The layer ``head``: global average pool and a linear classifier."""
    with b.layer("head"):
        b.add(GlobalAvgPool(), "pool")
        b.add(Linear(classes), "fc")


def rename(name: str, rules: Rules) -> str:
    """The name by the first rule that fits.

    >>> rename("stage2.0.conv1.weight", ((r"stem\\.", "conv1."), (r"stage(\\d)\\.", r"layer\\1.")))
    'layer2.0.conv1.weight'
    """
    for pattern, replacement in rules:
        match = re.match(pattern, name)
        if match:
            start = match.expand(replacement) if isinstance(replacement, str) else replacement(match)
            return start + name[match.end() :]
    raise KeyError(name)
