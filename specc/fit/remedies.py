"""Pass 7: hold the predicted peak against the budget, and where it is over, find the changes that fit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial, reduce

from ..compiler.draft import Draft
from ..compiler.variants import predicted_peak
from ..language.schema import show_bytes
from ..memory.prediction import resident_bytes
from ..spec.knobs import Found, Knob, Peak, by_cost, turned
from ..spec.models import SpecModel
from ..spec.sections.split import Split
from .devices import check_devices
from .roles import lists_of_weights, with_one_weight

MOST_TRIED = 5_000  # ops, backbone and heads: some twenty changes of a ResNet-1202 take about three seconds


@dataclass(frozen=True, slots=True)
class Remedy:
    """A change of the spec and the peak that it would have."""

    change: str
    override: str  # the change as an argument of the command line; nothing where it stands at many places of a spec
    peak: int

    def __str__(self) -> str:
        return f"`{self.change}` peaks at {show_bytes(self.peak)}"


def check_budget(draft: Draft) -> Draft:
    """A peak over the budget is an error (or a warning) at the budget's line, with the cheapest changes that fit."""
    budget, memory = draft.spec.config.budget, draft.memory
    if budget is None or memory is None:
        return draft
    if draft.spec.config.devices.count > 1:
        return check_devices(draft, budget)
    if memory.peak_bytes <= budget.memory:
        return draft
    peak, most = memory.peak_bytes, budget.memory
    message = f"the predicted peak of {show_bytes(peak)} is over the budget of {show_bytes(most)}"
    say = draft.spec.error if budget.on_exceed == "error" else draft.spec.warning
    help = (highest_point(draft), *advice(draft, most))
    label = f"{show_bytes(peak - most)} too little"
    return draft.updated(say("SPC501", message, "budget", "memory", label=label, help=help))


def highest_point(draft: Draft) -> str:
    """Where a plan peaks, and what most of that is."""
    memory = draft.predicted
    where, categories = draft.instructions[memory.peak_instruction], memory.categories
    most = max(categories, key=lambda name: categories[name])
    return f"the peak is at `{where}`; {show_bytes(categories[most])} of it are {most}"


def advice(draft: Draft, budget: int, found: Sequence[Remedy] | None = None) -> Iterator[str]:
    """What to do about a peak over the budget, in order of what it costs; `found` are remedies that are known."""
    if found is None and (least := _of_the_backbone(draft)) > budget:
        yield (f"what stays on the device of the backbone alone, whatever is done, is {show_bytes(least)}: the budget "
               "must be larger, or the network smaller")  # fmt: skip
        return
    if found is None and (ops := sum(len(network.graph.nodes) for network in draft.networks.values())) > MOST_TRIED:
        yield f"changes are not tried on {ops:,} ops, as that takes long: `specc fit` does, and says how far it is"
        return
    found = list(remedies(draft, budget)) if found is None else found
    if found:
        yield "; ".join(map(str, found))
    else:
        yield _all_together(draft, budget)
    yield from _with_other_weights(draft, budget)


def _of_the_backbone(draft: Draft) -> int:
    """Bytes of its state, which live throughout a step however it is taken; a knob may change heads."""
    config = reduce(lambda config, knob: knob.furthest(config), by_cost(), draft.spec.config)
    return resident_bytes(config, (network for network in draft.networks.values() if not network.prefix))


def remedies(draft: Draft, budget: int) -> Iterator[Remedy]:
    """Changes that fit, one a knob, cheapest first: nothing lost, more FLOPs, less precision, smaller batches."""
    found = (_remedy(draft, knob, draft.spec.config, budget) for knob in by_cost(MORE_BLOCKS))
    return (remedy for remedy in found if remedy is not None)


def _remedy(draft: Draft, knob: Knob, config: SpecModel, budget: int) -> Remedy | None:
    """One knob turned as far as it takes, if that is enough."""
    found = knob.mildest(config, budget, partial(predicted_peak, draft))
    return None if found is None else Remedy(knob.setting(found[0]), knob.override(found[0]), found[1])


def _all_together(draft: Draft, budget: int) -> str:
    """No single change is enough: how far one comes that turns one knob after the other, what costs least first.

    What does not help those before it stays as it is: slices, for example, keep the gradients of all blocks.
    """
    own, peak = draft.spec.config, partial(predicted_peak, draft)
    config, lowest = own, draft.predicted.peak_bytes
    for knob in by_cost():
        furthest = knob.furthest(config)
        found = None if furthest is config else peak(furthest)
        if found is None or found >= lowest:
            continue
        if found <= budget:
            return _together(own, *(knob.mildest(config, budget, peak) or (furthest, found)))
        config, lowest = furthest, found
    if config is own:
        return "no single change fits; try several, or a larger budget"
    return f"{_together(own, config, lowest)}, which is still too much: the budget must be larger"


def _together(before: SpecModel, after: SpecModel, peak: int) -> str:
    changes = [f"`{setting}`" for setting in turned(before, after)]
    do = "together peak" if changes[1:] else "peaks"
    return f"no single change fits; {', '.join(changes)} {do} at {show_bytes(peak)}"


def _with_other_weights(draft: Draft, budget: int) -> Iterator[str]:
    """More blocks for a spec that lists one weight a unit, which fit this number of blocks only."""
    lists = sorted(lists_of_weights(draft.spec.config))
    if lists and (found := _remedy(draft, MORE_BLOCKS, with_one_weight(draft.spec.config), budget)):
        yield (f"{found}, but `{'.'.join(map(str, lists[0]))}` lists one weight a unit: write one number, or "
               "`{first: ..., last: ...}`, for other numbers of blocks")  # fmt: skip


def _blocks(config: SpecModel, more: int) -> SpecModel:
    now = config.split.blocks or 1 + len(config.split.after or ())
    return config.model_copy(update={"split": Split(blocks=now + more, by="memory")})


def _more_blocks(config: SpecModel, budget: int, peak: Peak[SpecModel]) -> Found[SpecModel] | None:
    """The next number of blocks that fits, by ever larger steps, until more of them no longer help."""
    lowest, vain, more = float("inf"), 0, 1
    while vain < 3:
        changed = _blocks(config, more)
        found = peak(changed)
        if found is not None and found <= budget:
            return changed, found
        vain = 0 if found is not None and found < lowest else vain + 1
        lowest, more = min(lowest, found or lowest), 2 * more
    return None


MORE_BLOCKS = Knob(  # no entry of `KNOBS`: a search decides about the split anyway
    "split", "split", "more blocks", "FLOPs: auxiliary networks for every block", 20, lambda c: _blocks(c, 1),
    search=_more_blocks,
)  # fmt: skip
