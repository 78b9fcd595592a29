"""`split.blocks` cuts where people would: whole layers, equal shares, and something to learn in every unit."""

from __future__ import annotations

import json
from itertools import combinations, islice, pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import specc
from specc.checking import check_text
from specc.compiler.cuts import Measure, choices, layer_costs, place_cuts
from specc.graph.crossing import reached
from specc.graph.graph import BackboneGraph
from specc.spec.load import loads
from specc.testing.strategies import backbones, graph_of

from .documents import Document

MEASURES: tuple[Measure, ...] = ("layers", "flops", "parameters", "memory")
IMAGE, CLASSES = (3, 8, 8), 4


@st.composite
def cut_graphs(draw: st.DrawFn) -> tuple[BackboneGraph, int]:
    """Backbones, and numbers of blocks that they can be cut into."""
    graph = graph_of(draw(backbones(IMAGE, CLASSES)), IMAGE, CLASSES)
    return graph, draw(st.integers(1, min(len(graph.tiers[-1]) + 1, 6)))


def blocks(graph: BackboneGraph, cuts: Any) -> list[range]:
    ends = [0, *(cut + 1 for cut in cuts), len(graph.layers)]
    return [range(a, b) for a, b in pairwise(ends)]


@settings(max_examples=30)
@given(cut_graphs())
def test_every_block_has_something_to_train_by_every_measure(drawn: tuple[BackboneGraph, int]) -> None:
    graph, count = drawn
    for by in MEASURES:
        found = blocks(graph, place_cuts(graph, count, by))
        assert len(found) == count
        assert all(any(graph.layers[i].trained for i in block) for block in found)


@settings(max_examples=30)
@given(cut_graphs())
def test_no_other_choice_of_cuts_has_a_smaller_largest_block_by_its_own_measure(
    drawn: tuple[BackboneGraph, int],
) -> None:
    graph, count = drawn
    legal = [graph.index[name] for name in choices(graph, count)]
    others = list(islice(combinations(legal, count - 1), 3000))
    for by in MEASURES:
        costs = layer_costs(graph, by)

        def largest(cuts: Any, costs: list[int] = costs) -> int:
            return max(sum(costs[i] for i in block) for block in blocks(graph, cuts))

        assert largest(place_cuts(graph, count, by)) <= min(map(largest, others)), by


@settings(max_examples=30)
@given(cut_graphs())
def test_a_safe_cut_is_where_all_leads_to_that_is_trained_before(drawn: tuple[BackboneGraph, int]) -> None:
    graph, _ = drawn
    wanted = []
    for name in graph.cuts:
        nodes = [node for layer in graph.layers[: graph.index[name] + 1] for node in layer.nodes]
        led = reached(nodes, (nodes[-1].name,))
        if all(node.name in led for node in nodes if node.trained):
            wanted.append(name)
    assert list(graph.safe_cuts) == wanted


@settings(max_examples=30)
@given(cut_graphs())
def test_a_tier_of_places_holds_the_one_before_and_no_two_places_between_the_same_weights(
    drawn: tuple[BackboneGraph, int],
) -> None:
    graph, _ = drawn
    trained = [sum(each.trained for each in graph.layers[: i + 1]) for i in range(len(graph.layers))]
    for fewer, more in pairwise(graph.tiers):
        assert {*fewer} <= {*more} <= {*graph.cuts}
    for tier in graph.tiers:
        assert len({trained[graph.index[name]] for name in tier}) == len(tier)
    assert {*graph.tiers[0]} <= {*graph.narrow_cuts}


def layer(name: str, op: str, source: str | list[str] | None = None, **more: Any) -> Document:
    return {"name": name, "op": op} | ({"from": source} if source else {}) | more


def document(layers: list[Document], **split: Any) -> str:
    data = {"dataset": "synthetic", "image_size": 16, "channels": 3, "classes": 5, "samples": 32, "batch_size": 4}
    own = {"specc": 1, "name": "cut", "data": data, "backbone": {"layers": layers}, "split": split}
    return json.dumps(own | {"auxiliary": {"classifier": {"layers": "0c1f"}}})


END = [layer("pool", "global_avg_pool"), layer("fc", "linear", out=5)]
PLAIN = [
    layer("c1", "conv", out=8), layer("n1", "batch_norm"), layer("r1", "relu"),
    layer("c2", "conv", out=8), layer("p2", "max_pool"), layer("r2", "relu"),
    layer("c3", "conv", out=8), layer("r3", "relu"), layer("p3", "max_pool"), layer("n3", "batch_norm"), *END,
]  # fmt: skip
RESIDUAL = [
    layer("stem", "conv", out=8), layer("s", "relu"),
    *(each for i, before in ((0, "s"), (1, "r0"), (2, "r1")) for each in (
        layer(f"a{i}", "conv", before, out=8), layer(f"n{i}", "batch_norm"), layer(f"x{i}", "relu"),
        layer(f"b{i}", "conv", out=8), layer(f"m{i}", "batch_norm"), layer(f"sum{i}", "add", [f"m{i}", before]),
        layer(f"r{i}", "relu"))), *END,
]  # fmt: skip
NORMED_FIRST = [
    layer("stem", "conv", out=8),
    *(each for i, before in ((0, "stem"), (1, "sum0")) for each in (
        layer(f"n{i}", "batch_norm", before), layer(f"x{i}", "relu"), layer(f"a{i}", "conv", out=8),
        layer(f"sum{i}", "add", [f"a{i}", before]))),
    layer("n", "batch_norm"), layer("r", "relu"), *END,
]  # fmt: skip


@pytest.mark.parametrize(
    ("layers", "places"),
    [(PLAIN, ("r1", "r2", "n3")), (RESIDUAL, ("s", "r0", "r1", "r2")), (NORMED_FIRST, ("stem", "sum0", "r"))],
    ids=["plain, with poolings before and after", "residual", "with norms first"],
)
def test_places_are_ends_of_layers_with_their_norms_and_activations(
    layers: list[Document], places: tuple[str, ...]
) -> None:
    assert graph_of({"layers": layers}, (3, 16, 16), 5).tiers[0] == places


def ends(text: str) -> list[str]:
    return [block.layers[-1] for block in specc.compile(loads(text)).blocks[:-1]]


def test_a_residual_network_is_cut_inside_of_its_blocks_only_where_there_are_too_few_other_places() -> None:
    for count in (2, 3, 4, 5):
        assert {*ends(document(RESIDUAL, blocks=count))} <= {"s", "r0", "r1", "r2"}
    graph = graph_of({"layers": RESIDUAL}, (3, 16, 16), 5)
    assert graph.tiers[1] == ("s", "x0", "r0", "x1", "r1", "x2", "r2")
    (found,) = (each for each in check_text(document(RESIDUAL, blocks=8)).diagnostics if each.code == "SPC436")
    assert found.message == (
        "of 7 cuts 3 lie inside of something: after `x0`, where 2 tensors cross; after `x1`, where 2 tensors cross; "
        "and 1 more"
    )


def test_a_layer_is_parted_from_its_norm_only_where_there_are_too_few_other_places_which_is_said() -> None:
    assert ends(document(PLAIN, blocks=4)) == ["r1", "r2", "n3"]
    assert check_text(document(PLAIN, blocks=4)).diagnostics == ()
    found = check_text(document(PLAIN, blocks=5)).diagnostics
    said = next(each for each in found if each.code == "SPC436")
    assert "before `n1`, which belongs to it" in said.message or "before `n3`, which belongs to it" in said.message
    assert said.help == ("`blocks: 4` is cut at the ends of layers with their activations alone",)


def test_cuts_that_a_spec_names_are_its_own_business() -> None:
    assert [each.code for each in check_text(document(PLAIN, after=["c2"])).diagnostics] == []


def test_equal_layers_are_layers_with_parameters_where_some_lie_between_places() -> None:
    """Evenly spread over the places would be `r` and `yr`, with seven layers in between."""
    wide = [layer("a", "conv", out=8), layer("r", "relu"),
            *(layer(f"c{i}", "conv", out=8) for i in range(6)), layer("x", "add", ["c5", "r"]),
            layer("y", "conv", out=8), layer("yr", "relu"), *END]  # fmt: skip
    assert graph_of({"layers": wide}, (3, 16, 16), 5).tiers[0] == ("r", "x", "yr")
    assert ends(document(wide, blocks=3)) == ["r", "x"]


SMALL = [layer("thin", "conv", out=1, k=1), layer("wide", "conv", out=64, k=5), layer("more", "conv", out=64), *END]


def test_a_unit_with_next_to_nothing_of_the_network_is_pointed_at() -> None:
    (found,) = check_text(document(SMALL, after=["thin", "wide"])).diagnostics
    assert (found.code, found.is_error) == ("SPC437", False)
    assert found.message == (
        "`unit0.independent` (`thin`) has 0.01% of the network's parameters and 0.01% of its FLOPs"
    )
    assert found.span is not None
    assert found.label == "hardly a unit"
    assert check_text(document(SMALL, after=["wide"])).diagnostics == ()


LARGE_HEAD = [
    layer("c1", "conv", out=4, k=3), layer("r1", "relu"), layer("c2", "conv", out=4, k=3), layer("r2", "relu"),
    layer("c3", "conv", out=4, k=3), layer("r3", "relu"), layer("flat", "flatten"), layer("fc", "linear", out=5),
]  # fmt: skip


@pytest.mark.parametrize(("links", "end"), [([], "r3"), ([{"from": "next"}], "r2")], ids=["alone", "linked"])
def test_where_blocks_are_linked_something_to_copy_comes_after_every_cut(links: list[Document], end: str) -> None:
    """Cut for equal parameters the head is a block; no link copies a head, so that the cut before it is no choice."""
    spec = {
        "specc": 1, "name": "cut", "split": {"blocks": 2, "by": "parameters"}, "backbone": {"layers": LARGE_HEAD},
        "data": {"dataset": "synthetic", "image_size": 16, "channels": 3, "classes": 5, "samples": 8, "batch_size": 4},
        "ema_links": links,
    }  # fmt: skip
    assert ends(json.dumps(spec)) == [end]
