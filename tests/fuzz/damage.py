"""Ways to damage a document: each takes it as plain data and changes it in place."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Sequence
from typing import Any

from specc.spec.lookup import keys_of, model_at
from tests.fuzz.paths import Path, at, put, walk
from tests.fuzz.plausible import field, value
from tests.fuzz.values import KEYS, WORDS, an_op, nasty

Damage = Callable[[Any, random.Random, Sequence[Any]], None]


def somewhere(data: Any, draw: random.Random) -> Path:
    """A path; parts near the top are as likely as the many deep ones."""
    paths = list(walk(data)) or [("name",)]
    if draw.random() < 0.3:
        paths = [path for path in paths if len(path) <= 2]
    return draw.choice(paths)


def replace(data: Any, draw: random.Random, others: Sequence[Any]) -> None:
    put(data, somewhere(data, draw), nasty(draw))


def exchange(data: Any, draw: random.Random, others: Sequence[Any]) -> None:
    """A value by another one that the schema allows."""
    paths = [path for path in walk(data) if field(data, path)]
    if paths:
        path = draw.choice(paths)
        put(data, path, value(field(data, path), draw))


def shift(data: Any, draw: random.Random, others: Sequence[Any]) -> None:
    """Another number in place of a number."""
    numbers = [path for path in walk(data) if type(at(data, path)) in (int, float)]
    if numbers:
        path = draw.choice(numbers)
        old = at(data, path)
        put(data, path, draw.choice((0, -old, old + 1, old - 1, old * 2, old // 2, old * 1000, old / 3, str(old))))


def rename(data: Any, draw: random.Random, others: Sequence[Any]) -> None:
    """Another key for a value, in its old place."""
    inner = [path for path in walk(data) if isinstance(path[-1], str)]
    path = draw.choice(inner)
    around = at(data, path[:-1])
    new = draw.choice((draw.choice(KEYS), path[-1][:-1], path[-1] * 2, draw.choice(WORDS)))
    entries = [(new if key == path[-1] else key, value) for key, value in around.items()]
    around.clear()
    around.update(entries)


def delete(data: Any, draw: random.Random, others: Sequence[Any]) -> None:
    path = somewhere(data, draw)
    del at(data, path[:-1])[path[-1]]


def duplicate(data: Any, draw: random.Random, others: Sequence[Any]) -> None:
    """A value in a second place, or a list's item many times."""
    path = somewhere(data, draw)
    around, value = at(data, path[:-1]), at(data, path)
    if isinstance(around, list):
        around[path[-1] : path[-1]] = [copy.deepcopy(value) for _ in range(draw.choice((1, 2, 20)))]
    else:
        around[draw.choice(KEYS)] = copy.deepcopy(value)


def splice(data: Any, draw: random.Random, others: Sequence[Any]) -> None:
    """A part of another document, where it may belong or anywhere."""
    donor = draw.choice(others)
    path = somewhere(donor, draw)
    part = copy.deepcopy(at(donor, path))
    if draw.random() < 0.6:
        shared = [there for there in walk(data) if there[-1] == path[-1]]
        put(data, draw.choice(shared) if shared else (path[-1] if len(path) == 1 else "backbone",), part)
    else:
        put(data, somewhere(data, draw), part)


def insert(data: Any, draw: random.Random, others: Sequence[Any]) -> None:
    """A key that the language has in this place, with any value."""
    mappings = [path for path in ((), *walk(data)) if isinstance(at(data, path), dict)]
    path = draw.choice(mappings)
    model = _model(path, data)
    key = draw.choice(keys_of(model) if model else KEYS)
    schema = field(data, (*path, key))
    at(data, path)[key] = value(schema, draw) if schema and draw.random() < 0.8 else nasty(draw)


def _model(path: Path, data: Any) -> Any:
    try:
        return model_at(path, data)
    except (KeyError, IndexError, TypeError):
        return None


def op(data: Any, draw: random.Random, others: Sequence[Any]) -> None:
    """An op in a list of layers of the backbone or a head."""
    entry = an_op(draw)
    backbone = data.get("backbone")
    if isinstance(backbone, dict) and isinstance(layers := backbone.get("layers"), list) and draw.random() < 0.7:
        named = {"name": draw.choice(("n0", "n1", "stem", "x.downsample")), **entry}
        if draw.random() < 0.2:
            named["repeat"] = draw.choice((1, 2, 3, 20, 10_000, 0))
        layers.insert(draw.randrange(len(layers) + 1), named)
        return
    head = draw.choice(("classifier", "reconstruction"))
    heads = data.setdefault("auxiliary", {}) if isinstance(data.get("auxiliary", {}), dict) else {}
    own = heads.get(head) if isinstance(heads.get(head), dict) else {}
    layers = own.get("layers") if isinstance(own.get("layers"), list) else []
    layers.insert(draw.randrange(len(layers) + 1), entry)
    heads[head] = {**own, "layers": layers}


def swap(data: Any, draw: random.Random, others: Sequence[Any]) -> None:
    """Two values in each other's place."""
    one, two = somewhere(data, draw), somewhere(data, draw)
    if one[: len(two)] == two or two[: len(one)] == one:
        return
    first, second = at(data, one), at(data, two)
    put(data, one, second)
    put(data, two, first)


DAMAGES: tuple[Damage, ...] = (
    replace, shift, shift, exchange, exchange, exchange, exchange, rename, delete, duplicate, splice, splice, insert,
    insert, insert, insert, op, op, op, swap,
)  # fmt: skip


def damaged(data: Any, draw: random.Random, others: Sequence[Any]) -> Any:
    """A copy of a document with one to four things wrong with it."""
    found = copy.deepcopy(data)
    for _ in range(draw.choice((1, 1, 1, 2, 2, 3, 4))):
        if isinstance(found, dict) and found:
            draw.choice(DAMAGES)(found, draw, others)
    return found
