"""An augmentation: its arguments, and what the compiler has to know of it."""

from typing import ClassVar

from pydantic import Field

from specc.extending import Augmentation, Fraction


class Swapped(Augmentation):
    """Its left half and its right half in each other's places."""

    p: Fraction = Field(0.5, description="how often")

    torch: ClassVar[str] = "specc_toys.augmentation_torch:Swapped"
    moves: ClassVar[bool] = True
