"""What a step must hold, derived from units and networks alone: the verifier's own reckoning. No torch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ..plan import Backward, HeadPlan, Instruction, Plan, Unit

Source = tuple[str, ...]  # what a gradient comes from: a head, a backward, a branch's backward
BRANCH = {"leaf": "leaf", "graph": "graph", "output": "features"}  # fields of a branch, and what their values are


def identity_of(i: Instruction) -> Source:
    """An instruction without its flags; two equal ones in a step are one too many."""
    return (
        *str(i).partition(" of slice ")[0].split(" ", 2 if isinstance(i, Backward) else 1),
        *of_slice_number(i.slice),
    )


def of_slice_number(slice: int) -> Source:
    """What tells an instruction of a further slice apart."""
    return (f"of slice {slice}",) if slice else ()


def slice_part(parts: list[str]) -> Source:
    """The same, of the parts of an identity."""
    return tuple(part for part in parts if part.startswith("of slice"))


def expected_of(plan: Plan) -> Iterator[Source]:
    """Every instruction of the step but the frees and those of kinds from outside."""
    for slice in range(plan.config.train.micro_batches):
        at = of_slice_number(slice)
        for block in plan.blocks:
            yield ("forward", block.name, *at)
            yield from ((*backward_source(block.index, start), *at) for start in starts_of(plan, block.index))
        for unit in plan.units:
            yield from ((*head_source(unit, head), *at) for head in unit.heads)
            if unit.links:
                yield from ((kind, unit.name, *at) for kind in ("branch", "branch_backward"))
    yield from (("ema_update", unit.name) for unit in plan.units if unit.links)
    yield from (("step", group) for group in contributors_of(plan))


def contributors_of(plan: Plan) -> dict[str, set[Source]]:
    """Every optimizer group that has parameters, and what its gradient is the sum of."""
    wanted: dict[str, set[Source]] = {group: set() for group in groups_of(plan, plan.networks)}
    for slice in range(plan.config.train.micro_batches):
        at = of_slice_number(slice)
        for block in plan.blocks:
            for group in groups_of(plan, [block.name]):
                wanted[group] |= {(*backward_source(block.index, start), *at) for start in starts_of(plan, block.index)}
        for unit in plan.units:
            for head in unit.heads:
                for group in groups_of(plan, head.networks):
                    wanted[group].add((*head_source(unit, head), *at))
            for group in branch_groups_of(plan, unit):
                wanted[group].add(("branch_backward", unit.name, *at))
    return wanted


def groups_of(plan: Plan, networks: Iterable[str]) -> list[str]:
    """The optimizer groups of networks that have parameters to step."""
    members = (plan.networks[name] for name in networks)
    return sorted({n.group for n in members if n.group is not None and n.parameters})


def biases_of(unit: Unit) -> tuple[str, ...]:
    """The trained branches of a unit's links."""
    return tuple(link.bias for link in unit.links if link.bias)


def branch_groups_of(plan: Plan, unit: Unit) -> list[str]:
    """Their optimizer groups, where they have parameters."""
    return groups_of(plan, biases_of(unit))


def backward_source(block: int, start: int) -> Source:
    """The identity of a backward."""
    return ("backward", f"block{block}", f"to block{start}")


def head_source(unit: Unit, head: HeadPlan) -> Source:
    """The identity of a head."""
    return ("head", f"{unit.name}.{head.name}")


def starts_of(plan: Plan, block: int) -> set[int]:
    """The first blocks of all windows that hold `block`: gradient passes through it once for each."""
    windows = {unit.start for unit in plan.units if unit.start <= block <= unit.end}
    return {start for start in windows if any(trains(plan, b) for b in range(start, block + 1))}


def trains(plan: Plan, block: int) -> bool:
    """Whether a block has parameters: a gradient that would reach only blocks without any is not sent."""
    return bool(plan.networks[f"block{block}"].parameters)


def heads_through(plan: Plan, block: int, start: int) -> Iterator[Source]:
    """The heads whose gradient passes the end of `block` on its way to `start`."""
    for unit in plan.units:
        if unit.start == start and unit.start <= block <= unit.end:
            yield from ((unit.name, head.name) for head in unit.heads)
