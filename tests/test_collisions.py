"""Names are made in many places; two tensors never get the same one."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from specc.checking import check_text
from specc.compiler.checks.collisions import check_tensors
from specc.compiler.verify import verify
from specc.diagnostics import Diagnostic
from specc.graph.builder import Builder, NameTaken
from specc.graph.ops import Relu
from specc.pipeline import run_passes

from .documents import Document, compiled, document, spec_of

HEAD: list[Document] = [{"name": "pool", "op": "global_avg_pool"}, {"name": "head", "op": "linear", "out": 4}]


def findings(*layers: Document, **parts: Any) -> tuple[Diagnostic, ...]:
    text = json.dumps(document(backbone={"layers": [*layers, *HEAD]}, **({"split": {"blocks": 1}} | parts)), indent=1)
    return check_text(text).diagnostics


X: Document = {"name": "x", "op": "basic_block", "out": 4}


def test_a_layer_does_not_take_the_name_of_another_ones_part() -> None:
    (error,) = findings(X, {"name": "x.downsample", "op": "conv", "out": 4})
    assert error.code == "SPC209"
    assert error.message == "`x.downsample` would have a part called `x.downsample.conv`, and `x` has one"
    assert error.span is not None
    (first,) = error.secondary
    assert first.span.line < error.span.line


def test_nor_the_other_way_round() -> None:
    (error,) = findings({"name": "x.downsample", "op": "conv", "out": 3}, X)
    assert error.message == "`x` would have a part called `x.downsample.conv`, and `x.downsample` has one"


def test_a_repetition_does_not_either() -> None:
    several = {"name": "x", "op": "basic_block", "out": 4, "repeat": 2}
    (error,) = findings(several, {"name": "x.0.downsample", "op": "conv", "out": 4})
    assert error.message == "`x.0.downsample` would have a part called `x.0.downsample.conv`, and `x.0` has one"


def test_a_layer_of_a_group_does_not_either() -> None:
    group = {"define": {"pair": {"layers": [{"name": "first", "op": "basic_block", "out": 4}]}}}
    layers = [{"name": "x", "group": "pair"}, {"name": "x.first.downsample", "op": "conv", "out": 4}, *HEAD]
    text = json.dumps(document(backbone=group | {"layers": layers}, split={"blocks": 1}))
    (error,) = check_text(text).diagnostics
    assert "a part called `x.first.downsample.conv`, and `x.first` has one" in error.message


def test_names_that_only_begin_alike_are_fine() -> None:
    assert findings(X, {"name": "x.tail", "op": "conv", "out": 4}, {"name": "x.conv1", "op": "relu"}) == ()


def test_no_graph_has_two_parts_of_one_name() -> None:
    b = Builder((3,))
    b.add(Relu(), "a")
    with pytest.raises(NameTaken):
        b.add(Relu(), "a")


def test_a_layer_does_not_take_the_name_of_an_auxiliary_networks_part() -> None:
    layers = [{"name": "one", "op": "conv", "out": 4}, {"name": "unit0.independent.ema", "op": "basic_block", "out": 4}]
    links = {"ema_links": [{"from": "next"}], "split": {"after": ["one"]}, "auxiliary": {"classifier": {}}}
    assert findings(layers[0], {**layers[1], "name": "two"}, **links) == ()
    (error,) = findings(*layers, **links)
    assert error.code == "SPC209"
    assert "`unit0.independent.ema`" in error.message
    assert error.label == "taken"


def test_whatever_takes_a_name_is_found_in_the_plan() -> None:
    """The check is about tensors: it does not matter where their names were made."""
    draft = run_passes(spec_of(document()))
    networks = dict(draft.networks)
    networks["unit0.independent.classifier"] = replace(networks["block1"], name="unit0.independent.classifier")
    (error,) = check_tensors(draft.updated(networks=networks)).diagnostics
    assert (error.code, error.is_error) == ("SPC209", True)


def test_the_verifier_sees_two_tensors_of_one_name() -> None:
    plan = compiled()
    name, network = next((n, network) for n, network in plan.networks.items() if network.prefix)
    twin = replace(network, graph=plan.networks["block0"].graph, prefix="")
    broken = replace(plan, networks={**plan.networks, name: twin})
    assert any("is the name of a tensor of block0 too" in line for line in verify(broken))
