"""`define:`, named groups of layers with parameters: what they stand for, and what can be wrong with them."""

from __future__ import annotations

import json
from typing import Any

import pytest

import specc
from specc.checking import check_text
from specc.graph.graph import BackboneGraph
from specc.pipeline import run_passes
from specc.spec.dump import dump
from specc.spec.load import loads

Document = dict[str, Any]

UNIT: Document = {
    "parameters": ["out", "stride"],
    "defaults": {"stride": 1},
    "layers": [
        {"name": "conv", "op": "conv", "out": "$out", "stride": "$stride"},
        {"name": "norm", "op": "batch_norm"},
        {"name": "relu", "op": "relu"},
    ],
}
TAIL: list[Document] = [{"name": "pool", "op": "global_avg_pool"}, {"name": "fc", "op": "linear", "out": 3}]


def document(layers: list[Document], define: Document, **parts: Any) -> Document:
    data = {"dataset": "synthetic", "image_size": 8, "channels": 2, "classes": 3, "samples": 8, "batch_size": 4}
    backbone = {"define": define, "layers": [*layers, *TAIL]}
    return {"specc": 1, "name": "groups", "data": data, "backbone": backbone} | parts


def graph_of(layers: list[Document], define: Document) -> BackboneGraph:
    config = loads(json.dumps(document(layers, define))).config
    return config.backbone.expand((2, 8, 8), 3)


def found(layers: list[Document], define: Document) -> list[tuple[str, str, str]]:
    """Code, marked text and message of every diagnostic."""
    text = json.dumps(document(layers, define), indent=1)
    lines = text.splitlines()
    report = check_text(text)
    return [
        (d.code, lines[d.span.line - 1][d.span.column - 1 :] if d.span else "", d.message) for d in report.diagnostics
    ]


def names(graph: BackboneGraph) -> list[str]:
    return [layer.name for layer in graph.layers[: -len(TAIL)]]


# What a group stands for


def test_a_group_is_its_layers_under_the_name_of_the_use() -> None:
    graph = graph_of([{"name": "stem", "group": "unit", "out": 4, "stride": 2}], {"unit": UNIT})
    assert names(graph) == ["stem.conv", "stem.norm", "stem.relu"]
    assert graph.layers[2].shape == (4, 4, 4)
    assert "stem.conv.conv" in {node.name for node in graph.nodes}


def test_repetitions_are_numbered_and_a_stride_applies_to_the_first() -> None:
    graph = graph_of([{"name": "stage", "group": "unit", "out": 4, "stride": 2, "repeat": 3}], {"unit": UNIT})
    assert names(graph)[::3] == ["stage.0.conv", "stage.1.conv", "stage.2.conv"]
    assert [layer.shape for layer in graph.layers[:9:3]] == [(4, 4, 4)] * 3


def test_each_repetition_may_have_its_own_value() -> None:
    use = {"name": "stage", "group": "unit", "repeat": 3, "each": {"out": [4, 6, 8], "stride": [1, 2, 2]}}
    graph = graph_of([use], {"unit": UNIT})
    assert [layer.shape for layer in graph.layers[:9:3]] == [(4, 8, 8), (6, 4, 4), (8, 2, 2)]
    plain = {"name": "stage", "op": "conv", "repeat": 2, "each": {"out": [4, 6]}}
    assert [layer.shape for layer in graph_of([plain], {}).layers[:2]] == [(4, 8, 8), (6, 8, 8)]


def test_what_a_group_reads_grows_with_every_repetition() -> None:
    dense = {
        "layers": [{"name": "conv", "op": "conv", "out": 2}, {"name": "all", "op": "concat", "from": ["input", "conv"]}]
    }
    graph = graph_of([{"name": "block", "group": "dense", "repeat": 3}], {"dense": dense})
    assert graph.layers[5].shape == (2 + 3 * 2, 8, 8)
    assert graph.layers[4].nodes[0].inputs == ("block.1.all.concat",)


def test_groups_contain_groups_and_hand_parameters_on() -> None:
    stage = {
        "parameters": ["width", "depth"],
        "layers": [
            {"name": "first", "group": "unit", "out": "$width", "stride": 2},
            {"name": "rest", "group": "unit", "out": "$width", "repeat": "$depth"},
            {"name": "sum", "op": "add", "from": ["first.conv", "rest"], "expect": ["$width", 4, 4]},
        ],
    }
    graph = graph_of([{"name": "s1", "group": "stage", "width": 4, "depth": 2}], {"unit": UNIT, "stage": stage})
    assert names(graph)[3:4] == ["s1.rest.0.conv"]
    assert names(graph)[-1] == "s1.sum"
    assert graph.layers[9].nodes[0].inputs == ("s1.first.conv.conv", "s1.rest.1.relu.relu")


def test_a_group_may_read_several_values() -> None:
    up = {"inputs": ["below", "skip"], "layers": [
        {"name": "up", "op": "conv_transpose", "out": 4}, {"name": "both", "op": "concat", "from": ["up", "skip"]},
    ]}  # fmt: skip
    layers = [
        {"name": "a", "op": "conv", "out": 4},
        {"name": "b", "op": "conv", "out": 4, "stride": 2},
        {"name": "c", "group": "up", "from": ["b", "a"]},
    ]
    assert graph_of(layers, {"up": up}).layers[3].shape == (8, 8, 8)
    said = "`c` does not fit: the group `up` takes 2 inputs, not 1"
    assert [(code, message) for code, _, message in found([*layers[:2], {"name": "c", "group": "up"}], {"up": up})] == [
        ("SPC302", said)
    ]


def test_a_group_is_called_as_a_whole_where_a_layer_is_named() -> None:
    layers = [{"name": "a", "group": "unit", "out": 4, "repeat": 2}, {"name": "b", "group": "unit", "out": 4}]
    last: Document = {"name": "sum", "op": "add", "from": ["a", "a.0", "b", "b.conv"]}
    graph = graph_of([*layers, last], {"unit": UNIT})
    assert graph.layers[-3].nodes[0].inputs == ("a.1.relu.relu", "a.0.relu.relu", "b.relu.relu", "b.conv.conv")
    plan = specc.compile(loads(json.dumps(document(layers, {"unit": UNIT}, split={"after": ["a.0", "a"]}))))
    assert [block.layers[-1] for block in plan.blocks] == ["a.0.relu", "a.1.relu", "fc"]


def test_a_spec_with_groups_survives_writing_and_plans_as_the_same_layers_by_hand() -> None:
    spec = loads(json.dumps(document([{"name": "a", "group": "unit", "out": 4, "repeat": 2}], {"unit": UNIT})))
    again = loads(dump(spec.config))
    assert again.config == spec.config
    by_hand = [
        {**layer, "name": f"a.{i}.{layer['name']}"} | ({"out": 4, "stride": 1} if layer["op"] == "conv" else {})
        for i in range(2)
        for layer in UNIT["layers"]
    ]
    plans = [specc.compile(spec), specc.compile(loads(json.dumps(document(by_hand, {}))))]
    assert plans[0].networks == plans[1].networks
    assert plans[0].memory == plans[1].memory


# What can be wrong

USE: Document = {"name": "stem", "group": "unit", "out": 4}


def with_layer(**changes: Any) -> Document:
    """The unit with its convolution changed."""
    first = {key: value for key, value in (UNIT["layers"][0] | changes).items() if value is not None}
    return {"unit": UNIT | {"layers": [first, *UNIT["layers"][1:]]}}


@pytest.mark.parametrize(
    ("uses", "define", "expected"),
    [
        ([USE | {"group": "unti"}], {"unit": UNIT}, ("SPC210", '"unti"', "no group is called `unti`")),
        ([USE | {"outs": 3}], {"unit": UNIT}, ("SPC211", '"outs"', "the group `unit` has no parameter `outs`")),
        ([{"name": "stem", "group": "unit"}], {"unit": UNIT},
         ("SPC212", '"unit"', "the group `unit` needs the parameter `out`")),
        ([USE], with_layer(k="$k"), ("SPC211", '"$k"', "the group `unit` has no parameter `$k`")),
        ([USE, {"name": "b", "op": "conv", "repeat": 1, "each": {"out": ["$out"]}}], {"unit": UNIT},
         ("SPC211", '"$out"', "outside of a group there is no `$out`")),
        ([USE | {"out": -8}], {"unit": UNIT},
         ("SPC206", "-8", "the argument `out` of `conv` must be at least 1")),
        ([USE], with_layer(out="$out", k=0), ("SPC206", "0", "the argument `k` of `conv` must be at least")),
        ([USE], with_layer(width=3), ("SPC204", '"width"', "unknown argument `width` of `conv`")),
        ([USE], with_layer(op="cnv"), ("SPC203", '"cnv"', "unknown op `cnv`")),
        ([USE], with_layer(repeat="$stride", out="$out", stride=None), None),
        ([USE], {"unit": UNIT | {"layers": [*UNIT["layers"], {"name": "sum", "op": "add", "from": ["relu", "input"]}]}},
         ("SPC302", "{", "`stem.sum` does not fit: `add` needs equal shapes, not 4×8×8 and 2×8×8")),
        ([{"name": "side", "op": "conv", "out": 4}, USE],
         {"unit": UNIT | {"layers": [*UNIT["layers"], {"name": "sum", "op": "add", "from": ["relu", "side"]}]}},
         ("SPC215", "[", "`side` is not inside of the group `unit`")),
        ([USE], {"unit": UNIT | {"layers": [*UNIT["layers"], {"name": "sum", "op": "add", "from": ["relu", "nrm"]}]}},
         ("SPC201", "[", "no layer is called `nrm`")),
        ([USE], with_layer(**{"from": "relu"}), ("SPC306", '"relu"', "`conv` reads `relu`, which comes later")),
        ([USE], {"unit": UNIT | {"layers": [*UNIT["layers"], UNIT["layers"][1]]}},
         ("SPC202", '"norm"', "two layers are called `norm`")),
        ([USE | {"repeat": 3, "each": {"out": [4, 4]}}], {"unit": UNIT},
         ("SPC216", "[", "`each` needs a list of 3 values of `out`, one a repetition")),
        ([USE | {"each": {"out": [4]}}], {"unit": UNIT}, ("SPC216", "[", "`each` stands beside `repeat`")),
        ([USE], {"unit": UNIT, "other": UNIT}, ("SPC214", '"other"', "no layer is a `other`")),
        ([USE | {"expect": [5, 8, 8]}], {"unit": UNIT},
         ("SPC303", "[", "`stem.relu` gives 4×8×8, not the expected 5×8×8")),
        ([USE], {"unit": UNIT | {"defaults": {"strde": 1}}}, ("SPC211", "{", "the default of `strde` is that of no")),
        ([USE], {"unit": UNIT | {"parameters": ["out", "stride", "from"]}},
         ("SPC109", "[", "`from` is a key that every layer may have")),
        ([USE | {"op": "conv"}], {"unit": UNIT}, ("SPC103", '"unit"', "a layer is either an `op` or a `group`")),
        ([USE | {"expect": "$out"}], {"unit": UNIT}, ("SPC103", '"$out"', "must be a shape")),
    ],
)  # fmt: skip
def test_a_mistake_is_marked_where_it_is_written(
    uses: list[Document], define: Document, expected: tuple[str, str, str] | None
) -> None:
    marked = found(uses, define)
    assert len(marked) == (expected is not None), marked
    if expected is not None:
        code, text, message = marked[0]
        assert (code, text[: len(expected[1])]) == expected[:2]
        assert expected[2] in message


def test_a_value_that_does_not_fit_is_marked_at_the_use_and_shown_in_the_group() -> None:
    text = json.dumps(document([USE | {"out": "many"}], {"unit": UNIT}), indent=1)
    (diagnostic,) = check_text(text).diagnostics
    assert diagnostic.code == "SPC206"
    assert diagnostic.span is not None
    assert '"many"' in text.splitlines()[diagnostic.span.line - 1]
    assert ['"$out"' in text.splitlines()[label.span.line - 1] for label in diagnostic.secondary] == [True]


def test_a_group_in_itself_is_one_mistake_however_often_it_is_used() -> None:
    layers = {"a": {"layers": [{"name": "x", "group": "b"}]}, "b": {"layers": [{"name": "y", "group": "a"}]}}
    marked = found([{"name": "one", "group": "a"}, {"name": "two", "group": "b"}], layers)
    assert [(code, text, message) for code, text, message in marked] == [
        ("SPC213", '"a"', "a group cannot contain itself: `a` → `b` → `a`")
    ]


def test_a_mistake_in_a_group_is_said_once_for_all_its_uses() -> None:
    uses = [USE | {"name": f"u{i}", "repeat": 3} for i in range(3)]
    assert [code for code, *_ in found(uses, with_layer(kernel=3, k="wide"))] == ["SPC204", "SPC206"]


def test_nested_repetitions_without_end_are_refused_at_once() -> None:
    define = {f"g{i}": {"layers": [{"name": "x", "group": f"g{i + 1}", "repeat": 1_000}]} for i in range(5)}
    define["g5"] = {"layers": [{"name": "x", "op": "relu"}]}
    assert [code for code, *_ in found([{"name": "all", "group": "g0", "repeat": 1_000}], define)] == ["SPC217"]


def test_a_hundred_groups_inside_one_another() -> None:
    define = {f"g{i}": {"layers": [{"name": "x", "group": f"g{i + 1}"}]} for i in range(99)}
    define["g99"] = {"layers": [{"name": "x", "op": "relu"}]}
    spec = loads(json.dumps(document([{"name": "all", "group": "g0"}], define)))
    assert run_passes(spec).diagnostics == ()
