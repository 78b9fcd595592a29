"""From a validated spec to a plan: a visible tuple of passes."""

from __future__ import annotations

from collections.abc import Callable

from ..diagnostics import Diagnostic, SpecError
from ..plan import Plan
from ..spec.load import Spec
from .dependencies import depend
from .draft import Draft
from .expand import expand
from .memory import measure
from .partition import partition
from .schedule import schedule
from .units import form_units

Pass = Callable[[Draft], Draft]

CHECKS: tuple[Pass, ...] = (expand, partition, form_units)  # what a spec can be wrong about
PASSES: tuple[Pass, ...] = (*CHECKS, depend, schedule, measure)


def run_passes(spec: Spec, passes: tuple[Pass, ...] = PASSES) -> Draft:
    """Run the passes in order; stops after the first that finds errors."""
    draft = Draft(spec, spec.warnings)
    for step in passes:
        draft = step(draft)
        if draft.failed:
            break
    return draft


def compile_spec(spec: Spec) -> tuple[Plan, tuple[Diagnostic, ...]]:
    """The plan and all warnings; raises `SpecError` when there are errors."""
    draft = run_passes(spec)
    if draft.failed:
        raise SpecError(draft.diagnostics, spec.sources)
    assert draft.memory is not None
    plan = Plan(spec.config, draft.info, draft.networks, draft.blocks, draft.units, draft.instructions, draft.memory)
    return plan, draft.diagnostics
