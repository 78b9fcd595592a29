"""Where builders are found by the name of their op."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from specc.graph.ops import Shape

Builder = Callable[[Any, tuple[Shape, ...]], nn.Module]

BUILDERS: dict[str, Builder] = {}


def builder(function: Builder) -> Builder:
    """Register the builder of the op that the function is named after."""
    BUILDERS[function.__name__] = function
    return function


class Call(nn.Module):
    """A stateless op as a module."""

    def __init__(self, function: Callable[..., Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *inputs: Tensor) -> Tensor:
        """Apply the function."""
        return self.function(*inputs)
