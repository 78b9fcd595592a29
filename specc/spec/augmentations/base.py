"""What every augmentation says of itself, and the values that their arguments take."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field, StrictFloat, StrictInt

from ...language.schema import Config, Fraction, NonNegative, Positive, problem
from ...tasks.datasets import ResolvedData


def _rising(values: list[float]) -> list[float]:
    if values[0] > values[1]:
        message = f"the range from {values[0]:g} to {values[1]:g} is empty"
        raise problem("SPC104", message, label="begins above its end", help=f"write [{values[1]:g}, {values[0]:g}]")
    return values


TWO, RISING = Field(min_length=2, max_length=2), AfterValidator(_rising)
Byte = Annotated[StrictInt, Field(ge=0, le=255)]
Fill = Byte | Annotated[list[Byte], Field(min_length=1, max_length=1_024)]  # a pixel: one number, or one a channel
Pixels = Annotated[StrictInt, Field(ge=0, le=16_384)]
Few = Annotated[StrictInt, Field(ge=1, le=100)]
Bins = Annotated[StrictInt, Field(ge=2, le=1_000)]
Quality = Annotated[StrictInt, Field(ge=1, le=100)]
Mean = Annotated[StrictFloat, Field(ge=-1, le=1)]
Angle = Annotated[StrictFloat, Field(ge=-360, le=360)]
Hue = Annotated[StrictFloat, Field(ge=-0.5, le=0.5)]
Pair = Annotated[list[Fraction], TWO]
Parts = Annotated[list[Fraction], TWO, RISING]
Factors = Annotated[list[Positive], TWO, RISING]
FromTo = Annotated[list[NonNegative], TWO, RISING]
Angles = Annotated[list[Angle], TWO, RISING]
Hues = Annotated[list[Hue], TWO, RISING]
Strength = NonNegative | FromTo
Interpolation = Literal["nearest", "bilinear", "bicubic"]


class Augmentation(Config):
    """Something that is done to training images; its fields are what torchvision's class is given."""

    torch: ClassVar[str] = ""  # where its class is: `torchvision.transforms.v2:RandomCrop`; none: it mixes a batch
    bare: ClassVar[str] = ""  # the argument that stands for all: `mixup: 0.2`
    moves: ClassVar[bool] = False  # pixels, so that masks go the same way
    maskable: ClassVar[bool] = True  # whether it is defined where every pixel has a class
    colours: ClassVar[bool] = False  # whether it is defined for 1 and 3 channels alone
    eight_bits: ClassVar[bool] = False  # whether it is defined for pixels of 8 bits alone
    levels: ClassVar[tuple[str, ...]] = ("fill", "value")  # arguments that are pixels, of which white is 255

    def arguments(self, data: ResolvedData) -> dict[str, Any]:
        """What the class is given, for the images of a data set."""
        return {name: value for name, value in self.model_dump().items() if value is not None}


class Sometimes(Augmentation):
    """Done to some images and not to others."""

    p: Fraction = Field(0.5, description="how often")

    bare: ClassVar[str] = "p"


class Coloured(Augmentation):
    """Defined for grey images and for red, green and blue."""

    colours: ClassVar[bool] = True
