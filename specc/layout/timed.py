"""The plans of ranks with what a run over all their ops tells: how long they take, and what copies tell one another."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from ..plan import Plan
from ..plan.shards import same
from ..profiles import Profile
from ..timing import Work, works
from ..timing.beside import Beside
from ..timing.step import Paces, paces


@dataclass(frozen=True, slots=True)
class Told:
    """What the copies of a network tell one another during an instruction, which waits for it."""

    bytes: float  # that a device sends, and receives
    latencies: int


@dataclass(frozen=True, slots=True)
class Rank:
    """What a rank does in a step, and how long each instruction of it takes."""

    plan: Plan
    seconds: tuple[float, ...]  # none where no device is known
    told: Mapping[int, Told] = field(default_factory=dict)  # by instruction: statistics of the whole batch, parameters
    beside: Beside | None = None  # what its host does meanwhile


def ranks_on(plans: Sequence[Plan], profile: Profile | None) -> tuple[Rank, ...]:
    """Ranks with their times on a device; copies that do the same are timed once."""
    known: dict[tuple[int, ...], Rank] = {}
    keys: list[tuple[int, ...]] = []
    for plan in plans:
        assert plan.layout is not None
        keys.append(key := same(plan, plan.layout))
        if key not in known:
            work = works(plan, profile.kind if profile else plan.memory.device)
            found = paces(plan, work, profile) if profile else Paces((), {})
            known[key] = Rank(plan, found.instructions, dict(_told(plan, work)), found.beside)
    return tuple(replace(known[key], plan=plan) for plan, key in zip(plans, keys, strict=True))


def _told(plan: Plan, work: Sequence[Sequence[Work]]) -> Iterator[tuple[int, Told]]:
    """What is waited for, one after the other, of norms and of networks that are in parts.

    A forward gathers every copy's statistics, or parts; a backward sums gradients of the former round and round, and of
    the latter once, so that a part of the sum is in each copy.
    """
    assert plan.layout is not None
    others, copies = plan.layout.copies - 1, plan.layout.copies
    for i, own in enumerate(work):
        gathered = [each.read * others for each in own if each.what == "gather"]
        dealt = [each.written * others for each in own if each.what == "scatter"]
        summed = [2 * others / copies * each.read for each in own if (each.what, each.direction) == ("reduce", "input")]
        if others and (gathered or dealt or summed):
            turns = len(gathered) + len(dealt) + 2 * len(summed)
            yield i, Told(sum(gathered) + sum(dealt) + sum(summed), others * turns)
