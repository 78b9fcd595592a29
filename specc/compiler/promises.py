"""What a step must hold, derived from units and networks alone: the verifier's own reckoning. No torch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ..plan import Plan, Unit
from ..plan.whereabouts import held_of
from .gradients import Gradients

BRANCH = {"leaf": "leaf", "graph": "graph", "output": "features"}  # fields of a branch, and what their values are


def identity(kind: str, about: str, slice: int) -> str:
    """An instruction as it is shown, without its flags; two of a name in a step are one too many."""
    return f"{kind} {about}" + (f" of slice {slice}" if slice else "")


def expected_of(plan: Plan, gradients: Gradients) -> Iterator[str]:
    """Every instruction of the step but the frees and those of kinds from outside."""
    for slice in range(plan.config.train.micro_batches):
        yield from (identity("forward", block.name, slice) for block in plan.blocks)
        yield from (identity("branch", unit.name, slice) for unit in plan.units if unit.links)
    yield from (source for source, _ in sources_of(plan, gradients))
    yield from (identity("ema_update", unit.name, 0) for unit in plan.units if unit.links)
    yield from (identity("step", group, 0) for group in contributors_of(plan, gradients))
    yield from (identity(kind, state, 0) for kind in ("load", "evict") for state in held_of(plan))


def sources_of(plan: Plan, gradients: Gradients) -> Iterator[tuple[str, list[str]]]:
    """Every instruction that makes gradients of parameters, and the optimizer groups that these belong to."""
    for slice in range(plan.config.train.micro_batches):
        for block in plan.blocks:
            groups = groups_of(plan, [block.name])
            yield from ((backward_source(block.index, start, slice), groups) for start in gradients.starts(block.index))
        for unit in plan.units:
            for head in unit.heads:
                yield identity("head", f"{unit.name}.{head.name}", slice), groups_of(plan, head.networks)
            if unit.links:
                yield identity("branch_backward", unit.name, slice), branch_groups_of(plan, unit)


def contributors_of(plan: Plan, gradients: Gradients) -> dict[str, set[str]]:
    """Every optimizer group that has parameters, and what its gradient is the sum of."""
    wanted: dict[str, set[str]] = {group: set() for group in groups_of(plan, plan.networks)}
    for source, groups in sources_of(plan, gradients):
        for group in groups:
            wanted[group].add(source)
    return wanted


def groups_of(plan: Plan, networks: Iterable[str]) -> list[str]:
    """The optimizer groups of networks that have parameters to step."""
    members = (plan.networks[name] for name in networks)
    return sorted({n.group for n in members if n.group is not None and n.graph.trained})


def biases_of(unit: Unit) -> tuple[str, ...]:
    """The trained branches of a unit's links."""
    return tuple(link.bias for link in unit.links if link.bias)


def branch_groups_of(plan: Plan, unit: Unit) -> list[str]:
    """Their optimizer groups, where they have parameters."""
    return groups_of(plan, biases_of(unit))


def backward_source(block: int, start: int, slice: int) -> str:
    """The identity of a backward."""
    return identity("backward", f"block{block} to block{start}", slice)


def heads_of(unit: Unit) -> Iterator[str]:
    """The names of a unit's heads in full."""
    return (f"{unit.name}.{head.name}" for head in unit.heads)
