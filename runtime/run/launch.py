"""Starts and resumes runs for the command line: device, run directory, progress, closing words."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from specc.diagnostics import sort
from specc.diagnostics.notices import doing, notice, watched
from specc.diagnostics.render import render
from specc.diagnostics.words import hanging, printable
from specc.language.schema import show_bytes
from specc.plan import Plan
from specc.profiles import newest_with_margin
from specc.runs.manifest import NAME as MANIFEST
from specc.runs.manifest import Damaged, sealed
from specc.runs.names import PLAN, RESOLVED, SUMMARY
from specc.spec.load import Spec, loads
from specc.system.consoles import StreamConsole
from specc.system.ranks import RUN, again, leave, placed
from specc.system.streams import messages, results
from specc.system.terminal import paper, width
from specc.tasks.registry import TASKS
from specc.views.margin import margin_line, uncalibrated

from ..distributed.world import current
from ..engine.device import choose, describe
from ..engine.heap import keep_freed_memory
from ..engine.traced import check_traced
from ..errors import Interrupted, RunError, WriteError
from ..memory.calibration import calibrated
from . import record
from .beginning import Beginning, begin
from .changes import Checked, asked
from .data_report import LISTING
from .going import Going, heard_of, told_of
from .lock import locked
from .logs.beginning import check_logs, tell
from .progress import progress_on
from .ranks import present, require_count
from .reporting import reported
from .rundir import RunDir
from .shown import Silence, facts_of
from .spread import Spread, spread_of
from .summary import not_begun
from .team import Team
from .trainer import Trainer


def run(
    plan: Plan, spec: Spec, device: str | None, gpu: int | None, folder: Path | None, *, report: bool = True
) -> Path:  # fmt: skip
    """Train a plan in a new run directory, which is given back; a `report` of it is written at the end.

    Of several devices every rank calls this, each with its own device, and the first one has the directory.
    """
    chosen, team = choose(device, gpu), present()
    require_count(plan, team)
    check_traced(plan)
    with ExitStack() as whole:
        spread = spread_of(plan, team, chosen)
        going = team.share(lambda: _new(plan, spec, folder, chosen, whole, spread, report=report), told_of, heard_of)
        assert going is not None
        _train(going, chosen, team)
        return going.target.path


def _new(
    plan: Plan, spec: Spec, folder: Path | None, device: torch.device, whole: ExitStack, spread: Spread, *, report: bool
) -> Going:  # fmt: skip
    """A run directory, whose lock is held until the `whole` is over."""
    if folder is not None:
        _require_vacant(folder)
    check_logs(spec)
    found = _begin(plan, spec)  # missing data should leave no run directory behind
    target = RunDir.make(found.plan, folder)
    begun = whole.enter_context(reported(target, wanted=report))
    whole.enter_context(locked(target.path))
    _require_vacant(target.path)  # somebody else may have been quicker
    target.begin(found.plan, spec.tree.text, found.resolved, found.root, device, spread)
    if found.skipped:
        target.write(LISTING, found.listing)
    begun()
    return Going(found.plan, target, found.resolved)


def _begin(plan: Plan, spec: Spec) -> Beginning:
    """Look at the data, and show what is odd about them."""
    found = begin(plan, spec)
    if found.warnings:
        print(render(sort(found.warnings), spec.sources, "human", **paper(sys.stderr)).rstrip("\n"), file=messages())
    return found


def _console() -> Console:
    return StreamConsole(messages())


def _require_vacant(folder: Path) -> None:
    """Refuse a folder that holds what a run leaves behind: it would be overwritten, or gone on with."""
    if RunDir(folder).has_record:
        help = (f"continue it with: specc resume {shlex.quote(str(folder))}",)
        raise RunError(f"{folder} already holds a run", help)
    for name in (PLAN, "metrics.csv", "checkpoints", SUMMARY):
        if os.path.lexists(folder / name):
            help = ("choose another folder with `--run-dir DIR`, or remove it",)
            raise RunError(f"{folder} holds what is left of a run: {name} without its {MANIFEST}", help)


def resume(
    folder: Path, device: str | None, gpu: int | None,
    predicted_for: Callable[[Plan, Any], Plan] = lambda plan, _: plan,
    overrides: Sequence[str] = (), checked: Checked = lambda spec: None, *, report: bool = True,
) -> None:  # fmt: skip
    """Continue the run in `folder` with the plan that is stored there, its memory predicted for the device it gets.

    Overrides change what a run may go on with, and nothing else of it.
    """
    team = present()
    chosen = choose(device, gpu)

    def going_on(whole: ExitStack) -> Going | None:
        target = RunDir(folder)
        change = asked(target, overrides, checked)
        if finished := _finished(target, change.plan):
            print(printable(f"the run in {folder} is complete: nothing is left to do"), file=messages())
            say(finished)
            return None
        require_count(change.plan, team)
        check_logs(loads(change.resolved, str(folder / RESOLVED)))
        begun = whole.enter_context(reported(target, wanted=report))
        left = whole.enter_context(locked(folder))
        if target.resolved() != change.before:
            raise RunError(f"another process has changed the run in {folder} just now", ("try again",))
        record.settle(folder)
        plan, warnings = predicted_for(change.plan, chosen.type), [*target.damages(), *([left] if left else [])]
        change.write(target)
        begun()
        return Going(plan, target, change.resolved, tuple(warnings), tuple(change.notes), resumed=True)

    with ExitStack() as whole:
        told = team.share(lambda: going_on(whole), told_of, heard_of)
        if told is not None:
            _train(told, chosen, team)


def _finished(target: RunDir, plan: Plan) -> list[str]:
    """The closing words of a run that has done all that its plan asks for; none of one that has not."""
    try:
        summary = target.summary()
        done = summary["status"] == "completed" and summary["plan_fingerprint"] == plan.fingerprint
        return closing(summary, target.path) if done else []
    except (OSError, Damaged, KeyError, TypeError, AttributeError, ValueError):
        return []  # it is made anew, from the last checkpoint


def _train(going: Going, device: torch.device, team: Team) -> None:
    if device.type == "cpu":
        keep_freed_memory()
    target = going.target
    leave(placed(), RUN, str(target.path))
    progress = progress_on(_console(), going.plan.config.train.epochs) if team.first else Silence()
    try:
        with watched(progress), notice.heard(progress.say):
            with doing("building the network"):
                trainer = _prepared(going, device, progress, team)
            trainer.warnings += going.warnings
            trainer.notes += going.notes
            for line in opening(trainer, resumed=going.resumed):
                progress.say(line)
            progress.run_begins(facts_of(trainer))
            tell(trainer.logs, trainer)
            summary = trainer.train()
    except KeyboardInterrupt:
        help = (f"continue with: {shlex.join(again('resume', str(target.path)))}",)
        raise Interrupted("interrupted before the first step", help) from None
    finally:
        progress.close()
    if team.first:
        say(closing(summary, target.path))
    trainer.check_budget()  # a run may be over before there was a step to check it after


def _prepared(going: Going, device: torch.device, progress: Silence, team: Team) -> Trainer:
    """A run that may begin; where it may not, a summary says why, unless there was one of a run that did."""
    try:
        trainer = Trainer(going.plan, device, going.target, progress, going.resolved, team)
        if world := current():  # for those that wait for this rank in vain
            world.pulse.running = lambda: trainer.session.executor.running
        if going.resumed:
            trainer.resume()
        return trainer
    except (RunError, MemoryError) as error:
        ending = error if isinstance(error, RunError) else _no_memory(going.target)
        if team.first and not going.resumed:
            with suppress(WriteError):
                going.target.write_json(SUMMARY, sealed(not_begun(going.plan.name, str(ending))))
        raise ending from None


def _no_memory(target: RunDir) -> RunError:
    help = ("nothing was trained", f"as soon as there is more: {shlex.join(again('resume', str(target.path)))}")
    return RunError("out of memory before the first step", help)


def opening(trainer: Trainer, *, resumed: bool) -> Iterator[str]:
    """What a person wants to know at the beginning."""
    plan, device = trainer.plan, trainer.device
    verb, from_where = ("resuming", f" from {trainer.saved}") if resumed and trainer.saved else ("training", "")
    yield f"{verb} {plan.name}{from_where} on {describe(device)}, results in {trainer.run_dir.path}"
    yield from (f"warning: {warning}" for warning in trainer.warnings)
    yield from (f"note: {note}" for note in (*trainer.splits.remarks, *trainer.notes))
    if device.type == "cuda":
        yield margin(plan, device)


def margin(plan: Plan, device: torch.device) -> str:
    """What the libraries of this GPU may take beyond the prediction."""
    found = calibrated(device)
    return margin_line(found, plan) if found else uncalibrated(newest_with_margin())


def _epochs(number: int) -> str:
    return f"{number} epoch{'s' * (number != 1)}"


def figures(test: Mapping[str, float]) -> str:
    """``accuracy 96.40%, loss 0.1200``: all that is said of a test, the metrics as parts of a hundred."""
    said = (f"{name.replace('_', ' ')} " + (f"{v:.4f}" if name == "loss" else f"{v:.2%}") for name, v in test.items())
    return ", ".join(said)


def _choices(summary: dict[str, Any]) -> Iterator[str]:
    """What was chosen by the evaluations: when to stop, and which checkpoint is the best."""
    if summary.get("stopped_early"):
        yield summary["stopped_early"]
    if best := summary.get("best"):
        value = figures({best["metric"]: best["value"]})
        tested = f"; test {figures(best['test'])}" if best["test"] else ""
        yield f"best {value}, after epoch {best['epoch']} (checkpoint {best['checkpoint']}){tested}"


def say(lines: Sequence[str]) -> None:
    """Write results, in lines that end between words on a terminal."""
    for line in lines:
        print("\n".join(hanging(printable(line), width(sys.stdout))), file=results())


def closing(summary: dict[str, Any], path: Path) -> list[str]:
    """What a person wants to know at the end."""
    memory = summary["memory"]
    measured = "allocator peak" if summary["device"].startswith("cuda") else "live tensors"
    if devices := summary.get("devices"):
        measured += f" on rank {devices['nearest_to_budget']}, which takes most"
    verdict = "no budget given"
    if memory["budget_bytes"]:
        kept = "within budget" if memory["within_budget"] else "OVER BUDGET"
        verdict = f"budget {show_bytes(memory['budget_bytes'])}: {kept}"
    on_device = []
    if "requested_peak_bytes" in memory:
        apart = show_bytes(memory["margin_bytes"]) if memory["margin_bytes"] is not None else "not calibrated"
        asked, given = (show_bytes(memory[f"{what}_peak_bytes"]) for what in ("requested", "allocated"))
        on_device = [f"of the allocator: requested {asked}, allocated {given}; margin beyond the prediction: {apart}"]
    found = [f"{name} {figures(summary[name])}" for name in ("validation", "test") if summary.get(name)]
    samples = TASKS[summary["task"]].samples
    return [
        f"{'; '.join(found)} after {_epochs(summary['epochs'])}",
        *_choices(summary),
        f"memory of one step: predicted {show_bytes(memory['predicted_peak_bytes'])}, "
        f"measured {show_bytes(memory['measured_peak_bytes'])} ({measured}), {verdict}",
        *on_device,
        f"{summary['step_seconds_median'] * 1e3:.1f} ms a step, {summary['images_per_second']:.0f} {samples} a second",
        f"results in {path}",
    ]
