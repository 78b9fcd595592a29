"""From a validated spec to a plan: a visible tuple of passes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from .compiler.checks.augmentation import check_augmentation
from .compiler.checks.collisions import check_tensors
from .compiler.checks.consequences import reliable
from .compiler.checks.layouts import check_layouts
from .compiler.checks.names import check_names
from .compiler.checks.options import check_options
from .compiler.checks.own_data import check_own_data
from .compiler.checks.places import check_places
from .compiler.checks.reach import check_reach
from .compiler.checks.slices import check_slices
from .compiler.checks.stages import check_stages
from .compiler.checks.statistics import check_statistics
from .compiler.draft import Draft
from .compiler.expand import expand
from .compiler.freezing import freeze
from .compiler.partition import partition
from .compiler.schedule import schedule
from .compiler.units import form_units
from .compiler.weights import check_weights
from .diagnostics import Diagnostic, SpecError
from .diagnostics.notices import doing
from .fit.open_recomputation import decide_recomputation
from .fit.open_split import decide_split
from .fit.remedies import check_budget
from .language.source import Path
from .plan import Plan
from .spec.load import Spec, unreliable_paths

Pass = Callable[[Draft], Draft]

BEFORE_SPLIT: tuple[Pass, ...] = (check_names, check_options, expand, freeze, check_weights)
CHECKS: tuple[Pass, ...] = (  # what a spec can be wrong about
    *BEFORE_SPLIT, decide_split, decide_recomputation, partition, form_units, check_places, check_reach,
    check_tensors, check_statistics, check_slices, check_layouts, check_augmentation,
    check_own_data,
)  # fmt: skip
PREDICTING: tuple[Pass, ...] = (*CHECKS, schedule)
PASSES: tuple[Pass, ...] = (*PREDICTING, check_stages, check_budget)


def run_passes(spec: Spec, passes: tuple[Pass, ...] = PASSES, unreliable: frozenset[Path] = frozenset()) -> Draft:
    """Run the passes in order.

    The checks go on after errors as long as there is something to look at; what they only find because of an error that
    was found before, or because of paths that were `unreliable` from the start, is left out. All other passes need a
    spec without errors.
    """
    draft = Draft(spec, spec.warnings)
    with doing(f"compiling {spec.config.name}"):
        return _passed(draft, passes, unreliable)


def _passed(draft: Draft, passes: tuple[Pass, ...], unreliable: frozenset[Path]) -> Draft:
    tree = draft.spec.written or draft.spec.tree
    for step in passes:
        if draft.failed and (step not in CHECKS or not step_possible(step, draft)):
            break
        before = draft.diagnostics
        draft = step(draft)
        found = reliable(draft.diagnostics[len(before) :], unreliable, tree)
        unreliable |= unreliable_paths(found, tree)
        draft = replace(draft, diagnostics=(*before, *found))
    return draft


def step_possible(step: Pass, draft: Draft) -> bool:
    """Whether what a check looks at was made."""
    known = draft.backbone is not None
    decided = known and draft.spec.config.split.fit is None
    cut = bool(draft.blocks)
    needs: dict[Pass, bool] = {
        freeze: known,
        check_weights: known,
        decide_split: known,
        decide_recomputation: decided,
        partition: decided,
        form_units: cut,
        check_places: cut,
        check_reach: cut,
        check_statistics: cut,
        check_slices: cut,
        check_layouts: cut,
        check_augmentation: known,
        check_own_data: known,
    }
    return needs.get(step, True)


def compile_spec(spec: Spec) -> tuple[Plan, tuple[Diagnostic, ...]]:
    """The plan and all warnings; raises `SpecError` when there are errors."""
    draft = run_passes(spec)
    if draft.failed:
        raise SpecError(draft.diagnostics, spec.sources)
    return draft.plan, draft.diagnostics
