"""Any classification or segmentation model of torchvision."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import ClassVar

from pydantic import Field

from ...language.schema import Text
from ..graph import BackboneGraph
from ..node import Node, rewire
from ..ops import INPUT, Concat, Shape
from ..ops.source import Source
from ..problems import BackboneError, Problem
from ..traced.options import options
from .traced_family import TracedFamily
from .twins import Twin

PATH = ("backbone", "torchvision")
BARE = re.compile(r"(class_token|.*\.(?:pos_embedding|layer_scale))\.weight")  # attributes that are ops of their own


class TorchvisionModel(TracedFamily):
    """Any classification or segmentation model of torchvision, untrained; its layers are called as its modules.

    A segmentation model is its `out`; the second classifier that torchvision can add (`aux`) is not built. Tracing
    takes seconds and needs torch; the graph is kept in the user's cache directory (or `SPECC_CACHE`).
    """

    torchvision: Text = Field(description="the model's name: `resnet50`, `swin_t`, `deeplabv3_resnet101`, ...")

    aliases: ClassVar[dict[str, str]] = {"model": "torchvision", "name": "torchvision", "tv": "torchvision"}
    alternatives: ClassVar[tuple[str, ...]] = ("torchvision",)

    def expand(self, input: Shape, classes: int, vocabulary: int = 0) -> BackboneGraph:
        """The graph for images of shape `input` (C, H, W)."""
        if input[0] not in (1, 3):
            text = f"torchvision's models read images with 3 channels, the data set's have {input[0]}"
            help = ("a data set in colour or in grey, or a `family:` or `layers:` of specc's own",)
            raise BackboneError(Problem("SPC301", text, PATH, "reads colours", help))
        return super().expand(input, classes, vocabulary)

    def source(self, input: Shape, classes: int, vocabulary: int = 0) -> Source:
        """What is traced for images of shape `input`: grey ones are read as coloured ones."""
        return Source("torchvision", self.torchvision, (3, *input[1:]), classes)

    def read(self, input: Shape, graph: BackboneGraph) -> BackboneGraph:
        """The graph itself, or where the images are grey one that makes three channels of theirs."""
        return repeating(graph) if input[0] == 1 else graph

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


def repeating(graph: BackboneGraph) -> BackboneGraph:
    """The graph for images of one channel, which its first op puts three times one after the other."""
    grey = (1, *graph.input[1:])
    copies = Node(f"{graph.layers[0].name}.colours", Concat(), (INPUT,) * 3, (grey,) * 3, graph.input)
    layers = [
        replace(layer, nodes=tuple(rewire(node, {INPUT: copies.name}) for node in layer.nodes))
        for layer in graph.layers
    ]
    layers[0] = replace(layers[0], nodes=(copies, *layers[0].nodes))
    return replace(graph, input=grey, layers=tuple(layers))
