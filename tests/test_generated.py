"""Random valid specs (`specc.testing`): what must hold for every one of them. `make fuzz` draws thousands."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import HealthCheck, Phase, find, given, seed, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML
from torch import Tensor, nn

import specc
from runtime import Session
from runtime.engine.modules import BUILDERS
from runtime.memory.trace import watch
from specc.compiler.verify import verify
from specc.diagnostics import Severity
from specc.graph.frozen import frozen
from specc.graph.graph import IMAGES, INPUT, BackboneGraph
from specc.graph.ops import numel
from specc.memory.prediction import as_traced
from specc.pipeline import run_passes
from specc.plan import Plan
from specc.plan.sound import read
from specc.spec.dump import dump
from specc.spec.load import Spec, loads
from specc.testing.strategies import Document, backbones, graph_of, shapes, specs

from .conftest import SEED

EXAMPLES = int(os.environ.get("SPECC_FUZZ_EXAMPLES", "40"))
PARTS = 4  # of the examples, so that workers share them
REGRESSIONS = sorted((Path(__file__).parent / "regressions").glob("*.yaml"))
FUZZING = "SPECC_FUZZ_EXAMPLES" in os.environ
MEMORY_TOLERANCE = 0.01  # `test_memory_generated.py` says how near it is
ENDS = ("global_avg_pool", "flatten", "linear")  # what a backbone ends in


ZEROS = {"SPC408", "SPC413"}  # a block without parameters, a unit with weights of zero alone, as drawn


def spec_of(document: Document) -> Spec:
    return loads(json.dumps(document))


@dataclass
class Case:
    """A generated spec, compiled once and stepped once for all that must hold of it."""

    document: Document

    @cached_property
    def spec(self) -> Spec:
        return spec_of(self.document)

    @cached_property
    def plan(self) -> Plan:
        return specc.compile(self.spec)

    @cached_property
    def batch(self) -> tuple[Tensor, Tensor]:
        """In float64."""
        return batch_of(self.plan)

    @cached_property
    def stepped(self) -> tuple[Session, Tensor]:
        """A session in float64 whose gradients stay, and its logits."""
        session = Session(self.plan, dtype=torch.float64)
        images, labels = self.batch
        return session, session.train_step(images.clone(), labels, update=False).logits


Property = Callable[[Case], None]
PROPERTIES: list[Property] = []


def holds(check: Property) -> Property:
    """Something that must hold for every generated spec."""
    PROPERTIES.append(check)
    return check


@pytest.mark.parametrize("part", range(PARTS))
def test_every_property_holds(part: int) -> None:
    @seed(SEED * PARTS + part)
    @settings(
        max_examples=max(1, EXAMPLES // PARTS),
        derandomize=False,
        deadline=None,
        database=None,
        print_blob=True,
        # a test fails fast; `make fuzz` shrinks
        phases=list(Phase) if FUZZING else [Phase.explicit, Phase.generate],
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(specs())
    def check(document: Document) -> None:
        case = Case(document)
        for holding in PROPERTIES:
            holding(case)

    check()


def batch_of(plan: Plan, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(SEED)
    size = plan.config.data.batch_size
    images = torch.rand(size, *plan.data.shape, generator=generator, dtype=torch.float64) * 2 - 1
    return images.to(dtype), torch.randint(plan.data.classes, (size,), generator=generator)


def graph_of_plan(plan: Plan) -> BackboneGraph:
    graph = plan.config.backbone.expand(plan.data.shape, plan.data.classes)
    return frozen(graph, plan.config.train.freeze)


# ------------------------------------------------------------------------------------------------- the language


@holds
def valid_without_errors(case: Case) -> None:
    found = run_passes(case.spec).diagnostics
    told = {d.code for d in found if d.severity is not Severity.NOTE}
    assert told <= ZEROS, [str(d) for d in found]
    if not any(value in (0, 0.0) for value in weights(case.document)):
        assert told <= {"SPC408"}, [str(d) for d in found]


def weights(value: Any) -> Iterator[Any]:
    """Every weight that a document gives a head or a level, the ends of those that change too."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        if key == "weight":
            yield from item.values() if isinstance(item, dict) else item if isinstance(item, list) else (item,)
        else:
            yield from weights(item)


@holds
def dump_and_load_is_a_fixed_point(case: Case) -> None:
    text = dump(case.spec.config)
    again = loads(text)
    assert dump(again.config) == text
    assert specc.compile(again).fingerprint == case.plan.fingerprint


@holds
def key_order_and_style_do_not_matter(case: Case) -> None:
    for flow in (False, True):
        text = written(shuffled(case.document, random.Random(SEED)), flow)
        assert dump(loads(text).config) == dump(case.spec.config), text


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
    yaml.sort_base_mapping_type_on_output = False
    out = StringIO()
    yaml.dump(document, out)
    return out.getvalue()


@holds
def plans_are_sound_and_survive_json(case: Case) -> None:
    plan = case.plan
    assert verify(plan) == []
    assert read(plan.to_json()) == plan


# -------------------------------------------------------------------------------------------------- the network


@holds
def shapes_and_parameters_are_those_of_the_modules(case: Case) -> None:
    plan = case.plan
    for network in plan.networks.values():
        kind = getattr(torch, network.graph.dtype)
        values = {INPUT: torch.empty(4, *network.graph.input, dtype=kind, device="meta")}
        values[IMAGES] = torch.empty(4, *plan.data.shape, device="meta")
        values |= {skip.name: torch.empty(4, *skip.shape, device="meta") for skip in network.graph.reads}
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
            self.parts[node.name] = part.requires_grad_(not node.frozen)

    def __call__(self, images: Tensor) -> Tensor:
        values = {INPUT: images}
        for node in self.graph.nodes:
            values[node.name] = self.parts[node.name](*(values[name].clone() for name in node.inputs))
        return values[node.name]

    def gradients(self) -> dict[str, Tensor]:
        named = ((f"{node}.{n}", p) for node, part in self.parts.items() for n, p in part.named_parameters())
        return {name: p.grad for name, p in named if p.grad is not None}


@holds
def forward_equals_a_naive_loop(case: Case) -> None:
    session, logits = case.stepped
    images, labels = case.batch
    expected = Loop(session)(session.executor.machine.views(images.clone(), labels))[: len(labels)]
    torch.testing.assert_close(logits, expected, rtol=1e-9, atol=1e-9)


# ----------------------------------------------------------------------------------------------------- the step


@holds
def a_step_runs_and_is_finite(case: Case) -> None:
    session = Session(case.plan)
    images, labels = batch_of(case.plan, torch.float32)
    step = session.train_step(images, labels)
    values = [loss for losses in step.losses.values() for loss in losses.values()]
    values += [p for _, p in session.named_parameters()]
    assert all(bool(torch.isfinite(value).all()) for value in values)
    assert all(p.grad is None for _, p in session.named_parameters())


@holds
def no_gradient_leaves_its_unit(case: Case) -> None:
    """Another weight at one unit, drawn by the seed, changes only the gradients of its own window and networks."""
    plan, before = case.plan, gradients(case.stepped[0])
    i = random.Random(f"{SEED}{case.document}").randrange(len(plan.units))
    unit = plan.units[i]
    heads = tuple(replace(head, weight=3 * head.weight) for head in unit.heads)
    session = Session(replace(plan, units=(*plan.units[:i], replace(unit, heads=heads), *plan.units[i + 1 :])),
                      dtype=torch.float64)  # fmt: skip
    session.train_step(case.batch[0].clone(), case.batch[1], update=False)
    after = gradients(session)
    inside = {name for block in plan.blocks[unit.start : unit.end + 1] for name in plan.networks[block.name].parameters}
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert before.keys() == after.keys()
    assert {name for name in changed if name not in inside and not name.startswith(f"{unit.name}.")} == set()


def gradients(session: Session) -> dict[str, Tensor]:
    return {name: p.grad for name, p in session.named_parameters() if p.grad is not None}


@holds
def one_block_is_ordinary_backprop(case: Case) -> None:
    alone = {key: value for key, value in case.document.items() if key not in ("levels", "ema_links", "auxiliary")}
    plan = specc.compile(spec_of(alone | {"split": {"blocks": 1}}))
    session = Session(plan, dtype=torch.float64)
    loop, (images, labels) = Loop(session), batch_of(plan)
    F.cross_entropy(loop(images), labels, label_smoothing=plan.config.train.label_smoothing).backward()
    session.train_step(images.clone(), labels, update=False)
    got, expected = gradients(session), loop.gradients()
    assert got.keys() == expected.keys()
    for name, gradient in expected.items():
        torch.testing.assert_close(got[name], gradient, rtol=1e-8, atol=1e-9, msg=lambda text, n=name: f"{n}: {text}")


# ------------------------------------------------------------------------------------------------- the generator


RULES = settings(max_examples=300, derandomize=True, database=None)


def test_shrinks_to_a_minimal_spec() -> None:
    smallest = find(specs(), lambda document: "layers" in document["backbone"], settings=RULES)
    assert len(smallest["backbone"]["layers"]) <= 2
    assert len(smallest["levels"]) == 1
    assert smallest["split"] == {"blocks": 1, "by": "layers"}
    assert "ema_links" not in smallest


@pytest.mark.full
def test_shrinks_to_the_layer_that_is_looked_for() -> None:
    with_gelu = find(specs(), lambda document: "gelu" in json.dumps(document), settings=RULES)
    rest = [layer for layer in with_gelu["backbone"]["layers"] if layer.get("op") not in {"gelu", *ENDS}]
    assert len(rest) <= 1, rest  # the shape that one gives decides what is offered after it, so it may stay


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
    images = images.to(memory_format=session.model.memory_format)
    measured = watch(session, images, labels).peak_bytes
    assert as_traced(plan).peak_bytes == pytest.approx(measured, rel=MEMORY_TOLERANCE)
    assert all(bool(torch.isfinite(p).all()) for _, p in session.named_parameters())
