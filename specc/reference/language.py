"""The mappings, keys and ops of the language in Markdown, from the models and the op vocabulary."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from specc.graph.macros import MACROS
from specc.graph.ops import OPS
from specc.language.schema import Config
from specc.spec.json_schema import summary
from specc.spec.knobs import every
from specc.spec.lookup import keys_of, models_at

Schema = dict[str, Any]


def knob_table() -> str:
    """What may be turned for a budget, as the registry has it."""
    lines = ["| name | changes | does | costs |", "|---|---|---|---|"]
    lines += [f"| `{knob.name}` | `{knob.key}` | {knob.does} | {knob.costs} |" for knob in every()]
    return "\n".join(lines) + "\n"


def section(where: str, model: type[Config], schema: Schema) -> str:
    """One mapping of the language: what it is for, and a table of its keys."""
    described: Schema = schema["definitions"].get(model.__name__, {})
    title = f"`{where}`" if where else "The spec"
    kind = next((f" with {key} `{'`, `'.join(map(str, v))}`" for key, v in _tags(described)), "")
    lines = [f"## {title}{kind}", "", paragraphs(model.__doc__), "", *table(described, schema)]
    if told := kinds(where, model):
        lines += ["", told]
    if other := _other_names(model):
        lines += ["", f"Also asked for as: {other}."]
    return "\n".join(lines) + "\n"


def kinds(where: str, model: type[Config]) -> str:
    """By which keys a spec says that it replaces its parent's mapping instead of adding to it; said once a place."""
    alike = models_at(tuple(where.split(".")))
    if not model.alternatives or "[]" in where or alike[0] is not model:  # a list is replaced anyway
        return ""
    keys = dict.fromkeys(key for kind in alike for key in kind.alternatives)
    return f"Kinds of `{where}` are told apart by {' or '.join(f'`{key}`' for key in keys)}."


def op_section(name: str, schema: Schema) -> str:
    """One op: what it does, and its arguments."""
    described = schema["definitions"][f"op_{name}"]
    described = {**described, "properties": {k: v for k, v in described["properties"].items() if k != "op"}}
    lines = [f"### `{name}`", "", described["description"]]
    if described["properties"]:
        lines += ["", *table(described, schema, describe=False)]
    kind = MACROS.get(name) or OPS[name]
    if other := _other_names(kind):
        lines += ["", f"Also asked for as: {other}."]
    return "\n".join(lines) + "\n"


def paragraphs(doc: str | None) -> str:
    """The docstring's paragraphs, each on one line."""
    return "\n\n".join(summary(part) for part in (doc or "").strip().split("\n\n"))


def table(described: Schema, schema: Schema, *, describe: bool = True) -> Iterator[str]:
    """The rows of a Markdown table: key, kind of value, default, meaning."""
    columns = ("key", "value", "default", *(("meaning",) if describe else ()))
    yield "| " + " | ".join(columns) + " |"
    yield "|" + "---|" * len(columns)
    required = described.get("required", [])
    for name, field in described.get("properties", {}).items():
        default = "" if "default" not in field else f"`{json.dumps(field['default'], allow_nan=False)}`"
        cells = [f"`{name}`", kind_of(field, schema), "**required**" if name in required else default]
        if describe:
            cells.append(field.get("description", ""))
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def kind_of(field: Schema, schema: Schema) -> str:
    """What kind of value a schema describes, in words.

    >>> kind_of({"type": "integer", "minimum": 1}, {})
    'integer, at least 1'
    >>> kind_of({"anyOf": [{"enum": ["a", "b"]}, {"type": "null"}]}, {})
    '`a`, `b`'
    """
    if reference := field.get("$ref") or next((part.get("$ref") for part in field.get("allOf", [])), None):
        target = schema["definitions"][reference.rsplit("/", 1)[1]]
        return kind_of(target, schema)
    if alternatives := field.get("anyOf") or field.get("oneOf"):
        kinds = (kind_of(part, schema) for part in alternatives if part.get("type") != "null")
        return " or ".join(dict.fromkeys(kinds))
    if "enum" in field or "const" in field:
        values = field.get("enum", [field.get("const")])
        return ", ".join(f"`{value}`" for value in values) if len(values) < 30 else "one of many names"
    if field.get("type") == "array":
        return _list(field, schema)
    name = str(field.get("type", "any"))
    return {"object": "mapping", "string": "text"}.get(name, name) + _limits(field)


def _list(field: Schema, schema: Schema) -> str:
    items = field.get("items", {})
    inner = kind_of(items[0] if isinstance(items, list) and items else items or {}, schema)
    least, most = field.get("minItems"), field.get("maxItems")
    count = f"{least} × " if least and least == most else ""
    return f"list of {count}{inner}" + (f", at least {least}" if least and not count else "")


def _limits(field: Schema) -> str:
    words = {"minimum": "at least", "exclusiveMinimum": "above", "maximum": "at most", "exclusiveMaximum": "below"}
    return "".join(f", {word} {_number(field[key])}" for key, word in words.items() if key in field)


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:g}"


def _tags(described: Schema) -> Iterator[tuple[str, list[Any]]]:
    for name in described.get("required", []):
        field = described["properties"][name]
        if "const" in field and field["const"] != 1:
            yield name, [field["const"]]


def _other_names(kind: Any) -> str:
    """The common other names of a mapping's keys."""
    valid = keys_of(kind) if hasattr(kind, "model_fields") else None
    pairs = [(o, key) for o, key in sorted(kind.aliases.items()) if valid is None or key in valid]
    return ", ".join(f"`{other}` (`{key}`)" for other, key in pairs)
