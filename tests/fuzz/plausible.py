"""Values that the schema of the language allows, also at the ends of their ranges: what is wrong then lies deeper."""

from __future__ import annotations

import random
from functools import cache
from typing import Any

from specc.spec.json_schema import json_schema
from specc.spec.lookup import model_at
from tests.fuzz.paths import Path, at
from tests.fuzz.values import TEXTS

USUAL = (1, 2, 3, 4, 6, 8, 10, 16, 32, 100)


@cache
def definitions() -> dict[str, Any]:
    """The schema's parts by name."""
    found: dict[str, Any] = json_schema()["definitions"]
    return found


def field(data: Any, path: Path) -> Any:
    """The schema of the value at a path, where a model or an op describes it."""
    around = at(data, path[:-1])
    if not isinstance(around, dict):
        return None
    if isinstance(name := around.get("op"), str):
        return _property(f"op_{name}", path[-1])
    try:
        model = model_at(path[:-1], data)
    except (KeyError, IndexError, TypeError):
        return None
    return _property(model.__name__, path[-1]) if model else None


def _property(name: str, key: Any) -> Any:
    return definitions().get(name, {}).get("properties", {}).get(key)


def value(schema: Any, draw: random.Random, depth: int = 3) -> Any:
    """One that fits the schema."""
    if alternatives := schema.get("anyOf") or schema.get("oneOf"):
        return value(draw.choice(alternatives), draw, depth)
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return draw.choice(schema["enum"])
    references = [part["$ref"].rsplit("/", 1)[1] for part in (schema, *schema.get("allOf", ())) if "$ref" in part]
    if references and references != ["op_arguments"]:
        return value(definitions()[references[0]], draw, depth)
    match schema.get("type", "object" if "properties" in schema else None):
        case "integer" | "number" as kind:
            return _number(schema, draw, whole=kind == "integer")
        case "boolean":
            return draw.random() < 0.5
        case "string":
            return draw.choice(("1c2f", "2c", "x", "next", "stage2.0", *TEXTS))
        case "array":
            return _list(schema, draw, depth)
        case "object":
            return _mapping(schema, draw, depth)
    return None


def _number(schema: Any, draw: random.Random, *, whole: bool) -> Any:
    ends = [schema[end] for end in ("minimum", "maximum") if end in schema]
    number = draw.choice(ends) if ends and draw.random() < 0.25 else draw.choice(USUAL)
    return number if whole else draw.choice((number, number / 7, 0.0, 0.5, 1e-6, 1.0))


def _list(schema: Any, draw: random.Random, depth: int) -> Any:
    items = schema.get("items", {})
    if isinstance(items, list):
        return [value(item, draw, depth - 1) for item in items]
    count = draw.choice((schema.get("minItems", 0), schema.get("minItems", 1), min(schema.get("maxItems", 3), 4)))
    return [value(items, draw, depth - 1) for _ in range(count)]


def _mapping(schema: Any, draw: random.Random, depth: int) -> Any:
    """With what is required, and some of the rest; an op has its own arguments."""
    properties = schema.get("properties", {})
    required = schema.get("required", [])
    chosen = [key for key in properties if key in required or (depth > 0 and draw.random() < 0.35)]
    found = {key: value(properties[key], draw, depth - 1) for key in chosen}
    if "op" in found and schema.get("allOf"):
        found |= value(definitions()[f"op_{found['op']}"], draw, depth)
        if "name" in properties:
            found["name"] = draw.choice(("a", "b", "c", "a.b", "d"))
    return found
