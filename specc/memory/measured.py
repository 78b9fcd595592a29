"""A part that was measured, replayed: every storage that it takes and lets go of, in its order."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..graph.ops.footprint import NOBODY, Footprint
from .autograd import Gradient
from .storage import GRADIENT, Allocator, Storage

Held = list[Storage | None]  # by number


def forward(
    memory: Allocator, footprint: Footprint, rows: int, inputs: Sequence[Storage], *, stops: bool
) -> tuple[Storage, list[object]]:
    """The storage of the result, and what is kept for the backward.

    If it `stops` as soon as that is there, the result need not be; then the storage is any.
    """
    held: Held = list(inputs)
    events = footprint.forwards.events
    for takes, storage, _ in events[: footprint.until] if stops else events:
        if takes is None:
            held[storage] = None
        else:
            width = footprint.gives if storage == footprint.result else 4
            held.append(memory.new(takes.of(rows), width=width))
    kept: list[object] = [held[each] for each in footprint.kept if each < len(held)]
    return (None if stops else held[footprint.result]) or inputs[0], kept


def backward(
    memory: Allocator, footprint: Footprint, rows: int, incoming: Gradient, kept: list[object],
    collect: Callable[[int, Storage], None],
) -> list[Gradient | None]:  # fmt: skip
    """The gradients of the inputs, those of the part's tensors being collected on the way.

    It lets go of what was `kept` as the measured one did, where that is any.
    """
    line, own = footprint.backwards, 1 + len(footprint.kept)
    held: Held = [incoming.storage, *[None] * len(footprint.kept)]
    del incoming.storage
    widths = dict(zip(footprint.gradients, footprint.widths, strict=False))
    for takes, storage, tensor in line.events:
        if takes is not None:
            category = "gradients" if storage in line.gradients else GRADIENT
            held.append(memory.new(takes.of(rows), category, widths.get(storage, 4)))
        elif tensor != NOBODY:
            found = held[storage]
            assert found is not None
            collect(tensor, found)
            del found
        elif 0 < storage < own:
            if kept:
                kept[storage - 1] = None
        else:
            held[storage] = None
    return [None if each == NOBODY else _gradient(held[each]) for each in footprint.gradients]


def _gradient(storage: Storage | None) -> Gradient | None:
    return None if storage is None else Gradient(storage, "plain")
