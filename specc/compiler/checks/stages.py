"""Check 9: what stages and copies cannot do of a step, once it is known which blocks each stage has."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ...diagnostics import Diagnostic
from ...layout import every_rank, stages_of
from ...layout.owners import Owners
from ...layout.stages import crossed
from ...layout.witness import witness
from ...plan import Extension, Layout, Plan
from ..draft import Draft


def check_stages(draft: Draft) -> Draft:
    """A decoupled stage waits for none after it; what a package adds to a step is done where all is that it touches."""
    devices = draft.spec.config.devices
    if devices.count == 1:
        return draft
    plan = draft.plan
    stages = stages_of(plan)
    crossing = _windows(draft, stages) if devices.mode == "decoupled" else ()
    return draft.updated(*crossing, *_packages(draft, plan, stages))


def _windows(draft: Draft, stages: Sequence[int]) -> Iterator[Diagnostic]:
    """The first unit whose gradient would go back over the beginning of a stage."""
    if (found := crossed(draft.plan, stages)) is None:
        return
    spec, (unit, block) = draft.spec, found
    message = (f"decoupled stages wait for none after them, and the window of `{unit.name}`, blocks {unit.start} to "
               f"{unit.end}, has a gradient that comes back from block {block}, where a stage begins")  # fmt: skip
    level = next((i for i, each in enumerate(spec.config.levels) if each.name == unit.level), 0)
    beside = spec.beside("more than one block", "levels", level, "window")
    help = ("`mode: synchronous` waits for it", "`devices.after` may cut stages between windows, where there is room")
    yield spec.error("SPC687", message, "devices", "mode", label="not over windows", secondary=beside, help=help)


def _packages(draft: Draft, plan: Plan, stages: Sequence[int]) -> Iterator[Diagnostic]:
    """Instructions of packages that no device could do; the others are done as on one device, or it is said."""
    added = [each for each in plan.instructions if isinstance(each, Extension)]
    if not added:
        return
    devices = draft.spec.config.devices
    own = Owners(plan, Layout(devices.data_parallel, tuple(stages), 0, plan.fingerprint))
    for each in added:
        gradients = sorted(name for name in each.reads | each.writes if name.startswith("grads:"))
        parted = own.homes[str(each)]
        if devices.data_parallel > 1 and gradients:
            yield _refused(draft, each, f"`{gradients[0]}`, of which every copy has a part until the step")
            return
        if len(parted) > 1:
            names = [f"blocks {first} to {end - 1}" for first, end in _of(stages, parted, len(draft.blocks))]
            yield _refused(draft, each, f"what is in different stages: that of {' and that of '.join(names)}")
            return
    if wrong := witness(plan, every_rank(plan, stages)):
        yield _refused(draft, added[0], f"what devices cannot have as one would: {wrong[0]}")


def _of(stages: Sequence[int], chosen: frozenset[int], blocks: int) -> Iterator[tuple[int, int]]:
    ends = (*stages[1:], blocks)
    return ((stages[stage], ends[stage]) for stage in sorted(chosen))


def _refused(draft: Draft, each: Extension, what: str) -> Diagnostic:
    spec = draft.spec
    at = next(i for i, addition in enumerate(spec.config.train.instructions) if addition.kind == each.kind)
    message = f"the instruction `{each.kind}` of a package works on {what}"
    parallel = "data_parallel" if spec.config.devices.data_parallel > 1 else "block_parallel"
    beside = spec.beside("spread over devices", "devices", parallel)
    help = ("leave it out, or train on one device",)
    where = ("train", "instructions", at, "kind")
    return spec.error("SPC686", message, *where, label=f"`{each}`", secondary=beside, help=help)
