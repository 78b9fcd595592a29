"""The plans of ranks with what a run over all their ops tells: how long they take, and what batch norms exchange."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from ..plan import Plan
from ..profiles import Profile
from ..timing import Work, works
from ..timing.step import time_of


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
    synced: Mapping[int, Told] = field(default_factory=dict)  # by instruction: statistics of the whole batch


def ranks_on(plans: Sequence[Plan], profile: Profile | None) -> tuple[Rank, ...]:
    """Ranks with their times on a device; copies that do the same are timed once."""
    known: dict[tuple[int, ...], Rank] = {}
    for plan in plans:
        if (same := _same(plan)) not in known:
            work = works(plan, profile.kind if profile else plan.memory.device)
            seconds = time_of(plan, work, profile).instructions if profile else ()
            known[same] = Rank(plan, seconds, dict(_synced(plan, work)))
    found = ((plan, known[_same(plan)]) for plan in plans)
    return tuple(Rank(plan, rank.seconds, rank.synced) for plan, rank in found)


def _same(plan: Plan) -> tuple[int, ...]:
    """Ranks of one stage with as many samples do the same."""
    assert plan.layout is not None
    return plan.layout.stage, *plan.layout.rows(plan.config.data.batch_size)


def _synced(plan: Plan, work: Sequence[Sequence[Work]]) -> Iterator[tuple[int, Told]]:
    """A forward gathers every copy's statistics, a backward sums their gradients; one after the other."""
    assert plan.layout is not None
    others, copies = plan.layout.copies - 1, plan.layout.copies
    for i, own in enumerate(work):
        gathered = [each.read * others for each in own if each.what == "gather"]
        summed = [2 * others / copies * each.read for each in own if (each.what, each.direction) == ("reduce", "input")]
        if others and (gathered or summed):
            yield i, Told(sum(gathered) + sum(summed), others * (len(gathered) + 2 * len(summed)))
