"""Augmentations that put pixels elsewhere, those of a mask with them."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from ...language.schema import Bool, Fraction, NonNegative, Positive, problem
from ...tasks.datasets import ResolvedData
from .base import Angles, Augmentation, Factors, Fill, Interpolation, Pair, Parts, Pixels, Sometimes


class _Moving(Augmentation):
    moves: ClassVar[bool] = True


class RandomCrop(_Moving):
    """A crop of the image's own size, after `padding` was put around it."""

    padding: Pixels | Annotated[list[Pixels], Field(min_length=2, max_length=4)] = Field(
        description="pixels on every side; or left and right, above and below; or left, above, right, below"
    )
    fill: Fill = Field(0, description="what the padding is made of")
    padding_mode: Literal["constant", "edge", "reflect", "symmetric"] = Field("constant", description="kind of padding")

    torch: ClassVar[str] = "torchvision.transforms.v2:RandomCrop"
    bare: ClassVar[str] = "padding"

    def arguments(self, data: ResolvedData) -> dict[str, Any]:
        """See `Augmentation.arguments`."""
        return super().arguments(data) | {"size": list(data.image_size)}

    @model_validator(mode="after")
    def _of_sides(self) -> RandomCrop:
        if isinstance(self.padding, list) and len(self.padding) == 3:
            help = "write one number, two, or four"
            raise problem("SPC110", "padding has three numbers", key="padding", label="of which sides?", help=help)
        return self


class RandomResizedCrop(_Moving):
    """A crop of random area and aspect ratio, of the whole image as it lies on the disk, resized to `image_size`."""

    scale: Parts = Field([0.08, 1.0], description="from which part of the area to which")
    ratio: Factors = Field([3 / 4, 4 / 3], description="from which ratio of width to height to which")
    interpolation: Interpolation = Field("bilinear", description="how it is resized")
    antialias: Bool = Field(True, description="whether what is made smaller is smoothed first")

    torch: ClassVar[str] = "torchvision.transforms.v2:RandomResizedCrop"
    bare: ClassVar[str] = "scale"

    def arguments(self, data: ResolvedData) -> dict[str, Any]:
        """See `Augmentation.arguments`."""
        return super().arguments(data) | {"size": list(data.image_size)}


class HorizontalFlip(Sometimes, _Moving):
    """Mirrored, left to right."""

    torch: ClassVar[str] = "torchvision.transforms.v2:RandomHorizontalFlip"


class VerticalFlip(Sometimes, _Moving):
    """Mirrored, top to bottom."""

    torch: ClassVar[str] = "torchvision.transforms.v2:RandomVerticalFlip"


class RandomRotation(_Moving):
    """Turned around its middle."""

    degrees: NonNegative | Angles = Field(description="so far to both sides; or from, to")
    interpolation: Interpolation = Field("nearest", description="how pixels between pixels are made")
    fill: Fill = Field(0, description="what the corners are made of")

    torch: ClassVar[str] = "torchvision.transforms.v2:RandomRotation"
    bare: ClassVar[str] = "degrees"


class RandomAffine(_Moving):
    """Turned, shifted, scaled and sheared."""

    degrees: NonNegative | Angles = Field(description="of rotation, so far to both sides; or from, to")
    translate: Pair | None = Field(None, description="parts of width and height, so far to both sides")
    scale: Factors | None = Field(None, description="from, to")
    shear: NonNegative | Angles | None = Field(None, description="degrees, so far to both sides; or from, to")
    interpolation: Interpolation = Field("nearest", description="how pixels between pixels are made")
    fill: Fill = Field(0, description="what comes in from outside")

    torch: ClassVar[str] = "torchvision.transforms.v2:RandomAffine"
    bare: ClassVar[str] = "degrees"


class RandomPerspective(Sometimes, _Moving):
    """Seen from another place."""

    distortion_scale: Fraction = Field(0.5, description="how far the corners go")
    interpolation: Interpolation = Field("bilinear", description="how pixels between pixels are made")
    fill: Fill = Field(0, description="what comes in from outside")

    torch: ClassVar[str] = "torchvision.transforms.v2:RandomPerspective"
    bare: ClassVar[str] = ""


class ElasticTransform(_Moving):
    """Every pixel shifted a little, neighbours alike."""

    alpha: NonNegative = Field(50.0, description="how far")
    sigma: Positive = Field(5.0, description="how smoothly")
    interpolation: Interpolation = Field("bilinear", description="how pixels between pixels are made")
    fill: Fill = Field(0, description="what comes in from outside")

    torch: ClassVar[str] = "torchvision.transforms.v2:ElasticTransform"
