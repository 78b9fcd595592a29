"""Exported weights are torchvision's own: they load with strict=True and give the same logits."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision.models as models
from click.testing import CliRunner, Result
from safetensors.torch import load_file
from torch import Tensor

from runtime import Session
from runtime.errors import RunError
from runtime.run.checkpoint import Position, save
from runtime.run.export import backbone_names, backbone_state, export
from runtime.run.rundir import RunDir
from specc.cli import main
from specc.plan import Plan

from .conftest import SEED
from .documents import MAN, Document, compiled, document

VIT: Document = {"family": "vit", "patch": 8, "width": 24, "depth": 3, "heads": 4, "mlp": 40}


def on(backbone: Document, size: int, **parts: Any) -> Document:
    data = {"dataset": "synthetic", "image_size": size, "channels": 3, "classes": 10, "samples": 24, "batch_size": 6}
    return document(backbone=backbone, data=data, split={"blocks": 3}, **parts)


def images(size: int) -> Tensor:
    return torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(SEED))


def specc(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


def saved(plan: Plan, folder: Path, *, checkpoint: bool = True) -> Session:
    """A run directory whose checkpoint holds the initial weights."""
    session = Session(plan)
    run = RunDir.create(plan, "", "", folder)
    if checkpoint:
        run.checkpoint.parent.mkdir(parents=True)
        save(session, Position(0, 0, plan.fingerprint), run.checkpoint)
    return session


@pytest.mark.full
def test_resnet50_loads_into_torchvision(tmp_path: Path) -> None:
    plan = compiled(**on({"family": "resnet", "depth": 50}, 64, **MAN))
    session = saved(plan, tmp_path)
    done = export(tmp_path)
    assert (done.path, done.names) == (tmp_path / "backbone.safetensors", "torchvision")
    model = models.resnet50(num_classes=10)
    model.load_state_dict(load_file(done.path), strict=True)
    with torch.no_grad():
        assert torch.equal(model.eval()(images(64)), session.predict(images(64)))


def test_a_run_exported_by_the_command(tmp_path: Path) -> None:
    """Trained with links and heads through the real command line; the counters of batches come along."""
    spec, run, file = tmp_path / "spec.yaml", tmp_path / "run", tmp_path / "net.pt"
    backbone = {"family": "mobilenet_v3", "width": 0.25}
    spec.write_text(json.dumps(on(backbone, 32, ema_links=MAN["ema_links"])))
    result = specc("run", spec, "--device", "cpu", "--run-dir", run)
    assert result.exit_code == 0, result.output
    result = specc("export", run, "-o", file)
    assert result.exit_code == 0, result.output
    assert "under torchvision names" in result.output
    state = torch.load(file)
    model = models.mobilenet_v3_small(num_classes=10, width_mult=0.25)
    model.load_state_dict(state, strict=True)
    assert state["features.0.1.num_batches_tracked"] == 4
    session = Session(RunDir(run).plan())
    for name, tensor in load_file(RunDir(run).checkpoint / "model.safetensors").items():
        session.model.tensors()[name].data.copy_(tensor)
    with torch.no_grad():
        torch.testing.assert_close(model.eval()(images(32)), session.predict(images(32)))


def test_vit_loads_into_torchvision() -> None:
    plan = compiled(**on(VIT, 24))
    session = Session(plan)
    model = models.VisionTransformer(24, 8, 3, 4, 24, 40, num_classes=10)
    model.load_state_dict(backbone_state(plan, session.model.tensors(), "torchvision"), strict=True)
    with torch.no_grad():
        torch.testing.assert_close(model.eval()(images(24)), session.predict(images(24)))


def test_canonical_names_where_torchvision_has_no_model(tmp_path: Path) -> None:
    """Of a CIFAR ResNet with links, only the backbone."""
    plan = compiled(**MAN)
    session = saved(plan, tmp_path)
    done = export(tmp_path)
    state = load_file(done.path)
    assert done.names == "canonical"
    assert sorted(state) == sorted(backbone_names(plan))
    assert not any(name.startswith("unit") for name in state)
    assert all(torch.equal(tensor, session.model.tensors()[name]) for name, tensor in state.items())


@pytest.mark.parametrize(
    ("made", "words", "message", "help"),
    [
        (None, [], "is not a run directory", "what `specc run` prints"),
        ("plan", [], "has no checkpoint yet", "specc resume"),
        ("checkpoint", ["--format", "torchvision"], "torchvision has no model", "--format canonical"),
        ("checkpoint", ["-o", "net.onnx"], "has no known ending", ".safetensors, .pt"),
        ("damaged", [], "cannot be read", ""),
        ("other", [], "lacks tensors of the backbone", ""),
    ],
)
def test_what_cannot_be_exported(tmp_path: Path, made: str | None, words: list[str], message: str, help: str) -> None:
    run = tmp_path / "run"
    if made:
        saved(compiled(), run, checkpoint=made != "plan")
    model = RunDir(run).checkpoint / "model.safetensors"
    if made == "damaged":
        model.write_bytes(b"nothing")
    if made == "other":
        (run / "plan.json").write_text(compiled(backbone={"family": "resnet_cifar", "depth": 20}).to_json())
    result = specc("export", run, *words)
    assert result.exit_code == RunError.exit_code
    assert message in result.output
    assert help in result.output
    assert not list(run.glob("backbone*"))
