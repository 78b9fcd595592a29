"""Augmentations that leave pixels where they are."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import Field, StrictFloat, StrictInt, model_validator

from ...language.schema import Bool, Fraction, NonNegative, Positive, problem
from ...tasks.datasets import ResolvedData
from .base import (
    RISING,
    TWO,
    Augmentation,
    Byte,
    Coloured,
    Factors,
    Fill,
    FromTo,
    Hues,
    Mean,
    Parts,
    Quality,
    Sometimes,
    Strength,
)


class ColorJitter(Coloured):
    """Brighter or darker, more or less contrast and colour, other colours."""

    brightness: Strength | None = Field(None, description="so much more or less; or factors from, to")
    contrast: Strength | None = Field(None, description="likewise")
    saturation: Strength | None = Field(None, description="likewise")
    hue: Annotated[StrictFloat, Field(ge=0, le=0.5)] | Hues | None = Field(
        None, description="so far around the circle of colours, in parts of it; or from, to"
    )

    torch: ClassVar[str] = "torchvision.transforms.v2:ColorJitter"


class RandomPhotometricDistort(Sometimes, Coloured):
    """Brightness, contrast, saturation, hue and channels, each changed or not, as SSD's training does."""

    brightness: FromTo = Field([0.875, 1.125], description="factors from, to")
    contrast: FromTo = Field([0.5, 1.5], description="factors from, to")
    saturation: FromTo = Field([0.5, 1.5], description="factors from, to")
    hue: Hues = Field([-0.05, 0.05], description="parts of the circle of colours, from, to")

    torch: ClassVar[str] = "torchvision.transforms.v2:RandomPhotometricDistort"


class RandomGrayscale(Sometimes, Coloured):
    """Without colours."""

    p: Fraction = Field(0.1, description="how often")

    torch: ClassVar[str] = "torchvision.transforms.v2:RandomGrayscale"


class RandomChannelPermutation(Augmentation):
    """Its channels in another order."""

    torch: ClassVar[str] = "torchvision.transforms.v2:RandomChannelPermutation"


class RandomAdjustSharpness(Sometimes, Coloured):
    """Sharper or softer."""

    sharpness_factor: NonNegative = Field(description="1 changes nothing, 0 blurs, 2 is twice as sharp")

    torch: ClassVar[str] = "torchvision.transforms.v2:RandomAdjustSharpness"
    bare: ClassVar[str] = "sharpness_factor"


class RandomAutocontrast(Sometimes, Coloured):
    """Its darkest pixel black, its brightest white."""

    torch: ClassVar[str] = "torchvision.transforms.v2:RandomAutocontrast"


class RandomEqualize(Sometimes):
    """All levels about equally often."""

    torch: ClassVar[str] = "torchvision.transforms.v2:RandomEqualize"


class RandomInvert(Sometimes):
    """As a negative."""

    torch: ClassVar[str] = "torchvision.transforms.v2:RandomInvert"


class RandomPosterize(Sometimes):
    """With fewer levels."""

    bits: Annotated[StrictInt, Field(ge=0, le=8)] = Field(description="of a number that stay")

    torch: ClassVar[str] = "torchvision.transforms.v2:RandomPosterize"
    bare: ClassVar[str] = "bits"


class RandomSolarize(Sometimes):
    """What is bright as a negative."""

    threshold: Byte = Field(description="from which number on")

    torch: ClassVar[str] = "torchvision.transforms.v2:RandomSolarize"
    levels: ClassVar[tuple[str, ...]] = ("threshold",)
    bare: ClassVar[str] = "threshold"


class GaussianBlur(Augmentation):
    """Blurred."""

    kernel_size: Annotated[StrictInt, Field(ge=1, le=255)] = Field(description="pixels, an odd number")
    sigma: Positive | Factors = Field([0.1, 2.0], description="pixels; or from, to")

    torch: ClassVar[str] = "torchvision.transforms.v2:GaussianBlur"
    bare: ClassVar[str] = "kernel_size"

    @model_validator(mode="after")
    def _with_a_middle(self) -> GaussianBlur:
        if self.kernel_size % 2 == 0:
            help = f"write {self.kernel_size + 1}"
            raise problem("SPC104", "a kernel has a middle", key="kernel_size", label="not an odd number", help=help)
        return self


class GaussianNoise(Augmentation):
    """With noise, for images in [0, 1]."""

    mean: Mean = Field(0.0, description="of the noise")
    sigma: NonNegative = Field(0.1, description="its standard deviation")
    clip: Bool = Field(True, description="whether what leaves [0, 1] is put at its end")

    torch: ClassVar[str] = "torchvision.transforms.v2:GaussianNoise"
    bare: ClassVar[str] = "sigma"


class Jpeg(Coloured):
    """Compressed, and so damaged, as a JPEG file."""

    quality: Quality | Annotated[list[Quality], TWO, RISING] = Field(description="1 to 100; or from, to")

    torch: ClassVar[str] = "torchvision.transforms.v2:JPEG"
    eight_bits: ClassVar[bool] = True
    bare: ClassVar[str] = "quality"


class RandomErasing(Sometimes):
    """A rectangle of it taken out."""

    scale: Parts = Field([0.02, 0.33], description="from which part of the area to which")
    ratio: Factors = Field([0.3, 3.3], description="from which ratio of height to width to which")
    value: Fill | None = Field(
        None, description="what is put there; by default the data set's mean, which normalisation makes a 0"
    )

    torch: ClassVar[str] = "torchvision.transforms.v2:RandomErasing"

    def arguments(self, data: ResolvedData) -> dict[str, Any]:
        """See `Augmentation.arguments`."""
        return {"value": [round(255 * mean) for mean in data.mean]} | super().arguments(data)
