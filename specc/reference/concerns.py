"""What the pages of the codes tell of keys: their examples differ by what is wrong, and the good ones are right."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from specc.diagnostics.pages import page, titles
from specc.language.source import parse

Keys = tuple[str, ...]
_SHORT = 60  # characters of a mapping that an example shows as a whole


def codes_of(parts: Sequence[str]) -> list[str]:
    """The codes whose examples turn on a key."""
    asked = _plain(parts)
    return [code for code, keys in _turned().items() if asked in keys and code[3] != "0"]  # those are of YAML alone


def example_of(parts: Sequence[str]) -> str:
    """The shortest part of a good example that has the key, as YAML."""
    found = [text for data in _good() if (text := "\n".join(_written(data, _plain(parts))))]
    return min(found, key=lambda text: (text.count("\n"), len(text)), default="")


def _plain(parts: Sequence[str]) -> Keys:
    return tuple(part for part in parts if not part.isdigit())


@cache
def _turned() -> Mapping[str, frozenset[Keys]]:
    """By code, the keys that its bad and its good example do not have alike."""
    found = {}
    for code in titles():
        bad, good = (_block(code, section) for section in ("Bad", "Good"))
        keys = set(dict(_leaves(bad)).items()) ^ set(dict(_leaves(good)).items()) if bad and good else set()
        found[code] = frozenset(key for key, _ in keys)
    return found


@cache
def _good() -> tuple[Any, ...]:
    return tuple(data for code in titles() if (data := _block(code, "Good")))


@cache
def _block(code: str, section: str) -> Any:
    """The spec of an example, or the settings of its command lines."""
    text = page(code).partition(f"## {section}\n")[2].partition("\n## ")[0]
    if found := re.search(r"```yaml\n(.*?)```", text, re.DOTALL):
        tree, _ = parse(found[1], f"{code}.yaml")
        return tree.data if tree is not None else None
    return None


def _leaves(data: Any, above: Keys = ()) -> Iterator[tuple[Keys, str]]:
    """Values with their keys; of a list, those of all its items together."""
    if isinstance(data, Mapping) and data:
        for key, value in data.items():
            yield from _leaves(value, (*above, str(key)))
    elif isinstance(data, list) and any(isinstance(item, Mapping) for item in data):
        merged: dict[Keys, str] = {}
        for item in data:
            for key, text in _leaves(item, above):
                merged[key] = f"{merged.get(key, '')} {text}"
        yield from merged.items()
    else:
        yield above, repr(data)


def _written(data: Any, keys: Keys) -> Iterator[str]:
    """The lines of YAML that lead to a key, with those beside it where they are few; of a list the item that has it."""
    if isinstance(data, list):
        found = next((lines for item in data if (lines := list(_item(item, keys)))), [])
        yield from (("- " if not n else "  ") + line for n, line in enumerate(found))
    elif isinstance(data, Mapping) and keys[0] in data:
        name, value = keys[0], data[keys[0]]
        beside = isinstance(value, Mapping) and len(keys) == 2 and keys[1] in value and _is_short(value)
        if len(keys) == 1 or beside:
            yield f"{name}: {flow(value)}"
        elif lines := list(_written(value, keys[1:])):
            yield f"{name}:"
            yield from (f"  {line}" for line in lines)


def _item(item: Any, keys: Keys) -> Iterator[str]:
    if len(keys) == 1 and isinstance(item, Mapping) and keys[0] in item and _is_short(item):
        yield flow(item)
    else:
        yield from _written(item, keys)


def _is_short(value: Any) -> bool:
    return len(flow(value)) <= _SHORT


def flow(value: Any) -> str:
    """A value as a spec writes it on one line.

    >>> flow([{"name": "local", "window": 1, "skip": None}])
    '[{name: local, window: 1, skip: null}]'
    """
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(flow, value)) + "]"
    plain = isinstance(value, str) and re.fullmatch(r"[A-Za-z_][\w.-]*", value)
    return str(value) if plain and value not in ("true", "false", "null") else json.dumps(value, allow_nan=False)
