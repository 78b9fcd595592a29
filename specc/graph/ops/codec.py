"""Ops as JSON: a name and arguments. With it pydantic reads and writes whatever holds ops."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import PlainSerializer, PlainValidator

from . import BY_NAME, Op
from .ranges import adapter, plain


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
