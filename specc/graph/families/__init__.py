"""Backbones that a few numbers or a name describe, each expanding into a graph; not the ops that they are made of."""

from __future__ import annotations

from typing import Annotated, Any, get_args

from pydantic import Discriminator, Tag

from ...language.plugged import Plugged
from ...language.schema import Config
from ...system.plugins import Registry
from ..graph import BackboneGraph
from ..layers import Layers
from ..ops import Shape, ShapeError
from ..problems import BackboneError, Problem
from .base import Family
from .convnext import ConvNext
from .foreign import Foreign, OwnModule, TimmModel, TransformersModel
from .mobilenet_v3 import MobileNetV3
from .resnet import ResNet, ResNeXt, WideResNet
from .resnet_cifar import ResNetCifar
from .torchvision_model import TorchvisionModel
from .traced_family import TracedFamily
from .traced_module import TracedModule
from .unet import UNet
from .vgg import Vgg
from .vit import Vit


def family(value: Any) -> str | None:
    """Which kind of backbone a mapping describes: its `family`, or the one key that says the same."""
    if not isinstance(value, dict):
        untagged = next((tag for kind, tag in _UNTAGGED.items() if isinstance(value, kind)), "own_layers")
        return getattr(value, "family", untagged) if isinstance(value, tuple(FAMILIES.own.values())) else None
    named = value.get("family")
    return named if isinstance(named, str) else next((tag for key, tag in UNNAMED.items() if key in value), None)


UNNAMED = {  # the key that tells, and the tag in the union
    "layers": "own_layers", "torchvision": "torchvision_model", "timm": "timm_model",
    "transformers": "transformers_model", "module": "own_module",
    "traced": "traced_module",
}  # fmt: skip
_UNTAGGED: dict[type[Family], str] = {
    TorchvisionModel: "torchvision_model", TimmModel: "timm_model", TransformersModel: "transformers_model",
    OwnModule: "own_module", TracedModule: "traced_module",
}  # fmt: skip

OwnBackbone = Annotated[
    Annotated[ResNetCifar, Tag("resnet_cifar")]
    | Annotated[ResNet, Tag("resnet")]
    | Annotated[ResNeXt, Tag("resnext")]
    | Annotated[WideResNet, Tag("wide_resnet")]
    | Annotated[Vgg, Tag("vgg")]
    | Annotated[Vit, Tag("vit")]
    | Annotated[MobileNetV3, Tag("mobilenet_v3")]
    | Annotated[ConvNext, Tag("convnext")]
    | Annotated[UNet, Tag("unet")]
    | Annotated[Layers, Tag("own_layers")]
    | Annotated[TorchvisionModel, Tag("torchvision_model")]
    | Annotated[TimmModel, Tag("timm_model")]
    | Annotated[TransformersModel, Tag("transformers_model")]
    | Annotated[OwnModule, Tag("own_module")]
    | Annotated[TracedModule, Tag("traced_module")],
    Discriminator(family),
]

_OWN: dict[str, type[Config]] = {
    get_args(each)[1].tag: get_args(each)[0] for each in get_args(get_args(OwnBackbone)[0])
}


def expanded(backbone: Any, input: Shape, classes: int, vocabulary: int) -> BackboneGraph:
    """The backbone's graph for images of a shape, or for texts; raises `BackboneError` where it reads none."""
    if not vocabulary:
        found: BackboneGraph = backbone.expand(input, classes)
        return found
    if isinstance(backbone, Layers) or (isinstance(backbone, TracedFamily) and backbone.texts):
        return _knowing(backbone.expand(input, classes, vocabulary), vocabulary)
    text = "the backbone reads images, and the tokens of a text are whole numbers"
    help = ("`transformers: bert`, or a `module:` or `layers:` of your own that begins with an embedding",)
    raise BackboneError(Problem("SPC301", text, ("backbone",), "reads no texts", help, named=True))


def _knowing(graph: BackboneGraph, vocabulary: int) -> BackboneGraph:
    """The same graph; raises `ShapeError` where it is one that has no numbers for some tokens."""
    if 0 < graph.vocabulary < vocabulary:
        raise ShapeError(f"it knows {graph.vocabulary:,} tokens, and those of the texts are 0 to {vocabulary - 1:,}")
    return graph


FAMILIES: Registry[type[Config]] = Registry("family", Family, _OWN)
Backbone = Annotated[OwnBackbone, Plugged(FAMILIES, "family")]

__all__ = ["FAMILIES", "Backbone", "Family", "Foreign", "TorchvisionModel", "TracedModule", "UNet", "expanded"]
