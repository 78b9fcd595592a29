"""Any classification model of torchvision."""

from __future__ import annotations

import re
from typing import ClassVar

from pydantic import Field

from ...schema import Text
from ..graph import BackboneGraph
from ..ops import Shape
from ..problems import BackboneError, Problem
from .base import Family

BARE = re.compile(r"(class_token|.*\.(?:pos_embedding|layer_scale))\.weight")  # attributes that are ops of their own


class TorchvisionModel(Family):
    """Any classification model of torchvision, untrained, traced into a graph whose layers are called as its modules.

    Tracing takes seconds and needs torch; the graph is kept in the user's cache directory (or `SPECC_CACHE`).
    """

    torchvision: Text = Field(description="the model's name: `resnet50`, `swin_t`, `efficientnet_b0`, ...")

    aliases: ClassVar[dict[str, str]] = {"model": "torchvision", "name": "torchvision", "tv": "torchvision"}
    alternatives: ClassVar[tuple[str, ...]] = ("torchvision",)

    def expand(self, input: Shape, classes: int) -> BackboneGraph:
        """The graph for images of shape `input` (C, H, W)."""
        from ..traced import cache

        if input[0] != 3:
            text = f"torchvision's models read images with 3 channels, the data set's have {input[0]}"
            help = ("a data set in colour, or a `family:` or `layers:` of specc's own",)
            raise BackboneError(Problem("SPC301", text, ("backbone", "torchvision"), "reads colours", help))
        key = cache.key(self.torchvision, input, classes)
        graph = cache.load(key)
        if graph is None:
            from ..torchvision import backbone

            graph = backbone(self.torchvision, input, classes)
            cache.save(key, graph)
        return graph

    def torchvision_name(self, name: str) -> str:
        """What torchvision calls the tensor: the same, but for the tensors that are attributes and no modules."""
        found = BARE.fullmatch(name)
        return found[1] if found else name
