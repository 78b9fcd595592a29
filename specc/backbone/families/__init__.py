"""Backbone families: each a configuration in YAML that expands into a graph."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from .resnet import ResNet
from .resnet_cifar import ResNetCifar

Family = Annotated[ResNetCifar | ResNet, Field(discriminator="family")]

__all__ = ["Family", "ResNet", "ResNetCifar"]
