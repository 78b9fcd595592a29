"""The questions that a stranger asks of a run, answered in a sentence each."""

from __future__ import annotations

from collections.abc import Sequence

from ..plan.flops import step_flops
from . import findings
from .alternatives import Alternative, Lab
from .parts import Answer, Tone
from .subject import Status, Subject
from .suggestions import Suggestion
from .words import figure, named, plural, sentence, share, show_bytes


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
    """Whether the network could have been trained as a whole in the same memory."""
    question, plan = "Would end-to-end training have been better?", subject.plan
    if plan is None or lab is None:
        return None
    if len(plan.blocks) == 1:
        return Answer(question, "It is that", "The network has one block and was trained as a whole.", "end-to-end")
    found = lab.end_to_end
    if not found:
        return Answer(question, "Not known", "Its spec can no longer be compiled here.", "end-to-end")
    best, plain = fitting(found, lab), found[0]
    limit = f"{'the budget' if plan.config.budget else 'what this run takes'}, {show_bytes(lab.yardstick)}"
    if best is None:
        least = min(found, key=lambda each: each.peak)
        text = f"It would peak at {show_bytes(plain.peak)}, {least.name} at {show_bytes(least.peak)}: over {limit}."
        return Answer(question, "No: it does not fit", text, "end-to-end", "good")
    how = best.name.removeprefix("end to end").removeprefix(", ")
    text = f"It would fit into {limit}: {f'with {how} ' if how else ''}it peaks at {show_bytes(best.peak)}"
    text += f" instead of {show_bytes(plain.peak)}. {_price(best, plain)}" if how else "."
    more = step_flops(plan) / best.flops
    text += f" Local learning here computes {more:.2g} times its FLOPs." if abs(more - 1) > 0.02 else ""
    return Answer(question, "It could be: it fits", f"{text} Only training it tells its {named(subject.metric)}.",
                  "end-to-end", "warn")  # fmt: skip


def fitting(found: Sequence[Alternative], lab: Lab) -> Alternative | None:
    """The first that fits: they are in the order of what they change."""
    return next((each for each in found if each.peak <= lab.yardstick), None)


def _price(best: Alternative, plain: Alternative) -> str:
    more = best.flops / plain.flops - 1
    flops = f"It costs {more:.0%} more FLOPs".replace("%", " %") if more > 0.005 else "It costs no further FLOPs"
    changed = "changes no number" if best.numbers in ("nothing", "–") else f"has its price: {best.numbers}"
    return f"{flops} and {changed}."


def _next(found: Sequence[Suggestion]) -> Answer:
    question = "What to change next?"
    if not found:
        return Answer(question, "Nothing stands out", "None of the rules of this report has found anything.", "next")
    more = f" And {plural(len(found) - 1, 'further suggestion')} below." if len(found) > 1 else ""
    return Answer(question, found[0].title, f"{found[0].reason}{more}", "next")
