"""Offload beside whatever else a run may have: the numbers are those without it, to the last bit."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from torch import Tensor

from runtime.engine import compiling
from runtime.engine.session import Session
from runtime.engine.wire import Wire
from runtime.memory.meter import Meter
from runtime.run.progress import Silence
from runtime.run.rundir import RunDir
from runtime.run.trainer import Trainer
from specc.cli import main
from specc.layout import laid_out
from specc.memory.prediction import as_traced
from specc.plan import Plan

from .checkpoints import newest
from .documents import MAN, Document, compiled, document
from .ranks import in_ranks
from .test_compiled import SMALL
from .test_offload import ADAMW, BOTH, OPTIMIZER, SGD, batches, results, session_of
from .test_resume import TINY, rows

FILES = ("model.safetensors", "optimizer.safetensors", "weight_average.safetensors")
EVERYTHING: Document = {
    "epochs": 3, "optimizer": ADAMW, "precision": "fp16", "micro_batches": 2, "clip": {"norm": 0.1},
    "weight_average": {"decay": 0.9}, "schedule": {"name": "constant"},
}  # fmt: skip


def specc(*words: object) -> None:
    result = CliRunner().invoke(main, [str(word) for word in words])
    assert result.exit_code == 0, result.output


def test_a_run_goes_on_with_offload_and_without(tmp_path: Path) -> None:
    """Of three epochs the first has everything on the host, the second nothing, the third the optimizer's state."""
    spec, whole, own = tmp_path / "spec.yaml", tmp_path / "whole", tmp_path / "own"
    spec.write_text(json.dumps(document(**TINY, **MAN, train=EVERYTHING)))
    specc("run", spec, "--device", "cpu", "--run-dir", whole)
    offload = "train.offload=[optimizer, parameters]"
    specc("run", spec, "--device", "cpu", "--run-dir", own, offload, "train.epochs=1")
    for epochs, offload in ((2, "[]"), (3, "[optimizer]")):
        specc("resume", own, "--device", "cpu", f"train.offload={offload}", f"train.epochs={epochs}")
    assert RunDir(own).plan().config.train.offload == ["optimizer"]
    assert rows(own) == rows(whole)
    for file in FILES:
        assert (newest(own) / file).read_bytes() == (newest(whole) / file).read_bytes(), file
    scalers = [json.loads((newest(run) / "state.json").read_text())["scaler"] for run in (own, whole)]
    assert scalers[0] == scalers[1] != {}


def test_what_a_checkpoint_brings_back_of_the_host_stays_there(tmp_path: Path) -> None:
    """Averages and the optimizer's state: a resumed step takes what is predicted."""
    plan = compiled(**TINY, **MAN, train={"optimizer": ADAMW, "weight_average": {}, "offload": BOTH, "epochs": 1})
    folder = tmp_path / "run"
    folder.mkdir()
    Trainer(plan, torch.device("cpu"), RunDir(folder), Silence(), "text").train()
    again = Trainer(plan, torch.device("cpu"), RunDir(folder), Silence(), "text")
    again.resume()
    session = again.session
    meter = Meter(torch.device("cpu"), session.resident)
    (images, labels), *_ = batches(plan)
    meter.measure(lambda: session.train_step(images, labels), (images, labels))
    assert meter.peak_bytes == as_traced(plan).peak_bytes


def test_compiled_pieces_find_the_parameters_of_their_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """And none is compiled anew because these are other ones in every step."""
    made: list[object] = []
    monkeypatch.setattr(compiling, "BACKEND", lambda graph, inputs: (made.append(graph), graph.forward)[1])
    wanted, counts = results(session_of(of_two({}))), list[int]()
    for offload in ([], OPTIMIZER, BOTH):
        made.clear()
        torch._dynamo.reset()
        found = results(session_of(of_two({"compile": True, "offload": offload})))
        assert [name for name in wanted if not torch.equal(found[name], wanted[name])] == []
        counts.append(len(made))
    torch._dynamo.reset()
    assert 0 < counts[0] == counts[1] == counts[2]


def of_two(train: Document) -> Plan:
    """Two blocks, one of which follows the other."""
    return compiled(**SMALL, **MAN, train={"optimizer": SGD, **train})


# -- several devices ------------------------------------------------------------------------------------------------

OWN: Document = {**SMALL, **MAN}
STAGES: Document = {"devices": {"block_parallel": 2}, **OWN}
AHEAD: Document = {"devices": {"block_parallel": 2, "mode": "decoupled", "staleness": 1}, **OWN}
COPIES: Document = {"devices": {"data_parallel": 2}, **OWN}
MUCH: Document = {"optimizer": ADAMW, "precision": "fp16", "micro_batches": 2, "clip": {"norm": 0.1},
                  "weight_average": {"decay": 0.9}}  # fmt: skip
LAYOUTS: dict[str, tuple[Document, Document, tuple[int, ...]]] = {
    "stages": (STAGES, {"optimizer": SGD}, (0, 1)),
    "decoupled": (AHEAD, MUCH | {"precision": "bf16"}, (0, 1)),
    "copies": (COPIES, MUCH | {"recompute": True}, (0,)),
}
Job = tuple[Plan, tuple[int, ...]]


def work(rank: int, jobs: Sequence[Job]) -> list[dict[str, Tensor]]:
    """Some steps of one rank, of every plan."""
    return [_steps(laid_out(plan, rank, stages), batches(plan)) for plan, stages in jobs]


def _steps(own: Plan, drawn: Sequence[tuple[Tensor, Tensor]]) -> dict[str, Tensor]:
    session = session_of_rank(own, Wire(own))
    assert own.layout is not None
    for images, labels in drawn:
        part = list(own.layout.share(len(labels)))
        given = images[part], labels[part]
        session.train_step(*(given if own.layout.stage == 0 else (None, None)), samples=len(labels))
    session.finish()
    found = {name: tensor.detach().clone() for name, tensor in session.model.tensors().items()}
    averages = session.average.tensors if session.average else {}
    return found | {f"{name}, average": tensor for name, tensor in averages.items()}


def session_of_rank(own: Plan, wire: Wire) -> Session:
    """Steps are made by a thread, as beside a GPU."""
    session = Session(own, wire=wire)
    if session.model.offload is not None:
        session.model.offload._behind = True
    return session


def test_ranks_come_to_the_numbers_that_they_have_without_offload() -> None:
    """And copies to one another's, and stages to those of one device."""
    jobs = {
        (name, len(offload)): (compiled(**parts, train=train | {"offload": offload}), stages)
        for name, (parts, train, stages) in LAYOUTS.items()
        for offload in ([], OPTIMIZER, BOTH)
        if (name, offload) != ("stages", OPTIMIZER)
    }
    found = [dict(zip(jobs, each, strict=True)) for each in in_ranks(work, 2, list(jobs.values()))]
    for name, count in jobs:
        assert [different(rank[name, count], rank[name, 0]) for rank in found] == [[], []], (name, count)
    statistics = {name for name in found[0]["copies", 0] if "running" in name or "batches" in name}
    assert set(different(*(rank["copies", 2] for rank in found))) <= statistics
    alone = session_of(compiled(train=LAYOUTS["stages"][1], **OWN))
    for images, labels in batches(alone.plan):
        alone.train_step(images, labels)
    assert different(found[0]["stages", 2] | found[1]["stages", 2], alone.model.tensors()) == []


def different(found: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> list[str]:
    assert found.keys() == wanted.keys()
    return [name for name in wanted if not torch.equal(found[name], wanted[name])]
