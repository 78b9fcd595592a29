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


def _of(name: str, skip: str, slice: int) -> str:
    """The value of a block, or the same of what crosses beside it: of the node `skip`."""
    return of_slice(f"{name}.{skip}" if skip else name, slice)


def features(block: int, slice: int = 0, skip: str = "") -> str:
    """The detached output of a block; of block -1 what the first one reads."""
    return _of(f"x{block + 1}", skip, slice)


def graph(block: int, slice: int = 0, skip: str = "") -> str:
    """The output of a block's forward with the graph that a backward goes along."""
    return _of(f"graph{block}", skip, slice)


def leaf(block: int, slice: int = 0, skip: str = "") -> str:
    """What a block's forward read, where the gradient at its input is collected."""
    return _of(f"leaf{block}", skip, slice)


def cotangent(block: int, start: int, slice: int = 0, skip: str = "") -> str:
    """The gradient at a block's output of all losses whose window starts at `start`."""
    return _of(f"grad{block}to{start}", skip, slice)


def of_branch(unit: str, what: str, slice: int = 0) -> str:
    """The `leaf`, `graph` and `features` of a unit's EMA branch, and the gradient at its output (`grad`)."""
    return of_slice(f"{unit}.{what}", slice)
