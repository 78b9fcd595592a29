"""Check 4: where the spec leaves recomputation to the budget, find the least; then it is as if it had been written."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ..compiler.draft import Draft
from ..compiler.variants import recompiled
from ..diagnostics import Diagnostic
from ..language.schema import show_bytes
from ..plan import Block
from ..spec.models import SpecModel
from ..spec.sections.recompute import Recompute
from ..spec.sections.split import Budget
from .remedies import advice, highest_point

if TYPE_CHECKING:
    from .recomputation import Choice

AT = ("train", "recompute", "fit")


def is_open(config: SpecModel) -> bool:
    """Whether the budget is to decide what is computed again."""
    return isinstance(config.train.recompute, Recompute) and config.train.recompute.fit is not None


def closed(config: SpecModel) -> SpecModel:
    """With everything computed again where that is open: a split is looked for that fits so."""
    return config.changed("train", recompute=True) if is_open(config) else config


def decide_recomputation(draft: Draft) -> Draft:
    """Replace `train.recompute: {fit: ...}` by the layers that it stands for."""
    config, budget = draft.spec.config, draft.spec.config.budget
    if not is_open(config):
        return draft
    if budget is None:
        help = ("like `budget: {memory: 6 GiB}`, or compute all layers again: `recompute: true`",)
        message = "`fit` lets the budget decide what is computed again, but there is no budget"
        return draft.updated(
            draft.spec.error("SPC504", message, *AT, label="needs `budget.memory`", help=help, key=True)
        )
    made = None if draft.failed else recompiled(draft, closed(config))
    if made is None:
        return draft  # what is wrong is said by the passes that find it
    narrow = {*made.graph.narrow_cuts}
    if wide := next((block for block in made.blocks[:-1] if block.layers[-1] not in narrow), None):
        return draft.updated(_across(draft, wide))
    from .recomputation import Recomputation  # it needs numpy, which is slow to import

    found = Recomputation(draft, config)
    choice = found.under(budget.memory)
    if choice is None:
        choice = found.lowest
        if budget.on_exceed == "error":
            return draft.updated(_nothing_fits(draft, choice, budget))
    return draft.updated(*_thinned(draft, choice), spec=draft.spec.with_config(choice.config))


def _across(draft: Draft, wide: Block) -> Diagnostic:
    message = f"several tensors cross the cut after `{wide.layers[-1]}`, and `fit` chooses among pieces between "
    message += "which one passes"
    help = ("`recompute: true`, or the layers to compute again by name",)
    beside = draft.spec.beside("cuts there", "split")
    return draft.spec.error("SPC509", message, *AT, label="cannot decide this", help=help, secondary=beside, key=True)


def _thinned(draft: Draft, choice: Choice) -> Iterator[Diagnostic]:
    if not choice.exact:
        message = "there are too many layers to look at every choice: some were looked at together"
        label = "perhaps not the least"
        yield draft.spec.note("SPC508", message, *AT, label=label, key=True)


def _nothing_fits(draft: Draft, lowest: Choice, budget: Budget) -> Diagnostic:
    spec, most = draft.spec, budget.memory
    message = f"no recomputation fits the budget of {show_bytes(most)}: the lowest predicted peak is "
    message += show_bytes(lowest.peak)
    beside = spec.beside("of all choices of layers", *AT)
    return spec.error("SPC507", message, "budget", "memory", label=f"{show_bytes(lowest.peak - most)} too little",
                      secondary=beside, help=tuple(_floor(draft, lowest, most)))  # fmt: skip


def _floor(draft: Draft, lowest: Choice, most: int) -> Iterator[str]:
    """What makes the lowest peak, and what would lower it."""
    made = recompiled(draft, lowest.config)
    if made is not None:
        yield highest_point(made)
        yield from advice(made, most)
