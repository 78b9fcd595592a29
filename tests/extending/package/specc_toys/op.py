"""An op: its arguments, and what the compiler has to know of it."""

from dataclasses import dataclass
from typing import ClassVar

from specc.extending import Op, Positive, Saved, Shape, numel


@dataclass(frozen=True, slots=True)
class Softplus(Op):
    """log(1 + exp(beta x)) / beta."""

    beta: Positive = 1.0

    name: ClassVar[str] = "softplus"
    prefix: ClassVar[str] = "softplus"
    torch: ClassVar[str] = "specc_toys.op_torch:softplus"

    def flops(self, inputs: tuple[Shape, ...], output: Shape) -> int:
        return 4 * numel(output)

    def saved(self, inputs: tuple[Shape, ...], output: Shape) -> Saved:
        return Saved(inputs=(0,))
