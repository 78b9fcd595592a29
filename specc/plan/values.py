"""Names of the values that instructions hand on to one another; those of further slices bear the slice's number."""

from __future__ import annotations

LABELS = "labels"
IMAGES = "images"  # the batch, or its views with labels written in


def of_slice(name: str, slice: int) -> str:
    """The value of one slice of the batch.

    >>> of_slice("labels", 0), of_slice("labels", 2)
    ('labels', 'labels@2')
    """
    return f"{name}@{slice}" if slice else name


def features(block: int, slice: int = 0) -> str:
    """The detached output of a block; of block -1 what the first one reads."""
    return of_slice(f"x{block + 1}", slice)


def graph(block: int, slice: int = 0) -> str:
    """The output of a block's forward with the graph that a backward goes along."""
    return of_slice(f"graph{block}", slice)


def leaf(block: int, slice: int = 0) -> str:
    """What a block's forward read, where the gradient at its input is collected."""
    return of_slice(f"leaf{block}", slice)


def cotangent(block: int, start: int, slice: int = 0) -> str:
    """The gradient at a block's output of all losses whose window starts at `start`."""
    return of_slice(f"grad{block}to{start}", slice)


def of_branch(unit: str, what: str, slice: int = 0) -> str:
    """The `leaf`, `graph` and `features` of a unit's EMA branch, and the gradient at its output (`grad`)."""
    return of_slice(f"{unit}.{what}", slice)
