"""Lists of layers with repetitions and groups, unfolded into layers one by one; mistakes in names and arguments."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ..diagnostics import did_you_mean
from ..system.plugins import PluginError
from .builder import MOST_OPS
from .faults import faults
from .graph import INPUT
from .groups import Definition, Definitions, at_group, circles
from .near_names import unknown_group, unknown_op
from .ops import Shape
from .ops.entry import Entry, kind_of, make
from .patterns import REPEATS, SHAPES, LayerEntry, Pattern, is_count, is_parameter, is_shape
from .problems import Path, Problem

MOST_LAYERS = MOST_OPS  # a slip in nested repetitions would otherwise be answered with a hang
LOST = "?"  # stands for a layer that a mistake hides; no layer's name has a `?`


@dataclass(frozen=True, slots=True)
class Given:
    """The value of a parameter, and where the spec says it."""

    value: Any
    path: Path


class _Unknown:
    """A value that is not known: because of a mistake, or because a group is looked at without a use."""


UNKNOWN = _Unknown()


@dataclass(frozen=True, slots=True)
class Scope:
    """What a list of layers sees: its own place, and for a group what it reads and the values of its parameters."""

    path: Path = ("backbone", "layers")
    prefix: str = ""
    inputs: Mapping[str, str] = field(default_factory=lambda: {INPUT: INPUT})
    values: Mapping[str, Given] = field(default_factory=dict)
    group: str = ""
    uses: tuple[tuple[Path, str], ...] = ()  # the layers that the groups around it are used as


@dataclass(slots=True)
class Placed:
    """One layer to be built: what it does (None: a mistake hides that), and the layers that it reads."""

    name: str
    entry: Entry | None
    reads: tuple[str, ...]
    path: Path
    uses: tuple[tuple[Path, str], ...] = ()
    expects: list[tuple[str, Shape, Path]] = field(default_factory=list)  # whose shape, which, and where it says so


@dataclass
class Unfolding:
    """The layers of a backbone in order. `tried`: a group by itself, whose parameters and inner groups are unknown."""

    definitions: Definitions
    problems: list[Problem] = field(default_factory=list)
    placed: list[Placed] = field(default_factory=list)
    places: dict[str, Path] = field(default_factory=dict)  # every name -> where it is taken
    last: dict[str, str] = field(default_factory=dict)  # every name -> the layer that it stands for
    circular: Mapping[str, Problem] = field(default_factory=dict)
    outside: tuple[str, ...] = ()  # names that no group can read
    tried: bool = False

    def run(self, entries: Sequence[LayerEntry]) -> None:
        """Look at every group by itself, then at the backbone's own list."""
        self.circular = circles(self.definitions)
        for circle in self.circular.values():
            self.say(circle)
        self.outside = (INPUT, *(entry.name for entry in entries))
        for name, definition in self.definitions.items():
            self._try(name, definition)
        self._list(entries, Scope(), (INPUT,))

    def say(self, problem: Problem) -> None:
        """Remember a mistake, once a place: a group is looked at whenever it is used."""
        if all((known.code, known.path) != (problem.code, problem.path) for known in self.problems):
            self.problems.append(problem)

    def _try(self, name: str, definition: Definition) -> None:
        inner = Unfolding(self.definitions, self.problems, circular=self.circular, outside=self.outside, tried=True)
        defaults = definition.defaults
        given = {p: Given(defaults.get(p, UNKNOWN), at_group(name, "defaults", p)) for p in definition.parameters}
        inputs = {key: key for key in definition.inputs}
        scope = Scope(at_group(name, "layers"), "", inputs, given, name)
        inner._list(definition.layers, scope, (next(iter(inputs)),))

    def _list(self, items: Sequence[LayerEntry], scope: Scope, reads: tuple[str, ...]) -> str:
        """Place a list, whose first layer reads `reads`; returns its last layer."""
        last = LOST
        for i, item in enumerate(items):
            path = (*scope.path, i)
            if item.sources:
                reads = tuple(self._reads(item, i, items, scope))
            last = self._item(item, path, self._claimed(item, path, scope), reads, scope)
            reads = (last,)
        return last

    # -- names --------------------------------------------------------------------------------------------------------

    def _claimed(self, item: LayerEntry, path: Path, scope: Scope) -> str:
        """The layer's full name; that of a layer whose name is taken is one that nobody can write."""
        full = scope.prefix + item.name
        return full if self._claim(full, item.name, path) else f"{full}{LOST}"

    def _claim(self, full: str, name: str, path: Path) -> bool:
        if full not in self.places:
            self.places[full] = path
            return True
        first = (((*self.places[full], "name"), "first used here"),)
        self.say(Problem("SPC202", f"two layers are called `{name}`", (*path, "name"), "taken", related=first))
        return False

    def _reads(self, item: LayerEntry, i: int, items: Sequence[LayerEntry], scope: Scope) -> Iterator[str]:
        for name in item.sources:
            if name in scope.inputs:
                yield scope.inputs[name]
            elif scope.prefix + name in self.last:
                yield self.last[scope.prefix + name]
            elif self.tried and any(layer.group and name.startswith(f"{layer.name}.") for layer in items[:i]):
                yield LOST  # inside of a group that is looked at when it is used
            else:
                self.say(self._unread(item, name, (*scope.path, i), items[i:], scope))
                yield LOST

    def _unread(self, item: LayerEntry, name: str, path: Path, later: Sequence[LayerEntry], scope: Scope) -> Problem:
        """Why a layer cannot read a name: it comes later, it is not the group's to read, or there is none."""
        at = (*path, "from")
        for k, other in enumerate(later):
            if other.name == name or name.startswith(f"{other.name}."):
                text = f"`{item.name}` reads `{name}`, which comes later: layers stand in order, without cycles"
                related = (((*path[:-1], int(path[-1]) + k, "name"), "defined here"),)
                return Problem("SPC306", text, at, "not made yet", related=related)
        if scope.group and name in self.outside:
            text = f"`{name}` is not inside of the group `{scope.group}`"
            inputs = ", ".join(f"`{key}`" for key in scope.inputs)
            help = (f"a group reads its inputs ({inputs}): add one, and give `{name}` in the `from:` of its uses",)
            return Problem("SPC215", text, at, "outside of the group", help)
        known = [key.removeprefix(scope.prefix) for key in self.last if key.startswith(scope.prefix)]
        near = did_you_mean(name, [*known, *scope.inputs])
        return Problem("SPC201", f"no layer is called `{name}`", at, "unknown layer", near)

    # -- layers -------------------------------------------------------------------------------------------------------

    def _item(self, item: LayerEntry, path: Path, full: str, reads: tuple[str, ...], scope: Scope) -> str:
        """Place an entry with its repetitions; returns the last layer."""
        count = self._count(item, path, scope)
        last = LOST
        for n in range(count or 1):
            name = full if count is None else f"{full}.{n}"
            if count is not None and not self._claim(name, f"{item.name}.{n}", path):
                return LOST
            if item.group is None:
                entry = self._entry(item, n, count, path, scope)
                self._place(Placed(name, entry, reads, path, scope.uses))
                last = self.last[name] = name
                reads = (last,)
            else:
                last = self.last[name] = self._group(item, n, count, path, name, reads, scope)
                reads = (last, *reads[1:])
        self.last[full] = last
        if item.expect is not None and last != LOST and self.placed:
            self._expect(item, last, path, scope)
        return last

    def _place(self, layer: Placed) -> None:
        if len(self.placed) == MOST_LAYERS:
            text = f"the backbone has more than {MOST_LAYERS:,} layers"
            path = layer.uses[0][0] if layer.uses else layer.path
            self.say(Problem("SPC217", text, path, "too many from here on"))
        if len(self.placed) <= MOST_LAYERS:
            self.placed.append(layer)

    def _expect(self, item: LayerEntry, last: str, path: Path, scope: Scope) -> None:
        values = self._value(list(item.expect or ()), (*path, "expect"), scope)
        if is_shape(values):
            self.placed[-1].expects.append((last, tuple(values), (*path, "expect")))
        elif values is not UNKNOWN:
            self.say(_misused(SHAPES, "expect", item, path))

    def _count(self, item: LayerEntry, path: Path, scope: Scope) -> int | None:
        if item.repeat is None:
            return None
        value = self._value(item.repeat, (*path, "repeat"), scope)
        if is_count(value):
            return int(value)
        if value is not UNKNOWN:
            self.say(_misused(REPEATS, "repeat", item, path))
        return 1

    def _group(self, item: LayerEntry, n: int, count: int | None, path: Path, name: str, reads: tuple[str, ...],
               scope: Scope) -> str:  # fmt: skip
        """Place a group's layers in the place of the n-th repetition of its use."""
        group = item.group or ""
        definition = self.definitions.get(group)
        if definition is None:
            help = unknown_group(group, self.definitions)
            self.say(Problem("SPC210", f"no group is called `{group}`", (*path, "group"), "unknown group", help))
            return LOST
        given = self._given(item, n, count, path, scope, definition)
        wanted = len(definition.inputs)
        if len(reads) != wanted:
            text = f"the group `{group}` takes {wanted} input{'s' * (wanted != 1)}, not {len(reads)}"
            self.say(Problem("SPC302", f"`{item.name}` does not fit: {text}", path, "does not fit"))
            return LOST
        if self.tried or group in self.circular or len(self.placed) > MOST_LAYERS:
            return name if self.tried else LOST
        uses = (*scope.uses, ((*path, "name"), f"part of `{name}`"))
        inputs = dict(zip(definition.inputs, reads, strict=True))
        return self._list(
            definition.layers, Scope(at_group(group, "layers"), f"{name}.", inputs, given, group, uses), reads[:1]
        )

    # -- values -------------------------------------------------------------------------------------------------------

    def _given(self, item: LayerEntry, n: int, count: int | None, path: Path, scope: Scope,
               definition: Definition) -> dict[str, Given]:  # fmt: skip
        """The values of a group's parameters in the n-th repetition of a use."""
        found = self._arguments(item, n, count, path, scope, "stride" in definition.parameters)
        for key in set(found) - set(definition.parameters):
            help = did_you_mean(key, definition.parameters)
            text = f"the group `{item.group}` has no parameter `{key}`"
            assert isinstance(item.entry, Pattern)
            at = (*path, "each", key) if key in item.entry.each else (*path, key)
            self.say(Problem("SPC211", text, at, "unknown parameter", help, named=True))
        for key in definition.parameters:
            if key not in found and key not in definition.defaults:
                text = f"the group `{item.group}` needs the parameter `{key}`"
                self.say(Problem("SPC212", text, (*path, "group"), f"`{key}` is missing"))
        defaults = {
            key: Given(v, at_group(item.group or "", "defaults", key)) for key, v in definition.defaults.items()
        }
        return {key: Given(UNKNOWN, path) for key in definition.parameters} | defaults | found

    def _entry(self, item: LayerEntry, n: int, count: int | None, path: Path, scope: Scope) -> Entry | None:
        """What the n-th repetition does; None where a mistake hides that."""
        if isinstance(item.entry, Entry):
            return _repeated(item.entry, n)
        try:
            kind = kind_of(item.entry.name)
        except PluginError as error:
            self.say(Problem("SPC112", str(error), (*path, "op"), "cannot be used", (error.help,)))
            return None
        if kind is None:
            help, text = unknown_op(item.entry.name, self.definitions), f"unknown op `{item.entry.name}`"
            self.say(Problem("SPC203", text, (*path, "op"), "not in the vocabulary", help))
            return None
        found = self._arguments(item, n, count, path, scope, strides=True)
        known = {key: given.value for key, given in found.items() if given.value is not UNKNOWN}
        wrong = list(faults(kind, known, hidden=found.keys() - known.keys()))
        for fault in wrong:
            at = found[fault.key].path if fault.key else path
            related = () if at[: len(path)] == path or not fault.key else (((*path, fault.key), "used here"),)
            self.say(Problem(fault.code, fault.message, at, fault.label, fault.help, related, named=fault.named))
        return None if wrong or len(known) < len(found) else Entry(item.entry.name, make(kind, known))

    def _arguments(self, item: LayerEntry, n: int, count: int | None, path: Path, scope: Scope,
                   strides: bool) -> dict[str, Given]:  # fmt: skip
        """The arguments of the n-th repetition, each with the place where its value is written."""
        pattern = item.entry
        assert isinstance(pattern, Pattern)
        found = {key: self._argument(value, (*path, key), scope) for key, value in pattern.arguments.items()}
        if strides and n and "stride" in found:  # a stride applies to the first
            found["stride"] = Given(1, found["stride"].path)
        for key, values in pattern.each.items():
            at = (*path, "each", key)
            listed = self._argument(values, at, scope)
            if listed.value is UNKNOWN:
                found[key] = listed
            elif not isinstance(listed.value, list) or len(listed.value) != count:
                text = f"`each` needs a list of {count} values of `{key}`, one a repetition"
                text = text if count is not None else "`each` stands beside `repeat`, whose values it lists"
                self.say(Problem("SPC216", text, at, "not one value a repetition"))
                found[key] = Given(UNKNOWN, at)
            else:
                found[key] = Given(listed.value[n], (*listed.path, n) if listed.path == at else listed.path)
        return found

    def _argument(self, value: Any, path: Path, scope: Scope) -> Given:
        """A value with its parameters put in; where it is nothing but one, its place is that of what is given."""
        known = self._value(value, path, scope)
        whole = is_parameter(value) and value[1:] in scope.values and known is not UNKNOWN
        return Given(known, scope.values[value[1:]].path if whole else path)

    def _value(self, value: Any, path: Path, scope: Scope) -> Any:
        if isinstance(value, (list, tuple)):
            items = [self._value(item, (*path, i), scope) for i, item in enumerate(value)]
            return UNKNOWN if any(item is UNKNOWN for item in items) else items
        if not is_parameter(value):
            return value
        if value[1:] in scope.values:
            return scope.values[value[1:]].value
        where = f"the group `{scope.group}` has no parameter" if scope.group else "outside of a group there is no"
        help = did_you_mean(value[1:], scope.values) if scope.values else ()
        self.say(Problem("SPC211", f"{where} `{value}`", path, "unknown parameter", help))
        return UNKNOWN


def _misused(rule: str, key: str, item: LayerEntry, path: Path) -> Problem:
    reason = rule.replace("Input should be", "must be")
    return Problem("SPC103", f"`{key}` of `{item.name}` {reason}", (*path, key), reason)


def _repeated(entry: Entry, n: int) -> Entry:
    """The n-th repetition: a stride applies to the first."""
    if n == 0 or getattr(entry.args, "stride", None) is None:
        return entry
    return Entry(entry.op, replace(entry.args, stride=1))  # type: ignore[type-var]
