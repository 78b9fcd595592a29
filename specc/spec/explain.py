"""Validation errors of the models as diagnostics: code, position, and what to write instead."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from ..backbone.ops import OPS
from ..backbone.ops.entry import MACROS, arguments
from ..diagnostics import Diagnostic, did_you_mean
from ..schema import Config
from .models import SpecModel
from .source import Path, Tree

EXPECTED = {
    "int_type": "a whole number", "float_type": "a number", "string_type": "text", "bool_type": "`true` or `false`",
    "list_type": "a list", "dict_type": "a mapping", "model_type": "a mapping", "model_attributes_type": "a mapping",
    "int_from_float": "a whole number", "mapping_type": "a mapping",
}  # fmt: skip


def explain(error: ValidationError, tree: Tree) -> list[Diagnostic]:
    """One diagnostic a mistake; where a value may be of several kinds, only the kind that came nearest speaks."""
    return [_explain(detail, tree) for detail in _nearest_arms(error.errors(), tree)]


def _explain(detail: ErrorDetails, tree: Tree) -> Diagnostic:
    kind, context = detail["type"], detail.get("ctx", {})
    path = locate(detail["loc"], tree.data)
    if kind == "extra_forbidden":
        return _unknown_key(path, tree)
    if kind == "missing":
        key = str(detail["loc"][-1])
        return Diagnostic(
            "SPC102", f"missing key `{key}` in {place(path)}", tree.span(path, key=True), f"needs `{key}`"
        )
    if kind in EXPECTED:
        text = f"{place(path)} must be {EXPECTED[kind]}, not {show(detail['input'])}"
        return Diagnostic("SPC103", text, tree.span(path), f"expected {EXPECTED[kind]}", help=_type_help(detail))
    if kind in ("union_tag_invalid", "literal_error"):
        return _choice(detail, path, tree)
    if kind == "union_tag_not_found":
        tag = str(context.get("discriminator", "")).strip("'")
        return Diagnostic(
            "SPC102", f"missing key `{tag}` in {place(path)}", tree.span(path, key=True), f"needs `{tag}`"
        )
    if kind.startswith("op_"):
        return _op(detail, path, tree)
    if "key" in context and isinstance(context["key"], str) and (*path, context["key"]) in tree.values:
        path = (*path, context["key"])
    message = detail["msg"].removeprefix("Value error, ")
    code = "SPC107" if kind in ("one_of", "inconsistent") else "SPC104"
    return Diagnostic(code, f"{place(path)}: {_plain(message)}", tree.span(path), _plain(message))


def locate(loc: tuple[int | str, ...], data: Any) -> Path:
    """The path in the spec for pydantic's location, without the tags and keywords that pydantic puts between."""
    path: list[int | str] = []
    for part in loc:
        if isinstance(data, Mapping) and (part in data or str(part) in data):
            key = part if part in data else str(part)
            path.append(key)
            data = data[key]
        elif isinstance(data, list) and isinstance(part, int) and part < len(data):
            path.append(part)
            data = data[part]
    return tuple(path)


def place(path: Path) -> str:
    """A path as messages name it: ``levels[1].weight``."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return f"`{text.lstrip('.')}`" if text else "the spec"


def show(value: Any) -> str:
    """A wrong value as messages show it."""
    if value is None:
        return "nothing (null)"
    if isinstance(value, (Mapping, list)):
        return "a mapping" if isinstance(value, Mapping) else "a list"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    text = repr(value) if isinstance(value, str) else str(value)
    return f"`{text}`" if len(text) <= 40 else f"`{text[:37]}...`"


def _plain(message: str) -> str:
    return message.replace("Input should be", "must be")


def _type_help(detail: ErrorDetails) -> tuple[str, ...]:
    value = detail["input"]
    if isinstance(value, str) and detail["type"] in ("int_type", "float_type"):
        try:
            float(value)
        except ValueError:
            return ()
        return ("take the quotes away: the text is a number",)
    if detail["type"] == "bool_type" and isinstance(value, str) and value.lower() in ("yes", "on", "no", "off"):
        return (f"YAML 1.2 spells it `{'true' if value.lower() in ('yes', 'on') else 'false'}`",)
    return ()


def _unknown_key(path: Path, tree: Tree) -> Diagnostic:
    model = model_at(path[:-1], tree.data)
    key = str(path[-1])
    valid = keys_of(model) if model else []
    help = did_you_mean(key, valid, model.aliases if model and issubclass(model, Config) else {})
    text = f"unknown key `{key}` in {place(path[:-1])}"
    return Diagnostic("SPC101", text, tree.span(path, key=True), f"not a key of {place(path[:-1])}", help=help)


def _choice(detail: ErrorDetails, path: Path, tree: Tree) -> Diagnostic:
    context = detail.get("ctx", {})
    listed = str(context.get("expected_tags") or context.get("expected", ""))
    valid = [word.strip(" '") for word in listed.replace(" or ", ", ").split(",")]
    value: Any = detail["input"]
    if detail["type"] == "union_tag_invalid":
        value = context.get("tag")
        path = (*path, str(context["discriminator"]).strip("'"))
    text = f"{place(path)} is {show(value)}, which is not one of its values"
    label = f"expected {' or '.join(f'`{v}`' for v in valid)}" if len(valid) <= 4 else "unknown value"
    return Diagnostic("SPC105", text, tree.span(path), label, help=did_you_mean(str(value), valid))


def _op(detail: ErrorDetails, path: Path, tree: Tree) -> Diagnostic:
    context = detail.get("ctx", {})
    name, key = str(context.get("name", "")), str(context.get("key", ""))
    if detail["type"] == "op_entry":
        return Diagnostic("SPC103", f"{place(path)}: {detail['msg']}", tree.span(path), "not an op")
    if detail["type"] == "op_unknown":
        help = did_you_mean(name, [*OPS, *MACROS])
        return Diagnostic(
            "SPC203", f"unknown op `{name}`", tree.span((*path, "op")), "not in the vocabulary", help=help
        )
    op = MACROS.get(name) or OPS[name]
    if detail["type"] == "op_argument":
        help = did_you_mean(key, arguments(op), op.aliases)
        text = f"unknown argument `{key}` of `{name}`"
        return Diagnostic("SPC204", text, tree.span((*path, key), key=True), f"not an argument of `{name}`", help=help)
    if detail["type"] == "op_missing":
        return Diagnostic("SPC205", f"`{name}` needs the argument `{key}`", tree.span(path), f"`{key}` is missing")
    text = f"{place((*path, key))}: {_plain(str(context.get('reason')))}"
    return Diagnostic("SPC103", text, tree.span((*path, key)), _plain(str(context.get("reason"))))


def _nearest_arms(details: list[ErrorDetails], tree: Tree) -> Iterator[ErrorDetails]:
    """Of errors at one value that come from different arms of a union, keep those of the arm that fits its shape."""
    by_path: dict[Path, list[ErrorDetails]] = {}
    for detail in details:
        by_path.setdefault(_union_root(detail, tree), []).append(detail)
    for path, group in by_path.items():
        yield from group if path == () or len(group) == 1 else _best(group)


def _union_root(detail: ErrorDetails, tree: Tree) -> Path:
    """The path of the union that the error belongs to; () when there is none."""
    path: list[int | str] = []
    data: Any = tree.data
    for part in detail["loc"]:
        if (isinstance(data, Mapping) and part in data) or (
            isinstance(data, list) and isinstance(part, int) and part < len(data)
        ):
            data = data[part]
        elif isinstance(part, str) and _is_arm(part):
            return (*path, "|")
        else:
            continue
        path.append(part)
    return ()


def _is_arm(part: str) -> bool:
    return part in ("str", "float", "int", "bool", "Ramp") or part.startswith(
        ("list[", "dict[", "literal[", "constrained-", "function-", "tagged-")
    )


def _best(group: list[ErrorDetails]) -> list[ErrorDetails]:
    wrong_shape = {
        "float_type",
        "list_type",
        "model_type",
        "model_attributes_type",
        "string_type",
        "int_type",
        "dict_type",
    }
    deep = [d for d in group if d["type"] not in wrong_shape or isinstance(d["loc"][-1], int)]
    return deep or group[:1]


def model_at(path: Path, data: Any) -> type[BaseModel] | None:
    """The model that describes the mapping at `path`, following tags of unions through the data."""
    kinds: list[Any] = [SpecModel]
    for part in path:
        data = data[part] if data is not None else None
        kinds = [arm for kind in kinds for arm in _descend(kind, part)]
        kinds = _by_tag(kinds, data)
    models = [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)]
    return models[0] if models else None


def _by_tag(kinds: list[Any], data: Any) -> list[Any]:
    if not isinstance(data, Mapping):
        return kinds
    fits = [k for k in kinds if isinstance(k, type) and issubclass(k, BaseModel) and _tag_fits(k, data)]
    return fits or kinds


def _tag_fits(model: type[BaseModel], data: Mapping[str, Any]) -> bool:
    tags = {
        name: typing.get_args(field.annotation)
        for name, field in model.model_fields.items()
        if name in ("family", "name") and typing.get_origin(field.annotation) is typing.Literal
    }
    return all(data.get(name) in values for name, values in tags.items())


def _descend(kind: Any, part: int | str) -> list[Any]:
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        for name, field in kind.model_fields.items():
            if part in (name, field.alias):
                return _arms(field.annotation)
        return []
    args = typing.get_args(kind)
    return _arms(args[-1]) if args else []


def _arms(annotation: Any) -> list[Any]:
    """The alternatives of an annotation, without `Annotated` and `None`."""
    if typing.get_origin(annotation) is typing.Annotated:
        return _arms(typing.get_args(annotation)[0])
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return [arm for option in typing.get_args(annotation) if option is not type(None) for arm in _arms(option)]
    return [annotation]


def keys_of(model: type[BaseModel]) -> list[str]:
    """The keys that a model's mapping may have."""
    return [field.alias or name for name, field in model.model_fields.items()]
