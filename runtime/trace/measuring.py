"""What a part of somebody else's model takes in memory, found by running it on fake tensors; torch only when called.

A part is run with two batches, so that what grows with the batch is told from what does not, once for every width that
its inputs may have: an input in low precision and one in fp32 are cast at other places. Inputs that are `integers`,
by their places, have one width, and no gradient.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Iterator, Sequence, Set
from dataclasses import dataclass
from itertools import product
from typing import Any

from specc.graph.ops import BYTES, Saved, Shape
from specc.graph.ops.footprint import Bytes, Footprint

from ..fakes import fakes

BATCHES = (2, 3)
INTEGER = BYTES["int64"]
NONE: frozenset[int] = frozenset()


def footprints(module: Any, takes: tuple[Shape, ...], integers: Set[int] = NONE) -> tuple[Footprint, ...]:
    """The part's memory in fp32 and, for all widths of its inputs, in low precision; `module` is on meta."""
    from torch.utils._python_dispatch import _disable_current_modes

    with _disable_current_modes(), fakes():
        return tuple(_footprint(module, takes, low, widths) for low, widths in _settings(len(takes), integers))


def _settings(inputs: int, integers: Set[int]) -> Iterator[tuple[bool, tuple[int, ...]]]:
    floats = inputs - len(integers)

    def widths(of_floats: Iterable[int]) -> tuple[int, ...]:
        given = iter(of_floats)
        return tuple(INTEGER if i in integers else next(given) for i in range(inputs))

    yield False, widths((4,) * floats)
    if floats <= 2:
        yield from ((True, widths(each)) for each in product((4, 2), repeat=floats))
    else:  # parts that join many values get them from ops of one kind
        yield from ((True, widths((width,) * floats)) for width in (4, 2))


@dataclass(frozen=True, slots=True)
class _Account:
    """What one run took; the lists have the bytes above those at the beginning, whenever something was made."""

    gives: int
    own: int
    inputs: tuple[int, ...]
    output: bool
    forward: list[int]
    alone: list[int]
    backward: list[int]
    again: list[int]


def _footprint(module: Any, takes: tuple[Shape, ...], low: bool, widths: tuple[int, ...]) -> Footprint:
    small, large = (_run(module, takes, batch, low, widths) for batch in BATCHES)
    return Footprint(
        low, widths, small.gives, small.inputs, small.output, _size(small.own, large.own),
        *(_highest(getattr(small, name), getattr(large, name)) for name in ("forward", "alone", "backward", "again")),
    )  # fmt: skip


def _size(small: int, large: int) -> Bytes:
    sample = (large - small) // (BATCHES[1] - BATCHES[0])
    return Bytes(sample, small - BATCHES[0] * sample)


def _highest(small: Sequence[int], large: Sequence[int]) -> tuple[Bytes, ...]:
    """The moments that are the highest one for some batch."""
    if len(small) != len(large):  # a part that does other things for other batches
        small, large = [max(small)], [max(large)]
    found = {_size(*pair) for pair in zip(small, large, strict=True)}
    kept: list[Bytes] = []
    for size in sorted(found, key=lambda s: (-s.sample, -s.fixed)):
        if not kept or size.fixed > kept[-1].fixed:
            kept.append(size)
    return tuple(kept)


def _run(module: Any, takes: tuple[Shape, ...], batch: int, low: bool, widths: tuple[int, ...]) -> _Account:
    """A forward and a backward, one in which the inputs and the result are let go of, and one without gradients."""
    import torch

    tensors = _tensors(module)
    leaves = [_leaf(batch, *setting) for setting in zip(takes, widths, strict=True)]
    kept = _outlived(module, tensors, leaves, low)
    with _ledger(tensors.values()) as ledger:
        xs = [leaf.clone() for leaf in leaves]
        begin = ledger.now
        out = _call(module, tensors, xs, low)
        forward, made = ledger.since(begin), ledger.alive - begin.alive
        result = out * 1.0  # whoever reads it, so that the gradient that arrives belongs to the engine alone
        arrived: list[_Now] = []
        out.register_hook(lambda gradient: arrived.append(ledger.now))
        ledger.lasting = set(ledger.known)
        wanted = [t for t in (*leaves, *tensors.values()) if t.requires_grad]
        grads = torch.autograd.grad(result, wanted, torch.empty_like(result), allow_unused=True)
        backward, again = ledger.since(arrived[0]), ledger.since(arrived[0], lasting=True)
        del grads, result
        begin = ledger.now
        with torch.no_grad():
            _call(module, tensors, xs, low)
        alone = ledger.since(begin)
    own = made - (0 if _place(out) == _place(xs[0]) else out.untyped_storage().nbytes())
    return _Account(out.element_size(), own, *kept, forward, alone, backward, again)


def _leaf(batch: int, shape: Shape, width: int) -> Any:
    import torch

    dtype = {4: torch.float32, 2: torch.bfloat16, INTEGER: torch.int64}[width]
    return torch.empty(batch, *shape, dtype=dtype, device="cpu", requires_grad=width != INTEGER)


def _tensors(module: Any) -> dict[str, Any]:
    """Fakes in place of the module's tensors."""
    import torch

    parameters = {
        name: torch.empty(p.shape, dtype=p.dtype, device="cpu", requires_grad=True)
        for name, p in module.named_parameters()
    }
    return parameters | {name: torch.empty(b.shape, dtype=b.dtype, device="cpu") for name, b in module.named_buffers()}


def _call(module: Any, tensors: dict[str, Any], xs: Sequence[Any], low: bool) -> Any:
    import torch

    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=low, cache_enabled=False):
        return torch.func.functional_call(module, tensors, tuple(xs))


def _outlived(module: Any, tensors: dict[str, Any], leaves: Sequence[Any], low: bool) -> tuple[tuple[int, ...], bool]:
    """Which inputs a forward keeps for its backward, and whether it keeps its result."""
    xs = [leaf.clone() for leaf in leaves]
    out = _call(module, tensors, xs, low)
    inputs, result = [weakref.ref(x.untyped_storage()) for x in xs], weakref.ref(out.untyped_storage())
    shared, graph = _place(out) == _place(xs[0]), out.grad_fn
    del out, xs
    kept = tuple(i for i, storage in enumerate(inputs) if storage() is not None)
    output = result() is not None and not shared
    del graph
    return kept, output


@dataclass(frozen=True, slots=True)
class _Now:
    """Bytes alive, bytes of `lasting` storages that have died, and how many storages have been made."""

    alive: int
    gone: int
    made: int


def _ledger(resident: Iterable[Any]) -> Any:
    """A mode that follows every storage from its making to its death."""
    from torch import Tensor
    from torch.utils import _python_dispatch
    from torch.utils._pytree import tree_leaves

    mode: Any = _python_dispatch.TorchDispatchMode

    class Ledger(mode):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.alive = self.gone = 0
            self.moments: list[tuple[int, int]] = []  # both, whenever a storage was made
            self.lasting: set[int] = set()
            self.known: dict[int, Any] = {}
            for tensor in resident:
                self._add(tensor.untyped_storage())

        @property
        def now(self) -> _Now:
            return _Now(self.alive, self.gone, len(self.moments))

        def since(self, begin: _Now, *, lasting: bool = False) -> list[int]:
            """Bytes above those at the beginning, or as many as if nothing that lasts had died."""
            found = self.moments[begin.made :]
            return [alive - begin.alive + lasting * (gone - begin.gone) for alive, gone in found] or [0]

        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            result = func(*args, **(kwargs or {}))
            for leaf in tree_leaves(result):
                if isinstance(leaf, Tensor):
                    self._add(leaf.untyped_storage())
            return result

        def _add(self, storage: Any) -> None:
            key, size = storage._cdata, storage.nbytes()
            if key in self.known:
                return

            def died(_: Any) -> None:
                self.known.pop(key, None)
                self.alive -= size
                if key in self.lasting:
                    self.lasting.discard(key)
                    self.gone += size

            self.known[key] = weakref.ref(storage, died)
            self.alive += size
            self.moments.append((self.alive, self.gone))

    return Ledger()


def likeness(module: Any, takes: tuple[Shape, ...], integers: Set[int] = NONE) -> str:
    """Everything that decides what a part takes, but for names."""
    from torch.fx import map_arg

    number = {node: f"%{i}" for i, node in enumerate(module.graph.nodes)}
    calls = [(n.op, str(n.target), str(map_arg((n.args, n.kwargs), number.get))) for n in module.graph.nodes]
    tensors = [
        (name, tuple(t.shape), t.requires_grad) for name, t in (*module.named_parameters(), *module.named_buffers())
    ]
    return repr((takes, sorted(integers), calls, tensors, [str(child) for child in module.children()]))


def measure(module: Any, takes: tuple[Shape, ...], integers: Set[int] = NONE) -> tuple[Shape, int, Saved, bool, bool]:
    """Shape of the result, FLOPs of a sample, what is saved for the backward, and views forward and backward."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter, torch.no_grad():
        module(*_empty(takes, integers, BATCHES[0]))
    gives, small, shares, hands_back = _kept(module, takes, integers, BATCHES[0])
    *_, large, _, _ = _kept(module, takes, integers, BATCHES[1])
    step = BATCHES[1] - BATCHES[0]
    elements, others = ((after - before) // step for before, after in zip(small[2:], large[2:], strict=True))
    fixed = (4 * small[2] + small[3] - BATCHES[0] * (4 * elements + others)) // 4
    keeps = Saved(small[0], small[1], elements=elements, bytes=others, floats=max(fixed, 0))
    return gives, counter.get_total_flops() // BATCHES[0], keeps, shares, hands_back


def _empty(takes: tuple[Shape, ...], integers: Set[int], batch: int) -> list[Any]:
    """What it reads, without numbers."""
    import torch

    kinds = (torch.int64 if i in integers else torch.float32 for i in range(len(takes)))
    return [torch.empty(batch, *shape, dtype=kind, device="meta") for shape, kind in zip(takes, kinds, strict=True)]


def _kept(
    module: Any, takes: tuple[Shape, ...], integers: Set[int], batch: int
) -> tuple[Shape, tuple[Any, ...], bool, bool]:
    """One forward and backward: (inputs kept, output kept, numbers of floats and further bytes kept)."""
    import torch

    xs = [x.requires_grad_(x.is_floating_point()) for x in _empty(takes, integers, batch)]
    kept: dict[int, Any] = {}

    def pack(tensor: Any) -> Any:
        kept.setdefault(_place(tensor), tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        out = module(*xs)
    cotangent = torch.empty_like(out)
    floats = [x for x in xs if x.requires_grad]
    grads = torch.autograd.grad(out, floats, cotangent, allow_unused=True) if floats else (None,)
    inputs = tuple(i for i, x in enumerate(xs) if _place(x) in kept)
    known = {_place(t) for t in (*xs, out, *module.parameters(), *module.buffers())}
    own = [tensor for place, tensor in kept.items() if place not in known]
    elements = sum(t.untyped_storage().nbytes() // t.element_size() for t in own if t.dtype == torch.float32)
    others = sum(t.untyped_storage().nbytes() for t in own if t.dtype != torch.float32)
    views = _place(out) == _place(xs[0])
    hands_back = all(g is not None and _place(g) == _place(cotangent) for g in grads)
    return tuple(out.shape[1:]), (inputs, _place(out) in kept and not views, elements, others), views, hands_back


def _place(tensor: Any) -> int:
    """What tells storages apart, on fakes and on meta too."""
    return int(tensor.untyped_storage()._cdata)
