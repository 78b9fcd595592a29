"""Runs of a part on fake tensors, and what they took in memory; torch only when called."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

from specc.graph.ops import BYTES, Shape
from specc.graph.ops.footprint import NOBODY

from .ledger import Book, Entry, ledger

INTEGER = BYTES["int64"]


class Setting(NamedTuple):
    """One way in which a part may be run."""

    low: bool
    widths: tuple[int, ...]  # of the inputs
    wanted: tuple[bool, ...]  # gradients of the inputs
    trained: bool


@dataclass
class Account:
    """What one run took."""

    book: Book
    inputs: list[int] = field(default_factory=list)  # their storages
    forward: list[Entry] = field(default_factory=list)
    result: int = NOBODY
    gives: int = 0
    kept: list[int] = field(default_factory=list)
    incoming: int = NOBODY
    backward: list[Entry] = field(default_factory=list)
    gradients: dict[int, int] = field(default_factory=dict)  # of inputs


def run(module: Any, takes: tuple[Shape, ...], batch: int, setting: Setting) -> Account:
    """A forward and, where gradients come to anything, the backward of whoever reads the result."""
    import torch

    tensors = _tensors(module, setting.trained)
    leaves = _leaves(takes, batch, setting)
    with ledger((*tensors.values(), *leaves)) as mode, torch.set_grad_enabled(setting.trained or any(setting.wanted)):
        book: Book = mode.book
        found = Account(book)
        xs = [leaf.clone() for leaf in leaves]
        found.inputs = [book.number(x) for x in xs]
        begin = len(book.entries)
        out = _call(module, tensors, xs, setting.low)
        found.forward, found.result, found.gives = book.entries[begin:], book.number(out), out.element_size()
        if not out.requires_grad:
            return found
        arrived = list[int]()
        result = out * 1.0  # so that the gradient that arrives belongs to the engine alone
        out.register_hook(lambda gradient: arrived.extend((book.number(gradient), len(book.entries))))
        ends = _watched(found, xs, list(tensors.values()))
        made = {*found.inputs, *(entry.storage for entry in found.forward)}
        del out, xs
        found.kept = [storage for storage in book.alive.values() if storage in made]
        result.backward(torch.empty_like(result))
        if arrived:
            found.incoming, begin = arrived
            found.backward = book.entries[begin : min(ends, default=len(book.entries))]
    return found


def _watched(found: Account, xs: Sequence[Any], tensors: Sequence[Any]) -> list[int]:
    """Have gradients noted when they are complete; where the notes on the part end is told as soon as it is known."""
    book, ends = found.book, list[int]()

    def left(i: int, gradient: Any) -> None:
        ends.append(len(book.entries))
        found.gradients[i] = book.number(gradient)

    def collected(j: int, tensor: Any) -> None:
        book.entries.append(Entry("gradient", book.number(tensor.grad), j))

    for i, x in enumerate(xs):
        if x.requires_grad:
            x.register_hook(partial(left, i))
    for j, tensor in enumerate(tensors):
        if tensor.requires_grad:
            tensor.register_post_accumulate_grad_hook(partial(collected, j))
    return ends


def _leaves(takes: tuple[Shape, ...], batch: int, setting: Setting) -> list[Any]:
    """The inputs, as fakes."""
    import torch

    kinds = {4: torch.float32, 2: torch.bfloat16, INTEGER: torch.int64}
    return [
        torch.empty(batch, *shape, dtype=kinds[width], device="cpu", requires_grad=wanted)
        for shape, width, wanted in zip(takes, setting.widths, setting.wanted, strict=True)
    ]


def _tensors(module: Any, trained: bool) -> dict[str, Any]:
    """Fakes in place of the module's tensors, the parameters first."""
    import torch

    parameters = {
        name: torch.empty(p.shape, dtype=p.dtype, device="cpu", requires_grad=trained)
        for name, p in module.named_parameters()
    }
    return parameters | {name: torch.empty(b.shape, dtype=b.dtype, device="cpu") for name, b in module.named_buffers()}


def _call(module: Any, tensors: dict[str, Any], xs: Sequence[Any], low: bool) -> Any:
    import torch

    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=low, cache_enabled=False):
        return torch.func.functional_call(module, tensors, tuple(xs))


def until(module: Any, takes: tuple[Shape, ...], batch: int, setting: Setting) -> int:
    """How much has happened when a forward has kept the last that its backward needs."""
    import torch

    tensors, leaves = _tensors(module, setting.trained), _leaves(takes, batch, setting)
    seen, kept = [0], list[Any]()
    with ledger((*tensors.values(), *leaves)) as mode:
        entries = mode.book.entries

        def keep(tensor: Any) -> Any:
            seen.append(len(entries))
            kept.append(tensor.detach())

        xs = [leaf.clone() for leaf in leaves]
        begin = len(entries)
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda _: kept[0]):
            _call(module, tensors, xs, setting.low)
        return max(seen[-1] - begin, 0)
