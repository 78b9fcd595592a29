"""Ops as YAML writes them: ``{op: conv, out: 128, k: 1}``."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from typing import Annotated, Any

from pydantic import PlainSerializer, PlainValidator, ValidationError, WithJsonSchema
from pydantic_core import PydanticCustomError

from ...system.plugins import PluginError
from ..builder import Builder
from ..macros import MACROS, Macro
from . import OPS, Op, ShapeError
from .codec import adapter, plain

OpOrMacro = Op | Macro


@dataclass(frozen=True, slots=True)
class Entry:
    """A named op or macro with its arguments checked."""

    op: str
    args: OpOrMacro

    def add_to(self, b: Builder, inputs: Sequence[str] = ()) -> None:
        """Append what it stands for; ops of unnamed macros get a scope of their own."""
        if isinstance(self.args, Op):
            if self.args.blocks_gradient:
                raise ShapeError(f"`{self.op}` gives no gradient to what it reads, so that nothing learns from it")
            b.add(self.args, None, inputs)
        elif self.args.prefix:
            with b.scope(b.number(self.args.prefix)):
                self.args.expand(b)
        else:
            self.args.expand(b)


def kind_of(name: str) -> type[Op] | type[Macro] | None:
    """The op or macro of a name; raises `PluginError` where it is of a package and cannot be used."""
    return OPS[name] if name in OPS else MACROS.get(name)


def arguments(kind: type[Op] | type[Macro]) -> dict[str, bool]:
    """The op's argument names and whether each is required."""
    return {f.name: f.default is MISSING for f in fields(kind)}  # type: ignore[arg-type]


def parse(value: Any) -> Entry:
    """An entry from a mapping; errors name the argument in their context."""
    if isinstance(value, Entry):
        return value
    if not isinstance(value, Mapping) or not isinstance(value.get("op"), str):
        raise PydanticCustomError("op_entry", "an op is a mapping such as `{op: conv, out: 64}`", {})
    name = value["op"]
    try:
        kind = kind_of(name)
    except PluginError as error:
        raise PydanticCustomError("op_broken", "{reason}", {"reason": str(error)}) from None
    if kind is None:
        raise PydanticCustomError("op_unknown", "unknown op `{name}`", {"name": name, "key": "op"})
    return Entry(name, make(kind, {k: v for k, v in value.items() if k != "op"}))


def make(kind: type[Op] | type[Macro], args: Mapping[str, Any]) -> Any:
    """An op from plain arguments; raises `PydanticCustomError` that names the first wrong argument."""
    try:
        return adapter(kind).validate_json(json.dumps(dict(args)))  # strict, but lists may be tuples
    except ValidationError as error:
        found = error.errors()  # a misspelt argument explains a missing one
        first = next((e for e in found if e["type"] == "unexpected_keyword_argument"), found[0])
        key = str(first["loc"][0]) if first["loc"] else ""
        slug = {"unexpected_keyword_argument": "op_argument", "missing": "op_missing"}.get(first["type"], "op_value")
        context = {"name": kind.name, "key": key, "reason": first["msg"]}
        raise PydanticCustomError(slug, "argument `{key}` of `{name}`: {reason}", context) from None


def dump(entry: Entry) -> dict[str, Any]:
    """The mapping an entry was read from."""
    return {"op": entry.op, **plain(entry.args)}


OpEntry = Annotated[
    Entry,
    PlainValidator(parse),
    PlainSerializer(dump),
    WithJsonSchema({"type": "object", "required": ["op"], "properties": {"op": {"enum": [*OPS, *MACROS]}}}),
]
