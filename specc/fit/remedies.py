"""Pass 7: hold the predicted peak against the budget, and where it is over, find the changes that fit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ..compiler.draft import Draft
from ..diagnostics import Diagnostic, Severity
from ..language.schema import show_bytes
from ..language.source import Path
from ..learning.heads import Patches
from ..plan import Memory
from ..plan.flops import instruction_flops
from ..spec.models import SpecModel
from ..spec.sections.auxiliary import Auxiliary
from ..spec.sections.budget import Budget
from ..spec.sections.split import Split

MOST_TRIED = 5_000  # ops, backbone and heads: some twenty changes of a ResNet-1202 take about three seconds
Change = tuple[str, "SpecModel | None"]


@dataclass(frozen=True, slots=True)
class Remedy:
    """A change of the spec and the peak that it would have."""

    change: str
    peak: int

    @property
    def override(self) -> str:
        """The change as an argument of the command line; nothing where it stands at many places of a spec."""
        key, _, value = self.change.partition(": ")
        return "" if key.startswith("patches.") else f"{key}={value}"

    def __str__(self) -> str:
        return f"`{self.change}` peaks at {show_bytes(self.peak)}"


def check_budget(draft: Draft) -> Draft:
    """A peak over the budget is an error (or a warning) at the budget's line, with the cheapest changes that fit."""
    budget, memory = draft.spec.config.budget, draft.memory
    if budget is None or memory is None or memory.peak_bytes <= budget.memory:
        return draft
    return draft.updated(_over(draft, memory, budget))


def _over(draft: Draft, memory: Memory, budget: Budget) -> Diagnostic:
    return Diagnostic(
        "SPC501",
        f"the predicted peak of {show_bytes(memory.peak_bytes)} is over the budget of {show_bytes(budget.memory)}",
        draft.spec.span("budget", "memory"),
        f"{show_bytes(memory.peak_bytes - budget.memory)} too little",
        Severity.ERROR if budget.on_exceed == "error" else Severity.WARNING,
        help=(highest_point(draft), *advice(draft, budget.memory)),
    )


def highest_point(draft: Draft) -> str:
    """Where a plan peaks, and what most of that is."""
    assert draft.memory is not None
    where, categories = draft.instructions[draft.memory.peak_instruction], draft.memory.categories
    most = max(categories, key=lambda name: categories[name])
    return f"the peak is at `{where}`; {show_bytes(categories[most])} of it are {most}"


def advice(draft: Draft, budget: int, found: Sequence[Remedy] | None = None) -> Iterator[str]:
    """What to do about a peak over the budget, in order of what it costs; `found` are remedies that are known."""
    if found is None and (ops := sum(len(network.graph.nodes) for network in draft.networks.values())) > MOST_TRIED:
        yield f"changes are not tried on {ops:,} ops, as that takes long: `specc fit` does, and says how far it is"
        return
    found = list(remedies(draft, budget)) if found is None else found
    if found:
        yield "; ".join(map(str, found))
    else:
        yield _all_together(draft, budget)
    yield from _with_other_weights(draft, budget)


def remedies(draft: Draft, budget: int) -> Iterator[Remedy]:
    """Changes that fit, one of each kind, cheapest first: nothing lost, more FLOPs, less precision, smaller batches."""
    config = draft.spec.config
    if found := _tried(draft, _patches(config), budget):
        yield found
    if found := _more_blocks(draft, config, budget):
        yield found
    for change in _recompute(config), _precision(config):
        if found := _tried(draft, change, budget):
            yield found
    if found := _smaller_batch(draft, config, budget):
        yield found


def _tried(draft: Draft, change: Change, budget: int) -> Remedy | None:
    """The change, if it is one and is enough."""
    what, config = change
    peak = predicted_peak(draft, config) if config is not None else None
    return Remedy(what, peak) if peak is not None and peak <= budget else None


def _all_together(draft: Draft, budget: int) -> str:
    """No single change is enough: what all of them, but for the split and the batch, come to."""
    changes, config = [], draft.spec.config
    for make in _patches, _recompute, _precision:
        what, changed = make(config)
        if changed is not None:
            changes.append(f"`{what}`")
            config = changed
    peak = predicted_peak(draft, config) if changes else None
    if peak is None:
        return "no single change fits; try several, or a larger budget"
    text = f"no single change fits; {', '.join(changes)} {'together peak' if changes[1:] else 'peaks'} at "
    if peak <= budget:
        return text + show_bytes(peak)
    smaller = _smaller_batch(draft, config, budget)
    if smaller is None:
        return f"{text}{show_bytes(peak)}, which is still too much: the budget must be larger"
    return f"{text}{show_bytes(peak)}; with `{smaller.change}` as well at {show_bytes(smaller.peak)}"


def _with_other_weights(draft: Draft, budget: int) -> Iterator[str]:
    """More blocks for a spec that lists one weight a unit, which fit this number of blocks only."""
    lists = sorted(lists_of_weights(draft.spec.config))
    if lists and (found := _more_blocks(draft, with_one_weight(draft.spec.config), budget)):
        yield (f"{found}, but `{'.'.join(map(str, lists[0]))}` lists one weight a unit: write one number, or "
               "`{first: ..., last: ...}`, for other numbers of blocks")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Compiled:
    """What becomes of a configuration: its predicted peak, and FLOPs of a step, an image."""

    peak: int
    flops: int


def predicted_peak(draft: Draft, config: SpecModel) -> int | None:
    """The peak of the same backbone on the same images under another configuration; None where that has errors."""
    found = compiled(draft, config)
    return None if found is None else found.peak


def compiled(draft: Draft, config: SpecModel) -> Compiled | None:
    """The same backbone on the same images under another configuration; None where that has errors."""
    from ..pipeline import FROM_SPLIT

    result = Draft(draft.spec.with_config(config), (), draft.data, draft.backbone)
    for step in FROM_SPLIT:
        result = step(result)
        if result.failed:
            return None
    if result.memory is None:
        return None
    flops = sum(instruction_flops(i, result.networks, result.units) for i in result.instructions)
    return Compiled(result.memory.peak_bytes, config.views * flops)


def _patches(config: SpecModel) -> Change:
    return "patches.execution: sequential", with_sequential_patches(config)


def with_sequential_patches(config: SpecModel) -> SpecModel | None:
    """Every head's patches one after the other; None where no head has patches that run together."""
    changed = config.model_copy(
        update={
            "auxiliary": _sequential(config.auxiliary),
            "levels": [lv.model_copy(update={"auxiliary": _sequential(lv.auxiliary)}) for lv in config.levels],
        }
    )
    return None if changed == config else changed


def _sequential(auxiliary: Auxiliary | None) -> Auxiliary | None:
    if auxiliary is None:
        return None
    return auxiliary.model_copy(
        update={
            name: head.model_copy(update={"patches": _one_by_one(head.patches)})
            for name, head in auxiliary.heads().items()
            if head.patches is not None
        }
    )


def _one_by_one(patches: Patches) -> Patches:
    return Patches.model_validate({**patches.model_dump(exclude_unset=True), "execution": "sequential"})


def with_one_weight(config: SpecModel) -> SpecModel:
    """The configuration with lists of weights, one a unit, replaced by one number: fit for any number of units."""
    levels = [level.model_copy(update={"auxiliary": _one_weight(level.auxiliary)}) for level in config.levels]
    return config.model_copy(update={"auxiliary": _one_weight(config.auxiliary), "levels": levels})


def _one_weight(auxiliary: Auxiliary | None) -> Auxiliary | None:
    if auxiliary is None:
        return auxiliary
    listed = {name: head for name, head in auxiliary.heads().items() if isinstance(head.weight, list)}
    return auxiliary.model_copy(update={n: head.model_copy(update={"weight": 1.0}) for n, head in listed.items()})


def lists_of_weights(config: SpecModel) -> dict[Path, int]:
    """Where the configuration lists one weight a unit, and how many."""
    places: list[tuple[Path, Auxiliary | None]] = [(("auxiliary",), config.auxiliary)]
    places += [(("levels", i, "auxiliary"), level.auxiliary) for i, level in enumerate(config.levels)]
    return {
        (*path, name, "weight"): len(head.weight)
        for path, auxiliary in places if auxiliary is not None
        for name, head in auxiliary.heads().items() if isinstance(head.weight, list)
    }  # fmt: skip


def _more_blocks(draft: Draft, config: SpecModel, budget: int) -> Remedy | None:
    """The next number of blocks that fits, by ever larger steps, until more of them no longer help."""
    most, current, step = len(draft.graph.places) + 1, len(draft.blocks), 1
    lowest, vain = draft.memory.peak_bytes if draft.memory else budget, 0
    while current + step <= most and vain < 3:
        split = Split(blocks=current + step, by="memory")
        peak = predicted_peak(draft, config.model_copy(update={"split": split}))
        if peak is not None and peak <= budget:
            return Remedy(f"split: {{blocks: {split.blocks}, by: memory}}", peak)
        vain = 0 if peak is not None and peak < lowest else vain + 1
        lowest, step = min(lowest, peak or lowest), 2 * step
    return None


def _recompute(config: SpecModel) -> Change:
    return "train.recompute: true", None if config.train.recompute else config.changed("train", recompute=True)


def _precision(config: SpecModel) -> Change:
    changed = None if config.train.precision != "fp32" else config.changed("train", precision="bf16")
    return "train.precision: bf16", changed


def _smaller_batch(draft: Draft, config: SpecModel, budget: int) -> Remedy | None:
    """A batch that fits, nearly the largest: a multiple of 8 where it can be.

    A peak is the highest of several sums that grow evenly with the batch, so it lies below the line between two others.
    """

    def peak(size: int) -> int | None:
        return predicted_peak(draft, config.changed("data", batch_size=size))

    size, high = 1, config.data.batch_size
    least, most = peak(size), peak(high)
    for _ in range(2):
        if least is None or most is None or not least <= budget < most:
            return None
        guess = size + (high - size) * (budget - least) // (most - least)
        size = guess - guess % 8 or guess
        least = peak(size)
    return None if least is None or least > budget else Remedy(f"data.batch_size: {size}", least)
