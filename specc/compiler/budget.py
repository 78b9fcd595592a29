"""Pass 7: hold the predicted peak against the budget, and where it is over, find the changes that fit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from ..diagnostics import Diagnostic, Severity
from ..heads import Patches
from ..plan import Memory
from ..schema import show_bytes
from ..spec.models import Auxiliary, SpecModel, Split
from .draft import Draft

Peak = Callable[[SpecModel], "int | None"]


@dataclass(frozen=True, slots=True)
class Remedy:
    """A change of the spec and the peak that it would have."""

    change: str
    peak: int

    def __str__(self) -> str:
        return f"`{self.change}` peaks at {show_bytes(self.peak)}"


def hold(draft: Draft) -> Draft:
    """A peak over the budget is an error (or a warning) at the budget's line, with the cheapest changes that fit."""
    budget, memory = draft.spec.config.budget, draft.memory
    if budget is None or memory is None or memory.peak_bytes <= budget.memory:
        return draft
    return draft.having(_over(draft, memory, budget.memory))


def _over(draft: Draft, memory: Memory, budget: int) -> Diagnostic:
    spec, where = draft.spec, draft.instructions[memory.peak_instruction]
    assert spec.config.budget is not None
    most = max(memory.categories, key=lambda name: memory.categories[name])
    found = list(remedies(draft, budget))
    advice = "; ".join(map(str, found)) or "no single change fits; try several, or a larger budget"
    return Diagnostic(
        "SPC501",
        f"the predicted peak of {show_bytes(memory.peak_bytes)} is over the budget of {show_bytes(budget)}",
        spec.span("budget", "memory"),
        f"{show_bytes(memory.peak_bytes - budget)} too little",
        Severity.ERROR if spec.config.budget.on_exceed == "error" else Severity.WARNING,
        help=(f"the peak is at `{where}`; {show_bytes(memory.categories[most])} of it are {most}", advice),
    )


def remedies(draft: Draft, budget: int) -> Iterator[Remedy]:
    """Changes that fit, one of each kind, cheapest first: nothing lost, more FLOPs, less precision, smaller batches."""
    config = draft.spec.config

    def peak(changed: SpecModel) -> int | None:
        return predicted_peak(draft, changed)

    for change, changed in _patches(config), *_splits(draft, config), _recompute(config), _precision(config):
        if changed is not None and (found := peak(changed)) is not None and found <= budget:
            yield Remedy(change, found)
    yield from _batch(config, peak, budget)


def predicted_peak(draft: Draft, config: SpecModel) -> int | None:
    """The peak of the same spec under another configuration; None where that has errors."""
    from . import PREDICTING, run_passes

    result = run_passes(draft.spec.with_config(config), PREDICTING)
    return None if result.failed or result.memory is None else result.memory.peak_bytes


def having(config: SpecModel, section: str, **changes: Any) -> SpecModel:
    """The configuration with some keys of one section changed."""
    return config.model_copy(update={section: getattr(config, section).model_copy(update=changes)})


def _patches(config: SpecModel) -> tuple[str, SpecModel | None]:
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


def _splits(draft: Draft, config: SpecModel) -> Iterator[tuple[str, SpecModel | None]]:
    """The next numbers of blocks, until one fits (the caller stops at the first peak that is low enough)."""
    most, current = len(draft.graph.cuts) + 1, len(draft.blocks)
    budget = config.budget.memory if config.budget else 0
    step = 1
    while current + step <= most:
        count = current + step
        changed = config.model_copy(update={"split": Split(blocks=count, by="memory")})
        found = predicted_peak(draft, changed)
        if found is not None and found <= budget:
            yield f"split: {{blocks: {count}, by: memory}}", changed
            return
        step *= 2


def _recompute(config: SpecModel) -> tuple[str, SpecModel | None]:
    return "train.recompute: true", None if config.train.recompute else having(config, "train", recompute=True)


def _precision(config: SpecModel) -> tuple[str, SpecModel | None]:
    changed = None if config.train.precision != "fp32" else having(config, "train", precision="bf16")
    return "train.precision: bf16", changed


def _batch(config: SpecModel, peak: Peak, budget: int) -> Iterator[Remedy]:
    """The largest batch that fits: a multiple of 8 where it can be."""
    low, high = 0, config.data.batch_size
    while high - low > 1:
        middle = (low + high) // 2
        found = peak(having(config, "data", batch_size=middle))
        low, high = (middle, high) if found is not None and found <= budget else (low, middle)
    size = low - low % 8 or low
    found = peak(having(config, "data", batch_size=size)) if size else None
    if found is not None:
        yield Remedy(f"data.batch_size: {size}", found)
