"""Documents as located trees without the detour over YAML, whose parser takes most of the time."""

from __future__ import annotations

import json
import math
import re
from typing import Any

from specc.diagnostics import Span
from specc.language.source import Tree
from tests.fuzz.paths import walk

NAME = "fuzz.yaml"
_ESCAPED = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff]")


def yaml(value: Any) -> str:
    """The value as YAML, in flow style."""
    if isinstance(value, dict):
        return (
            "{"
            + ", ".join(f"{key if type(key) is int else json.dumps(key)}: {yaml(v)}" for key, v in value.items())
            + "}"
        )
    if isinstance(value, list):
        return "[" + ", ".join(map(yaml, value)) + "]"
    if isinstance(value, float) and not math.isfinite(value):
        return ".nan" if math.isnan(value) else ".inf" if value > 0 else "-.inf"
    return repr(value) if type(value) is float else json.dumps(value)


def _key(key: Any) -> str:
    return str(key) if type(key) is int else json.dumps(key)


def is_plain(data: Any) -> bool:
    """Whether text that says this would give exactly this: no escapes, not too deep, not too much of it."""
    paths = list(walk(data))
    return (
        len(paths) < 5_000
        and max(map(len, paths), default=0) < 60
        and not any(_ESCAPED.search(part) for path in paths for part in path[-1:] if isinstance(part, str))
        and not any(_ESCAPED.search(leaf) for leaf in _leaves(data))
        and all(-(10**60) < number < 10**60 for number in _numbers(data))
    )


def _leaves(data: Any) -> list[str]:
    return [value for value in _values(data) if isinstance(value, str)]


def _numbers(data: Any) -> list[int]:
    return [value for value in _values(data) if isinstance(value, int)]


def _values(data: Any) -> list[Any]:
    if isinstance(data, dict | list):
        return [leaf for child in (data.values() if isinstance(data, dict) else data) for leaf in _values(child)]
    return [data]


def tree(data: dict[Any, Any]) -> Tree:
    """The tree of a document as if every value stood in a line of its own."""
    paths = [(), *walk(data)]
    spans = {path: Span(NAME, line, 1, line, 2) for line, path in enumerate(paths, 1)}
    keys = {path: span for path, span in spans.items() if path and not isinstance(path[-1], bool)}
    return Tree(NAME, "x\n" * len(paths), data, spans, {p: s for p, s in keys.items() if not _is_item(p, data)})


def _is_item(path: Any, data: Any) -> bool:
    for part in path[:-1]:
        data = data[part]
    return isinstance(data, list)
