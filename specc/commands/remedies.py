"""What would have fit, where a run was over its budget: the compiler's advice, held to what was measured."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runtime.errors import BudgetExceeded


def what_fits(error: BudgetExceeded) -> Iterator[str]:
    """Changes in order of what they cost, and the command for the first; nothing where there is no plan to change."""
    plan = error.plan
    if plan is None or plan.config.budget is None:
        return
    from ..fit.remedies import advice, remedies
    from ..pipeline import PREDICTING, run_passes
    from ..spec.dump import dump
    from ..spec.load import loads

    spec = loads(dump(plan.config)).on(plan.memory.device)
    draft = run_passes(spec, PREDICTING)
    if draft.memory is None:
        return
    predicted = draft.memory.peak_bytes
    limit = min(plan.config.budget.memory - error.excess, predicted - 1)  # the excess may come on top again
    found = list(remedies(draft, limit))
    yield f"{'predicted to fit' if found else 'by prediction'}: {'; '.join(advice(draft, limit, found))}"
    change = next((remedy.override for remedy in found if remedy.override), None)
    if change is not None and error.folder is not None:
        yield f"for example: specc run {shlex.join([str(error.folder / 'spec.resolved.yaml'), change])}"
