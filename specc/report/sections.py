"""The sections of a report, in the order in which a stranger asks; each has a panel for every run."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from . import findings, learning, plans, rivals, taking
from .alternatives import Lab
from .answers import answers
from .clock import predicted
from .parts import Answer, Code, Figure, Panel, Section, Table
from .subject import Subject
from .suggestions import Suggestion, suggestions
from .words import seconds, sentence, share, show_bytes


@dataclass(frozen=True)
class Case:
    """A run with what could be made of it; `number` tells the figures of several runs apart."""

    subject: Subject
    lab: Lab | None
    number: int = 0
    next_: list[Suggestion] = field(default_factory=list)

    @classmethod
    def of(cls, subject: Subject, number: int) -> Case:
        """With all that is slow to find out."""
        lab = Lab(subject.plan) if subject.plan is not None else None
        return cls(subject, lab, number, suggestions(subject, lab))

    @property
    def answers(self) -> tuple[Answer, ...]:
        """To the questions at the top."""
        return answers(self.subject, self.lab, self.next_)

    def name(self, figure: str) -> str:
        """What a figure is called."""
        return f"{figure}-{self.number}" if self.number else figure


Make = Callable[[Case], Panel]


def sections(cases: Sequence[Case]) -> Iterator[Section]:
    """Those that have something to say of a run at least."""
    together = taking.budgets([case.subject for case in cases])
    for name, title, make in SECTIONS:
        panels = tuple(make(case) for case in cases)
        of_all = (together,) if name == "budget" and together else ()
        if of_all or not all(panel.empty for panel in panels):
            yield Section(name, title, panels, of_all)


def _budget(case: Case) -> Panel:
    return _panel(case, taking.budget(case.subject, case.lab, case.name("memory")))


def _peak(case: Case) -> Panel:
    found, plan = findings.peak(case.subject), case.subject.plan
    if found is None or plan is None:
        return Panel(case.subject.label)
    order = sorted(found.categories.items(), key=lambda each: -each[1])
    rows = tuple((name, show_bytes(size), f"{size / plan.memory.peak_bytes:.0%}".replace("%", " %"))
                 for name, size in order if size)  # fmt: skip
    where, layers = findings.place(plan, found.instruction)
    text = f"{where} peaked, at `{found.instruction}`{f'; {layers}' if layers else ''}."
    table = ("What is alive at the peak, as predicted", Table(("category", "bytes", "share"), rows))
    figure = plans.memory(case.subject, case.name("timeline"))
    return Panel(case.subject.label, (sentence(text),), (figure,) if figure else (), (table,))


def _learning(case: Case) -> Panel:
    subject = case.subject
    found = (
        learning.metric_curves(subject, case.name("curves")), learning.loss_curves(subject, case.name("losses")),
    )  # fmt: skip
    return _panel(case, *found)


def _units(case: Case) -> Panel:
    return _panel(case, learning.depth(case.subject, case.name("depth")))


def _rivals(case: Case) -> Panel:
    return rivals.panel(case.subject, case.lab)


def _next(case: Case) -> Panel:
    said = () if case.next_ else ("None of the rules of this report has found anything to change.",)
    return Panel(case.subject.label, said, suggestions=tuple(case.next_))


def _time(case: Case) -> Panel:
    said, texts = case.subject.record.said, []
    if said.step_seconds_median:
        texts.append(f"A step takes {said.step_seconds_median * 1e3:.3g} ms, which are {said.images_per_second:,.0f} "
                     f"{case.subject.samples} a second.")  # fmt: skip
    if (expected := predicted(case.lab)) and case.lab and case.lab.profile:
        beside = f", {share(expected, said.step_seconds_median)} of it" if said.step_seconds_median else ""
        texts.append(f"Predicted were {seconds(expected)}{beside}, for {case.lab.profile.device} "
                     f"({case.lab.profile.source}).")  # fmt: skip
    part = findings.waiting(case.subject)
    if part is not None:
        texts.append(f"Of an epoch {part:.0%} went into something else: data and evaluation.".replace("%", " %"))
    return _panel(case, taking.times(case.subject, case.name("time")), texts=texts)


def _confusion(case: Case) -> Panel:
    return _panel(case, learning.confusion(case.subject, case.name("confusion")))


def _network(case: Case) -> Panel:
    return _panel(case, plans.network(case.subject, case.name("network")))


def _spec(case: Case) -> Panel:
    record = case.subject.record
    found = (("spec.yaml, as it was given", record.spec), ("spec.resolved.yaml, all keys", record.resolved))
    return Panel(case.subject.label, codes=tuple(Code(title, text) for title, text in found if text))


def _environment(case: Case) -> Panel:
    env = case.subject.record.env
    rows = tuple((str(name), _said(value)) for name, value in env.items() if value not in (None, "", {}, []))
    tables = (("What the numbers depend on besides", Table(("", ""), rows, frozenset({0, 1}))),) if rows else ()
    return Panel(case.subject.label, tables=tables)


def _said(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, allow_nan=False)


def _panel(case: Case, *figures: Figure | None, texts: Sequence[str] = ()) -> Panel:
    return Panel(case.subject.label, tuple(texts), tuple(each for each in figures if each is not None))


SECTIONS: tuple[tuple[str, str, Make], ...] = (
    ("budget", "Did it stay in its budget?", _budget),
    ("peak", "What peaked?", _peak),
    ("learning", "What did it learn?", _learning),
    ("units", "Which unit learns least?", _units),
    ("end-to-end", "What else would have fitted, and how long would it have taken?", _rivals),
    ("next", "What to change next?", _next),
    ("time", "Where does the time go?", _time),
    ("confusion", "What does it take for what?", _confusion),
    ("network", "What was trained?", _network),
    ("spec", "What was asked for?", _spec),
    ("environment", "Where did it run?", _environment),
)
