"""The vision transformer (Dosovitskiy et al. 2021) in torchvision's layout."""

from __future__ import annotations

from math import gcd
from typing import ClassVar, Literal

from pydantic import Field, model_validator

from ...language.schema import Probability, Repeats, Width, problem
from ..builder import LayerBuilder
from ..graph import BackboneGraph
from ..macros import TransformerBlock
from ..ops import ClassToken, Dropout, LayerNorm, Linear, PatchEmbed, PositionEmbedding, SelectToken, Shape
from ..problems import BackboneError, Problem
from .base import Family, Rules
from .twins import NoTwin, Twin, coloured

TORCHVISION: Rules = (
    (r"stem\.patch_embed\.", "conv_proj."),
    (r"stem\.class_token\.weight", "class_token"),
    (r"stem\.pos_embedding\.weight", "encoder.pos_embedding"),
    (r"encoder\.(\d+)\.", r"encoder.layers.encoder_layer_\1."),
    (r"head\.ln\.", "encoder.ln."),
    (r"head\.fc\.", "heads.head."),
)


class Vit(Family):
    """Patches as tokens, a class token, transformer blocks, a linear head on the class token.

    B/16 is the default; L/16 is `width: 1024, depth: 24, heads: 16`, H/14 is `patch: 14, width: 1280, depth: 32,
    heads: 16`.
    """

    family: Literal["vit"]
    patch: Width = Field(16, description="height and width of a patch in pixels; must divide the image")
    width: Width = Field(768, description="numbers a token; a multiple of `heads`")
    depth: Repeats = Field(12, description="number of transformer blocks")
    heads: Width = Field(12, description="attention heads")
    mlp: Width | None = Field(None, description="hidden width of the MLPs; by default four times `width`")
    dropout: Probability = Field(0.0, description="after the embedding, the attention and each layer of the MLPs")

    torchvision_rules: ClassVar[Rules] = TORCHVISION
    aliases: ClassVar[dict[str, str]] = {
        "patch_size": "patch", "hidden_dim": "width", "embed_dim": "width", "dim": "width", "num_layers": "depth",
        "layers": "depth", "num_heads": "heads", "mlp_dim": "mlp",
    }  # fmt: skip

    @model_validator(mode="after")
    def _divisible(self) -> Vit:
        if self.width % self.heads:
            message = f"{self.heads} heads cannot share a width of {self.width}"
            up = self.width + -self.width % self.heads
            help = f"nearest widths: {', '.join(str(width) for width in (up - self.heads, up) if width)}"
            raise problem("SPC104", message, key="heads", beside="width", label="does not divide the width", help=help)
        return self

    def expand(self, input: Shape, classes: int) -> BackboneGraph:
        """The graph for images of shape `input` (C, H, W)."""
        self._check_patches(input)
        b = LayerBuilder(input)
        with b.layer("stem"):
            b.chain((PatchEmbed(self.width, self.patch), ClassToken(), PositionEmbedding()))
            if self.dropout:
                b.add(Dropout(self.dropout))
        for i in range(self.depth):
            with b.layer(f"encoder.{i}"):
                TransformerBlock(self.heads, self.mlp or 4 * self.width, self.dropout).expand(b)
        with b.layer("head"):
            b.chain((LayerNorm(1e-6), SelectToken(), Linear(classes)))
        return b.backbone()

    def twin(self, image: Shape) -> Twin:
        """torchvision's class with the same sizes."""
        coloured(image)
        if image[1] != image[2]:
            raise NoTwin(f"its vision transformers read squares, and the images are {image[1]}×{image[2]}")
        sizes = {"image_size": image[1], "patch_size": self.patch, "num_layers": self.depth, "num_heads": self.heads}
        return Twin("VisionTransformer", sizes | {"hidden_dim": self.width, "mlp_dim": self.mlp or 4 * self.width})

    def _check_patches(self, image: Shape) -> None:
        size = gcd(*image[1:])
        if size % self.patch:
            message = f"images of {image[1]}×{image[2]} pixels cannot be cut into patches of {self.patch}×{self.patch}"
            sides = [side for side in range(2, size + 1) if size % side == 0]
            near = sorted(sorted(sides, key=lambda side: abs(side - self.patch))[:2])
            named = f"sides that divide height and width: {' and '.join(map(str, near))}; or " if near else ""
            help = (f"{named}another `data.image_size`",)
            raise BackboneError(Problem("SPC301", message, ("backbone", "patch"), "does not divide the image", help))
