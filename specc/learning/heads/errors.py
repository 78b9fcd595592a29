"""Why a head cannot stand where it should."""

from __future__ import annotations

from typing import ClassVar

from ...graph.ops import ShapeError


class HeadError(ShapeError):
    """A head cannot be built where it should stand. `path` leads from the head's key to what is at fault."""

    code: ClassVar[str] = "SPC410"
    path: tuple[str | int, ...] = ()


class LayerError(HeadError):
    """An op in a head's list of layers does not fit the one before."""

    code: ClassVar[str] = "SPC415"


class TargetError(HeadError):
    """A head's own layers end in a shape that its loss cannot use."""

    code: ClassVar[str] = "SPC416"
    path = ("layers",)


class LossError(HeadError):
    """A head's loss cannot compare what the head gives with what the task knows of a sample."""

    code: ClassVar[str] = "SPC419"
    path = ("loss",)


class SmoothingError(HeadError):
    """The labels of a loss cannot be smoothed that has none."""

    code: ClassVar[str] = "SPC419"
    path = ("label_smoothing",)


class TokenError(HeadError):
    """There is no such token."""

    path = ("tokens",)
    help = ("`tokens: mean` compares the mean of all tokens",)


class GridError(HeadError):
    """A patch grid cannot be laid on what the head reads."""

    code: ClassVar[str] = "SPC417"
    path = ("patches", "grid")
    help = ("`patches: {otherwise: whole}` runs the head without patches at such units",)


class SharingError(GridError):
    """Patches of different shapes cannot share a network."""

    path = ("patches", "weights")


class FuseError(GridError):
    """The patches' outputs have different shapes, so there is no mean of them."""

    path = ("patches", "fuse")
