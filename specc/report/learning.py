"""Figures of what was learnt: curves over the epochs, figures over depth, and what was taken for what."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

from ..pictures.drawing import Picture
from . import findings
from .charts.bars import Bar, bars
from .charts.curves import MOST_COLOURED, Line, curves
from .charts.matrix import matrix
from .measured import Told
from .parts import Figure, Table
from .subject import Curve, Subject
from .words import SHARES, figure, named, sentence

MOST_CELLS = 12  # classes of a matrix that can still be read
MOST_PAIRS = 12


def metric_curves(subject: Subject, name: str) -> Figure | None:
    """The metric that counts, of the network and of every unit, after every epoch."""
    if not subject.network:
        return None
    units = {subject.short(unit): subject.curve(column) for unit, column in subject.unit_columns.items()}
    lines = [Line(f"network, {subject.half_in_words}", subject.network, main=True)]
    running = subject.curve(f"train_{subject.task.running}") if subject.task else []
    if running and subject.task and subject.task.running == subject.metric:
        lines.append(Line("network, training", running, dashed=True))
    lines += _unit_lines(units, subject)
    title = sentence(f"{named(subject.metric)} after every epoch")
    last = subject.network[-1]
    summary = (
        f"The network reaches {figure(subject.metric, last[1])} on the {subject.half_in_words} set after epoch "
        f"{last[0]}. " + " ".join(f"{unit}: {figure(subject.metric, curve[-1][1])}." for unit, curve in units.items())
    )
    draw = partial(_metric_picture, title, summary, tuple(lines), subject.metric)
    table = _table("epoch", {line.label: line.points for line in lines}, partial(figure, subject.metric))
    note = "Every unit is asked what its own classifier tells; beside each name is its last figure."
    return Figure(name, title, draw, table, note if units else "")


def _unit_lines(units: dict[str, Curve], subject: Subject) -> list[Line]:
    """All have a name where there are few; of many the one that adds least, the best and the first do."""
    few = len(units) <= MOST_COLOURED
    found = findings.least(subject)
    best = max(subject.worth, key=lambda unit: subject.worth[unit], default="")
    spoken = {*map(subject.short, (found.name if found else "", best)), next(iter(units), "")}
    return [Line(unit, curve, named=few or unit in spoken) for unit, curve in units.items()]


def _metric_picture(title: str, summary: str, lines: Sequence[Line], metric: str, width: float) -> Picture:
    return curves(title, summary, lines, width, said=partial(figure, metric), unit=_axis(metric))


def _axis(metric: str) -> Callable[[float], str]:
    return (lambda value: f"{value * 100:.4g} %") if metric in SHARES else (lambda value: f"{value:.4g}")


def loss_curves(subject: Subject, name: str) -> Figure | None:
    """The losses that the units minimise, on the training set."""
    plan = subject.plan
    known = subject.record.metrics[-1] if subject.record.metrics else {}
    terms = [(unit.name, head.term) for unit in plan.units for head in unit.heads] if plan else []
    several = len({term for _, term in terms}) > 1
    found = {subject.short(unit) + f".{term}" * several: subject.curve(f"train_{unit}.{term}")
             for unit, term in dict.fromkeys(terms) if f"train_{unit}.{term}" in known}  # fmt: skip
    found = {label: curve for label, curve in found.items() if curve}
    if not found:
        return None
    few = len(found) <= MOST_COLOURED
    highest = max(found, key=lambda label: found[label][-1][1])
    lines = [Line(label, curve, named=few or label in (highest, [*found][-1])) for label, curve in found.items()]
    title = "Training loss of every unit"
    summary = " ".join(f"{label} falls from {curve[0][1]:.4g} to {curve[-1][1]:.4g}."
                       if curve[-1][1] < curve[0][1] else f"{label} goes from {curve[0][1]:.4g} to {curve[-1][1]:.4g}."
                       for label, curve in found.items())  # fmt: skip
    table = _table("epoch", found, partial(figure, "loss"))
    return Figure(name, title, partial(_loss_picture, title, summary, tuple(lines)), table,
                  "Means over the epoch on the training set, before they are weighted.")  # fmt: skip


def _loss_picture(title: str, summary: str, lines: Sequence[Line], width: float) -> Picture:
    return curves(title, summary, lines, width, said=partial(figure, "loss"), unit=_axis("loss"), log=True)


def depth(subject: Subject, name: str) -> Figure | None:
    """How good every unit is by itself, over how much of the network it has seen."""
    plan = subject.plan
    if plan is None or len(subject.worth) < 2:
        return None
    units = dict(subject.answering)
    lines = [
        Line(level, [(units[unit].end, subject.worth[unit]) for unit in own])
        for level, own in findings.by_level(subject).items()
    ]
    value = subject.result[1].get(subject.metric)
    if value is not None:
        lines.append(Line("network", [(len(plan.blocks) - 1, value)], main=True))
    title = sentence(f"{named(subject.metric)} over depth")
    said = partial(figure, subject.metric)
    summary = " ".join(f"{line.label}: " + ", ".join(f"block {x:g} {said(y)}" for x, y in line.points) + "."
                       for line in lines)  # fmt: skip
    before, rows = "", []
    for level, own in findings.by_level(subject).items():
        for unit in own:
            gain = subject.worth[unit] - subject.worth[before] if before else None
            added = f"{gain * 100:+.2f} points" if gain is not None and subject.metric in SHARES else "–"
            rows.append((subject.short(unit), level, str(units[unit].end), said(subject.worth[unit]), added))
            before = unit
        before = ""
    table = Table(("unit", "level", "last block", named(subject.metric), "more than the one before"), tuple(rows),
                  frozenset({0, 1}))  # fmt: skip
    return Figure(name, title, partial(_depth_picture, title, summary, tuple(lines), subject.metric), table,
                  "What each unit's own classifier says of what the network knows up to there.")  # fmt: skip


def _depth_picture(title: str, summary: str, lines: Sequence[Line], metric: str, width: float) -> Picture:
    return curves(
        title, summary, lines, width, said=partial(figure, metric), unit=_axis(metric), across="block", marked=True
    )


def _table(first: str, found: dict[str, Sequence[tuple[float, float]]] | dict[str, Curve],
           said: Callable[[float | None], str]) -> Table:  # fmt: skip
    """A row an epoch."""
    at = sorted({x for points in found.values() for x, _ in points})
    known = {label: dict(points) for label, points in found.items()}
    rows = tuple((f"{x:g}", *(said(known[label].get(x)) for label in found)) for x in at)
    return Table((first, *found), rows)


# ------------------------------------------------------------------------------------------ what was taken for what


def confusion(subject: Subject, name: str) -> Figure | None:
    """A matrix of few classes, the pairs most often confused of many; of several labels how well each is found."""
    told = subject.measured.told
    if told is None or not (told.told or told.labels):
        return None
    of = f"the {told.on} set after {told.epochs} epochs" if told.epochs != 1 else f"the {told.on} set after one epoch"
    if told.kind == "multi_label":
        return _labels(subject, told, name, of)
    return _matrix(subject, told, name, of) if told.classes <= MOST_CELLS else _pairs(subject, told, name, of)


def _matrix(subject: Subject, told: Told, name: str, of: str) -> Figure:
    names = [subject.class_name(number) for number in range(told.classes)]
    counts = [[0] * told.classes for _ in names]
    for is_, as_, count in told.told:
        counts[is_][as_] = count
    title = "What was taken for what"
    worst = next(iter(_mistakes(told)), None)
    summary = f"Of every class of {of}, how many of a hundred were told to be of each class. " + (
        f"Most often {names[worst[0]]} is told to be {names[worst[1]]}: {worst[2]} times." if worst else "No mistake."
    )
    rows = tuple((names[row], *(f"{count:,}" for count in line)) for row, line in enumerate(counts))
    return Figure(name, title, partial(matrix, title, summary, counts, names), Table(("is / told", *names), rows),
                  f"{_counted(told)} of {of}; every row adds up to 100 %.")  # fmt: skip


def _counted(told: Told) -> str:
    return "Pixels" if told.kind == "map" else "Samples"


def _mistakes(told: Told) -> list[tuple[int, int, int]]:
    """The most frequent first."""
    return sorted((each for each in told.told if each[0] != each[1]), key=lambda each: -each[2])


def _pairs(subject: Subject, told: Told, name: str, of: str) -> Figure | None:
    samples = told.samples
    wrong = _mistakes(told)
    if not wrong:
        return None
    said = [(f"{subject.class_name(a)} → {subject.class_name(b)}", n, samples[a]) for a, b, n in wrong]
    rows = [Bar(label, count / all_, f"{count:,} of {all_:,}") for label, count, all_ in said[:MOST_PAIRS]]
    title = f"The pairs of {told.classes} classes most often confused"
    summary = f"Of {of}: " + "; ".join(f"{row.label} {row.said}" for row in rows) + "."
    table = Table(("is → told to be", "how often", "of"), tuple((a, f"{b:,}", f"{c:,}") for a, b, c in said[:200]))
    return Figure(name, title, partial(bars, title, summary, rows, None), table,
                  f"{_counted(told)} of {of}, as a part of the class that they are of.")  # fmt: skip


def _labels(subject: Subject, told: Told, name: str, of: str) -> Figure:
    found = [(subject.class_name(number), *counts) for number, counts in enumerate(told.labels)]
    worst = sorted((each for each in found if each[3]), key=lambda each: each[1] / each[3])
    rows = [Bar(label, hits / there, f"{hits:,} of {there:,} found") for label, hits, _, there in worst[:MOST_PAIRS]]
    title = "The labels found least often"
    summary = f"Of {of}: " + "; ".join(f"{row.label} {row.said}" for row in rows) + "."
    cells = tuple(_label_cells(*each) for each in found)
    return Figure(name, title, partial(bars, title, summary, rows, None),
                  Table(("label", "there", "told", "told rightly", "of those there", "of those told"), cells),
                  f"Labels of {of}. A sample has several, so it is not taken for another class: each label is told or "
                  f"not, where it is more likely than not.")  # fmt: skip


def _label_cells(label: str, hits: int, said: int, there: int) -> tuple[str, ...]:
    parts: Iterator[str] = (f"{hits / all_:.0%}".replace("%", " %") if all_ else "–" for all_ in (there, said))
    return (label, f"{there:,}", f"{said:,}", f"{hits:,}", *parts)
