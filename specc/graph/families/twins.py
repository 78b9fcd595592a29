"""torchvision's model of the same network, where it has one: how it is built, or why there is none. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..ops import Shape


@dataclass(frozen=True, slots=True)
class Twin:
    """The name of a function or class in `torchvision.models`, and its arguments beside the number of classes."""

    builder: str
    options: Mapping[str, Any] = field(default_factory=dict)


class NoTwin(ValueError):
    """torchvision has no such model; the message says why."""


def coloured(image: Shape) -> None:
    """Raise `NoTwin` where the images are not in colour: a first convolution of torchvision's reads 3 channels."""
    if image[0] != 3:
        raise NoTwin(f"its models read 3 channels, and the images have {image[0]}")
