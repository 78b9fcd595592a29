"""The questions that a stranger asks of a run, answered in a sentence each."""

from __future__ import annotations

from collections.abc import Sequence

from ..fit.rivals import Rival
from ..fit.verdict import way
from . import findings
from .alternatives import Lab
from .clock import Clock
from .parts import Answer, Tone
from .subject import Status, Subject
from .suggestions import Suggestion
from .words import figure, named, plural, seconds, sentence, share, show_bytes


def answers(subject: Subject, lab: Lab | None, next_: Sequence[Suggestion]) -> tuple[Answer, ...]:
    """In the order in which they are asked."""
    found = (
        learnt(subject), in_budget(subject), peaked(subject), learns_least(subject), end_to_end(subject, lab),
        _next(next_),
    )  # fmt: skip
    return tuple(each for each in found if each is not None)


def learnt(subject: Subject) -> Answer:
    """How the run ended, and what its network is worth."""
    half, worth = subject.result
    status, said = subject.record.status, subject.record.said
    value = worth.get(subject.metric)
    epochs = plural(said.epochs or len(subject.network), "epoch")
    short = f"{figure(subject.metric, value)}" if value is not None else str(status)
    text = f"{status.capitalize()} after {epochs}." if said.epochs or value is not None else f"{status.capitalize()}."
    if value is not None:
        text = f"{sentence(named(subject.metric))} on the {half} set. {text}"
    if said.cause:
        text += f" {sentence(said.cause.rstrip('.'))}."
    if said.stopped_early:
        text += f" {sentence(said.stopped_early.rstrip('.'))}."
    tone: Tone = "good" if status == Status.COMPLETED else "plain" if status == Status.RUNNING else "warn"
    if status in (Status.FAILED, Status.DAMAGED):
        tone = "bad"
    return Answer("What did it learn?", short, text, "learning", tone)


def in_budget(subject: Subject) -> Answer:
    """Predicted, measured, allowed."""
    memory, question = subject.memory, "Did it stay in its budget?"
    taken, allowed = memory.measured_peak_bytes, memory.budget_bytes
    predicted = f"Predicted were {show_bytes(memory.predicted_peak_bytes)}."
    if not memory.predicted_peak_bytes:
        return Answer(question, "Unknown", "Nothing that is left says what a step takes.", "budget")
    if not allowed:
        took = f"A step took {show_bytes(taken)}. " if taken else ""
        return Answer(question, "No budget given", took + predicted, "budget")
    if subject.over_budget:
        more = f"{show_bytes(taken - allowed)} more than" if taken > allowed else "more than"
        return Answer(question, "No", f"A step took {more} the {show_bytes(allowed)} that were allowed. {predicted}",
                      "budget", "bad")  # fmt: skip
    if not taken:
        short = "By prediction" if memory.predicted_peak_bytes <= allowed else "Not by prediction"
        text = f"{show_bytes(allowed)} were allowed. {predicted} No step was measured."
        return Answer(question, short, text, "budget", "plain" if short[0] == "B" else "warn")
    text = f"A step took {show_bytes(taken)} of {show_bytes(allowed)}, {share(taken, allowed)} of it. {predicted}"
    return Answer(question, "Yes", text, "budget", "good")


def peaked(subject: Subject) -> Answer | None:
    """The block or unit where a step takes most."""
    found, plan = findings.peak(subject), subject.plan
    if found is None or plan is None:
        return None
    where, layers = findings.place(plan, found.instruction)
    part = share(found.categories[found.largest], plan.memory.peak_bytes)
    text = f"At `{found.instruction}`{f' ({layers})' if layers else ''}; {part} of it are {found.largest}."
    if found.measured is not None:
        same = found.measured == found.instruction
        text += " Measured at the same instruction." if same else f" Measured it was at `{found.measured}`."
    return Answer("What peaked?", sentence(where), text, "peak")


def learns_least(subject: Subject) -> Answer | None:
    """The unit that adds least to what is known before it."""
    question, plan = "Which unit learns least?", subject.plan
    if plan is not None and len(plan.blocks) == 1:
        return None
    found = findings.least(subject)
    if found is None:
        why = "No figures are left of classifiers of the units' own."
        return Answer(question, "Not known", why, "units") if plan else None
    value = figure(subject.metric, found.value)
    text = f"By itself it tells {value} rightly, {findings.gained(found, subject)}: the least of all units."
    return Answer(question, subject.short(found.name), text,
                  "units", "warn" if found.nothing else "plain")  # fmt: skip


def end_to_end(subject: Subject, lab: Lab | None) -> Answer | None:
    """Whether the network could have been trained as a whole in the same memory, and how long that would have taken."""
    question, plan = "Would end-to-end training have been better?", subject.plan
    if plan is None or lab is None:
        return None
    if lab.whole:
        return Answer(question, "It is that", f"The network has one block and was trained as a whole.{_beside(lab)}",
                      "end-to-end")  # fmt: skip
    if lab.rivals is None:
        return Answer(question, "Not known", "Its spec can no longer be compiled here.", "end-to-end")
    best, plain = lab.best, lab.rivals.plain
    limit = f"{'the budget' if plan.config.budget else 'what this run takes'}, {show_bytes(lab.yardstick)}"
    if best is None:
        return _does_not_fit(question, lab, limit)
    how = way(best).removeprefix("end-to-end training").strip()
    text = f"It would fit into {limit}: {how} it peaks at {show_bytes(best.candidate.peak)}" if how else ""
    text = f"{text} instead of {show_bytes(plain.peak)}. {_price(best)}" if how else f"It would fit into {limit}."
    took = _took(Clock(subject, lab), best)
    return Answer(question, "It could be: it fits", f"{text}{took} Only training it tells its {named(subject.metric)}.",
                  "end-to-end", "warn")  # fmt: skip


def _beside(lab: Lab) -> str:
    """What else would have fitted, of a run that is end-to-end training."""
    names = [way(each) for each in lab.exact if each.fits]
    return f" What else would have fitted: {'; '.join(names)}." if names else ""


def _does_not_fit(question: str, lab: Lab, limit: str) -> Answer:
    assert lab.rivals is not None
    plain, least = lab.rivals.plain, lab.rivals.floor(local=False)
    text = f"It would peak at {show_bytes(plain.peak)}"
    if not lab.compared:
        text += f": over {limit}. Smaller ways were not looked for, as that takes long here."
        return Answer(question, "Not as it is", text, "end-to-end")
    if least is not None and least.turned:
        text += f", {way(least)} at {show_bytes(least.candidate.peak)}"
    return Answer(question, "No: it does not fit", f"{text}: over {limit}.", "end-to-end", "good")


def _price(best: Rival) -> str:
    flops = f"It costs {best.extra:.0%} more FLOPs".replace("%", " %") if best.extra > 0.005 else (
        "It costs no further FLOPs")  # fmt: skip
    changed = f"has its price: {', '.join(best.changes)}" if best.changes else "changes no number"
    return f"{flops} and {changed}."


def _took(clock: Clock, best: Rival) -> str:
    """How long it would have taken, beside the run from the same source."""
    step, own = clock.of(best.candidate), clock.own
    if step is None or own is None:
        return ""
    text = f" A step would take {seconds(step)} instead of {seconds(own)}"
    training, whole = clock.training(step), clock.training(own)
    if training is not None and whole is not None:
        text += f", the whole training {seconds(training)} instead of {seconds(whole)}"
    return f"{text}, {clock.source}."


def _next(found: Sequence[Suggestion]) -> Answer:
    question = "What to change next?"
    if not found:
        return Answer(question, "Nothing stands out", "None of the rules of this report has found anything.", "next")
    more = f" And {plural(len(found) - 1, 'further suggestion')} below." if len(found) > 1 else ""
    return Answer(question, found[0].title, f"{found[0].reason}{more}", "next")
