"""Frozen dataclasses to plain JSON values and back, driven by their own type annotations."""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from functools import cache
from typing import Any, TypeVar, cast

from pydantic import BaseModel

from ..graph.ops import BY_NAME, Op
from ..graph.ops.entry import make, plain

T = TypeVar("T")


def to_plain(value: Any) -> Any:
    """The value as JSON knows it."""
    if isinstance(value, Op):
        return {"op": value.name, **plain(value)}
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", by_alias=True)
    if is_dataclass(value):
        return {f.name: to_plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, Mapping):
        return {str(k): to_plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_plain(v) for v in value]
    return value


def from_plain(kind: type[T], value: Any) -> T:
    """The value of type `kind` that `to_plain` turned into `value`; `ValueError` where it did not."""
    try:
        return cast(T, _read(kind, value))
    except (AttributeError, LookupError, TypeError, RecursionError) as error:
        raise ValueError(f"no {kind.__name__} was written like this: {error!r}") from error


def _read(kind: Any, value: Any) -> Any:
    origin = typing.get_origin(kind)
    if origin is tuple:
        return _read_tuple(typing.get_args(kind), value)
    if origin in (typing.Union, types.UnionType):
        inner = [arm for arm in typing.get_args(kind) if arm is not type(None)]
        return None if value is None else _read(inner[0], value)
    if origin is not None and isinstance(origin, type) and issubclass(origin, Mapping):
        inner = typing.get_args(kind)[1]
        return {k: _read(inner, v) for k, v in value.items()}
    if isinstance(kind, type):
        return _read_class(kind, value)
    return value


def _read_tuple(arms: tuple[Any, ...], value: list[Any]) -> tuple[Any, ...]:
    if len(arms) == 2 and arms[1] is Ellipsis:
        return tuple(_read(arms[0], v) for v in value)
    return tuple(_read(arm, v) for arm, v in zip(arms, value, strict=True))


def _read_class(kind: type, value: Any) -> Any:
    if issubclass(kind, Op):
        return make(BY_NAME[value["op"]], {k: v for k, v in value.items() if k != "op"})
    if issubclass(kind, BaseModel):
        return kind.model_validate(value)
    if is_dataclass(kind):
        hints = _hints(kind)
        known = (f for f in fields(kind) if f.name in value or not _optional(f))  # a file may be older than a field
        return kind(**{f.name: _read(hints[f.name], value[f.name]) for f in known})
    return value


def _optional(field: Field[Any]) -> bool:
    return field.default is not MISSING or field.default_factory is not MISSING


@cache
def _hints(kind: type) -> dict[str, Any]:
    from ..spec.models import SpecModel

    return typing.get_type_hints(kind, localns={"SpecModel": SpecModel})
