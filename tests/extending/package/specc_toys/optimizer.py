"""An optimizer: what its torch class is given, and what it keeps between steps."""

from collections.abc import Collection
from typing import ClassVar, Literal

from pydantic import Field

from specc.extending import Fraction, Optimizer, Positive, Shape, numel


class SignMomentum(Optimizer):
    """Steps of one size, in the direction of the momentum."""

    name: Literal["sign_momentum"] = Field(description="`sign_momentum`")
    lr: Positive = Field(0.01, description="learning rate at the schedule's top")
    momentum: Fraction = Field(0.9, description="momentum")

    torch: ClassVar[str] = "specc_toys.optimizer_torch:SignMomentum"
    fused: ClassVar[bool] = False

    def state_bytes(self, parameters: Collection[Shape]) -> int:
        return 4 * sum(map(numel, parameters))

    def step_bytes(self, parameters: Collection[Shape]) -> int:
        return 4 * max(map(numel, parameters))  # one tensor's signs after the other's
