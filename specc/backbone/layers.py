"""``layers:``, the user's own graph: an ordered list of named layers, each an op or a macro."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, ClassVar

from pydantic import Field, PlainSerializer, PlainValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from ..diagnostics import did_you_mean
from ..schema import MOST, Config
from .builder import LayerBuilder, NameTaken
from .graph import INPUT, BackboneGraph
from .macros import MACROS
from .ops import OPS, Op, Shape, ShapeError, show
from .ops.entry import Entry, dump, parse
from .problems import BackboneError, Path, Problem

OWN_KEYS = ("name", "from", "repeat", "expect")
MOST_REPEATS = 10_000


@dataclass(frozen=True, slots=True)
class LayerEntry:
    """One entry of the list: what it is called, what it does, what it reads."""

    name: str
    entry: Entry
    sources: tuple[str, ...] = ()  # names of layers; the layer before where empty
    repeat: int | None = None
    expect: Shape | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The layers it makes."""
        return (self.name,) if self.repeat is None else tuple(f"{self.name}.{i}" for i in range(self.repeat))


def parse_layer(value: Any) -> LayerEntry:
    """An entry from a mapping; errors name the key in their context."""
    if isinstance(value, LayerEntry):
        return value
    if not isinstance(value, Mapping):
        raise PydanticCustomError("op_entry", "a layer is a mapping such as `{name: stem, op: conv, out: 16}`", {})
    own = {key: value[key] for key in OWN_KEYS if key in value}
    entry = parse({key: item for key, item in value.items() if key not in OWN_KEYS})
    return LayerEntry(_name(own), entry, _sources(own), _repeat(own), _expect(own))


def _wrong(key: str, reason: str) -> PydanticCustomError:
    context = {"name": "layer", "key": key, "reason": reason}
    return PydanticCustomError("op_value", "argument `{key}` of `{name}`: {reason}", context)


def _name(own: Mapping[str, Any]) -> str:
    name = own.get("name")
    if name is None:
        raise PydanticCustomError("op_missing", "a layer needs a name", {"name": "layer", "key": "name"})
    if not isinstance(name, str) or not name.replace("_", "a").replace(".", "a").isalnum() or name == INPUT:
        raise _wrong("name", "Input should be a name of letters, digits, `_` and `.` other than `input`")
    return name


def _sources(own: Mapping[str, Any]) -> tuple[str, ...]:
    value = own.get("from", ())
    names = (value,) if isinstance(value, str) else value
    if not isinstance(names, (list, tuple)) or not all(isinstance(name, str) for name in names):
        raise _wrong("from", "Input should be the name of a layer or a list of names")
    return tuple(names)


def _repeat(own: Mapping[str, Any]) -> int | None:
    value = own.get("repeat")
    if value is not None and (type(value) is not int or not 1 <= value <= MOST_REPEATS):
        raise _wrong("repeat", f"Input should be a whole number from 1 to {MOST_REPEATS}")
    return value


def _expect(own: Mapping[str, Any]) -> Shape | None:
    value = own.get("expect")
    if value is None:
        return None
    if not isinstance(value, (list, tuple)) or not value or not all(type(n) is int and 0 < n <= MOST for n in value):
        raise _wrong("expect", "Input should be a shape such as [64, 8, 8]")
    return tuple(value)


def dump_layer(layer: LayerEntry) -> dict[str, Any]:
    """The mapping an entry was read from."""
    own: dict[str, Any] = {"name": layer.name}
    if layer.sources:
        own["from"] = list(layer.sources)
    if layer.repeat is not None:
        own["repeat"] = layer.repeat
    if layer.expect is not None:
        own["expect"] = list(layer.expect)
    return own | dump(layer.entry)


LayerItem = Annotated[
    LayerEntry,
    PlainValidator(parse_layer),
    PlainSerializer(dump_layer),
    WithJsonSchema({
        "type": "object",
        "required": ["name", "op"],
        "properties": {
            "name": {"type": "string", "description": "unique; `from:`, `split.after` and `ema_links` refer to it"},
            "op": {"enum": [*OPS, *MACROS], "description": "an op or a macro; its arguments stand beside it"},
            "from": {"description": "the layer or layers it reads; by default the one before"},
            "repeat": {
                "type": "integer",
                "minimum": 1,
                "maximum": MOST_REPEATS,
                "description": "makes name.0, name.1, ...; a stride applies to the first",
            },
            "expect": {
                "type": "array",
                "items": {"type": "integer", "minimum": 1, "maximum": MOST},
                "description": "asserted output shape, without the batch",
            },
        },
    }),
]  # fmt: skip


class Layers(Config):
    """Your own graph: named layers in order, each reading the one before unless `from:` says otherwise."""

    layers: list[LayerItem] = Field(min_length=1, description="ops and macros by name, see the op reference")

    aliases: ClassVar[dict[str, str]] = {"graph": "layers", "nodes": "layers"}
    alternatives: ClassVar[tuple[str, ...]] = ("layers",)

    def expand(self, input: Shape, classes: int) -> BackboneGraph:
        """The graph for images of shape `input`; raises `BackboneError` with all that is wrong."""
        return _Expansion(self.layers, input, classes).run()

    def remarks(self, input: Shape) -> tuple[Problem, ...]:
        """What the user should know of how images are read: nothing that the layers do not say."""
        return ()


@dataclass
class _Expansion:
    entries: Sequence[LayerEntry]
    input: Shape
    classes: int
    problems: list[Problem] = field(default_factory=list)
    outputs: dict[str, str] = field(default_factory=dict)  # layer -> node that it hands on
    places: dict[str, int] = field(default_factory=dict)  # layer -> entry
    unknown: set[str] = field(default_factory=set)  # layers whose shape an earlier mistake hides

    def run(self) -> BackboneGraph:
        builder = LayerBuilder(self.input)
        self.outputs[INPUT] = INPUT
        numbered = reversed(list(enumerate(self.entries)))
        all_names = {name: i for i, entry in numbered for name in (*entry.names, entry.name)}
        previous = INPUT
        for i, entry in enumerate(self.entries):
            sources = list(self._sources(i, entry, all_names)) if entry.sources else [previous]
            self._register(i, entry)
            self._add(builder, i, entry, sources)
            previous = entry.names[-1]
        if not self.problems:
            self.problems += _check_ends(builder, self.entries, self.classes)
        if self.problems:
            raise BackboneError(*self.problems)
        return builder.backbone()

    def _register(self, i: int, entry: LayerEntry) -> None:
        for name in dict.fromkeys((*entry.names, entry.name)):
            if name in self.places:
                first = ((at(self.places[name], "name"), "first used here"),)
                text = f"two layers are called `{name}`"
                self.problems.append(Problem("SPC202", text, at(i, "name"), "taken", related=first))
                return
            self.places[name] = i

    def _sources(self, i: int, entry: LayerEntry, all_names: Mapping[str, int]) -> Iterator[str]:
        for name in entry.sources:
            if name == INPUT or name in self.places:
                yield name if name == INPUT else self._last_of(name)
                continue
            path = at(i, "from")
            if name in all_names:
                text = f"`{entry.name}` reads `{name}`, which comes later: layers stand in order, without cycles"
                related = ((at(all_names[name], "name"), "defined here"),)
                self.problems.append(Problem("SPC306", text, path, "not made yet", related=related))
            else:
                help = did_you_mean(name, self.places)
                self.problems.append(Problem("SPC201", f"no layer is called `{name}`", path, "unknown layer", help))
            self.unknown.update(entry.names)

    def _last_of(self, name: str) -> str:
        known = name in self.outputs or name in self.unknown
        return name if known else self.entries[self.places[name]].names[-1]

    def _add(self, b: LayerBuilder, i: int, entry: LayerEntry, sources: list[str]) -> None:
        if any(source in self.unknown for source in sources) or self.unknown.intersection(entry.names):
            self.unknown.update(entry.names)
            return
        nodes = [self.outputs[source] for source in sources]
        for n, name in enumerate(entry.names):
            try:
                with b.layer(name, at(i)):
                    _expand(b, _repeated(entry.entry, n), nodes)
            except ShapeError as error:
                self.problems.append(self._misfit(b, i, name, sources, error))
                self.unknown.update(entry.names[n:])
                return
            nodes = [b.last]
            self.outputs[name] = b.last
        if entry.expect is not None and b.shape != entry.expect:
            text = f"`{entry.names[-1]}` gives {show(b.shape)}, not the expected {show(entry.expect)}"
            self.problems.append(Problem("SPC303", text, at(i, "expect"), f"is {show(b.shape)}"))

    def _taken(self, b: LayerBuilder, i: int, name: str, node: str) -> Problem:
        """A part of this layer has the name of a part of another one."""
        owner = next((layer for layer in b.layers if any(node == part.name for part in layer.nodes)), None)
        if owner is None:
            return Problem("SPC209", f"two parts of `{name}` would be called `{node}`", at(i), "taken")
        text = f"`{name}` would have a part called `{node}`, and `{owner.name}` has one"
        related = ((at(self.places[owner.name], "name"), "has a part of this name"),)
        return Problem("SPC209", text, at(i, "name"), "taken", ("give one of the two another name",), related)

    def _misfit(self, b: LayerBuilder, i: int, name: str, sources: list[str], error: ShapeError) -> Problem:
        """A shape error, with the places where the shapes come from."""
        if isinstance(error, NameTaken):
            return self._taken(b, i, name, error.name)
        related = tuple(
            (at(self.places[source], "name"), f"`{source}` gives {show(b.shapes[self.outputs[source]])}")
            for source in sources
            if source != INPUT
        )
        return Problem("SPC302", f"`{name}` does not fit: {error}", at(i), "does not fit", related=related)


def at(i: int, *key: str) -> Path:
    """Where the spec speaks of entry `i`."""
    return ("backbone", "layers", i, *key)


def _repeated(entry: Entry, n: int) -> Entry:
    """The n-th repetition: a stride applies to the first."""
    if n == 0 or getattr(entry.args, "stride", None) is None:
        return entry
    return Entry(entry.op, replace(entry.args, stride=1))  # type: ignore[type-var]


def _expand(b: LayerBuilder, entry: Entry, nodes: list[str]) -> None:
    """Append an entry that reads `nodes`."""
    if isinstance(entry.args, Op):
        if entry.args.blocks_gradient and (trained := b.trained_before(nodes)):
            raise ShapeError(f"`{entry.op}` gives no gradient to what it reads, so that `{trained}` would never learn")
        b.add(entry.args, None, nodes)
    elif len(nodes) > 1:
        raise ShapeError(f"`{entry.op}` takes 1 input, not {len(nodes)}")
    else:
        b.last = nodes[0]
        entry.args.expand(b)


def _check_ends(b: LayerBuilder, entries: Sequence[LayerEntry], classes: int) -> Iterator[Problem]:
    """One sink, the last layer, that gives one number a class."""
    read = {name for node in b.nodes for name in node.inputs}
    owner = {layer.nodes[-1].name: layer for layer in b.layers if layer.nodes}
    for node, layer in owner.items():
        if node not in read and layer is not b.layers[-1]:
            text = f"nobody reads `{layer.name}`: a backbone has one end, its last layer"
            yield Problem("SPC305", text, (*layer.path, "name"), "a loose end")
    if b.shape != (classes,):
        text = f"the last layer `{b.layers[-1].name}` gives {show(b.shape)}, but the data set has {classes} classes"
        yield Problem("SPC304", text, at(len(entries) - 1), f"must give {classes} numbers")
