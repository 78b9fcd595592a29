"""Where builders are found by the name of their op."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from specc.graph.ops import OPS, Shape

from ...named import named

Builder = Callable[[Any, tuple[Shape, ...]], nn.Module]


class Builders(dict[str, Builder]):
    """Those of specc's own ops; the op of a package says itself where its own is."""

    def __missing__(self, name: str) -> Builder:
        made: Builder = named(OPS[name].torch, f"the op `{name}`")
        return made


BUILDERS = Builders()


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
