"""What to change next: a few rules, each of which says what it saw and what to type."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ..fit.verdict import way
from ..runs.names import RESOLVED
from ..runs.record import Status
from . import findings
from .alternatives import Lab
from .subject import Subject
from .words import figure, plural, sentence, share, show_bytes

MOST = 6  # suggestions: what is not among them would not be done next
LEFT_OVER = 0.7  # of a budget: a step that takes less leaves room
WAITED = 0.35  # of an epoch


@dataclass(frozen=True, slots=True)
class Suggestion:
    """What to do, why, and how."""

    title: str
    reason: str
    command: str = ""


Rule = Callable[[Subject, Lab | None], Iterator[Suggestion]]


def suggestions(subject: Subject, lab: Lab | None) -> list[Suggestion]:
    """Those that the data of this run give reason for, the most urgent first."""
    return [each for rule in RULES for each in rule(subject, lab)][:MOST]


def _run(subject: Subject, *overrides: str) -> str:
    return f"specc run {shlex.join([str(subject.record.path / RESOLVED), *overrides])}"


def _resume(subject: Subject, *overrides: str) -> str:
    return f"specc resume {shlex.join([str(subject.record.path), *overrides])}"


def _damaged(subject: Subject, lab: Lab | None) -> Iterator[Suggestion]:
    if subject.record.status == Status.DAMAGED:
        yield Suggestion("Restore the run directory from a backup",
                         "What the run was started with is not as it was written: see the remarks below.")  # fmt: skip


def _over_budget(subject: Subject, lab: Lab | None) -> Iterator[Suggestion]:
    """The cheapest changes that fit; what was measured beyond the prediction may come on top again."""
    memory = subject.memory
    if not subject.over_budget or memory.budget_bytes is None or lab is None:
        return
    beyond = max(0, memory.measured_peak_bytes - memory.predicted_peak_bytes)
    limit = min(memory.budget_bytes - beyond, memory.predicted_peak_bytes - 1)
    found = lab.remedies(limit)
    for remedy in found[:3]:
        yield Suggestion(f"Take less memory: {remedy.change}",
                         f"A step would peak at {show_bytes(remedy.peak)} by prediction.",
                         _run(subject, remedy.override) if remedy.override else "")  # fmt: skip
    if not found:
        yield Suggestion("Give it a larger budget, or a smaller network",
                         "No single change of the spec fits into the budget.")  # fmt: skip


def _diverged(subject: Subject, lab: Lab | None) -> Iterator[Suggestion]:
    cause, plan = subject.record.said.cause or "", subject.plan
    if plan is not None and any(sign in cause for sign in ("not finite", " is nan", " is inf", " is -inf")):
        rate = plan.config.train.optimizer.lr / 10
        yield Suggestion("Lower the learning rate", f"The training ended because {cause}.",
                         _run(subject, f"train.optimizer.lr={rate:.3g}"))  # fmt: skip


def _unfinished(subject: Subject, lab: Lab | None) -> Iterator[Suggestion]:
    command, said = subject.record.resume_command, subject.record.said
    if command is None or subject.over_budget or next(_diverged(subject, lab), None):
        return
    done = f"{said.epochs} of {plural(said.epochs_planned, 'epoch')}" if said.epochs_planned else "a part"
    yield Suggestion("Go on with the training", f"The run ended before its time, after {done}.", command)


def _still_learning(subject: Subject, lab: Lab | None) -> Iterator[Suggestion]:
    found, plan = findings.still_learning(subject), subject.plan
    if found is None or plan is None or subject.record.status != Status.COMPLETED:
        return
    reason = (f"On the {subject.half_in_words} set it has become {_points(found)} better over the last third of the "
              f"epochs: it has not stopped learning.")  # fmt: skip
    yield Suggestion("Train for longer", reason, _resume(subject, f"train.epochs={2 * plan.config.train.epochs}"))


def _overfitting(subject: Subject, lab: Lab | None) -> Iterator[Suggestion]:
    found, plan = findings.overfitting(subject), subject.plan
    if found is None or plan is None:
        return
    seen = []
    if found.best_epoch is not None:
        seen.append(f"the loss on the {subject.half_in_words} set was lowest after epoch {found.best_epoch} and has "
                    f"risen since")  # fmt: skip
    if found.gap >= findings.GAP:
        seen.append(f"{subject.samples} that are trained on are told {_points(found.gap)} better than others")
    augmented = plan.config.data.augment
    how = (f"train.optimizer.weight_decay={max(5e-4, 5 * getattr(plan.config.train.optimizer, 'weight_decay', 0)):.2g}"
           if augmented else "data.augment=paper")  # fmt: skip
    yield Suggestion("Do something against learning by heart", f"{sentence(' and '.join(seen))}.", _run(subject, how))


def _least(subject: Subject, lab: Lab | None) -> Iterator[Suggestion]:
    """The block that adds least becomes one with the block before it, if that fits."""
    found = findings.least(subject)
    if found is None or not found.nothing or found.before is None or lab is None or not lab.small:
        return
    merged = lab.without_cut(found.blocks[1] - 1) if found.blocks[1] else None
    if merged is None or merged[1] > lab.yardstick:
        return
    reason = (
        f"{subject.short(found.name)} tells {figure(subject.metric, found.value)} rightly, "
        f"{findings.gained(found, subject)}. "
        f"As one block with the one before it, its layers hear the gradient of one head less; a step "
        f"would peak at {show_bytes(merged[1])}."
    )
    yield Suggestion(f"Join block {found.blocks[1]} with block {found.blocks[1] - 1}", reason, _run(subject, merged[0]))


def _left_over(subject: Subject, lab: Lab | None) -> Iterator[Suggestion]:
    """Fewer blocks, or larger batches, where the budget is far from full."""
    memory, plan = subject.memory, subject.plan
    taken = max(memory.measured_peak_bytes, memory.predicted_peak_bytes)
    if plan is None or lab is None or not lab.small or not memory.budget_bytes:
        return
    if taken > LEFT_OVER * memory.budget_bytes:
        return
    room = f"The step takes {share(taken, memory.budget_bytes)} of the budget of {show_bytes(memory.budget_bytes)}."
    if fewer := lab.fewest_blocks(memory.budget_bytes):
        blocks, override, peak = fewer
        yield Suggestion(f"Cut into {blocks} blocks instead of {len(plan.blocks)}",
                         f"{room} That would peak at {show_bytes(peak)}, need fewer auxiliary networks, and let "
                         f"gradients come further.", _run(subject, override))  # fmt: skip
    if larger := lab.larger_batch(memory.budget_bytes):
        size, peak = larger
        rate = plan.config.train.optimizer.lr * size / plan.config.data.batch_size
        yield Suggestion(f"Batches of {size} {subject.samples} instead of {plan.config.data.batch_size}",
                         f"{room} That would peak at {show_bytes(peak)}; fewer and less noisy steps want a higher "
                         f"learning rate.",
                         _run(subject, f"data.batch_size={size}", f"train.optimizer.lr={rate:.3g}"))  # fmt: skip


def _as_a_whole(subject: Subject, lab: Lab | None) -> Iterator[Suggestion]:
    """End-to-end training, where that fits: local learning is for where it does not."""
    if lab is None or not subject.memory.budget_bytes or lab.whole or subject.over_budget:
        return
    best = lab.best
    command = lab.command(subject.record.path, best) if best else None
    if best is None or command is None:
        return
    yield Suggestion(f"Compare with {way(best)}",
                     f"It fits into the budget as well, with a peak of {show_bytes(best.candidate.peak)}; which of "
                     f"both learns more is only known when both are trained.", command)  # fmt: skip


def _waiting(subject: Subject, lab: Lab | None) -> Iterator[Suggestion]:
    part, plan = findings.waiting(subject), subject.plan
    if part is None or part < WAITED or plan is None or plan.config.data.workers:
        return
    yield Suggestion(f"Make {subject.samples} ready in processes of their own",
                     f"In {part:.0%} of an epoch no step was computed.".replace("%", " %"),
                     _resume(subject, "data.workers=4"))  # fmt: skip


def _no_budget(subject: Subject, lab: Lab | None) -> Iterator[Suggestion]:
    memory = subject.memory
    if subject.plan is None or memory.budget_bytes or not memory.predicted_peak_bytes:
        return
    enough = max(memory.measured_peak_bytes, memory.predicted_peak_bytes) * 1.1 / 2**20
    yield Suggestion("Say what a step may take", "Without a budget nothing holds the memory to anything.",
                     _run(subject, f"budget={{memory: {enough:.0f} MiB}}"))  # fmt: skip


RULES: tuple[Rule, ...] = (
    _damaged, _over_budget, _diverged, _unfinished, _still_learning, _overfitting, _least, _left_over, _as_a_whole,
    _waiting, _no_budget,
)  # fmt: skip


def _points(part: float) -> str:
    """A difference of shares.

    >>> _points(0.0123), _points(-0.00001)
    ('1.2 percentage points', '0.0 percentage points')
    """
    return f"{abs(part) * 100:.1f} percentage points"
