"""Augmentations that draw what they do from a list, and those that mix the images of a batch."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, StrictInt, model_validator

from ...language.schema import Bool, Positive, problem
from .base import Augmentation, Bins, Coloured, Few, Fill, Interpolation


class _Policy(Coloured):
    interpolation: Interpolation = Field("nearest", description="how pixels between pixels are made")
    fill: Fill | None = Field(None, description="what comes in from outside; by default 0")

    maskable: ClassVar[bool] = False


class AutoAugment(_Policy):
    """Two changes by a policy that was searched for a data set (Cubuk et al., 1805.09501)."""

    policy: Literal["imagenet", "cifar10", "svhn"] = Field("imagenet", description="found on which data set")

    torch: ClassVar[str] = "torchvision.transforms.v2:AutoAugment"
    bare: ClassVar[str] = "policy"


class RandAugment(_Policy):
    """Some changes, all of one strength (Cubuk et al., 1909.13719)."""

    num_ops: Few = Field(2, description="how many changes, one after the other")
    magnitude: Annotated[StrictInt, Field(ge=0, le=1_000)] = Field(9, description="how strong")
    num_magnitude_bins: Bins = Field(31, description="of how many levels")

    torch: ClassVar[str] = "torchvision.transforms.v2:RandAugment"
    bare: ClassVar[str] = "magnitude"

    @model_validator(mode="after")
    def _of_a_level(self) -> RandAugment:
        if self.magnitude >= self.num_magnitude_bins:
            message = f"there are {self.num_magnitude_bins} levels, 0 to {self.num_magnitude_bins - 1}"
            raise problem("SPC104", message, key="magnitude", beside="num_magnitude_bins", label="beyond the last one")
        return self


class TrivialAugment(_Policy):
    """One change of any strength (Müller & Hutter, 2103.10158, its wide space)."""

    num_magnitude_bins: Bins = Field(31, description="levels of strength")

    torch: ClassVar[str] = "torchvision.transforms.v2:TrivialAugmentWide"


class AugMix(_Policy):
    """Several chains of changes, averaged with the image (Hendrycks et al., 1912.02781)."""

    severity: Annotated[StrictInt, Field(ge=1, le=10)] = Field(3, description="how strong, of 10")
    mixture_width: Few = Field(3, description="how many chains")
    chain_depth: Annotated[StrictInt, Field(ge=-1, le=100)] = Field(-1, description="their length; -1: 1 to 3, drawn")
    alpha: Positive = Field(1.0, description="of the distribution of the shares")
    all_ops: Bool = Field(True, description="whether brightness, contrast, colour and sharpness are among the changes")

    interpolation: Interpolation = Field("bilinear", description="how pixels between pixels are made")

    torch: ClassVar[str] = "torchvision.transforms.v2:AugMix"
    bare: ClassVar[str] = "severity"

    @model_validator(mode="after")
    def _of_a_length(self) -> AugMix:
        if self.chain_depth == 0:
            help = "write -1 for 1 to 3, or a number above zero"
            raise problem("SPC104", "a chain has a length", key="chain_depth", label="no changes at all", help=help)
        return self


class Mixing(Augmentation):
    """Mixes every image of a batch with another one, and what is to be learnt of both."""

    alpha: Positive = Field(1.0, description="of the beta distribution of the shares: below 1 mostly one of both")

    bare: ClassVar[str] = "alpha"
    maskable: ClassVar[bool] = False


class MixUp(Mixing):
    """Every image of a batch mixed with another one, and so what is to be learnt of it (Zhang et al., 1710.09412)."""


class CutMix(Mixing):
    """A rectangle of another image in every one, and its share of what is to be learnt (Yun et al., 1905.04899)."""
