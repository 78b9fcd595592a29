"""A plan's file with anything in it: a plan, or `ValueError`."""

from __future__ import annotations

import copy
import json
import random
from typing import Any

import pytest

from specc.plan import Plan
from tests.documents import compiled
from tests.fuzz.paths import at, put, walk
from tests.fuzz.values import nasty


@pytest.fixture(scope="module")
def written() -> Any:
    return json.loads(compiled().to_json())


@pytest.mark.parametrize("seed", range(60))
def test_a_damaged_plan_is_a_value_error(seed: int, written: Any) -> None:
    draw, document = random.Random(seed), copy.deepcopy(written)
    path = draw.choice(list(walk(written)))
    if draw.random() < 0.3:
        del at(document, path[:-1])[path[-1]]
    else:
        put(document, path, nasty(draw))
    try:
        Plan.from_json(json.dumps(document))
    except ValueError:
        return


@pytest.mark.parametrize("value", [None, [], 1, "x", {"a": 1}, [[]]])
@pytest.mark.parametrize("key", ["networks", "blocks", "units", "instructions", "memory", "data", "config"])
def test_no_part_of_it_may_be_of_another_kind(key: str, value: Any, written: Any) -> None:
    if value == [] and key in ("blocks", "units", "instructions"):
        return  # none of them
    with pytest.raises(ValueError):
        Plan.from_json(json.dumps({**written, key: value}))


@pytest.mark.parametrize("text", ["", "[]", "1", "null", "{", "[" * 100_000, '"x"', '{"format_version": []}'])
def test_no_text_is_anything_else_than_a_value_error(text: str) -> None:
    with pytest.raises(ValueError):
        Plan.from_json(text)
