"""Where a value may be of several kinds, pydantic says what is wrong with it as each of them: keep the likely one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from pydantic_core import ErrorDetails

from specc.language.source import Path
from specc.spec.lookup import is_tagged

WRONG_KIND = frozenset({
    "bool_type", "dict_type", "float_type", "int_type", "list_type", "literal_error", "mapping_type",
    "model_attributes_type", "model_type", "string_type",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Found:
    """One of pydantic's errors with its place in the spec; `others` are errors of the same value as another kind."""

    detail: ErrorDetails
    path: Path
    members: tuple[tuple[Path, str], ...] = ()  # the unions on the way: where they stand, and which member was tried
    others: tuple[ErrorDetails, ...] = ()


def likely_errors(details: list[ErrorDetails], data: Any) -> Iterator[Found]:
    """The errors of the members that fit the data best."""
    found = [_located(detail, data) for detail in details]
    while unions := sorted({at for error in found for at, _ in error.members}, key=len):
        found = list(_resolve_union(found, unions[-1]))  # innermost first
    yield from found


def _located(detail: ErrorDetails, data: Any) -> Found:
    path: list[int | str] = []
    tried: list[tuple[Path, str]] = []
    root, tag_follows = data, False
    for part in detail["loc"]:
        inside = None if tag_follows else _inside(data, part)
        if inside is not None:
            path.append(inside)
            data = data[inside]
            tag_follows = isinstance(data, Mapping) and is_tagged(tuple(path), root, data)
        elif tag_follows:
            tag_follows = False
        elif isinstance(part, str) and not _is_missing(part, detail) and part != "[key]":
            tried.append((tuple(path), part))
    return Found(detail, tuple(path), tuple(tried))


def _inside(data: Any, part: int | str) -> int | str | None:
    """The key or index in the data that a part of pydantic's location stands for."""
    if isinstance(data, Mapping):
        if part in data:
            return part
        return str(part) if str(part) in data else _number(data, part)
    return part if isinstance(data, list) and isinstance(part, int) and part < len(data) else None


def _number(data: Mapping[Any, Any], part: int | str) -> int | None:
    return int(part) if isinstance(part, str) and part.isdecimal() and int(part) in data else None


def _is_missing(part: str, detail: ErrorDetails) -> bool:
    return detail["type"] == "missing" and part == detail["loc"][-1]


def _resolve_union(found: list[Found], union: Path) -> Iterator[Found]:
    """Resolve the union at one place: errors elsewhere pass, of the errors in its members the best member's remain."""
    groups: dict[str, list[Found]] = {}
    for error in found:
        member = next((member for at, member in error.members if at == union), None)
        if member is None:
            yield error
        else:
            groups.setdefault(member, []).append(_without(error, union))
    fitting = [group for group in groups.values() if not any(_misfit(error, union) for error in group)]
    if fitting:
        yield from min(fitting, key=len)
        return
    tried = [error for group in groups.values() for error in group[:1]]
    chosen = next((error for error in tried if error.detail["type"] == "literal_error" and _is_text(error)), tried[0])
    others = tuple(other for error in tried if error is not chosen for other in (error.detail, *error.others))
    yield replace(chosen, others=(*chosen.others, *others))


def _without(error: Found, union: Path) -> Found:
    return replace(error, members=tuple(member for member in error.members if member[0] != union))


def _misfit(error: Found, union: Path) -> bool:
    """Whether the error says that the value is not of this kind at all."""
    return error.path == union and error.detail["type"] in WRONG_KIND


def _is_text(error: Found) -> bool:
    return isinstance(error.detail["input"], str)
