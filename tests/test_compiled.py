"""`train.compile`: pieces go through torch.compile one by one, and what cannot runs as it is and says so."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from runtime import Session
from runtime.engine import compiling
from runtime.engine.compiling import without_compiler
from runtime.memory.measure import random_batch
from runtime.memory.meter import LiveTensors
from runtime.run.saving import optimizer_tensors
from specc.diagnostics.notices import notice
from specc.plan import Plan
from specc.views.plan import memory_lines, plan_document

from .documents import Document, compiled

CPU = torch.device("cpu")
SMALL: Document = {  # two blocks and a head
    "backbone": {"layers": [
        {"name": "a", "op": "conv_bn_relu", "out": 4}, {"name": "b", "op": "conv_bn_relu", "out": 4},
        {"name": "pool", "op": "global_avg_pool"}, {"name": "head", "op": "linear", "out": 4},
    ]},
    "split": {"after": ["a"]},
    "auxiliary": {"classifier": {"layers": "0c1f", "hidden": 4}},
}  # fmt: skip


@pytest.fixture(autouse=True)
def said() -> Iterator[list[str]]:
    lines: list[str] = []
    with notice.heard(lines.append):
        yield lines
    torch._dynamo.reset()


def backend(monkeypatch: pytest.MonkeyPatch, by: Any) -> None:
    monkeypatch.setattr(compiling, "BACKEND", by)


def plans(**train: Any) -> tuple[Plan, Plan]:
    return compiled(**SMALL, train=train), compiled(**SMALL, train=train | {"compile": True})


def trained(session: Session, steps: int = 2) -> dict[str, Tensor]:
    images, labels = random_batch(session.plan, CPU)
    for _ in range(steps):
        torch.manual_seed(0)
        session.train_step(images, labels)
    return session.model.tensors() | optimizer_tensors(session)


@pytest.mark.parametrize("recompute", [False, True], ids=["kept", "recomputed"])
def test_a_compiled_step_computes_the_same(monkeypatch: pytest.MonkeyPatch, said: list[str], recompute: bool) -> None:
    """Every piece is a graph of its own; statistics count once; names are those of the network."""
    made: list[str] = []

    def by(graph: Any, inputs: Any) -> Any:
        made.append(str(graph))
        return graph.forward

    backend(monkeypatch, by)
    plain, asked = plans(recompute={"layers": ["a", "b"]} if recompute else False)
    expected, session = trained(Session(plain)), Session(asked)
    found = trained(session)
    pieces = [run for module in session.model.networks.values() for run in module.runs]
    assert len(made) >= len(pieces) > 2
    assert said == []
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert torch.equal(found[name], tensor), name


def test_a_part_that_cannot_be_compiled_is_named_and_runs_as_it_is(
    monkeypatch: pytest.MonkeyPatch, said: list[str]
) -> None:
    def by(graph: Any, inputs: Any) -> Any:
        if "cross" not in str(graph) and len(inputs) < 8:  # the small ones
            raise RuntimeError("no such kernel\nand a page of advice")
        return graph.forward

    backend(monkeypatch, by)
    plain, asked = plans()
    expected, found = trained(Session(plain)), trained(Session(asked))
    assert 0 < len(said) < len(asked.networks)
    for line in said:
        name = re.fullmatch(r"warning: `(\S+)` is not compiled, and runs as it is: no such kernel", line)
        assert name is not None, line
        assert name[1] in asked.networks
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())


def test_evaluations_and_metered_steps_run_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one so that `specc evaluate` finds the same figures, the other so that all tensors are seen."""
    made: list[object] = []
    backend(monkeypatch, lambda graph, inputs: (made.append(graph), graph.forward)[1])
    session = Session(plans()[1])
    images, labels = random_batch(session.plan, CPU)
    session.predict(images)
    with LiveTensors():
        session.train_step(images, labels)
    assert made == []
    session.train_step(images, labels)
    assert made != []


def test_without_a_compiler_there_is_one_warning(
    monkeypatch: pytest.MonkeyPatch, said: list[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    plain, asked = plans()
    expected, found = trained(Session(plain)), trained(Session(asked))
    assert said == [
        "warning: `train.compile` has no effect: there is no C++ compiler (g++ or clang++, or what `CXX` names)"
    ]
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())


def test_pythons_headers_and_triton_are_asked_for_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CXX", "true --of-some-kind")
    monkeypatch.setattr(compiling.sysconfig, "get_path", lambda name: str(tmp_path))
    assert "Python.h" in str(without_compiler(CPU))
    (tmp_path / "Python.h").touch()
    assert without_compiler(CPU) is None
    monkeypatch.setattr(compiling, "has_triton", lambda: False)
    assert "Triton" in str(without_compiler(torch.device("cuda")))


def test_a_plan_says_what_the_prediction_does_not_know_of_compiled_parts() -> None:
    plain, asked = plans()
    assert plan_document(plain)["memory"]["not_known"] == []
    (line,) = plan_document(asked)["memory"]["not_known"]
    assert line.startswith("`train.compile`")
    assert line in list(memory_lines(asked))
    assert asked.memory == plain.memory
    assert asked.fingerprint == plain.fingerprint


@pytest.mark.full
@pytest.mark.skipif(without_compiler(CPU) is not None, reason="there is no compiler")
@pytest.mark.parametrize("recompute", [False, True], ids=["kept", "recomputed"])
def test_the_real_compiler_rounds_otherwise_and_no_more(said: list[str], recompute: bool) -> None:
    plain, asked = plans(recompute=recompute, optimizer={"name": "sgd", "lr": 0.01})
    expected, found = trained(Session(plain), 1), trained(Session(asked), 1)
    assert said == []
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor, rtol=1e-3, atol=1e-5)
