"""The ranges of numbers: every one has an end, and a macro's arguments have those of the ops that they become."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from specc.checking import check_text
from specc.graph.builder import MOST_OPS, Builder
from specc.graph.macros import MACROS
from specc.graph.ops import OPS, Conv, RangeError, Relu, ShapeError
from specc.graph.ops.entry import make
from specc.spec.json_schema import json_schema, op_schema
from tests.documents import Document, compiled, document

KINDS = {**OPS, **MACROS}
SHAPES = ((4, 8, 8), (8, 4), (8,))
LEAST: dict[str, Any] = {"out": 4, "expand_to": 4, "heads": 2, "mlp": 4, "hidden": 4}


def numbers(schema: Any, where: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every whole number that a JSON Schema describes."""
    if isinstance(schema, dict):
        if schema.get("type") == "integer" and not {"const", "enum"} & schema.keys():
            yield where, schema
        for key, value in schema.items():
            yield from numbers(value, f"{where}.{key}")
    elif isinstance(schema, list):
        for i, value in enumerate(schema):
            yield from numbers(value, f"{where}[{i}]")


def codes(spec: Document) -> list[str]:
    return [d.code for d in check_text(json.dumps(spec)).diagnostics]


def layers(*entries: Document, classes: int = 4) -> Document:
    """A spec with its own graph."""
    head: list[Document] = [{"name": "p", "op": "global_avg_pool"}, {"name": "fc", "op": "linear", "out": classes}]
    named = [{"name": f"x{i}", **entry} for i, entry in enumerate(entries)]
    return document(backbone={"layers": [*named, *head]}, split={"blocks": 1})


def test_every_whole_number_of_the_language_has_two_ends() -> None:
    found = dict(numbers(json_schema()))
    assert len(found) > 100
    lower = [where for where, schema in found.items() if not {"minimum", "exclusiveMinimum"} & schema.keys()]
    upper = [where for where, schema in found.items() if not {"maximum", "exclusiveMaximum"} & schema.keys()]
    assert (lower, upper) == ([], [])


@pytest.mark.parametrize("name", KINDS)
def test_no_argument_is_infinite_or_not_a_number(name: str) -> None:
    kind = KINDS[name]
    for key, argument in op_schema(kind)["properties"].items():
        if argument.get("type") == "number":
            for value in (float("nan"), float("inf"), float("-inf")):
                with pytest.raises(ValueError, match=key):
                    make(kind, {**_least(kind), key: value})


def _least(kind: Any) -> dict[str, Any]:
    required = [key for key in op_schema(kind)["required"] if key != "op"]
    return {key: LEAST.get(key, 0 if key == "p" else 1) for key in required}


@pytest.mark.parametrize("name", MACROS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_what_a_macro_accepts_its_ops_accept(name: str, shape: tuple[int, ...]) -> None:
    """Otherwise the builder refuses an op, instead of the language the argument."""
    kind = MACROS[name]
    for arguments in _extremes(kind):
        macro = make(kind, arguments)
        try:
            macro.expand(Builder(shape))
        except ShapeError as error:
            assert not isinstance(error, RangeError), (arguments, error)  # noqa: PT017


def _extremes(kind: Any) -> Iterator[dict[str, Any]]:
    """Arguments with one of them at an end of its range."""
    least = _least(kind)
    for key, schema in op_schema(kind)["properties"].items():
        for arm in schema.get("anyOf", [schema]):
            ends = [arm[end] for end in ("minimum", "maximum") if end in arm]
            if "exclusiveMaximum" in arm:
                ends.append(arm["exclusiveMaximum"] - 1e-9)
            yield from ({**least, key: end} for end in ends)


@pytest.mark.parametrize(
    "entry",
    [
        {"op": "conv_bn_relu", "out": -8},
        {"op": "conv_bn_relu", "out": 8, "stride": 0},
        {"op": "conv_bn_relu", "out": 8, "groups": 0},
        {"op": "conv_bn_relu", "out": 8, "k": -1},
        {"op": "conv_bn_relu", "out": 8, "pad": -1},
        {"op": "basic_block", "out": 0},
        {"op": "basic_block", "out": 8, "stride": 0},
        {"op": "bottleneck", "out": 8, "inner": -2},
        {"op": "bottleneck", "out": 8, "groups": 0},
        {"op": "inverted_residual", "out": 8, "expand_to": -4},
        {"op": "inverted_residual", "out": 8, "expand_to": 4, "squeeze": -1},
        {"op": "convnext_block", "drop_path": 1.5},
        {"op": "convnext_block", "drop_path": 1.0},
        {"op": "convnext_block", "layer_scale": ".inf"},
        {"op": "mlp", "hidden": 0},
        {"op": "mlp", "hidden": 4, "dropout": -0.1},
        {"op": "transformer_block", "heads": 0, "mlp": 4},
        {"op": "transformer_block", "heads": 1, "mlp": -4},
    ],
    ids=str,
)
def test_an_argument_out_of_its_range_is_an_error_wherever_a_macro_stands(entry: Document) -> None:
    assert codes(layers(entry)) == ["SPC206"]
    assert codes(document(auxiliary={"classifier": {"layers": [entry]}})) == ["SPC206"]
    assert codes(document(auxiliary={"classifier": {}, "reconstruction": {"layers": [entry]}})) == ["SPC206"]


@pytest.mark.parametrize("name", MACROS)
@pytest.mark.parametrize("before", [[], [{"op": "to_tokens"}], [{"op": "flatten"}]], ids=["map", "tokens", "vector"])
def test_a_macro_on_features_of_any_kind_fits_or_says_why_not(name: str, before: list[Document]) -> None:
    entry = {"op": name, **_least(MACROS[name])}
    own = codes(layers({"op": "conv", "out": 4}, *before, entry))
    head = codes(document(auxiliary={"classifier": {"layers": [*before, entry]}}))
    assert own in ([], ["SPC302"], ["SPC304"])
    assert head in ([], ["SPC415"])


def test_an_op_that_a_family_derives_is_held_to_its_range_as_well() -> None:
    wide = {"family": "resnext", "groups": 1_000_000, "width_per_group": 1_000_000}
    report = check_text(json.dumps(document(backbone=wide, split={"blocks": 1})))
    assert [d.code for d in report.diagnostics] == ["SPC206"]
    assert "argument `out` of `conv` must be less than or equal to 1000000" in report.diagnostics[0].message


def test_a_graph_with_too_many_ops_is_refused_before_it_is_built() -> None:
    builder = Builder((4,))
    builder.nodes = [None] * MOST_OPS
    with pytest.raises(RangeError, match="20,000 ops"):
        builder.add(Relu())
    many = {"op": "basic_block", "out": 4, "repeat": 1_000}
    assert codes(layers(many, many, many)) == ["SPC302"]
    assert codes(layers({**many, "repeat": 1_001})) == ["SPC103"]  # with EMA links the links' pieces take seconds


def test_the_builder_refuses_an_op_that_no_spec_could_write() -> None:
    with pytest.raises(RangeError, match="`stride` of `conv`"):
        Builder((4, 8, 8)).add(Conv(4, stride=0))


@pytest.mark.parametrize(
    "path",
    [
        ("backbone", {"family": "resnet_cifar", "depth": 1_000_000_000}),
        ("backbone", {"family": "vit", "patch": 2, "depth": 1_000_000_000}),
        ("backbone", {"family": "mobilenet_v3", "width": 1e308}),
        ("auxiliary", {"pointwise": {"convolutions": 1_000_000_000}}),
        ("auxiliary", {"pointwise": {"linears": 1_000_000_000}}),
        ("auxiliary", {"classifier": {"layers": [], "linears": 1_000_000_000}}),
        ("auxiliary", {"classifier": {"patches": {"grid": [1_000_000, 1_000_000]}}}),
        ("budget", {"memory": 10**60}),
        ("train", {"seed": 1 << 64}),
    ],
    ids=str,
)
def test_a_number_that_nobody_can_mean_is_out_of_range(path: tuple[str, Document]) -> None:
    key, value = path
    spec = document(**{key: value})
    if key == "backbone":
        spec["split"] = {"blocks": 1}
    assert set(codes(spec)) == {"SPC104"}


def test_a_stride_of_one_in_both_directions_needs_no_projection() -> None:
    builder = Builder((4, 8, 8))
    make(MACROS["basic_block"], {"out": 4, "stride": [1, 1]}).expand(builder)
    assert not any("downsample" in node.name for node in builder.nodes)


@pytest.mark.parametrize("weight", [1e308, -1e308, [1e31, 1.0, 1.0], {"first": 1e31, "last": 0.0}])
def test_the_product_of_two_weights_is_a_number(weight: Any) -> None:
    assert codes(document(auxiliary={"classifier": {"weight": weight}})) == ["SPC104"]
    if isinstance(weight, float):
        assert codes(document(levels=[{"name": "a", "weight": weight}])) == ["SPC104"]
        assert codes(document(levels=[{"name": "a", "units": [{"unit": 0, "weight": weight}]}])) == ["SPC104"]
    most = {"classifier": {"weight": 1e30}}
    assert "Infinity" not in compiled(auxiliary=most, levels=[{"name": "a", "weight": 1e30}]).to_json()


DEEP = {"family": "resnet_cifar", "depth": 2000, "widths": [4, 4, 6, 8]}


def test_changes_are_not_tried_on_a_network_that_would_take_long() -> None:
    report = check_text(json.dumps(document(backbone=DEEP, split={"blocks": 1}, budget={"memory": "6 MiB"})))
    assert [d.code for d in report.diagnostics] == ["SPC501"]
    assert "changes are not tried on 7,002 ops" in " ".join(report.diagnostics[0].help)


def test_a_few_units_of_the_same_are_tried() -> None:
    report = check_text(json.dumps(document(budget={"memory": "1 KiB"})))
    assert "not tried" not in " ".join(report.diagnostics[0].help)


def test_the_heads_of_all_units_together_have_an_end() -> None:
    heads = {"pointwise": {"convolutions": 100, "linears": 100}}
    assert codes(document(backbone=DEEP, split={"blocks": 150}, auxiliary=heads)) == ["SPC206"]
    assert codes(document(auxiliary=heads)) == []
