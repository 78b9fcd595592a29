"""What can be learnt besides one class an image: each task through the whole house, on data that take milliseconds."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

import specc
from runtime.memory.trace import trace
from runtime.run.metrics import METRICS
from specc.checking import check_text
from specc.learning.targets import COMPARES
from specc.memory.loss_memory import RULES
from specc.memory.simulation import as_traced
from specc.plan import Plan
from specc.tasks.datasets import INFO
from specc.tasks.registry import TASKS

from .commands import specc as run_specc
from .documents import Document, document, spec_of

SIDE, CLASSES = 8, 3
DATA: Document = {
    "dataset": "synthetic", "image_size": SIDE, "channels": 1, "classes": CLASSES, "samples": 24, "batch_size": 6,
}  # fmt: skip
PIXELS: Document = {
    "layers": [
        {"name": "stem", "op": "conv", "out": 6, "k": 3, "stride": 2},
        {"name": "act", "op": "relu"},
        {"name": "body", "op": "conv", "out": 8, "k": 3},
        {"name": "out", "op": "relu"},
        {"name": "score", "op": "conv", "out": CLASSES, "k": 1, "bias": True},
        {"name": "up", "op": "resize", "size": [SIDE, SIDE]},
    ]
}
PARTS: dict[str, Document] = {
    "classification": {"data": DATA},
    "multi_label": {"data": DATA, "auxiliary": {"classifier": {"layers": "1c2f", "hidden": 8}, "reconstruction": {}}},
    "segmentation": {
        "data": DATA, "backbone": PIXELS, "split": {"after": ["out"]},
        "auxiliary": {"reconstruction": {"channels": 4}},
    },
}  # fmt: skip


def spec_for(task: str, **parts: Any) -> Document:
    return document(**{"task": task} | PARTS[task] | parts)


def plan_for(task: str, **parts: Any) -> Plan:
    return specc.compile(spec_of(spec_for(task, **parts)))


def found_in(text: Document) -> list[tuple[str, str, str]]:
    """Code, what is pointed at, and the help of every finding."""
    written = json.dumps(text, indent=1)
    lines = written.splitlines()
    return [
        (d.code, lines[d.span.line - 1].strip(" ,") if d.span else "", " ".join(d.help))
        for d in check_text(written).diagnostics
    ]


def test_every_task_is_known_everywhere() -> None:
    """The language reads its name, the engine has its loss and metrics, and some data set is there for it."""
    assert set(TASKS) == set(PARTS)
    for task in TASKS.values():
        assert COMPARES[task.loss] == task.kind
        assert task.loss in RULES
        assert {*task.metrics, task.running} <= set(METRICS)
        assert any(task.kind in info.targets for info in INFO.values())


@pytest.mark.parametrize("task", TASKS)
def test_a_run_of_every_task(task: str, tmp_path: Path) -> None:
    spec = tmp_path / "spec.yaml"
    spec.write_text(json.dumps(spec_for(task, train={"epochs": 2})))
    result = run_specc("run", spec, "--device", "cpu", "--run-dir", tmp_path / "run", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    metrics = TASKS[task].metrics
    assert list(summary["test"]) == [*metrics, "loss"]
    assert all(0 <= summary["test"][name] <= 1 for name in metrics)
    shown = f"test {metrics[0].replace('_', ' ')} {summary['test'][metrics[0]]:.2%}"
    assert shown in result.stdout
    rows = list(csv.DictReader((tmp_path / "run" / "metrics.csv").read_text().splitlines()))
    assert float(rows[-1][f"test_{metrics[0]}"]) == summary["test"][metrics[0]]
    assert f"train {float(rows[-1]['train_' + TASKS[task].running]):.2%}  test" in result.stderr
    memory = summary["memory"]
    assert memory["measured_peak_bytes"] == pytest.approx(memory["predicted_peak_bytes"], rel=0.05)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_prediction_is_the_trace(task: str, precision: str) -> None:
    """Masks and multi-hot labels are part of the batch, and the losses on them are priced as what they are."""
    data = DATA | {"image_size": 16, "batch_size": 64, "classes": 5, "samples": 64}
    plan = plan_for(task, **spec_parts(task, data), train={"precision": precision})
    predicted, traced = as_traced(plan), trace(plan)
    assert [moment.bytes for moment in predicted.timeline] == pytest.approx(list(traced.timeline), rel=1e-3, abs=512)


def spec_parts(task: str, data: Document) -> Document:
    """The data, and a network that ends in what is learnt of them."""
    if task != "segmentation":
        return {"data": data}
    *body, score, up = PIXELS["layers"]
    score, up = score | {"out": data["classes"]}, up | {"size": [data["image_size"]] * 2}
    return {"data": data, "backbone": {"layers": [*body, score, up]}}
