"""Traced networks of one axis and of three: signals are maps of one row, volumes have ops of their own."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import specc
from runtime import Session
from runtime.memory.trace import trace
from specc.graph.families.foreign import OwnModule
from specc.graph.layout import Layout
from specc.memory.prediction import as_traced
from specc.plan import Backward, Plan

from .commands import specc as command
from .documents import Document, spec_of

BATCH, CLASSES = 4, 3
NETS = '''
import torch
from torch import nn


class Sound(nn.Module):
    """Convolutions along one axis, norms, pools, a concatenation."""

    def __init__(self, classes):
        super().__init__()
        self.stem, self.norm = nn.Conv1d(2, 4, 5, stride=2, padding=2), nn.BatchNorm1d(4)
        self.body, self.pool = nn.Sequential(nn.Conv1d(4, 4, 3, padding=1), nn.ReLU()), nn.MaxPool1d(2)
        self.last, self.fc = nn.Conv1d(8, 6, 3, padding=1), nn.Linear(6, classes)

    def forward(self, x):
        x = torch.relu(self.norm(self.stem(x)))
        x = self.pool(torch.cat([x, x + self.body(x)], 1))
        return self.fc(torch.relu(self.last(x)).mean(2))


class Scan(nn.Module):
    """Convolutions along three axes."""

    def __init__(self, classes):
        super().__init__()
        self.stem, self.norm = nn.Conv3d(2, 4, 3, padding=1), nn.BatchNorm3d(4)
        self.pool, self.body = nn.MaxPool3d((1, 2, 2)), nn.Conv3d(4, 6, 3, padding=1)
        self.last, self.fc = nn.AdaptiveAvgPool3d(1), nn.Linear(6, classes)

    def forward(self, x):
        x = self.pool(torch.relu(self.norm(self.stem(x))))
        return self.fc(self.last(torch.relu(self.body(x))).flatten(1))


class Reader(nn.Module):
    """A transformer on pieces of a signal: tokens that stand one after the other."""

    def __init__(self, classes):
        super().__init__()
        self.embed, self.norm = nn.Conv1d(2, 8, 4, stride=4), nn.LayerNorm(8)
        self.mix, self.fc = nn.MultiheadAttention(8, 2, batch_first=True), nn.Linear(8, classes)

    def forward(self, x):
        x = self.embed(x).transpose(1, 2)
        y = self.norm(x)
        x = x + self.mix(y, y, y, need_weights=False)[0]
        return self.fc(x.mean(1))
'''
SIZES = {"Sound": [24], "Scan": [4, 6, 6], "Reader": [24]}
CUTS = {"Sound": "body", "Scan": "stem", "Reader": "mix"}
FEATURES = {"Sound": (8, 1, 6), "Scan": (4, 4, 3, 3), "Reader": (6, 8)}


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of networks that may be run."""
    (tmp_path / "nets.py").write_text(NETS, encoding="utf-8")
    monkeypatch.setenv("SPECC_TRUST_CODE", "1")
    monkeypatch.setenv("SPECC_CACHE", str(tmp_path / "cache"))
    return tmp_path


def document(folder: Path, name: str, auxiliary: Document, **parts: Any) -> Document:
    data = {"dataset": "synthetic", "image_size": SIZES[name], "channels": 2, "classes": CLASSES, "samples": 16}
    return {
        "specc": 1, "name": name.lower(), "data": data | {"batch_size": BATCH},
        "backbone": {"module": f"{folder / 'nets.py'}:{name}"}, "split": {"blocks": 2}, "auxiliary": auxiliary,
        "train": {"epochs": 1, "optimizer": {"name": "sgd", "lr": 0.1}},
    } | parts  # fmt: skip


def planned(folder: Path, name: str, auxiliary: Document) -> Plan:
    return specc.compile(spec_of(document(folder, name, auxiliary)))


def op_names(plan: Plan) -> list[str]:
    return [node.op.name for block in plan.blocks for node in plan.networks[block.name].graph.nodes]


def test_what_becomes_of_their_calls(own: Path) -> None:
    ops = {name: op_names(planned(own, name, {"classifier": {}})) for name in SIZES}
    assert ops["Scan"] == [
        "conv", "batch_norm", "relu", "max_pool", "conv", "relu", "adaptive_avg_pool", "flatten", "linear",
    ]  # fmt: skip
    assert (ops["Sound"][0], ops["Sound"][-2:]) == ("reshape", ["global_avg_pool", "linear"])
    assert "concat" in ops["Sound"]
    assert {"to_tokens", "attention", "layer_norm"} <= set(ops["Reader"])


HEADS: dict[str, Document] = {
    "classifier": {"classifier": {"layers": "1c1f"}},
    "reconstruction": {"reconstruction": {"channels": 2}},
    "similarity": {"similarity": {}},
    "goodness": {"goodness": {}},
}


@pytest.mark.parametrize("name", SIZES)
def test_heads_on_them_take_what_is_predicted(own: Path, name: str) -> None:
    """Every instruction but the backwards of blocks, in which parts are measured as a whole."""
    heads = {key: head for each in HEADS.values() for key, head in each.items()}
    plan = specc.compile(spec_of(document(own, name, heads, split={"after": [CUTS[name]]})))
    assert plan.units[0].feature == FEATURES[name]
    step = Session(plan).train_step(*batch(plan))
    assert all(bool(loss.isfinite()) for losses in step.losses.values() for loss in losses.values())
    for instruction, predicted, traced in zip(
        plan.instructions, as_traced(plan).timeline, trace(plan).timeline, strict=True
    ):
        near = 0.06 if isinstance(instruction, Backward) else 0
        assert predicted.bytes == pytest.approx(traced, rel=near), str(instruction)


def batch(plan: Plan, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.rand(BATCH, *plan.data.shape, generator=generator, dtype=dtype), torch.arange(BATCH) % CLASSES


@pytest.mark.parametrize("name", SIZES)
def test_blocks_learn_as_in_a_plain_loop_with_detach_at_the_cut(own: Path, name: str) -> None:
    heads: Document = {"classifier": {"layers": "0c1f"}}
    plan = specc.compile(spec_of(document(own, name, heads, split={"after": [CUTS[name]]})))
    scope: dict[str, Any] = {}
    exec(NETS, scope)
    torch.manual_seed(0)
    theirs: nn.Module = scope[name](CLASSES).double()
    trained = copy.deepcopy(theirs)
    session = Session(plan, dtype=torch.float64, module=trained)
    images, labels = batch(plan, torch.float64)
    session.executor.run(images, labels, update=False)
    found = dict(session.named_parameters())
    first = theirs_until(theirs, name, images)
    pooled = first.mean(tuple(range(2, first.dim()))) if name != "Reader" else first.mean(1)
    head = [found[f"unit0.independent.classifier.fc0.{tensor}"] for tensor in ("weight", "bias")]
    loss = F.cross_entropy(F.linear(pooled, *head), labels)
    gradients = {n: g for n, g in zip(
        dict(theirs.named_parameters()),
        torch.autograd.grad(loss, list(theirs.parameters()), allow_unused=True), strict=True,
    ) if g is not None}  # fmt: skip
    assert "stem.weight" in gradients or "embed.weight" in gradients
    for parameter, gradient in gradients.items():
        mine = trained.get_parameter(parameter).grad
        assert mine is not None
        torch.testing.assert_close(mine, gradient, rtol=1e-10, atol=1e-12)


def theirs_until(net: Any, name: str, x: Tensor) -> Tensor:
    """What the network itself has at the cut."""
    if name == "Sound":
        x = torch.relu(net.norm(net.stem(x)))
        return net.pool(torch.cat([x, x + net.body(x)], 1))
    if name == "Scan":
        return net.pool(torch.relu(net.norm(net.stem(x))))
    x = net.embed(x).transpose(1, 2)
    y = net.norm(x)
    return x + net.mix(y, y, y, need_weights=False)[0]


def test_tokens_of_a_signal_stand_one_after_the_other(own: Path) -> None:
    """So a decoder restores the signal of them, and patches are runs of it."""
    graph = OwnModule(module=f"{own / 'nets.py'}:Reader").expand((2, 24), CLASSES)
    assert graph.layouts["mix"] == Layout((1, 6))
    patches = {"grid": [1, 2], "weights": "shared"}
    plan = specc.compile(spec_of(document(
        own, "Reader", {"reconstruction": {"channels": 2, "patches": patches}}, split={"after": [CUTS["Reader"]]}
    )))  # fmt: skip
    assert [graph.shape for graph in plan.units[0].heads[0].graphs(plan.networks)] == [(2, 1, 12)] * 2
    step = Session(plan).train_step(*batch(plan))
    assert bool(step.losses["unit0.independent"]["reconstruction"].isfinite())


@pytest.mark.parametrize("name", ["Sound", "Scan"])
def test_a_run_trains_them_and_evaluates(own: Path, name: str) -> None:
    (own / "spec.yaml").write_text(json.dumps(document(own, name, {"classifier": {}})), encoding="utf-8")
    result = command("run", "spec.yaml", "--device", "cpu", "--run-dir", "run", cwd=own)
    assert result.returncode == 0, result.stderr
    assert json.loads((own / "run" / "summary.json").read_text(encoding="utf-8"))["status"] == "completed"
