"""What data sets say of themselves, and their first samples of all others."""

from __future__ import annotations

from collections.abc import Iterator

from specc.tasks.own.facts import Facts, OwnDataError
from specc.tasks.own.source import DataSource

from ...errors import RunError
from ..errors import DataError
from .making import made
from .sets import Set, Sets


def ask(source: DataSource) -> Facts:
    """The facts of what a function makes; raises `OwnDataError`."""
    try:
        return facts_of(made(source))
    except RunError as error:
        raise OwnDataError(str(error), tuple(error.help)) from error


def facts_of(sets: Sets) -> Facts:
    """The facts of data sets; raises `DataError` where their first samples are none, or differ."""
    found = [(part, part.asked()) for part in sets.parts]
    (_, first), *others = found
    for part, other in others:
        if (other.shape[0], other.pixels, len(other.truth), other.whole, other.parts) != (
            first.shape[0], first.pixels, len(first.truth), first.whole, first.parts,
        ):  # fmt: skip
            what = f"the first sample to train on is {first.told}, and the first of {part.called} {other.told}"
            raise DataError(what, help=["all parts of the data are to be alike"])
    sizes = {part.role: len(part) for part in sets.parts}
    return Facts(
        first.shape, first.pixels, first.truth, first.whole, sizes["train"], sizes.get("test", 0),
        sizes.get("validation", 0), _class_names(sets), sets.parts[0].batch_size or 0,
        all(each.unit for _, each in found), first.parts,
    )  # fmt: skip


def _class_names(sets: Sets) -> tuple[str, ...]:
    """Those of the first data set that has `classes`."""
    return next((names for part in sets.parts if (names := tuple(_names(part)))), ())


def _names(part: Set) -> Iterator[str]:
    """What the data set calls its classes, also where it is a part of another one."""
    data = part.data
    while not hasattr(data, "classes") and hasattr(data, "dataset"):  # torch's Subset
        data = data.dataset
    classes = getattr(data, "classes", None)
    if isinstance(classes, list | tuple) and all(isinstance(name, str) for name in classes):
        yield from classes
