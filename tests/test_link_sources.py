"""What an EMA link copies: layers with something to average, wired as in the backbone, reading the unit's features."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch

import runtime
import specc
from specc.checking import check_text
from specc.compiler.verify import verify
from specc.diagnostics import Diagnostic, Severity
from specc.fit.splits import Splits
from specc.graph.graph import INPUT
from specc.pipeline import CHECKS, run_passes
from specc.plan import LinkPlan, Plan
from specc.plan.sound import read

from .documents import Document, compiled, spec_of

HEAD: list[Document] = [{"name": "pool", "op": "global_avg_pool"}, {"name": "head", "op": "linear", "out": 2}]


def conv(name: str, **more: Any) -> Document:
    return {"name": name, "op": "conv", "out": 4, **more}


def document(layers: Sequence[Document], after: Sequence[str], /, **link: Any) -> Document:
    data = {"dataset": "synthetic", "samples": 8, "batch_size": 4, "image_size": 8, "channels": 1, "classes": 2}
    return {
        "specc": 1,
        "name": "links",
        "data": data,
        "backbone": {"layers": [*layers, *HEAD]},
        "split": {"after": list(after)},
        "auxiliary": {"classifier": {"layers": "0c1f"}},
        "ema_links": [{"from": "next", **link}],
        "train": {"seed": 3},
    }


def plan_of(layers: Sequence[Document], after: Sequence[str], /, **link: Any) -> Plan:
    plan = specc.compile(spec_of(document(layers, after, **link)))
    assert verify(plan) == []
    return plan


def findings(layers: Sequence[Document], after: Sequence[str], /, **link: Any) -> tuple[Diagnostic, ...]:
    return check_text(json.dumps(document(layers, after, **link))).diagnostics


def only_link(plan: Plan) -> LinkPlan:
    ((link,),) = [unit.links for unit in plan.units if unit.links]
    return link


def copied(plan: Plan) -> set[str]:
    """The backbone's tensors that are averaged."""
    return set(only_link(plan).sources.values())


POOLED = [conv("one"), {"name": "half", "op": "max_pool", "k": 2, "stride": 2}, conv("two"), conv("three")]


def test_next_goes_on_to_the_first_layer_with_parameters() -> None:
    plan = plan_of(POOLED, ["one"])
    assert copied(plan) == {"two.conv.weight"}
    assert [node.op.name for node in plan.networks[only_link(plan).ema].graph.nodes] == ["max_pool", "conv"]


def test_a_note_says_which_layers_are_copied() -> None:
    (note,) = findings(POOLED, ["one"])
    assert (note.code, note.severity) == ("SPC428", Severity.NOTE)
    assert "copies `half` and `two`" in note.message


def test_a_block_without_parameters_has_nothing_to_average() -> None:
    found = findings([conv("one"), {"name": "half", "op": "max_pool"}, conv("two")], ["one", "half"])
    assert [(d.code, d.severity) for d in found if d.code == "SPC426"] == [("SPC426", Severity.ERROR)]


def test_a_layer_that_is_named_has_parameters() -> None:
    (error,) = findings(POOLED, ["one"], **{"from": "half"})
    assert error.code == "SPC426"
    assert error.help == ("with `layers: 2` the copy reaches `two`, which has some",)


def test_several_layers_that_are_named_need_parameters_in_one_of_them() -> None:
    assert copied(plan_of(POOLED, ["one"], **{"from": "half", "layers": 2})) == {"two.conv.weight"}


def test_next_passes_over_a_branch_without_parameters() -> None:
    layers = [
        conv("one"),
        {"name": "left", "op": "max_pool", "k": 3, "stride": 1, "pad": 1},
        conv("right", **{"from": "one"}),
        {"name": "sum", "from": ["left", "right"], "op": "add"},
    ]
    assert copied(plan_of(layers, ["one"])) == {"right.conv.weight"}
    (note,) = findings(layers, ["one"])
    assert (note.code, note.label) == ("SPC428", "not the very next alone")


FORKED = [
    conv("one"),
    conv("two"),
    conv("left"),
    conv("right", **{"from": "two"}),
    {"name": "sum", "from": ["left", "right"], "op": "add"},
]


@pytest.mark.parametrize("after", [["one"], ["two"], ["one", "two"]])
def test_a_named_layer_may_read_an_earlier_one_than_the_one_before_it(after: list[str]) -> None:
    plan = plan_of(FORKED, after, **{"from": "right"})
    for unit in plan.units:
        for link in unit.links:
            assert plan.networks[link.ema].graph.nodes[0].inputs == (INPUT,)
            assert set(link.sources.values()) == {"right.conv.weight"}


def test_names_that_are_numbers_are_not_mistaken_for_those_of_copies() -> None:
    layers = [
        conv("0"), conv("1"), conv("2"), conv("3", **{"from": "1"}), conv("4"),
        {"name": "5", "from": ["2", "4"], "op": "add"},
    ]  # fmt: skip
    plan = plan_of(layers, ["0", "1"], **{"from": "3", "layers": 2})
    links = [link for unit in plan.units for link in unit.links]
    assert [set(link.sources.values()) for link in links] == [{"3.conv.weight", "4.conv.weight"}] * 2
    for link in links:
        assert [node.inputs for node in plan.networks[link.ema].graph.nodes] == [(INPUT,), ("0.conv",)]


def test_the_branch_computes_what_the_copied_layers_do() -> None:
    """With the average at the source's values the branch alone gives what the backbone gives."""
    plan = plan_of(POOLED, ["one"], bias="none", init="copy")
    session = runtime.Session(plan, device="cpu", dtype=torch.float64)
    features = torch.randn(2, 4, 8, 8, dtype=torch.float64)
    tensors = dict(session.model.tensors())
    kernel = tensors["two.conv.weight"]
    wanted = torch.conv2d(torch.max_pool2d(features, 2), kernel, padding=1)
    assert torch.equal(session.model.networks[only_link(plan).ema](features), wanted)


def test_what_is_copied_reads_one_value() -> None:
    (error,) = findings([*FORKED, conv("more")], ["one"], **{"from": "sum", "layers": 2})
    assert error.code == "SPC421"
    assert "those of `left` and `right`" in error.message


def test_the_shape_in_a_message_is_the_one_that_the_layer_reads() -> None:
    layers = [
        conv("one"), conv("two"), conv("left", stride=2), conv("right", **{"from": "two", "stride": 2}),
        {"name": "sum", "from": ["left", "right"], "op": "add"},
    ]  # fmt: skip
    assert findings(layers, ["two"], **{"from": "right"}) == ()
    wider = [conv("one", out=3), *layers[1:]]
    (error,) = findings(wider, ["one", "two"], **{"from": "right"})
    assert error.code == "SPC422"
    assert "`right` takes 4×8×8" in error.message


def test_a_link_is_shortened_where_the_next_block_is() -> None:
    layers = [conv("one"), conv("two"), conv("three"), conv("four")]
    plan = plan_of(layers, ["one", "two"], layers=2)
    first, second = (plan.networks[unit.links[0].ema].graph for unit in plan.units if unit.links)
    assert (len(first.nodes), len(second.nodes)) == (1, 2)
    (note,) = findings(layers, ["one", "two"], layers=2)
    assert (note.code, note.severity, note.label) == ("SPC427", Severity.NOTE, "only 1")
    assert "`unit0.independent` copies `two`" in note.message


def test_fit_leaves_out_splits_that_shorten_links() -> None:
    layers = [conv(name) for name in ("one", "two", "three", "four")]
    spec = spec_of(document(layers, ["two"], layers=2))
    splits = Splits(run_passes(spec, CHECKS), spec.config)
    rows = [row for blocks in splits.numbers if (row := splits.best(blocks)) is not None]
    assert [row.blocks for row in rows] == [1, 2, 3]
    for row in rows[1:]:
        assert not any(d.code == "SPC427" for d in findings(layers, row.after, layers=2))


def test_the_backbones_head_is_not_copied() -> None:
    (error,) = [d for d in findings(POOLED, ["pool"]) if d.is_error]
    assert error.code == "SPC421"


# ------------------------------------------------------------------------------------------------------- the verifier


def broken_link(plan: Plan, **changes: Any) -> Plan:
    """The plan with another first node in the averaged copy (and in the trained one)."""
    link = only_link(plan)
    networks = dict(plan.networks)
    for name in filter(None, (link.ema, link.bias)):
        network = networks[name]
        *others, last = network.graph.nodes
        graph = replace(network.graph, nodes=(*others, replace(last, **changes)))
        networks[name] = replace(network, graph=graph)
    return replace(plan, networks=networks)


def test_the_verifier_sees_a_copy_that_reads_something_else() -> None:
    plan = plan_of([conv("one"), conv("two"), conv("three")], ["one"], layers=2)
    assert any("should do what `three.conv` does" in line for line in verify(broken_link(plan, inputs=(INPUT,))))


def test_the_verifier_sees_a_copy_that_does_something_else() -> None:
    plan = plan_of(POOLED, ["one"], layers=2)
    other = replace(plan.networks["block1"].graph.nodes[1].op, dilation=2, pad=2)
    assert any("should do what `two.conv` does" in line for line in verify(broken_link(plan, op=other)))


def test_the_verifier_sees_a_trained_copy_that_differs_from_the_average() -> None:
    plan = plan_of(POOLED, ["one"], layers=2)
    link = only_link(plan)
    bias = replace(plan.networks[str(link.bias)], graph=plan.networks["block1"].graph)
    assert any("differs from" in line for line in verify(replace(plan, networks={**plan.networks, bias.name: bias})))


def test_the_verifier_sees_an_average_of_something_else() -> None:
    plan = plan_of([conv("one"), conv("two"), conv("three")], ["one"])
    (unit, *_) = plan.units
    link = replace(unit.links[0], sources=dict.fromkeys(unit.links[0].sources, "three.conv.weight"))
    broken = replace(plan, units=(replace(unit, links=(link,)), *plan.units[1:]))
    assert verify(broken) == []  # `three` does the same, and a plan that says so is sound
    link = replace(unit.links[0], sources=dict.fromkeys(unit.links[0].sources, "one.conv.weight"))
    broken = replace(plan, units=(replace(unit, links=(link,)), *plan.units[1:]))
    assert any("averages nothing" in line for line in verify(broken))


def test_the_verifier_sees_a_block_that_is_wired_otherwise_than_the_spec_says() -> None:
    plan = plan_of(FORKED, ["one"])
    block = plan.networks["block1"]
    nodes = tuple(replace(n, inputs=("left.conv",)) if n.name == "right.conv" else n for n in block.graph.nodes)
    broken = replace(block, graph=replace(block.graph, nodes=nodes))
    found = verify(replace(plan, networks={**plan.networks, "block1": broken}))
    assert found == ["block1: `right.conv` should read two.conv, and reads left.conv"]


def test_a_plan_whose_links_average_running_statistics_is_read_from_its_file() -> None:
    plan = compiled(ema_links=[{"from": "next", "average_buffers": True}])
    assert any(name.endswith("running_mean") for unit in plan.units for link in unit.links for name in link.sources)
    assert read(plan.to_json()) == plan
