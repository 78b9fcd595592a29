"""Damaged specs: never a traceback; damage whose outcome is certain gives the expected code at the expected line."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from specc.checking import Report, check, check_text, load
from specc.diagnostics.pages import titles
from specc.diagnostics.render import render
from specc.graph.macros import MACROS
from specc.graph.ops import OPS
from specc.spec.dump import dump
from specc.spec.lookup import all_mappings, keys_of
from tests.mutations import ANY, CERTAIN, Spec
from tests.parts import partly
from tests.shipped import FEW, REPRESENTATIVES, SHIPPED

ROUNDS = 2
KEYS = sorted({key for _, model in all_mappings() for key in keys_of(model)} | {"op", "out", "k", "<<"})
NAMES = ["next", "resnet_cifar", "sgd", "stage1.0", "all", "1c2f", "2c", "per_unit", "6 GiB", "a", "${X}"]
WORDS = [*NAMES, *OPS, *MACROS]


def sound(report: Report) -> Report:
    """The report, if it can be shown and means what it says."""
    assert all(d.code in titles() for d in report.diagnostics)
    assert (report.spec is None) == any(d.is_error for d in report.diagnostics)
    render(report.diagnostics, report.sources)
    return report


@pytest.mark.parametrize("path", partly(SHIPPED, set(SHIPPED) - set(REPRESENTATIVES)))
def test_shipped_specs_have_no_diagnostics(path: Path) -> None:
    """As `test_recipes.py` asks of all while it compiles them."""
    assert check(path).diagnostics == ()


@pytest.mark.parametrize("damage", [*CERTAIN, *ANY], ids=lambda damage: damage.__name__)
@pytest.mark.parametrize("path", FEW, ids=lambda path: path.stem)
def test_a_damaged_spec_is_diagnosed(path: Path, damage: Any) -> None:
    for seed in range(ROUNDS):
        result = damage(Spec.of(whole(path), seed))
        if result is None:
            return
        text, expected = result
        report = sound(check_text(text))
        if expected:
            line, codes = expected
            found = {(d.span.line, d.code) for d in report.diagnostics if d.span}
            assert any((line, code) in found for code in codes), f"{expected} not in {found}\n{text}"


@cache
def whole(path: Path) -> str:
    """The spec in one text: as it is written, or with what it extends."""
    text = path.read_text(encoding="utf-8")
    return dump(load(path).config) if "extends:" in text else text


def test_there_are_enough_kinds() -> None:
    assert len({*CERTAIN, *ANY}) >= 15


def values(depth: int) -> st.SearchStrategy[Any]:
    plain = st.one_of(
        st.none(), st.booleans(), st.integers(-3, 200), st.floats(), st.sampled_from(WORDS), st.text(max_size=4)
    )
    if not depth:
        return plain
    inner = values(depth - 1)
    return plain | st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4)


@given(st.dictionaries(st.sampled_from(KEYS), values(4), max_size=8))
@settings(max_examples=250, deadline=None, suppress_health_check=list(HealthCheck))
def test_documents_in_the_words_of_the_language_never_raise(data: dict[str, Any]) -> None:
    head = {"specc": 1, "name": "x", "backbone": {"family": "resnet_cifar", "depth": 8}}
    sound(check_text(json.dumps(head | data)))


@given(st.binary(max_size=300))
@settings(max_examples=200, deadline=None)
def test_bytes_never_raise(raw: bytes) -> None:
    from specc.checking import examine
    from specc.spec.load import read_bytes_as_spec

    sound(examine(read_bytes_as_spec(raw, "x.yaml")))


@given(st.sampled_from(FEW), st.data())
@settings(max_examples=60, deadline=None)
def test_overrides_never_raise(path: Path, data: st.DataObject) -> None:
    key = st.lists(st.sampled_from([*KEYS, "0", "1", "7", ""]), min_size=1, max_size=4).map(".".join)
    value = st.sampled_from([*WORDS, "", "1", "-1", "[1", "{a: 1}", "yes", "010", "*x", "null"])
    overrides = data.draw(st.lists(st.tuples(key, value).map("=".join), max_size=3))
    sound(check(path, overrides))
