"""What the ResNet families share."""

from __future__ import annotations

from collections.abc import Callable

from ..builder import LayerBuilder
from ..macros import Macro
from ..ops import GlobalAvgPool, Linear


def residual_stages(b: LayerBuilder, blocks: tuple[int, ...], block: Callable[[int, int], Macro]) -> None:
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
