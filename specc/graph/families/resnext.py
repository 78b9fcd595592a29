"""ResNeXt (Xie et al. 2017): bottlenecks whose 3×3 convolution works in groups."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from ...language.schema import Width
from ..macros import Bottleneck, Macro
from .resnet import ImageNetResNet


class ResNeXt(ImageNetResNet):
    """A ResNet of bottlenecks with grouped convolutions: 32×4d, 32×8d, 64×4d are `groups` × `width_per_group`."""

    family: Literal["resnext"]
    depth: Literal[50, 101, 152] = Field(50, description="number of weighted layers")
    groups: Width = Field(32, description="groups of the 3×3 convolutions (cardinality)")
    width_per_group: Width = Field(4, description="channels of one group in the first stage; doubles with each stage")

    aliases: ClassVar[dict[str, str]] = {"cardinality": "groups", "base_width": "width_per_group"}

    def _block(self, stage: int, stride: int) -> Macro:
        inner = self.groups * self.width_per_group * 2**stage
        return Bottleneck(256 * 2**stage, inner, stride, self.groups)
