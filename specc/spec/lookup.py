"""The models, asked by a path in the spec: which mapping is described there, and which keys it may have."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from pydantic import BaseModel, Discriminator
from pydantic.fields import FieldInfo

from specc.language.plugged import Plugged
from specc.language.schema import Config
from specc.language.source import Path
from specc.spec.models import SpecModel

ROOT: Any = SpecModel
_ENDS = {list: "[]", dict: ".NAME"}  # of the path to what a list or mapping holds


def show_path(path: Path) -> str:
    """A path as messages name it: ``levels[1].weight``."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return f"`{text.lstrip('.')}`" if text else "the spec"


def kinds_at(path: Path, data: Any) -> list[Any]:
    """The types that the value at `path` may have; tags in the data choose among the members of unions."""
    kinds: list[Any] = [ROOT]
    for part in path:
        data = data[part] if isinstance(data, Mapping | list) else None  # type: ignore[index]
        kinds = [member for kind in kinds for member in _descend(kind, part)]
        kinds = _by_tag(kinds, data)
    return kinds


def models_at(path: Path, data: Any = None) -> list[type[Config]]:
    """The models that may describe the mapping at `path`, the likeliest first; without data all there are."""
    return [kind for kind in kinds_at(path, data) if is_config(kind)]


def model_at(path: Path, data: Any) -> type[Config] | None:
    """The model that describes the mapping at `path`."""
    return next(iter(models_at(path, data)), None)


def is_tagged(path: Path, data: Any, value: Any) -> bool:
    """Whether pydantic's locations have the name of a kind after this path, where the value is."""
    notes = _notes(path, data)
    added = any(isinstance(each, Plugged) and each.named(value) for each in notes)  # a package's are without it
    return not added and any(isinstance(each, Discriminator) for each in notes)


def added(path: Path, data: Any) -> list[str]:
    """The names of kinds that packages add to those of the mapping at `path`."""
    return [name for each in _notes(path, data) if isinstance(each, Plugged) for name in each.registry.added]


def _notes(path: Path, data: Any) -> list[Any]:
    """What the annotation of the field at `path` says besides its type."""
    model = model_at(path[:-1], data) if path else None
    field = fields_of(model).get(path[-1]) if model else None
    return field.metadata if field else []


def is_config(kind: Any) -> bool:
    """Whether an annotation is one of the language's own mappings."""
    return isinstance(kind, type) and issubclass(kind, Config)


def fields_of(model: type[BaseModel]) -> dict[int | str, FieldInfo]:
    """The fields of a model by their keys in a spec."""
    return {field.alias or name: field for name, field in model.model_fields.items()}


def keys_of(model: type[BaseModel]) -> list[str]:
    """The keys that a model's mapping may have."""
    return [str(key) for key in fields_of(model)]


def union_members(annotation: Any) -> list[Any]:
    """The alternatives of an annotation, without `Annotated` and `None`."""
    if typing.get_origin(annotation) is typing.Annotated:
        return union_members(typing.get_args(annotation)[0])
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        options = (option for option in typing.get_args(annotation) if option is not type(None))
        return [member for option in options for member in union_members(option)]
    return [annotation]


def mappings_with(key: str) -> list[str]:
    """The mappings of the language that have a key of this name, as dotted paths, the outermost first."""
    return [where for where, model in all_mappings() if key in keys_of(model)]


@cache
def all_mappings() -> tuple[tuple[str, type[Config]], ...]:
    """Every mapping of the language and where it stands, breadth first; what merely overrides another comes last."""
    found: list[tuple[str, type[Config]]] = []
    seen: set[type[Config]] = set()
    queue: list[tuple[str, type[Config]]] = [("", ROOT)]
    for where, model in queue:
        if model not in seen:
            seen.add(model)
            found.append((where, model))
            queue += _below(where, model)
    return tuple(found)


def _below(where: str, model: type[Config]) -> Iterator[tuple[str, type[Config]]]:
    for key, field in fields_of(model).items():
        here = f"{where}.{key}".lstrip(".")
        for kind in kinds_of(field):
            end = _ENDS.get(typing.get_origin(kind))
            held = [kind] if end is None else union_members(typing.get_args(kind)[-1])
            yield from ((f"{here}{end or ''}", each) for each in held if is_config(each))


def kinds_of(field: FieldInfo) -> list[Any]:
    """The alternatives of a field, with those of packages that were loaded."""
    plugged = [each for each in field.metadata if isinstance(each, Plugged)]
    added = [kind for each in plugged for kind in each.kinds]
    return added if added and plugged[0].name else [*union_members(field.annotation), *added]


def _by_tag(kinds: list[Any], data: Any) -> list[Any]:
    if not isinstance(data, Mapping):
        return kinds
    fitting = [kind for kind in kinds if not is_config(kind) or _tag_fits(kind, data)] or kinds
    return sorted(fitting, key=lambda kind: _strangeness(kind, data))


def _strangeness(kind: Any, data: Mapping[Any, Any]) -> tuple[bool, bool]:
    if not is_config(kind):
        return False, False
    return any(f.is_required() and key not in data for key, f in fields_of(kind).items()), not tags_of(kind)


def _tag_fits(model: type[BaseModel], data: Mapping[Any, Any]) -> bool:
    return all(data.get(name) in values for name, values in tags_of(model).items())


def tags_of(model: type[BaseModel]) -> dict[str, tuple[Any, ...]]:
    """The fields whose fixed value tells the members of a union apart."""
    return {
        str(key): typing.get_args(field.annotation)
        for key, field in fields_of(model).items()
        if typing.get_origin(field.annotation) is typing.Literal and field.is_required()
    }


def _descend(kind: Any, part: int | str) -> list[Any]:
    if is_config(kind):
        field = fields_of(kind).get(part)
        return kinds_of(field) if field else []
    inner = typing.get_args(kind)
    return union_members(inner[-1]) if inner and typing.get_origin(kind) is not typing.Literal else []


@cache
def paths_that_read_environment() -> tuple[tuple[str, ...], ...]:
    """The fields in which `${NAME:-default}` is replaced."""
    return tuple(
        (*filter(None, where.split(".")), str(key))
        for where, model in all_mappings()
        for key, field in fields_of(model).items()
        if isinstance(field.json_schema_extra, dict) and field.json_schema_extra.get("environment")
    )
