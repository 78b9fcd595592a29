"""Replay what all ranks do of a step, with a queue for every channel, and list the promises that are broken. No torch.

The whole step and its ranks are computed in symbols: a value is the instruction that made it, of what it read. A rank's
instruction is right where it reads the very symbols that it reads in the whole step, wherever these come from.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

from ..plan import Plan
from ..plan.values import IMAGES, LABELS, of_slice
from .replay import Replay, Shared
from .symbols import Whole


def witness(plan: Plan, ranks: Sequence[Plan]) -> list[str]:
    """Every broken promise, as ``rank: position: instruction: what is wrong``; empty where the ranks do the plan."""
    if wrong := [*misplaced(plan, ranks)]:
        return wrong
    slices = range(plan.config.train.micro_batches)
    whole = Whole(plan, tuple(of_slice(name, i) for i in slices for name in (IMAGES, LABELS)))
    shared = Shared(plan, ranks)
    replays = [Replay(whole, shared, rank) for rank in ranks]
    while any(replay.go_on() for replay in replays):
        pass
    return [*chain.from_iterable(replay.found for replay in replays), *left_over(whole, shared, replays)]


def misplaced(plan: Plan, ranks: Sequence[Plan]) -> Iterator[str]:
    """Whether all ranks agree on a layout, in which each copy has every network, block and unit once."""
    layouts = [rank.layout for rank in ranks if rank.layout is not None]
    if not layouts or [each.rank for each in layouts] != list(range(layouts[0].count)) or len(layouts) < len(ranks):
        yield "these are not all ranks of a layout in their order"
        return
    first = layouts[0]
    if len({(each.copies, each.stages, each.whole, each.channels, each.ahead) for each in layouts}) != 1:
        yield "ranks disagree on the layout"
    if first.whole != plan.fingerprint:
        yield "the ranks are of another plan"
    for copy in range(first.copies):
        own = ranks[copy * len(first.stages) : (copy + 1) * len(first.stages)]
        yield from _parts(copy, "network", plan.networks, [name for rank in own for name in rank.networks])
        yield from _parts(copy, "block", [b.name for b in plan.blocks], [b.name for rank in own for b in rank.blocks])
        yield from _parts(copy, "unit", plan.by_unit, [name for rank in own for name in rank.by_unit])


def _parts(copy: int, what: str, wanted: Iterable[str], had: Sequence[str]) -> Iterator[str]:
    often = Counter(had)
    for name in sorted({*wanted, *had}):
        if often[name] != 1:
            yield f"copy {copy}: {often[name]} ranks have the {what} `{name}`"


def left_over(whole: Whole, shared: Shared, replays: Sequence[Replay]) -> Iterator[str]:
    """What should have happened until the end of the step and did not."""
    if not all(replay.ended for replay in replays):
        yield from (replay.waiting() for replay in replays if not replay.ended)
        return
    for copy in range(shared.copies):
        done = Counter(chain.from_iterable(replay.done.elements() for replay in replays if replay.layout.copy == copy))
        yield from (f"copy {copy}: {each} comes {done[each]} times" for each in whole.places if done[each] != 1)
    for (copy, channel), queue in shared.queues.items():
        if queue:
            yield f"copy {copy}: `{queue[0].name}` is sent from stage {channel.source} to {channel.to} for nobody"
    for replay in replays:
        yield from replay.left_over()
