"""Random valid specs (`specc.testing`): what must hold for every one of them. `make fuzz` draws thousands."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import HealthCheck, Phase, find, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML
from torch import Tensor, nn

import specc
from runtime import Session
from runtime.modules import BUILDERS
from runtime.trace import watch
from specc.backbone.graph import IMAGES, INPUT, BackboneGraph
from specc.backbone.ops import numel
from specc.compiler import run_passes
from specc.compiler.memory import as_traced
from specc.compiler.verify import verify
from specc.plan import Plan
from specc.spec.dump import dump
from specc.spec.load import Spec, loads
from specc.testing.strategies import Document, backbones, graph_of, shapes, specs

from .conftest import SEED

EXAMPLES = int(os.environ.get("SPECC_FUZZ_EXAMPLES", "200"))
REGRESSIONS = sorted((Path(__file__).parent / "regressions").glob("*.yaml"))
FUZZING = "SPECC_FUZZ_EXAMPLES" in os.environ
MEMORY_TOLERANCE = 0.01  # `test_memory_generated.py` says how near it is
ENDS = ("global_avg_pool", "flatten", "linear")  # what a backbone ends in


ZEROS = {"SPC408", "SPC413"}  # a block without parameters, a unit with weights of zero alone, as drawn


def generated(strategy: st.SearchStrategy[Document]) -> Callable[[Callable[[Document], None]], Callable[[], None]]:
    """A property of generated specs."""

    def decorate(test: Callable[[Document], None]) -> Callable[[], None]:
        rules = settings(
            max_examples=EXAMPLES,
            derandomize=not FUZZING,
            deadline=None,
            database=None,
            print_blob=True,
            phases=list(Phase)
            if FUZZING
            else [Phase.explicit, Phase.generate],  # a test fails fast; `make fuzz` shrinks
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        )
        return rules(given(strategy)(test))

    return decorate


def spec_of(document: Document) -> Spec:
    return loads(json.dumps(document))


def plan_of(document: Document) -> Plan:
    return specc.compile(spec_of(document))


def batch_of(plan: Plan, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    assert plan.data.shape is not None
    assert plan.data.classes is not None
    generator = torch.Generator().manual_seed(SEED)
    size = plan.config.data.batch_size
    images = torch.rand(size, *plan.data.shape, generator=generator, dtype=torch.float64) * 2 - 1
    return images.to(dtype), torch.randint(plan.data.classes, (size,), generator=generator)


def graph_of_plan(plan: Plan) -> BackboneGraph:
    assert plan.data.shape is not None
    assert plan.data.classes is not None
    return plan.config.backbone.expand(plan.data.shape, plan.data.classes)


# ------------------------------------------------------------------------------------------------- the language


@generated(specs())
def test_valid_without_diagnostics(document: Document) -> None:
    found = run_passes(spec_of(document)).diagnostics
    assert {d.code for d in found} <= ZEROS, [str(d) for d in found]


@generated(specs(zero_weights=False))
def test_no_warning_where_no_weight_is_zero(document: Document) -> None:
    assert run_passes(spec_of(document)).diagnostics == ()


@generated(specs())
def test_dump_and_load_is_a_fixed_point(document: Document) -> None:
    spec = spec_of(document)
    text = dump(spec.config)
    again = loads(text)
    assert dump(again.config) == text
    assert specc.compile(again).fingerprint == specc.compile(spec).fingerprint


@generated(specs())
def test_key_order_and_style_do_not_matter(document: Document) -> None:
    fingerprint = plan_of(document).fingerprint
    for flow in (False, True):
        text = written(shuffled(document, random.Random(SEED)), flow)
        assert specc.compile(loads(text)).fingerprint == fingerprint, text


def shuffled(value: Any, rng: random.Random) -> Any:
    """The same with the keys of every mapping in another order."""
    if isinstance(value, dict):
        items = [(key, shuffled(item, rng)) for key, item in value.items()]
        rng.shuffle(items)
        return dict(items)
    return [shuffled(item, rng) for item in value] if isinstance(value, list) else value


def written(document: Document, flow: bool) -> str:
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = flow
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    out = StringIO()
    yaml.dump(document, out)
    return out.getvalue()


@generated(specs())
def test_plans_are_sound_and_survive_json(document: Document) -> None:
    plan = plan_of(document)
    assert verify(plan) == []
    assert Plan.from_json(plan.to_json()) == plan


# -------------------------------------------------------------------------------------------------- the network


@generated(specs())
def test_shapes_and_parameters_are_those_of_the_modules(document: Document) -> None:
    plan = plan_of(document)
    for network in plan.networks.values():
        assert plan.data.shape is not None
        values = {INPUT: torch.empty(4, *network.graph.input, device="meta")}
        values[IMAGES] = torch.empty(4, *plan.data.shape, device="meta")
        for node in network.graph.nodes:
            with torch.device("meta"):
                part = BUILDERS[node.op.name](node.op, node.in_shapes)
            values[node.name] = part(*(values[name] for name in node.inputs))
            assert values[node.name].shape[1:] == node.shape, node
            assert {name: tuple(p.shape) for name, p in part.named_parameters()} == node.parameters, node
            assert {name: tuple(b.shape) for name, b in part.named_buffers()} == node.buffers, node
        count = sum(p.numel() for part in [module_of(network.graph)] for p in part.parameters())
        assert network.graph.parameter_count == count


def module_of(graph: Any) -> nn.Module:
    with torch.device("meta"):
        return nn.ModuleList(BUILDERS[node.op.name](node.op, node.in_shapes) for node in graph.nodes)


class Loop:
    """The whole backbone in the plainest way: no blocks, nothing in place, nothing freed."""

    def __init__(self, session: Session) -> None:
        self.graph = graph_of_plan(session.plan)
        own = session.model.tensors()
        self.parts: dict[str, nn.Module] = {}
        for node in self.graph.nodes:
            part = BUILDERS[node.op.name](node.op, node.in_shapes).to(torch.float64)
            part.load_state_dict({name: own[f"{node.name}.{name}"].clone() for name in part.state_dict()})
            self.parts[node.name] = part

    def __call__(self, images: Tensor) -> Tensor:
        values = {INPUT: images}
        for node in self.graph.nodes:
            values[node.name] = self.parts[node.name](*(values[name].clone() for name in node.inputs))
        return values[node.name]

    def gradients(self) -> dict[str, Tensor]:
        named = ((f"{node}.{n}", p) for node, part in self.parts.items() for n, p in part.named_parameters())
        return {name: p.grad for name, p in named if p.grad is not None}


@generated(specs())
def test_forward_equals_a_naive_loop(document: Document) -> None:
    plan = plan_of(document)
    session = Session(plan, dtype=torch.float64)
    loop, (images, labels) = Loop(session), batch_of(plan)
    expected = loop(session.executor.views(images.clone(), labels))[: len(labels)]
    logits = session.train_step(images.clone(), labels, update=False).logits
    torch.testing.assert_close(logits, expected, rtol=1e-9, atol=1e-9)


# ----------------------------------------------------------------------------------------------------- the step


@generated(specs())
def test_a_step_runs_and_is_finite(document: Document) -> None:
    plan = plan_of(document)
    session = Session(plan)
    images, labels = batch_of(plan, torch.float32)
    step = session.train_step(images, labels)
    values = [loss for losses in step.losses.values() for loss in losses.values()]
    values += [p for _, p in session.named_parameters()]
    assert all(bool(torch.isfinite(value).all()) for value in values)
    assert all(p.grad is None for _, p in session.named_parameters())


@generated(specs())
def test_no_gradient_leaves_its_unit(document: Document) -> None:
    """Other weights at one unit change only the gradients of its own window and networks."""
    plan = plan_of(document)
    before = gradients_of(plan)
    for i, unit in enumerate(plan.units):
        heads = tuple(replace(head, weight=3 * head.weight) for head in unit.heads)
        after = gradients_of(replace(plan, units=(*plan.units[:i], replace(unit, heads=heads), *plan.units[i + 1 :])))
        inside = {
            name for block in plan.blocks[unit.start : unit.end + 1] for name in plan.networks[block.name].parameters
        }
        changed = {name for name in before if not torch.equal(before[name], after[name])}
        assert before.keys() == after.keys()
        assert {name for name in changed if name not in inside and not name.startswith(f"{unit.name}.")} == set()


def gradients_of(plan: Plan) -> dict[str, Tensor]:
    session = Session(plan, dtype=torch.float64)
    session.train_step(*batch_of(plan), update=False)
    return {name: p.grad for name, p in session.named_parameters() if p.grad is not None}


@generated(specs())
def test_one_block_is_ordinary_backprop(document: Document) -> None:
    alone = {key: value for key, value in document.items() if key not in ("levels", "ema_links", "auxiliary")}
    plan = plan_of(alone | {"split": {"blocks": 1}})
    session = Session(plan, dtype=torch.float64)
    loop, (images, labels) = Loop(session), batch_of(plan)
    F.cross_entropy(loop(images), labels).backward()
    session.train_step(images.clone(), labels, update=False)
    got = {name: p.grad for name, p in session.named_parameters() if p.grad is not None}
    expected = loop.gradients()
    assert got.keys() == expected.keys()
    for name, gradient in expected.items():
        torch.testing.assert_close(got[name], gradient, rtol=1e-8, atol=1e-9, msg=lambda text, n=name: f"{n}: {text}")


# ------------------------------------------------------------------------------------------------- the generator


def test_shrinks_to_a_minimal_spec() -> None:
    rules = settings(max_examples=300, derandomize=True, database=None)
    smallest = find(specs(), lambda document: "layers" in document["backbone"], settings=rules)
    assert len(smallest["backbone"]["layers"]) <= 2
    assert len(smallest["levels"]) == 1
    assert smallest["split"] == {"blocks": 1, "by": "layers"}
    assert "ema_links" not in smallest
    with_gelu = find(specs(), lambda document: "gelu" in json.dumps(document), settings=rules)
    assert {layer["op"] for layer in with_gelu["backbone"]["layers"]} <= {"gelu", "relu", "add", *ENDS}


def test_backbones_can_be_drawn_alone() -> None:
    @settings(max_examples=30, derandomize=True, database=None)
    @given(shapes().flatmap(lambda shape: st.tuples(st.just(shape), backbones(shape, classes=3))))
    def check(drawn: tuple[tuple[int, ...], Document]) -> None:
        shape, backbone = drawn
        graph = graph_of(backbone, shape, 3)
        assert graph.input == shape
        assert graph.layers[-1].shape == (3,)
        assert all(numel(node.shape) > 0 for node in graph.nodes)

    check()


# ------------------------------------------------------------------------------------------------- found by fuzzing


@pytest.mark.parametrize("path", REGRESSIONS, ids=lambda path: path.stem)
def test_regressions(path: Path) -> None:
    """Shrunk specs that once failed: they compile soundly and train a step whose peak is the predicted one."""
    plan = specc.compile(path)
    assert verify(plan) == []
    session = Session(plan)
    images, labels = batch_of(plan, torch.float32)
    measured = watch(session, images, labels).peak_bytes
    assert as_traced(plan).peak_bytes == pytest.approx(measured, rel=MEMORY_TOLERANCE)
    assert all(bool(torch.isfinite(p).all()) for _, p in session.named_parameters())
