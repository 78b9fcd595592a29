"""The A100's table: what a process took of the device, against predicted peak, replay and context."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, product
from typing import Any

from specc.device import Model
from specc.graph.ops import numel
from specc.memory.recording import Event
from specc.memory.replay import Libraries, recorded_steps
from specc.plan import Plan

from .tables import Taken, folds, plan, quantile

MIB = 1 << 20
FULL = 39_300  # MiB above which the device was full: what would have been taken is not known
SHARES = (0.0, 0.5, 1.0, 1.5)
GROWTHS = [n / 200 for n in range(17)]
CONTEXTS = [20 * n for n in range(65, 100)]  # MiB
# The table does not name the optimizer. By default torch steps all parameters of a model at once (`foreach`), for which
# it makes one more copy of them: decayed gradients, or roots of second moments.
OPTIMIZERS = {
    "sgd": ("sgd", False),
    "sgd, foreach": ("sgd", True),
    "adam": ("adam", False),
    "adam, foreach": ("adam", True),
}

LIKELY = "sgd, foreach"  # which explains the models that are mostly parameters, as none of the others does


@dataclass(frozen=True)
class Case:
    """A row, and what the replay reserves by each share of workspaces, MiB."""

    row: Taken
    peak: float
    reserved: dict[float, float]

    def predicted(self, share: float, growth: float, context: float) -> float:
        """MiB of the device."""
        return self.reserved[share] * (1 + growth) + context


def cases(rows: Sequence[Taken], model: Model, optimizer: str) -> list[Case]:
    """Every row that is a measurement, replayed under an optimizer."""
    return [_case(row, model, optimizer) for row in measured(rows)]


def measured(rows: Sequence[Taken]) -> list[Taken]:
    """Those that were measured below the end of the device."""
    return [row for row in rows if row.device <= FULL and not _fell(row, rows)]


def _fell(row: Taken, rows: Sequence[Taken]) -> bool:
    """Whether the figure rose by less than half of what it rose by before: the model ran out of memory there."""
    own = sorted((r.batch, r.device) for r in rows if r.model == row.model and r.batch <= row.batch)
    if len(own) < 3:
        return False
    (a, x), (b, y), (c, z) = own[-3:]
    return (z - y) / (c - b) < (y - x) / (b - a) / 2 and y > FULL / 2


def _case(row: Taken, model: Model, optimizer: str) -> Case:
    name, copies = OPTIMIZERS[optimizer]
    found = plan(row.twin, row.size, row.batch, optimizer=name)
    reserved = {share: _reserved(found, Libraries(share, model.libraries().blas), copies=copies) for share in SHARES}
    return Case(row, found.memory.peak_bytes / MIB, reserved)


def _reserved(found: Plan, libraries: Libraries, *, copies: bool) -> float:
    steps = recorded_steps(found, libraries)
    if copies:
        steps = replace(steps, events=tuple(_with_copies(found, steps.events)))
    return steps.run().highest_reserved / MIB


def _with_copies(found: Plan, events: Sequence[Event]) -> Iterator[Event]:
    """One more copy of all parameters during the optimizer's step, while their gradients are there."""
    last = len(found.instructions) - 1
    sizes = [4 * numel(shape) for own in found.networks.values() for shape in own.graph.parameters.values()]
    at = next(i for i, event in enumerate(events) if event.instruction == last and not event.taken)
    copies = [Event(True, -1 - i, size, "copies", last, "") for i, size in enumerate(sizes)]
    return chain(events[:at], copies, (copy._replace(taken=False) for copy in copies), events[at:])


def fitted(found: Sequence[Case]) -> tuple[float, float, float]:
    """Share of workspaces, growth and context of the least mean relative error, on a grid."""
    return min(product(SHARES, GROWTHS, CONTEXTS), key=lambda constants: mean_error(found, constants))


def mean_error(found: Sequence[Case], constants: tuple[float, float, float]) -> float:
    return sum(abs(case.predicted(*constants) / case.row.device - 1) for case in found) / len(found)


def left_out(found: Sequence[Case]) -> list[float]:
    """Predicted / measured - 1 of every case, by constants that were fitted on other models."""
    errors = [0.0] * len(found)
    for fit_on, test_on in folds([case.row.twin for case in found]):
        constants = fitted([found[i] for i in fit_on])
        for i in test_on:
            errors[i] = found[i].predicted(*constants) / found[i].row.device - 1
    return errors


def summary(found: Sequence[Case], errors: Sequence[float], model: Model) -> dict[str, Any]:
    """The figures of merit."""
    sizes = [abs(error) for error in errors]
    inside = sum(_inside(case, model) for case in found)
    worst = sorted(zip(sizes, found, strict=True), key=lambda pair: -pair[0])[:5]
    return {
        "models": len({case.row.model for case in found}), "rows": len(found),
        "mean_error": sum(sizes) / len(sizes), "median_error": quantile(sizes, 0.5),
        "ninetieth_percentile": quantile(sizes, 0.9), "worst": max(sizes),
        "too_low": sum(error < 0 for error in errors) / len(errors), "inside_the_spread": inside / len(found),
        "median_error_of_the_peak_alone": quantile([1 - case.peak / case.row.device for case in found], 0.5),
        "worst_rows": [f"{case.row.model} at {case.row.batch}: {size:.1%}" for size, case in worst],
    }  # fmt: skip


def _inside(case: Case, model: Model) -> bool:
    """Whether what was measured lies within what is shown."""
    reserved = case.reserved[model.workspace_share] * (1 + model.growth)
    total = reserved + model.context_bytes / MIB
    low = min(total * model.low, reserved + model.least_context_bytes / MIB)
    return low <= case.row.device <= total * model.high


def refitted(found: Sequence[Case], errors: Sequence[float], model: Model) -> Model:
    """The model with all constants that the table knows of."""
    share, growth, context = fitted(found)
    ratios = [1 / (1 + error) for error in errors]
    low, high = round(quantile(ratios, 0.05), 3), round(quantile(ratios, 0.95), 3)
    return replace(model, workspace_share=share, growth=growth, context_bytes=int(context * MIB), low=low, high=high)
