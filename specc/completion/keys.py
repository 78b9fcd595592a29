"""The keys of a spec as overrides name them, and what may be said of each: from the published schema, which is a file.

Packages add to the schema; where one is installed it is made anew, which takes longer.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from ..system.plugins import offers
from .words import Word

Schema = dict[str, Any]
_NAME = "spec.schema.json"
_PACKED = Path(__file__).parents[1] / "docs" / _NAME
_IN_CHECKOUT = Path(__file__).parents[2] / "docs" / _NAME


@cache
def schema() -> Schema:
    """The schema of the language."""
    path = next((path for path in (_PACKED, _IN_CHECKOUT) if path.is_file()), None)
    if offers() or path is None:
        from ..spec.json_schema import json_schema

        return json_schema()
    found: Schema = json.loads(path.read_text(encoding="utf-8"))
    return found


def overrides(incomplete: str) -> Iterator[Word]:
    """`key=value` as far as it is typed: keys of the mapping that one is in, then values."""
    key, equals, _ = incomplete.partition("=")
    if equals:
        kinds = list(_at(key.split(".")))
        values = dict.fromkeys(value for kind in kinds for value in _values(kind))
        yield from (word for word in (Word(f"{key}={value}") for value in values) if word.value.startswith(incomplete))
        return
    for name, kinds in _children(key):
        yield Word(f"{name}{_end(kinds)}", _about(kinds))


def keys(incomplete: str) -> Iterator[Word]:
    """Keys as `explain` takes them: with those of their mappings behind a dot."""
    for name, kinds in _children(incomplete):
        yield Word(name, _about(kinds))
        if _end(kinds) == "." and name == incomplete:
            yield from keys(f"{name}.")


def _about(kinds: list[Schema]) -> str:
    """What the reference says of a key, and not of one of its values."""
    said = (str(kind.get("description", "")) for kind in kinds)
    return next((text for text in said if text and not text.startswith("`")), "")


def ops(incomplete: str) -> Iterator[Word]:
    """The ops that a layer may be."""
    found = ((name.removeprefix("op_"), kind) for name, kind in schema()["definitions"].items() if name[:3] == "op_")
    named = ((name, kind) for name, kind in found if name != "arguments" and name.startswith(incomplete))
    yield from (Word(name, str(kind.get("description", ""))) for name, kind in named)


def _children(typed: str) -> Iterator[tuple[str, list[Schema]]]:
    """The keys that may come where the typed path ends."""
    *parents, begun = typed.split(".")
    found: dict[str, list[Schema]] = {}
    for kind in _at(parents):
        for name, field in kind.get("properties", {}).items():
            found.setdefault(name, []).extend(_resolved(field))
        if "items" in kind and isinstance(kind["items"], dict) and not kind.get("properties"):
            found.setdefault("0", []).extend(_resolved(kind["items"]))
    stem = "".join(f"{parent}." for parent in parents)
    yield from ((f"{stem}{name}", kinds) for name, kinds in found.items() if name.startswith(begun))


def _end(kinds: list[Schema]) -> str:
    """A mapping goes on with its keys, anything else has a value."""
    inside = any("properties" in kind or _of_mappings(kind) for kind in kinds)
    return "." if inside and not any(_values(kind) for kind in kinds) else "="


def _of_mappings(kind: Schema) -> bool:
    items = kind.get("items")
    return isinstance(items, dict) and any("properties" in each for each in _resolved(items))


def _at(path: list[str]) -> Iterator[Schema]:
    """The kinds of value that may stand at a path."""
    kinds = list(_resolved(schema()["definitions"]["SpecModel"]))
    for name in path:
        inner = [kind["properties"][name] for kind in kinds if name in kind.get("properties", {})]
        inner += [kind["items"] for kind in kinds if name.isdecimal() and isinstance(kind.get("items"), dict)]
        kinds = [each for field in inner for each in _resolved(field)]
    yield from kinds


def _resolved(field: Schema, depth: int = 8) -> Iterator[Schema]:
    """A schema with all its alternatives, each without references; what it is described as stays with the first."""
    yield {key: value for key, value in field.items() if key not in ("anyOf", "oneOf", "allOf")}
    if not depth:
        return
    if "$ref" in field:
        yield from _resolved(schema()["definitions"][field["$ref"].rsplit("/", 1)[1]], depth - 1)
    for part in (*field.get("anyOf", ()), *field.get("oneOf", ()), *field.get("allOf", ())):
        yield from _resolved(part, depth - 1)


def _values(kind: Schema) -> list[str]:
    """The values that can be named."""
    named = kind.get("enum", [kind["const"]] if "const" in kind else [])
    named = [False, True] if kind.get("type") == "boolean" else named
    return [value if isinstance(value, str) else json.dumps(value, allow_nan=False) for value in named]
