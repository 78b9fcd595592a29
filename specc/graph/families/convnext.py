"""ConvNeXt (Liu et al. 2022) in torchvision's layout."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from ...language.schema import Probability, Real
from ..builder import LayerBuilder
from ..graph import BackboneGraph
from ..macros import ConvNextBlock
from ..ops import Conv, GlobalAvgPool, LayerNorm, Linear, Shape
from .base import Family, Rules
from .twins import Twin, coloured

# blocks and channels of the four stages, and the last block's probability of being dropped
SIZES: dict[str, tuple[tuple[int, ...], tuple[int, ...], float]] = {
    "tiny": ((3, 3, 9, 3), (96, 192, 384, 768), 0.1),
    "small": ((3, 3, 27, 3), (96, 192, 384, 768), 0.4),
    "base": ((3, 3, 27, 3), (128, 256, 512, 1024), 0.5),
    "large": ((3, 3, 27, 3), (192, 384, 768, 1536), 0.5),
}

TORCHVISION: Rules = (
    (r"stem\.conv\.", "features.0.0."),
    (r"stem\.ln\.", "features.0.1."),
    (r"stage(\d)\.0\.downsample\.ln\.", lambda m: f"features.{2 * int(m[1]) - 2}.0."),
    (r"stage(\d)\.0\.downsample\.conv\.", lambda m: f"features.{2 * int(m[1]) - 2}.1."),
    (r"stage(\d)\.(\d+)\.layer_scale\.weight", lambda m: f"features.{2 * int(m[1]) - 1}.{m[2]}.layer_scale"),
    (r"stage(\d)\.(\d+)\.", lambda m: f"features.{2 * int(m[1]) - 1}.{m[2]}."),
    (r"head\.ln\.", "classifier.0."),
    (r"head\.fc\.", "classifier.2."),
)


class ConvNext(Family):
    """A 4×4 stem, four stages of ConvNeXt blocks, each but the first halving the size, and a linear head."""

    family: Literal["convnext"]
    size: Literal["tiny", "small", "base", "large"] = Field("tiny", description="numbers of blocks and channels")
    drop_path: Probability | None = Field(
        None,
        description="probability that the last block drops a sample, falling linearly to 0 at the first; "
        "by default the size's own: 0.1, 0.4, 0.5, 0.5",
    )
    layer_scale: Real = Field(1e-6, description="what the blocks' learnt scales start at")

    torchvision_rules: ClassVar[Rules] = TORCHVISION
    aliases: ClassVar[dict[str, str]] = {"stochastic_depth": "drop_path", "stochastic_depth_prob": "drop_path"}

    def expand(self, input: Shape, classes: int) -> BackboneGraph:
        """The graph for images of shape `input` (C, H, W)."""
        blocks, widths, usual = SIZES[self.size]
        top = usual if self.drop_path is None else self.drop_path
        b = LayerBuilder(input)
        with b.layer("stem"):
            b.chain((Conv(widths[0], k=4, stride=4, pad=0, bias=True), LayerNorm(1e-6)))
        places = [(stage, i) for stage, count in enumerate(blocks) for i in range(count)]
        for n, (stage, i) in enumerate(places):
            with b.layer(f"stage{stage + 1}.{i}"):
                if stage and i == 0:
                    b.add(LayerNorm(1e-6), "downsample.ln")
                    b.add(Conv(widths[stage], k=2, stride=2, pad=0, bias=True), "downsample.conv")
                ConvNextBlock(self.layer_scale, top * n / (len(places) - 1)).expand(b)
        with b.layer("head"):
            b.chain((GlobalAvgPool(), LayerNorm(1e-6), Linear(classes)))
        return b.backbone()

    def twin(self, image: Shape) -> Twin:
        """torchvision's function of this size."""
        coloured(image)
        return Twin(f"convnext_{self.size}")
