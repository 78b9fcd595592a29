"""JSON Schema of the language for editors: draft 7, which is what the YAML language server reads."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import Any

from pydantic import TypeAdapter

from specc.graph.macros import MACROS
from specc.graph.ops import OPS
from specc.language.source import SECOND_NAMES
from specc.spec.models import SpecModel

Schema = dict[str, Any]
SPEC, PART = "SpecModel", "_part"
_DROPPED = ("title", "discriminator", "environment", "only_with")


def json_schema() -> Schema:
    """The whole language."""
    vocabulary = {**OPS.usable(), **MACROS}
    with warnings.catch_warnings(action="error"):  # pydantic leaves out what it cannot write, and warns
        raw = SpecModel.model_json_schema(ref_template="#/definitions/{model}")
    definitions = {name: _draft7(model) for name, model in raw.pop("$defs", {}).items()}
    definitions |= {f"op_{name}": op_schema(kind) for name, kind in vocabulary.items()}
    definitions["op_arguments"] = _arguments(vocabulary)
    definitions[SPEC] = _draft7(raw)
    for model in definitions.values():
        _describe(model)
    for (mapping, second), name in SECOND_NAMES.items():
        model = definitions[mapping.title()]
        model["properties"][second] = model["properties"][name]
        gone = {"not": {}, "description": f"`{second}` is the same key"}
        model["dependencies"] = {second: {"properties": {name: gone}}}
    definitions |= _parts(definitions, SPEC)
    head = {"$schema": "http://json-schema.org/draft-07/schema#", "title": "specc"}
    part, whole = ({"$ref": f"#/definitions/{name}"} for name in (SPEC + PART, SPEC))
    choice = {"if": {"required": ["extends"]}, "then": part, "else": whole}
    return {**head, "type": "object", **choice, "definitions": dict(sorted(definitions.items()))}


def _parts(definitions: Schema, name: str) -> Schema:
    """A mapping as a spec that extends another may write it, and all that stand in it: nothing is required any more.

    Lists replace what they are merged over, so their items are whole.
    """
    found: Schema = {}
    waiting = [name]
    while waiting:
        name = waiting.pop()
        if name + PART not in found:
            found[name + PART] = _part(definitions[name], waiting)
    return found


def _part(schema: Any, waiting: list[str]) -> Any:
    """A schema without requirements; the names of the definitions that it refers to are added to those waiting."""
    if isinstance(schema, list):
        return [_part(item, waiting) for item in schema]
    if not isinstance(schema, dict):
        return schema
    result: Schema = {}
    for key, value in schema.items():
        if key == "$ref":
            waiting.append(value.rsplit("/", 1)[1])
            result[key] = value + PART
        elif key == "items":
            result[key] = value
        elif key == "oneOf":  # what does not say which one it is may be several of them
            result["anyOf"] = _part(value, waiting)
        elif key != "required" or not isinstance(value, list):
            result[key] = _part(value, waiting)
    return result


def op_schema(kind: Any) -> Schema:
    """The arguments of one op or macro, next to its name."""
    schema: Schema = _draft7(TypeAdapter(kind).json_schema(ref_template="#/definitions/{model}"))
    about = summary(kind.__doc__)
    arguments = schema.get("properties", {})
    for name, argument in arguments.items():
        argument.setdefault("description", f"`{name}` of `{kind.name}`")
    return {
        "description": about,
        "properties": {"op": {"const": kind.name, "description": about}, **arguments},
        "required": ["op", *schema.get("required", [])],
    }


def summary(doc: str | None) -> str:
    """The first paragraph of a docstring on one line."""
    return " ".join((doc or "").strip().split("\n\n")[0].split())


def _draft7(schema: Any) -> Any:
    """The schema in the words of draft 7."""
    if isinstance(schema, list):
        return [_draft7(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if _is_op(schema):
        return _op_entry(schema)
    result = {key: _draft7(value) for key, value in schema.items() if not (key in _DROPPED and _is_keyword(key, value))}
    if condition := schema.get("only_with"):
        told = " and ".join(f"{name} {' or '.join(values)}" for name, values in condition.items())
        result["description"] = f"{result.get('description', '')} (only with {told})".strip()
    if isinstance(result.get("default"), dict):
        del result["default"]  # a whole mapping: its own keys say the same
    if "prefixItems" in result:
        result["items"] = result.pop("prefixItems")
    if "$ref" in result and len(result) > 1:  # draft 7 ignores whatever stands beside a reference
        result = {"allOf": [{"$ref": result.pop("$ref")}], **result}
    return result


def _is_keyword(key: str, value: Any) -> bool:
    """Whether `title` and the like are the schema's own words and not the name of a property."""
    return isinstance(value, str | bool) if key in ("title", "environment") else isinstance(value, dict)


def _is_op(schema: Schema) -> bool:
    op = schema.get("properties", {}).get("op") if isinstance(schema.get("properties"), dict) else None
    return isinstance(op, dict) and "enum" in op


def _op_entry(schema: Schema) -> Schema:
    """An op in a list: its name decides which arguments there are; further keys may stand beside them."""
    own = {key: value for key, value in schema["properties"].items() if key != "op"}
    names = schema["properties"]["op"]["enum"]
    choice = {"enum": names, "description": "the op or macro"}
    arguments: Schema = {"$ref": "#/definitions/op_arguments"}
    entry: Schema = {"type": "object", "required": schema["required"], "properties": {"op": choice, **own}}
    if "group" not in own:
        return {**entry, "allOf": [arguments]}
    waiting = {"anyOf": [{"required": ["group"]}, {"required": ["each"]}]}
    either = {"oneOf": [{"required": ["op"]}, {"required": ["group"]}]}
    if "anyOf" in own["repeat"]:  # inside of a group, where any argument may be a parameter
        return {**entry, **either}
    return {**entry, **either, "if": {"not": waiting}, "then": arguments}


def _arguments(names: Iterable[str]) -> Schema:
    """What stands beside `op:` for each op."""
    return {
        "allOf": [
            {"if": {"properties": {"op": {"const": name}}}, "then": {"$ref": f"#/definitions/op_{name}"}}
            for name in names
        ]
    }


def _describe(model: Schema) -> None:
    """Give the properties that have none a description: that of the mapping they choose."""
    about = summary(model.get("description"))
    for name, field in model.get("properties", {}).items():
        field.setdefault("description", f"`{name}`: {about}" if about else name)
