"""One entry of a list of layers as YAML writes it: what it is called, what it does, what it reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Annotated, Any, Literal

from pydantic import PlainSerializer, PlainValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from ..language.schema import MOST
from .graph import INPUT
from .macros import MACROS
from .ops import OPS
from .ops.entry import Entry, dump, parse

OWN_KEYS = ("name", "group", "from", "repeat", "each", "expect")
MOST_REPEATS = 1_000


@dataclass(frozen=True, slots=True)
class Pattern:
    """An op or a group whose arguments wait for the parameters of a group, or for the repetition."""

    kind: Literal["op", "group"]
    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    each: Mapping[str, Any] = field(default_factory=dict)  # a list of values, one a repetition


@dataclass(frozen=True, slots=True)
class LayerEntry:
    """One entry of the list."""

    name: str
    entry: Entry | Pattern
    sources: tuple[str, ...] = ()  # names of layers; the layer before where empty
    repeat: int | str | None = None  # text: a parameter of the group that the entry stands in
    expect: tuple[Any, ...] | None = None  # a shape, whose numbers may be parameters

    @property
    def group(self) -> str | None:
        """The group that it is one of."""
        return self.entry.name if isinstance(self.entry, Pattern) and self.entry.kind == "group" else None


def waits(value: Mapping[str, Any]) -> bool:
    """Whether an entry of the backbone's own list is one whose arguments are looked at when it is placed."""
    return "group" in value or "each" in value


def parse_layer(value: Any, *, inner: bool) -> LayerEntry:
    """An entry of the backbone's own list, or of a group's: then its arguments are looked at when the group is used.

    Errors name the key in their context.
    """
    if isinstance(value, LayerEntry):
        return value
    if not isinstance(value, Mapping):
        raise PydanticCustomError("op_entry", "a layer is a mapping such as `{name: stem, op: conv, out: 16}`", {})
    own = {key: value[key] for key in OWN_KEYS if key in value}
    rest = {key: item for key, item in value.items() if key not in OWN_KEYS}
    name = _name(own)
    entry = _pattern(own, rest) if inner or waits(own) else parse(rest)
    return LayerEntry(name, entry, _sources(own), _repeat(own, inner), _expect(own, inner))


def _pattern(own: Mapping[str, Any], rest: dict[str, Any]) -> Pattern:
    op, group = rest.pop("op", None), own.get("group")
    if (op is None) == (group is None):
        raise _wrong("group" if op else "op", "cannot stand beside the other: a layer is either an `op` or a `group`")
    if not isinstance(op or group, str):
        raise _wrong("op" if op else "group", "Input should be a name")
    each = own.get("each", {})
    if not isinstance(each, Mapping) or not all(isinstance(key, str) for key in each):
        raise _wrong("each", "Input should be a mapping such as `{out: [8, 16, 32]}`")
    return Pattern("op" if op else "group", str(op or group), rest, each)


def is_parameter(value: Any) -> bool:
    """Whether a value stands for a parameter of the group around it."""
    return isinstance(value, str) and value.startswith("$")


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


def is_count(value: Any) -> bool:
    """Whether a value says how often something is repeated."""
    return type(value) is int and 1 <= value <= MOST_REPEATS


REPEATS = f"Input should be a whole number from 1 to {MOST_REPEATS}"


def _repeat(own: Mapping[str, Any], inner: bool) -> int | str | None:
    value = own.get("repeat")
    if value is not None and not is_count(value) and not (inner and is_parameter(value)):
        raise _wrong("repeat", REPEATS)
    return value


def is_shape(value: Any) -> bool:
    """Whether a value is a shape without the batch."""
    return isinstance(value, (list, tuple)) and bool(value) and all(type(n) is int and 0 < n <= MOST for n in value)


SHAPES = "Input should be a shape such as [64, 8, 8]"


def _expect(own: Mapping[str, Any], inner: bool) -> tuple[Any, ...] | None:
    value = own.get("expect")
    if value is None:
        return None
    known = [n for n in value if not (inner and is_parameter(n))] if isinstance(value, (list, tuple)) else value
    if not is_shape(known) and (known or not value):
        raise _wrong("expect", SHAPES)
    return tuple(value)


def dump_layer(layer: LayerEntry) -> dict[str, Any]:
    """The mapping an entry was read from."""
    own: dict[str, Any] = {"name": layer.name, "from": list(layer.sources), "repeat": layer.repeat}
    own["expect"] = list(layer.expect or ())
    if isinstance(layer.entry, Entry):
        does = dump(layer.entry)
    else:
        own["each"] = dict(layer.entry.each)
        does = {layer.entry.kind: layer.entry.name, **layer.entry.arguments}
    return {key: value for key, value in own.items() if value} | does


def _schema(count: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "required": ["name"],
        "properties": {
            "name": {"type": "string", "description": "unique; `from:`, `split.after` and `ema_links` refer to it"},
            "op": {"enum": [*OPS, *MACROS], "description": "an op or a macro; its arguments stand beside it"},
            "group": {"type": "string", "description": "a group of `define:`; its parameters stand beside it"},
            "from": {"description": "the layer or layers it reads; by default the one before"},
            "repeat": {**count, "description": "makes name.0, name.1, ...; a stride applies to the first"},
            "each": {
                "type": "object",
                "additionalProperties": {"description": "a list of values, one a repetition"},
                "description": "arguments whose value changes: `{out: [8, 16, 32]}` with `repeat: 3`",
            },
            "expect": {"type": "array", "description": "asserted output shape, without the batch"},
        },
    }


_COUNT = {"type": "integer", "minimum": 1, "maximum": MOST_REPEATS}
_PARAMETER = {"type": "string", "pattern": r"^\$"}

_OWN, _INNER = (PlainValidator(partial(parse_layer, inner=inner)) for inner in (False, True))
_WRITTEN = PlainSerializer(dump_layer)

LayerItem = Annotated[LayerEntry, _OWN, _WRITTEN, WithJsonSchema(_schema(_COUNT))]
InnerItem = Annotated[LayerEntry, _INNER, _WRITTEN, WithJsonSchema(_schema({"anyOf": [_COUNT, _PARAMETER]}))]
