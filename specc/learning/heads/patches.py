"""A head on a grid of spatial patches (HPFF's patch feature fusion, 2407.05638): which positions belong to which."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise, product
from typing import Literal

from pydantic import Field

from ...graph.graph import Graph
from ...graph.layout import Lost, Places
from ...graph.ops import Shape, show
from ...language.schema import Config, Grid
from .errors import FuseError, GridError, SharingError


class Patches(Config):
    """Run the head on a grid of spatial patches (HPFF's patch feature fusion)."""

    grid: Grid = Field([2, 2], description="rows and columns; of an odd size the later ones are larger: 7 is 3 and 4")
    weights: Literal["shared", "separate"] = Field("separate", description="one network for all patches or one each")
    fuse: Literal["losses", "outputs"] = Field(
        "losses", description="sum the patches' losses (HPFF's code) or average their outputs (HPFF's paper)"
    )
    execution: Literal["joint", "sequential"] = Field(
        "joint", description="all patches at once, or one after the other in a fraction of the memory"
    )
    otherwise: Literal["error", "whole"] = Field(
        "error", description="what happens at units whose features cannot be cut: an error, or the head without patches"
    )


Cell = tuple[int, int, int, int]  # from row, to row, from column, to column; the ends are exclusive


def cells(size: Sequence[int], grid: Sequence[int]) -> tuple[Cell, ...]:
    """The patches of so many rows and columns, row by row.

    Each side is cut at ``i * size // count``, so that they differ by one at most.

    >>> cells((7, 4), (2, 2))
    ((0, 3, 0, 2), (0, 3, 2, 4), (3, 7, 0, 2), (3, 7, 2, 4))
    """
    rows, columns = (list(pairwise(_edges(side, count))) for side, count in zip(size, grid, strict=True))
    return tuple((top, bottom, left, right) for (top, bottom), (left, right) in product(rows, columns))


def _edges(side: int, count: int) -> list[int]:
    return [i * side // count for i in range(count + 1)]


def divide(shape: Shape, grid: Sequence[int], what: str) -> tuple[Shape, ...]:
    """The shapes of a map's patches; raises `GridError` where one would be empty."""
    if shape[1] < grid[0] or shape[2] < grid[1]:
        raise GridError(f"a {grid[0]}×{grid[1]} patch grid has more cells than the {what} {show(shape)} has positions")
    return tuple((shape[0], bottom - top, right - left) for top, bottom, left, right in cells(shape[1:], grid))


def as_map(shape: Shape, places: Places) -> Shape:
    """The shape of the feature map that the grid is laid on; raises `GridError` where there is none."""
    if len(shape) == 3:
        return shape
    if len(shape) == 4:
        raise GridError(f"patches are rows and columns of a map, and {show(shape)} is a volume")
    if len(shape) == 1:
        raise GridError(f"patches need positions to share out, not the vector {show(shape)}")
    if isinstance(places, Lost):
        raise GridError(lost(shape, places))
    return (shape[1], *places.size)


def lost(shape: Shape, places: Lost) -> str:
    """Why tokens cannot be laid out."""
    return f"the tokens {show(shape)} are no picture row by row since `{places.node}` put them in another order"


def check(patches: Patches, graphs: Sequence[Graph]) -> None:
    """Raises where patches of different shapes cannot share tensors, or cannot be averaged."""
    if patches.weights == "shared":
        for graph in graphs[1:]:
            _check_sharing(graphs[0], graph)
    shapes = dict.fromkeys(graph.shape for graph in graphs)
    if patches.fuse == "outputs" and len(shapes) > 1:
        raise FuseError(f"its patches give {' and '.join(map(show, shapes))}, which have no mean")


def _check_sharing(one: Graph, other: Graph) -> None:
    for mine, theirs in zip(one.nodes, other.nodes, strict=True):
        if mine.parameters != theirs.parameters or mine.buffers != theirs.buffers:
            first, second = _tensors(mine.parameters), _tensors(theirs.parameters)
        elif mine.parameters and mine.op != theirs.op:
            first, second = str(mine.op), str(theirs.op)
        else:
            continue
        sizes = f"patches of {show(one.input)} and {show(other.input)}"
        raise SharingError(f"{sizes} cannot share `{mine.name}`: {first} and {second}")


def _tensors(parameters: dict[str, Shape]) -> str:
    return ", ".join(f"{name} {show(shape)}" for name, shape in parameters.items())
