"""Any classification or segmentation model of torchvision."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import ClassVar

from pydantic import Field

from ...diagnostics.notices import doing
from ...language.schema import Text
from ..graph import BackboneGraph
from ..node import Node, rewire
from ..ops import INPUT, Concat, Shape
from ..problems import BackboneError, Problem
from ..traced import cache, torchvision
from ..traced.building import PATH, options
from .base import Family
from .twins import Twin

BARE = re.compile(r"(class_token|.*\.(?:pos_embedding|layer_scale))\.weight")  # attributes that are ops of their own


class TorchvisionModel(Family):
    """Any classification or segmentation model of torchvision, untrained; its layers are called as its modules.

    A segmentation model is its `out`; the second classifier that torchvision can add (`aux`) is not built. Tracing
    takes seconds and needs torch; the graph is kept in the user's cache directory (or `SPECC_CACHE`).
    """

    torchvision: Text = Field(description="the model's name: `resnet50`, `swin_t`, `deeplabv3_resnet101`, ...")

    aliases: ClassVar[dict[str, str]] = {"model": "torchvision", "name": "torchvision", "tv": "torchvision"}
    alternatives: ClassVar[tuple[str, ...]] = ("torchvision",)

    def expand(self, input: Shape, classes: int) -> BackboneGraph:
        """The graph for images of shape `input` (C, H, W)."""
        channels = input[0]
        if channels == 1:
            return _repeating(self.expand((3, *input[1:]), classes))
        if channels != 3:
            text = f"torchvision's models read images with 3 channels, the data set's have {channels}"
            help = ("a data set in colour or in grey, or a `family:` or `layers:` of specc's own",)
            raise BackboneError(Problem("SPC301", text, PATH, "reads colours", help))
        key = cache.key(self.torchvision, input, classes)
        graph = cache.load(key)
        if graph is None:
            with doing(f"tracing torchvision's `{self.torchvision[:40]}`, which is done once"):
                graph = torchvision.backbone(self.torchvision, input, classes)
                cache.save(key, graph)
        return graph

    def computes(self, input: Shape, classes: int) -> BackboneGraph:
        """The graph as torchvision itself has it now, whatever a cache says; without what parts take in memory."""
        if input[0] == 1:
            return _repeating(self.computes((3, *input[1:]), classes))
        return torchvision.backbone(self.torchvision, input, classes, measured=False)

    def remarks(self, input: Shape) -> tuple[Problem, ...]:
        """That a grey image is read as one in colour."""
        if input[0] != 1:
            return ()
        text = f"`{self.torchvision}` reads 3 channels and the images have 1: it is repeated three times"
        help = ("the batch and what a decoder restores stay grey; the network's first op makes the copies",)
        return (Problem("SPC311", text, PATH, "reads colours", help, ((("data", "dataset"), "in grey"),)),)

    def twin(self, image: Shape) -> Twin:
        """The model itself, for coloured images or grey ones that are read as such."""
        return Twin(self.torchvision, options(self.torchvision, image))

    def torchvision_name(self, name: str) -> str:
        """What torchvision calls the tensor: the same, but for the tensors that are attributes and no modules."""
        found = BARE.fullmatch(name)
        return found[1] if found else name


def _repeating(graph: BackboneGraph) -> BackboneGraph:
    """The graph for images of one channel, which its first op puts three times one after the other."""
    grey = (1, *graph.input[1:])
    copies = Node(f"{graph.layers[0].name}.colours", Concat(), (INPUT,) * 3, (grey,) * 3, graph.input)
    layers = [
        replace(layer, nodes=tuple(rewire(node, {INPUT: copies.name}) for node in layer.nodes))
        for layer in graph.layers
    ]
    layers[0] = replace(layers[0], nodes=(copies, *layers[0].nodes))
    return BackboneGraph(grey, tuple(layers))
