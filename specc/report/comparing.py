"""Several runs beside one another: the keys in which their specs differ, and their figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..language.schema import exact_bytes
from ..spec.dump import plain
from .parts import Table
from .subject import Subject
from .words import figure, named, seconds, show_bytes

_ABSENT = "–"
_LONGEST = 90  # characters of a value
_ASIDE = ("name", "description", "specc")


def differences(subjects: Sequence[Subject]) -> Table | None:
    """A row a key that two of them say something else of, its name aside."""
    known = {each.label: _flat(plain(each.plan.config)) for each in subjects if each.plan}
    if len(known) < 2:
        return None
    keys = [key for key in dict.fromkeys(key for spec in known.values() for key in spec) if key not in _ASIDE]
    rows = [(key, *(spec.get(key, _ABSENT) for spec in known.values())) for key in keys]
    rows = [row for row in rows if len(set(row[1:])) > 1]
    return Table(("key", *known), tuple(rows), frozenset(range(len(known) + 1)))


def _flat(value: Any, path: str = "") -> dict[str, str]:
    """Every leaf of a spec by its dotted path; lists of mappings are entered by number."""
    if value in (None, "", [], {}):
        return {}
    if path == "budget.memory":
        return {path: str(exact_bytes(value))}
    if isinstance(value, Mapping) and value:
        inner = [(f"{path}.{key}" if path else str(key), each) for key, each in value.items()]
    elif isinstance(value, list) and any(isinstance(each, Mapping) for each in value):
        inner = [(f"{path}.{number}", each) for number, each in enumerate(value)]
    else:
        return {path: _written(value)}
    return {key: text for name, each in inner for key, text in _flat(each, name).items()}


def _written(value: Any) -> str:
    if isinstance(value, list):
        text = f"[{', '.join(map(_written, value))}]"
    else:
        text = str(value).lower() if isinstance(value, bool) else str(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def beside(subjects: Sequence[Subject]) -> Table | None:
    """A row a figure."""
    if len(subjects) < 2:
        return None
    found = [_figures(each) for each in subjects]
    rows = [(name, *(each.get(name, _ABSENT) for each in found)) for name in dict.fromkeys(n for f in found for n in f)]
    return Table(("", *(each.label for each in subjects)), tuple(rows))


def _figures(subject: Subject) -> dict[str, str]:
    said, memory = subject.record.said, subject.memory
    half, worth = subject.result
    found = {"status": str(subject.record.status)}
    found |= {f"{named(name)}, {half}": figure(name, value) for name, value in worth.items()}
    found |= {
        "epochs": f"{said.epochs or len(subject.network):,}",
        "budget": show_bytes(memory.budget_bytes) if memory.budget_bytes else _ABSENT,
        "predicted peak": show_bytes(memory.predicted_peak_bytes) if memory.predicted_peak_bytes else _ABSENT,
        "measured peak": show_bytes(memory.measured_peak_bytes) if memory.measured_peak_bytes else _ABSENT,
        "time of a step": seconds(said.step_seconds_median) if said.step_seconds_median else _ABSENT,
        f"{subject.samples} a second": f"{said.images_per_second:,.0f}" if said.images_per_second else _ABSENT,
        "time in all": seconds(said.wall_seconds) if said.wall_seconds else _ABSENT,
        f"FLOPs {subject.one_sample}": f"{said.flops_per_image / 1e6:,.1f} M" if said.flops_per_image else _ABSENT,
        "blocks": str(len(subject.plan.blocks)) if subject.plan else _ABSENT,
        "seed": _ABSENT if said.seed is None else str(said.seed),
        "device": said.hardware.gpu or said.device or _ABSENT,
    }
    return found
