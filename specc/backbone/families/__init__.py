"""Backbones: families that expand into a graph by a few numbers, and the user's own list of layers."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Discriminator, Tag

from ..layers import Layers
from .resnet import ResNet
from .resnet_cifar import ResNetCifar


def family(value: Any) -> str | None:
    """Which kind of backbone a mapping describes: its `family`, or the one key that says the same."""
    if not isinstance(value, dict):
        return getattr(value, "family", "layers") if isinstance(value, FAMILIES) else None
    named = value.get("family")
    return named if isinstance(named, str) else "layers" if "layers" in value else None


FAMILIES = (ResNetCifar, ResNet, Layers)

Backbone = Annotated[
    Annotated[ResNetCifar, Tag("resnet_cifar")] | Annotated[ResNet, Tag("resnet")] | Annotated[Layers, Tag("layers")],
    Discriminator(family),
]

__all__ = ["Backbone", "Layers", "ResNet", "ResNetCifar"]
