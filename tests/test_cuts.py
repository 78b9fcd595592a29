"""Cuts by a measure are the best there are, and an illegal cut is explained."""

from __future__ import annotations

from itertools import combinations, pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import specc
from specc.compiler.cuts import Measure, balanced_cuts, even_cuts, layer_costs
from specc.diagnostics import SpecError
from specc.graph.builder import LayerBuilder
from specc.graph.ops import Conv, Relu

from .documents import Document, compiled, document, spec_of
from .parts import ends

MEASURES: tuple[Measure, ...] = ("layers", "flops", "parameters", "memory")


@st.composite
def divisions(draw: st.DrawFn) -> tuple[list[int], list[int], int]:
    """Costs of layers, legal cuts among them, and a number of blocks that they allow."""
    costs = draw(st.lists(st.integers(0, 20), min_size=2, max_size=10))
    legal = sorted(draw(st.sets(st.integers(0, len(costs) - 2), min_size=1)))
    return costs, legal, draw(st.integers(1, len(legal) + 1))


def largest(costs: list[int], cuts: Any) -> int:
    return max(sum(costs[a:b]) for a, b in pairwise([0, *(c + 1 for c in cuts), len(costs)]))


@given(divisions())
def test_no_other_cuts_have_a_smaller_largest_block(division: tuple[list[int], list[int], int]) -> None:
    costs, legal, count = division
    cuts = balanced_cuts(costs, legal, count)
    assert len(cuts) == count - 1
    assert cuts == sorted(set(cuts))
    assert set(cuts) <= set(legal)
    assert largest(costs, cuts) == min(largest(costs, other) for other in combinations(legal, count - 1))


@given(st.integers(1, 60), st.data())
def test_even_cuts_are_different(places: int, data: st.DataObject) -> None:
    count = data.draw(st.integers(1, places + 1))
    cuts = even_cuts(range(places), count)
    assert len(set(cuts)) == count - 1


def test_of_equally_good_cuts_those_of_equal_shares() -> None:
    """The last layer dictates the largest block; the first ones are not filled up to it."""
    assert balanced_cuts([1] * 12 + [9], range(12), 4) == [4, 9, 11]


def test_ten_thousand_layers() -> None:
    costs = [1 + i * 7919 % 1000 for i in range(10_000)]
    with ends():
        cuts = balanced_cuts(costs, range(9_999), 100)
    assert largest(costs, cuts) <= sum(costs) / 100 + 1000


@pytest.mark.parametrize("by", MEASURES)
def test_split_by_a_measure(by: Measure) -> None:
    """The compiled blocks are the best of all divisions, and a backbone that narrows is cut elsewhere by each."""
    backbone = {"family": "resnet_cifar", "depth": 14, "widths": [4, 4, 6, 8]}
    plan = compiled(backbone=backbone, split={"blocks": 3, "by": by})
    graph = plan.config.backbone.expand((1, 8, 8), 4)
    costs = layer_costs(graph, by)
    cuts = [graph.index[block.layers[-1]] for block in plan.blocks[:-1]]
    legal = [graph.index[name] for name in graph.narrow_cuts]
    if by != "layers":
        assert largest(costs, cuts) == min(largest(costs, other) for other in combinations(legal, 2))
    assert len(plan.blocks) == 3


def test_memory_counts_a_shared_storage_once() -> None:
    """Two convolutions keep their inputs; the ReLU between them works in place on what the second one keeps."""
    b = LayerBuilder((3, 8, 8))
    with b.layer("a"):
        b.chain((Conv(4), Relu()))
    with b.layer("b"):
        b.chain((Conv(5),))
    assert layer_costs(b.backbone(), "memory") == [4 * 64 * (3 + 4), 0]


LAYERS = [
    {"name": "stem", "op": "conv", "out": 4},
    {"name": "left", "op": "conv", "out": 4},
    {"name": "right", "op": "conv", "out": 4, "from": "stem"},
    {"name": "both", "op": "add", "from": ["left", "right"]},
    {"name": "tail", "op": "relu"},
    {"name": "pool", "op": "global_avg_pool"},
    {"name": "fc", "op": "linear", "out": 4},
]
INTEGERS = [
    {"name": "codes", "op": "to_integers", "levels": 4},
    {"name": "seen", "op": "embedding", "rows": 4, "out": 3},
    {"name": "again", "op": "embedding", "rows": 4, "out": 3, "from": "codes"},
    {"name": "both", "op": "add", "from": ["seen", "again"]},
    {"name": "pool", "op": "global_avg_pool"},
    {"name": "fc", "op": "linear", "out": 4},
]


@pytest.mark.parametrize(
    ("layers", "after", "message", "help"),
    [
        (LAYERS, "fc", "nothing comes after `fc`", "`pool`"),
        (INTEGERS, "seen", "integers would cross beside its features, what they read is that of `codes`", "`again`"),
        (INTEGERS, "codes", "it gives integers, which no head can learn from", "`again`"),
    ],
)
def test_an_illegal_cut_says_why(layers: list[Document], after: str, message: str, help: str) -> None:
    with pytest.raises(SpecError) as caught:
        specc.compile(spec_of(document(backbone={"layers": layers}, split={"after": [after]})))
    found = next(each for each in caught.value.diagnostics if each.code == "SPC401")
    assert message in found.message
    assert found.help == (f"nearest legal cuts: {help}",)


def test_a_measure_needs_a_number_of_blocks() -> None:
    with pytest.raises(SpecError) as caught:
        specc.compile(spec_of(document(split={"after": ["stem"], "by": "flops"})))
    assert [d.code for d in caught.value.diagnostics] == ["SPC107"]
