"""What a part of somebody else's model takes in memory, found by running it on fake tensors; torch only when called.

What grows with the batch is told from what does not once for every width that the part's inputs may have, as an input
in low precision and one in fp32 are cast at other places, and for what gradients may come to: the part may stand at
the beginning of a block, and its tensors may be frozen. Inputs that are `integers`, by their places, have one width,
and no gradient.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence, Set
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from typing import Any

from specc.graph.ops import Saved, Shape
from specc.graph.ops.footprint import NOBODY, Footprint
from specc.graph.ops.opaque import Laid

from ..fakes import fakes
from .accounts import INTEGER, Account, Setting, run, until
from .ledger import Entry, place

BATCHES = (2, 3)
NONE: frozenset[int] = frozenset()
LARGEST = 10**9 + 7  # a batch beside which what does not grow with it is small: one run tells both
Sizes = list[tuple[int, int]]  # of storages, as bytes of a sample and further ones
Measures = Callable[[Setting], tuple[Account, Sizes]]


def footprints(module: Any, takes: tuple[Shape, ...], integers: Set[int] = NONE) -> tuple[Footprint, ...]:
    """The part's memory in fp32 and, for all widths of its inputs, in low precision; `module` is on meta."""
    from torch.utils._python_dispatch import _disable_current_modes

    settings = _settings(len(takes), integers, any(True for _ in module.parameters()))
    with _disable_current_modes(), fakes():
        slowly, at_once = partial(_by_two, module, takes), partial(_by_one, module, takes)
        measures = at_once if _holds(at_once, slowly, settings[0]) else slowly
        return tuple(_footprint(module, takes, setting, measures) for setting in settings)


def _settings(inputs: int, integers: Set[int], tensors: bool) -> list[Setting]:
    """What gradients come to makes no difference to where inputs are cast: both vary one at a time."""

    def widths(of_floats: Iterable[int]) -> tuple[int, ...]:
        return tuple(INTEGER if i in integers else width for i, width in enumerate(of_floats))

    everywhere, nowhere = tuple(i not in integers for i in range(inputs)), (False,) * inputs
    few = inputs <= 2 and not integers  # parts that join many values get them from ops of one kind
    wanted = [*product((True, False), repeat=inputs)][1:-1] if few and not tensors else []
    ways = [(everywhere, tensors), *((some, tensors) for some in wanted), (nowhere, False)]
    if tensors:
        ways += [(nowhere, True), (everywhere, False)]
    found = [
        Setting(low, widths((width,) * inputs), *way)
        for low, width in ((False, 4), (True, 4), (True, 2))
        for way in ways
    ]
    mixed = [*product((4, 2), repeat=inputs)][1:-1] if few else []
    return [*found, *(Setting(True, each, *way) for each in mixed for way in ways[:1])]


def _holds(at_once: Measures, slowly: Measures, setting: Setting) -> bool:
    """Whether a part does with the largest batch what it does with small ones."""
    slow, sizes = slowly(setting)
    try:
        quick, found = at_once(setting)
    except (AssertionError, RuntimeError, ValueError, OverflowError):  # numbers that are too large for something
        return False
    return (quick.forward, quick.backward, found) == (slow.forward, slow.backward, sizes)


def _by_two(module: Any, takes: tuple[Shape, ...], setting: Setting) -> tuple[Account, Sizes]:
    small, large = (run(module, takes, batch, setting) for batch in BATCHES)
    step = BATCHES[1] - BATCHES[0]
    if (small.forward, small.backward) != (large.forward, large.backward):  # it does other things for other batches
        return large, [(-(-size // BATCHES[1]), 0) for size, _ in large.book.sizes]
    slopes = [(b - a) // step for (a, _), (b, _) in zip(small.book.sizes, large.book.sizes, strict=True)]
    return small, [(slope, a - BATCHES[0] * slope) for slope, (a, _) in zip(slopes, small.book.sizes, strict=True)]


def _by_one(module: Any, takes: tuple[Shape, ...], setting: Setting) -> tuple[Account, Sizes]:
    large = run(module, takes, LARGEST, setting)
    slopes = [(size + LARGEST // 2) // LARGEST for size, _ in large.book.sizes]  # further bytes may be too many by some
    return large, [(slope, size - LARGEST * slope) for slope, (size, _) in zip(slopes, large.book.sizes, strict=True)]


def _footprint(module: Any, takes: tuple[Shape, ...], setting: Setting, measures: Measures) -> Footprint:
    run, sizes = measures(setting)
    forward, made = _written(run.forward, run.inputs, sizes)
    backward, found = _written(run.backward, [run.incoming, *run.kept], sizes)
    gradients = tuple(found.get(run.gradients.get(i, NOBODY), NOBODY) for i in range(len(takes)))
    kept = tuple(made[each] for each in run.kept)
    stops = 0
    if kept and len({width for width in setting.widths if width != INTEGER}) <= 1:
        stops = until(module, takes, BATCHES[0], setting)
    elif kept:  # nearly
        stops = max(
            (i + 1 for i, e in enumerate(run.forward) if e.what == "taken" and e.storage in run.kept), default=0
        )
    return Footprint(*setting, run.gives, forward, made[run.result], kept, stops, backward, gradients)


def _written(
    entries: Sequence[Entry], given: Sequence[int], sizes: Sequence[tuple[int, int]]
) -> tuple[str, dict[int, int]]:
    """The text of a timeline, and the numbers that storages have in it."""
    numbers = {storage: i for i, storage in enumerate(given)}
    last = {entry.storage: i for i, entry in enumerate(entries)}
    words = list[str]()
    for i, entry in enumerate(entries):
        if entry.what == "taken":
            numbers[entry.storage] = len(numbers)
            sample, fixed = sizes[entry.storage]
            words.append(f"+{sample},{fixed}" if fixed else f"+{sample}")
        elif entry.storage in numbers:
            number = numbers[entry.storage]
            if entry.what == "gradient":
                words.append(f"{number}>{entry.tensor}")
            if last[entry.storage] == i:  # gone, or handed over for good
                words.append(f"-{number}")
    return " ".join(words), numbers


def likeness(module: Any, takes: tuple[Shape, ...], integers: Set[int] = NONE) -> str:
    """Everything that decides what a part takes, but for names."""
    from torch.fx import map_arg

    number = {node: f"%{i}" for i, node in enumerate(module.graph.nodes)}
    calls = [(n.op, str(n.target), str(map_arg((n.args, n.kwargs), number.get))) for n in module.graph.nodes]
    tensors = [
        (name, tuple(t.shape), t.requires_grad) for name, t in (*module.named_parameters(), *module.named_buffers())
    ]
    return repr((takes, sorted(integers), calls, tensors, [str(child) for child in module.children()]))


@dataclass(frozen=True, slots=True)
class Measured:
    """What a part does, whatever it takes in memory."""

    gives: Shape
    work: int  # FLOPs of a sample
    keeps: Saved
    shares: bool  # its result is a view of what it reads
    hands_back: bool  # and the gradients of that are views of the result's
    viewed: bool  # its result is a view of another tensor of its own
    lies: Laid  # how the result lies in memory, for inputs that lie one sample, channel, position after the other
    gradient: Laid  # and the first input's gradient, for such a one of the result
    stops: tuple[int, ...]  # the inputs that no gradient comes to
    idle: frozenset[str]  # and its tensors


def measure(module: Any, takes: tuple[Shape, ...], integers: Set[int] = NONE) -> Measured:
    """Run it on meta, without a device's own ways."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    tensors = {name: p.detach() for name, p in module.named_parameters()}  # a view of a parameter confuses the counter
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        torch.func.functional_call(module, tensors, tuple(_empty(takes, integers, BATCHES[0])))
    found, elements, others = _seen(module, _empty(takes, integers, BATCHES[0]))
    _, more, further = _seen(module, _empty(takes, integers, BATCHES[1]))
    step, small = BATCHES[1] - BATCHES[0], 4 * elements + others
    elements, others = (more - elements) // step, (further - others) // step
    fixed = (small - BATCHES[0] * (4 * elements + others)) // 4
    keeps = replace(found.keeps, elements=elements, bytes=others, floats=max(fixed, 0))
    return replace(found, work=counter.get_total_flops() // BATCHES[0], keeps=keeps)


def _laid(tensor: Any, shares: bool) -> Laid:
    """How a tensor lies that was made of a plain one, or is a view of that."""
    if tensor is None or tensor.dim() < 3 or tensor.is_contiguous():
        return "kept"
    if tensor.movedim(1, -1).is_contiguous():
        return "turned" if shares else "swapped"
    return "kept"


def _empty(takes: tuple[Shape, ...], integers: Set[int], batch: int) -> list[Any]:
    """What it reads, without numbers."""
    import torch

    kinds = (torch.int64 if i in integers else torch.float32 for i in range(len(takes)))
    return [torch.empty(batch, *shape, dtype=kind, device="meta") for shape, kind in zip(takes, kinds, strict=True)]


def _seen(module: Any, given: Sequence[Any]) -> tuple[Measured, int, int]:
    """What one forward and backward do, and the numbers of floats and further bytes that are kept in between."""
    import torch

    xs = [x.requires_grad_(x.is_floating_point()) for x in given]
    kept: dict[int, Any] = {}

    def pack(tensor: Any) -> Any:
        kept.setdefault(place(tensor), tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        out = module(*xs)
    cotangent, tensors = torch.empty(out.shape, device="meta"), dict(module.named_parameters())
    wanted = [t for t in (*xs, *tensors.values()) if t.requires_grad]
    found = torch.autograd.grad(out, wanted, cotangent, allow_unused=True) if out.requires_grad else ()
    made = {id(t): gradient for t, gradient in zip(wanted, found, strict=False)}
    gradients = [made.get(id(x)) for x in xs]
    known = {place(t) for t in (*xs, out, *module.parameters(), *module.buffers())}
    own = [tensor for key, tensor in kept.items() if key not in known]
    shares = place(out) == place(xs[0])
    done = Measured(
        tuple(out.shape[1:]), 0,
        Saved(tuple(i for i, x in enumerate(xs) if place(x) in kept), place(out) in kept and not shares), shares,
        hands_back=all(g is not None and place(g) == place(cotangent) for g in gradients),
        viewed=out._is_view() and not shares,
        lies=_laid(out, shares),
        gradient=_laid(gradients[0], shares),
        stops=tuple(i for i, g in enumerate(gradients) if g is None),
        idle=frozenset(name for name, tensor in tensors.items() if made.get(id(tensor)) is None),
    )  # fmt: skip
    elements = sum(t.untyped_storage().nbytes() // t.element_size() for t in own if t.dtype == torch.float32)
    return done, elements, sum(t.untyped_storage().nbytes() for t in own if t.dtype != torch.float32)
