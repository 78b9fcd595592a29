"""The ranges of ops' arguments: what their types say, also of an op that was not read from YAML but derived."""

from __future__ import annotations

import json
from dataclasses import asdict
from functools import lru_cache
from typing import Any

from pydantic import TypeAdapter, ValidationError

from .base import Op, RangeError

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
