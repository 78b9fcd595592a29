"""Where builders are found by the name of their op."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from torch import Tensor, nn

from specc.graph.ops import OPS, Op, Shape

from ...named import named

Shapes = tuple[Shape, ...]  # of an op's inputs
Builder = Callable[[Any, Shapes], nn.Module]
AnyOp = TypeVar("AnyOp", bound=Op)


class Builders(dict[str, Builder]):
    """Those of specc's own ops; the op of a package says itself where its own is."""

    def __missing__(self, name: str) -> Builder:
        made: Builder = named(OPS[name].torch, f"the op `{name}`")
        return made


BUILDERS = Builders()


def builds(op: type[AnyOp], builder: Callable[[AnyOp, Shapes], nn.Module]) -> None:
    """Say what makes the module of an op."""
    BUILDERS[op.name] = builder


class Call(nn.Module):
    """A stateless op as a module."""

    def __init__(self, function: Callable[..., Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *inputs: Tensor) -> Tensor:
        """Apply the function."""
        return self.function(*inputs)
