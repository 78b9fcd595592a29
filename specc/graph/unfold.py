"""Lists of layers with repetitions and groups, unfolded into layers one by one; mistakes in names and arguments."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from ..diagnostics import did_you_mean
from ..system.plugins import PluginError
from .builder import MOST_OPS
from .faults import faults, unknown_group, unknown_op
from .graph import INPUT
from .groups import Definition, Definitions, at_group, circles
from .ops import Shape
from .ops.entry import Entry, kind_of, make
from .parameters import UNKNOWN, Given, Repetition, Scope
from .patterns import REPEATS, SHAPES, LayerEntry, Pattern, is_count, is_shape
from .problems import Path, Problem

MOST_LAYERS = MOST_OPS  # a slip in nested repetitions would otherwise be answered with a hang
LOST = "?"  # stands for a layer that a mistake hides; no layer's name has a `?`


@dataclass(slots=True)
class LayerToBuild:
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
    layers: list[LayerToBuild] = field(default_factory=list)
    taken: dict[str, Path] = field(default_factory=dict)  # every name -> where
    last: dict[str, str] = field(default_factory=dict)  # every name -> the layer that it stands for
    circular: Mapping[str, Problem] = field(default_factory=dict)
    outside: tuple[str, ...] = ()  # names that no group can read
    tried: bool = False

    def run(self, items: Sequence[LayerEntry]) -> None:
        """Look at every group by itself, then at the backbone's own list."""
        self.circular = circles(self.definitions)
        for circle in self.circular.values():
            self.say(circle)
        self.outside = (INPUT, *(item.name for item in items))
        for name, definition in self.definitions.items():
            self._try(name, definition)
        self._list(items, Scope(self.say, {INPUT: INPUT}), (INPUT,))

    def say(self, problem: Problem) -> None:
        """Remember a mistake, once a place: a group is looked at whenever it is used."""
        if all((known.code, known.path) != (problem.code, problem.path) for known in self.problems):
            self.problems.append(problem)

    def _try(self, name: str, definition: Definition) -> None:
        inner = Unfolding(self.definitions, self.problems, circular=self.circular, outside=self.outside, tried=True)
        defaults = definition.defaults
        given = {p: Given(defaults.get(p, UNKNOWN), at_group(name, "defaults", p)) for p in definition.parameters}
        inputs = {key: key for key in definition.inputs}
        scope = Scope(self.say, inputs, at_group(name, "layers"), "", given, name)
        inner._list(definition.layers, scope, (next(iter(inputs)),))

    def _list(self, items: Sequence[LayerEntry], scope: Scope, reads: tuple[str, ...]) -> str:
        """Add a list, whose first layer reads `reads`; returns its last layer."""
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
        if full not in self.taken:
            self.taken[full] = path
            return True
        first = (((*self.taken[full], "name"), "first used here"),)
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
        """Add an entry with its repetitions; returns the last layer."""
        count = self._count(item, path, scope)
        last = LOST
        for n in range(count or 1):
            name = full if count is None else f"{full}.{n}"
            if count is not None and not self._claim(name, f"{item.name}.{n}", path):
                return LOST
            repetition = Repetition(item, path, scope, n, count)
            if item.group is None:
                self._add(LayerToBuild(name, self._entry(repetition), reads, path, scope.uses))
                last = self.last[name] = name
                reads = (last,)
            else:
                last = self.last[name] = self._group(repetition, item.group, name, reads)
                reads = (last, *reads[1:])
        self.last[full] = last
        if item.expect is not None and last != LOST and self.layers:
            self._expect(item, last, path, scope)
        return last

    def _add(self, layer: LayerToBuild) -> None:
        if len(self.layers) == MOST_LAYERS:
            text = f"the backbone has more than {MOST_LAYERS:,} layers"
            path = layer.uses[0][0] if layer.uses else layer.path
            self.say(Problem("SPC217", text, path, "too many from here on"))
        if len(self.layers) <= MOST_LAYERS:
            self.layers.append(layer)

    def _expect(self, item: LayerEntry, last: str, path: Path, scope: Scope) -> None:
        values = scope.value(list(item.expect or ()), (*path, "expect"))
        if is_shape(values):
            self.layers[-1].expects.append((last, tuple(values), (*path, "expect")))
        elif values is not UNKNOWN:
            self.say(_misused(SHAPES, "expect", item, path))

    def _count(self, item: LayerEntry, path: Path, scope: Scope) -> int | None:
        if item.repeat is None:
            return None
        value = scope.value(item.repeat, (*path, "repeat"))
        if is_count(value):
            return int(value)
        if value is not UNKNOWN:
            self.say(_misused(REPEATS, "repeat", item, path))
        return 1

    def _group(self, use: Repetition, group: str, name: str, reads: tuple[str, ...]) -> str:
        """Add a group's layers in the place of one repetition of its use; returns the last of them."""
        definition = self.definitions.get(group)
        if definition is None:
            help = unknown_group(group, self.definitions)
            self.say(Problem("SPC210", f"no group is called `{group}`", (*use.path, "group"), "unknown group", help))
            return LOST
        given = self._given(use, group, definition)
        wanted = len(definition.inputs)
        if len(reads) != wanted:
            text = f"the group `{group}` takes {wanted} input{'s' * (wanted != 1)}, not {len(reads)}"
            self.say(Problem("SPC302", f"`{use.item.name}` does not fit: {text}", use.path, "does not fit"))
            return LOST
        if self.tried or group in self.circular or len(self.layers) > MOST_LAYERS:
            return name if self.tried else LOST
        uses = (*use.scope.uses, ((*use.path, "name"), f"part of `{name}`"))
        inputs = dict(zip(definition.inputs, reads, strict=True))
        inside = Scope(self.say, inputs, at_group(group, "layers"), f"{name}.", given, group, uses)
        return self._list(definition.layers, inside, reads[:1])

    def _given(self, use: Repetition, group: str, definition: Definition) -> dict[str, Given]:
        """The values of a group's parameters in one repetition of its use."""
        found = use.arguments("stride" in definition.parameters)
        for key in set(found) - set(definition.parameters):
            help = did_you_mean(key, definition.parameters)
            text = f"the group `{group}` has no parameter `{key}`"
            assert isinstance(use.item.entry, Pattern)
            at = (*use.path, "each", key) if key in use.item.entry.each else (*use.path, key)
            self.say(Problem("SPC211", text, at, "unknown parameter", help, named=True))
        for key in definition.parameters:
            if key not in found and key not in definition.defaults:
                text = f"the group `{group}` needs the parameter `{key}`"
                self.say(Problem("SPC212", text, (*use.path, "group"), f"`{key}` is missing"))
        defaults = {key: Given(v, at_group(group, "defaults", key)) for key, v in definition.defaults.items()}
        return {key: Given(UNKNOWN, use.path) for key in definition.parameters} | defaults | found

    def _entry(self, use: Repetition) -> Entry | None:
        """What one repetition does; None where a mistake hides that."""
        entry, path = use.item.entry, use.path
        if isinstance(entry, Entry):
            return _repeated(entry, use.n)
        try:
            kind = kind_of(entry.name)
        except PluginError as error:
            self.say(Problem("SPC112", str(error), (*path, "op"), "cannot be used", (error.help,)))
            return None
        if kind is None:
            help, text = unknown_op(entry.name, self.definitions), f"unknown op `{entry.name}`"
            self.say(Problem("SPC203", text, (*path, "op"), "not in the vocabulary", help))
            return None
        found = use.arguments(strides=True)
        known = {key: given.value for key, given in found.items() if given.value is not UNKNOWN}
        wrong = list(faults(kind, known, hidden=found.keys() - known.keys()))
        for fault in wrong:
            at = found[str(fault.path[0])].path if fault.path else path
            related = () if at[: len(path)] == path else (((*path, *fault.path), "used here"),)
            self.say(replace(fault, path=at, related=related))
        return None if wrong or len(known) < len(found) else Entry(entry.name, make(kind, known))


def _misused(rule: str, key: str, item: LayerEntry, path: Path) -> Problem:
    reason = rule.replace("Input should be", "must be")
    return Problem("SPC103", f"`{key}` of `{item.name}` {reason}", (*path, key), reason)


def _repeated(entry: Entry, n: int) -> Entry:
    """The n-th repetition: a stride applies to the first."""
    if n == 0 or getattr(entry.args, "stride", None) is None:
        return entry
    return Entry(entry.op, replace(entry.args, stride=1))  # type: ignore[type-var]
