"""Ops as JSON: a name and arguments, held to the ranges that their types say, not only where they are read.

With it pydantic reads and writes whatever holds ops.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from functools import lru_cache
from typing import Annotated, Any

from pydantic import PlainSerializer, PlainValidator, TypeAdapter, ValidationError

from . import BY_NAME, Op, RangeError

_ADAPTERS: dict[str, TypeAdapter[Any]] = {}


def adapter(kind: Any) -> TypeAdapter[Any]:
    """Validates the arguments of an op or macro; built once."""
    if kind.name not in _ADAPTERS:
        _ADAPTERS[kind.name] = TypeAdapter(kind)
    return _ADAPTERS[kind.name]


def plain(op: Any) -> dict[str, Any]:
    """The arguments of an op or macro as JSON knows them."""
    found: dict[str, Any] = adapter(type(op)).dump_python(op, mode="json")
    return found


def check_ranges(op: Op) -> None:
    """Raise `RangeError` where an argument is out of its range: no graph has an op that a spec could not write."""
    if found := _fault(op):
        raise RangeError(found)


@lru_cache(maxsize=4096)
def _fault(op: Any) -> str | None:
    """What is wrong with the first wrong argument."""
    try:
        adapter(type(op)).validate_json(json.dumps(asdict(op)))  # as YAML would say it
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key, reason = first["loc"][0], first["msg"].replace("Input should be", "must be")
        return f"the argument `{key}` of `{op.name}` {reason}, not {first['input']}"
    return None


def read(value: Any) -> Op:
    """The op that a mapping was written from."""
    if isinstance(value, Op):
        return value
    kind = BY_NAME.get(str(value.get("op"))) if isinstance(value, Mapping) else None
    if kind is None:
        raise ValueError(f"no op was written like this: {value!r:.60}")
    found: Op = adapter(kind).validate_json(json.dumps({k: v for k, v in value.items() if k != "op"}))
    return found


def write(op: Op) -> dict[str, Any]:
    """The op as JSON knows it."""
    return {"op": op.name, **plain(op)}


AnyOp = Annotated[Op, PlainValidator(read), PlainSerializer(write)]
