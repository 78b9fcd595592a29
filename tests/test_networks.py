"""Networks of the literature, written as layers and groups: planned with MAN and HPFF, traced, and run."""

from __future__ import annotations

import math
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from jsonschema import Draft7Validator
from torch import Tensor, nn
from torchvision.models import densenet121

import specc
from runtime import Session
from runtime.engine.modules import BUILDERS
from runtime.memory.trace import fake_batch, trace, watch
from specc.checking import load
from specc.compiler.verify import verify
from specc.diagnostics import Severity
from specc.graph.graph import INPUT, BackboneGraph
from specc.language.source import read
from specc.memory.prediction import as_traced
from specc.pipeline import run_passes
from specc.plan import Plan
from specc.spec.json_schema import json_schema

from .parts import partly

FOLDER = Path(__file__).parent / "networks"
LARGE = FOLDER / "densenet121.yaml"
NETWORKS = sorted(FOLDER.glob("*.yaml"))
RUN = [path for path in NETWORKS if path != LARGE]
LONG = (
    "convnext", "densenet_bc", "efficientnet", "googlenet", "inception", "pixel_tokens", "resnext", "se_resnet", "swin",
    "vit_class_token", "gmlp", "mobilenet_v2", "shufflenet_v2", "resnet_preactivation", "mlp_mixer", "poolformer",
    "two_branches", "alexnet", "squeezenet", "vgg16_dropout", "wide_resnet",
)  # fmt: skip
NO_PATCHES = {"audio_m5"}  # its comment says why


@cache
def plan_of(path: Path) -> Plan:
    return specc.compile(path)


def backbone_of(path: Path) -> BackboneGraph:
    plan = plan_of(path)
    return plan.config.backbone.expand(plan.data.shape, plan.data.classes)


def step_of(plan: Plan) -> tuple[Session, Tensor, Tensor]:
    """A session and a batch of noise."""
    images, labels = fake_batch(plan)
    generator = torch.Generator().manual_seed(0)
    return Session(plan), torch.rand(images.shape, generator=generator) * 2 - 1, labels


def test_they_fit_the_schema_that_editors_read() -> None:
    schema = Draft7Validator(json_schema())
    for path in NETWORKS:
        tree, _ = read(path)
        assert tree is not None
        assert [error.message for error in schema.iter_errors(tree.data)] == [], path
    tree, _ = read(LARGE)
    assert tree is not None
    tree.data["backbone"]["define"]["layer"]["layers"][1]["op"] = "rlu"
    assert not schema.is_valid(tree.data)


def test_there_are_at_least_twenty_five() -> None:
    assert len(NETWORKS) >= 25


@pytest.mark.parametrize("path", NETWORKS, ids=lambda path: path.stem)
def test_a_network_is_planned_with_averages_of_later_blocks_and_patches(path: Path) -> None:
    report = run_passes(load(path))
    assert [d for d in report.diagnostics if d.severity is not Severity.NOTE] == []
    plan = plan_of(path)
    assert verify(plan) == []
    assert {level.window for level in plan.config.levels} == {1, 2}
    assert any(unit.links for unit in plan.units)
    assert any(head.patches for unit in plan.units for head in unit.heads) == (path.stem not in NO_PATCHES)
    assert path.read_text(encoding="utf-8").startswith("# ")


@pytest.mark.parametrize("path", partly(RUN, (FOLDER / f"{name}.yaml" for name in LONG)))
def test_a_network_is_traced_and_runs_as_predicted(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two real steps: what they measure is what the trace counts and what was predicted, and every loss is a number."""
    plan = plan_of(path)
    predicted, traced = as_traced(plan).peak_bytes, trace(plan).peak_bytes
    assert predicted == pytest.approx(traced, rel=0.01)
    session, images, labels = step_of(plan)
    losses: list[float] = []
    step = session.train_step

    def recorded(*batch: Tensor, **more: Any) -> None:
        losses.extend(float(loss) for loss in step(*batch, **more).total.values())

    monkeypatch.setattr(session, "train_step", recorded)
    assert watch(session, images, labels).peak_bytes == pytest.approx(predicted, rel=0.01)
    assert len(losses) == 2 * len(plan.units)
    assert all(map(math.isfinite, losses))
    assert all(bool(parameter.isfinite().all()) for _, parameter in session.named_parameters())


# DenseNet-121


def test_densenet121_is_shorter_than_sixty_lines_and_the_paper_s() -> None:
    assert len(LARGE.read_text(encoding="utf-8").splitlines()) < 60
    graph = backbone_of(LARGE)
    assert sum(node.parameter_count for node in graph.nodes) == 7_978_856
    assert [layer.name for layer in graph.layers if layer.name.endswith("conv2")][-1] == "block4.15.conv2"
    with torch.device("meta"):
        theirs = densenet121()
    ours = [shape for node in graph.nodes for shape in node.parameters.values()]
    assert ours == [tuple(parameter.shape) for parameter in theirs.parameters()]


def test_densenet121_gives_the_numbers_of_torchvision_s() -> None:
    """On images of 32 pixels: nothing in the network depends on their size."""
    torch.manual_seed(0)
    theirs = densenet121().eval()
    weights, images = iter(theirs.parameters()), torch.randn(2, 3, 32, 32)
    layers = plan_of(LARGE).config.backbone
    values = {INPUT: images}
    with torch.no_grad():
        for node in layers.expand((3, 32, 32), 1_000).nodes:
            part: nn.Module = BUILDERS[node.op.name](node.op, node.in_shapes).eval()
            for parameter in part.parameters():
                parameter.copy_(next(weights))
            values[node.name] = part(*(values[name] for name in node.inputs))
        torch.testing.assert_close(values[node.name], theirs(images), rtol=1e-4, atol=1e-5)
    assert list(weights) == []


@pytest.mark.full
def test_densenet121_is_traced_as_predicted() -> None:
    plan = plan_of(LARGE)
    assert as_traced(plan).peak_bytes == pytest.approx(trace(plan).peak_bytes, rel=0.01)
