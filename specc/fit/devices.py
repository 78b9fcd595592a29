"""The budget of several devices: it holds for each of them, so it is held against the one that takes most."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from ..compiler.draft import Draft
from ..compiler.variants import recompiled
from ..language.schema import show_bytes
from ..layout.peaks import largest_of
from ..plan import Plan
from ..spec.knobs import by_cost
from ..spec.models import SpecModel
from ..spec.sections.split import Budget


def check_devices(draft: Draft, budget: Budget) -> Draft:
    """A device over the budget is an error (or a warning) at the budget's line, with what would fit."""
    largest = largest_of(draft.plan)
    if largest is None or largest.memory.peak_bytes <= budget.memory:
        return draft
    assert largest.layout is not None
    peak, most, count = largest.memory.peak_bytes, budget.memory, draft.spec.config.devices.count
    where = f"on rank {largest.layout.rank} of {count}"
    message = (f"the predicted peak of {show_bytes(peak)} {where} is over the budget of {show_bytes(most)}, which "
               "holds for every device")  # fmt: skip
    say = draft.spec.error if budget.on_exceed == "error" else draft.spec.warning
    help = (_where(largest), "; ".join(_that_fit(draft, most)) or "no single change fits; try several of them")
    label = f"{show_bytes(peak - most)} too little"
    return draft.updated(say("SPC501", message, "budget", "memory", label=label, help=help))


def _where(largest: Plan) -> str:
    memory = largest.memory
    most = max(memory.categories, key=lambda name: memory.categories[name])
    return (f"the peak is at `{largest.instructions[memory.peak_instruction]}`; "
            f"{show_bytes(memory.categories[most])} of it are {most}")  # fmt: skip


def _that_fit(draft: Draft, budget: int) -> Iterator[str]:
    """More copies, or more stages, as few as are enough; then the knobs that a spec has, the cheapest first."""
    config = draft.spec.config

    def peak(changed: SpecModel) -> int | None:
        if changed.model_copy(update={"devices": config.devices}) == config:
            return _highest(replace(draft.plan, config=changed))
        again = recompiled(draft, changed)
        return None if again is None else _highest(again.plan)

    for key, most in (("data_parallel", config.data.batch_size), ("block_parallel", len(draft.blocks))):
        number = 2 * getattr(config.devices, key)
        while number <= most:
            values = {key: number, "after": None} if key == "block_parallel" else {key: number}
            found = peak(config.changed("devices", **values))
            if found is not None and found <= budget:
                yield f"`devices.{key}: {number}` peaks at {show_bytes(found)}"
                break
            number *= 2
    for knob in by_cost():
        if turned := knob.mildest(config, budget, peak):
            yield f"`{knob.setting(turned[0])}` peaks at {show_bytes(turned[1])}"


def _highest(plan: Plan) -> int | None:
    largest = largest_of(plan)
    return None if largest is None else largest.memory.peak_bytes
