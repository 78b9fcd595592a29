"""Values in a list of layers: those of parameters of groups put in, and one for every repetition."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..diagnostics import did_you_mean
from .patterns import LayerEntry, Pattern, is_parameter
from .problems import Path, Problem


class _Unknown:
    """A value that is not known: because of a mistake, or because a group is looked at without a use."""


UNKNOWN = _Unknown()


@dataclass(frozen=True, slots=True)
class Given:
    """A value, and where the spec says it."""

    value: Any
    path: Path


@dataclass(frozen=True, slots=True)
class Scope:
    """What a list of layers sees: its own place, what it reads, and the values of its group's parameters."""

    say: Callable[[Problem], None]
    inputs: Mapping[str, str]
    path: Path = ("backbone", "layers")
    prefix: str = ""
    values: Mapping[str, Given] = field(default_factory=dict)
    group: str = ""
    uses: tuple[tuple[Path, str], ...] = ()  # the layers that the groups around it are used as

    def value(self, value: Any, path: Path) -> Any:
        """What is written at `path`, with parameters put in; `UNKNOWN` where one of them is."""
        if isinstance(value, (list, tuple)):
            items = [self.value(item, (*path, i)) for i, item in enumerate(value)]
            return UNKNOWN if any(item is UNKNOWN for item in items) else items
        if not is_parameter(value):
            return value
        if value[1:] in self.values:
            return self.values[value[1:]].value
        where = f"the group `{self.group}` has no parameter" if self.group else "outside of a group there is no"
        help = did_you_mean(value[1:], self.values) if self.values else ()
        self.say(Problem("SPC211", f"{where} `{value}`", path, "unknown parameter", help))
        return UNKNOWN

    def given(self, value: Any, path: Path) -> Given:
        """The same with its place: where it is nothing but a parameter, that of what is given for it."""
        known = self.value(value, path)
        whole = is_parameter(value) and value[1:] in self.values and known is not UNKNOWN
        return Given(known, self.values[value[1:]].path if whole else path)


@dataclass(frozen=True, slots=True)
class Repetition:
    """The n-th of `count` (None: it is not repeated) of an entry that stands at `path`."""

    item: LayerEntry
    path: Path
    scope: Scope
    n: int
    count: int | None

    def arguments(self, strides: bool) -> dict[str, Given]:
        """Its arguments, each with the place where its value is written; with `strides` one applies to the first."""
        pattern = self.item.entry
        assert isinstance(pattern, Pattern)
        found = {key: self.scope.given(value, (*self.path, key)) for key, value in pattern.arguments.items()}
        if strides and self.n and "stride" in found:
            found["stride"] = Given(1, found["stride"].path)
        return found | {key: self._own(key, values) for key, values in pattern.each.items()}

    def _own(self, key: str, values: Any) -> Given:
        """Its value of an `each`."""
        at = (*self.path, "each", key)
        listed = self.scope.given(values, at)
        if listed.value is UNKNOWN:
            return listed
        if isinstance(listed.value, list) and len(listed.value) == self.count:
            return Given(listed.value[self.n], (*listed.path, self.n) if listed.path == at else listed.path)
        text = f"`each` needs a list of {self.count} values of `{key}`, one a repetition"
        text = text if self.count is not None else "`each` stands beside `repeat`, whose values it lists"
        self.scope.say(Problem("SPC216", text, at, "not one value a repetition"))
        return Given(UNKNOWN, at)
