"""Normalising by statistics of a batch needs more than one value: the compiler knows, or the run says so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import specc
from runtime import Session
from runtime.data.loader import Part
from runtime.errors import RunError
from runtime.run.evaluation import evaluated
from specc.checking import check_text
from specc.diagnostics import SpecError
from specc.spec.load import loads

from .test_run_folder import images, trainer_in

SPEC = """specc: 1
name: one
data: {dataset: synthetic, image_size: %(size)s, channels: 1, classes: 2, samples: %(samples)s, batch_size: %(batch)s}
backbone:
  layers:
    - {name: a, op: conv, out: 4, k: 3}
    - {name: norm, op: %(op)s}
    - {name: pool, op: global_avg_pool}
    - {name: head, op: linear, out: 2}
split: {blocks: 1}
"""
BATCH, GROUP = "batch_norm", "group_norm, groups: 4"


CUT = ("{blocks: 1}", "{after: [a]}")
HEAD = "auxiliary: {classifier: {layers: [{op: conv, out: 4}, {op: global_avg_pool}, {op: group_norm, groups: 4}]}}\n"


def text(**changes: Any) -> str:
    return SPEC % ({"size": 1, "samples": 24, "batch": 1, "op": BATCH} | changes)


CASES = [
    text(),
    text(batch=2),
    text(size=2),
    text(batch=8, samples=1),
    text(op=GROUP),
    text(op="group_norm, groups: 2"),
    text(op="layer_norm"),
    text(op=GROUP, batch=5),  # of 6 test images one is left over
    text(op=BATCH, batch=5),
    text(op=GROUP, batch=4),
    text(op="relu", batch=5).replace(*CUT) + HEAD,
    text(op="relu", batch=5).replace(*CUT) + HEAD + "train: {evaluate_units: false}\n",
    text(op=GROUP, batch=10) + "train: {micro_batches: 2}\n",
    text(op=GROUP, batch=6).replace("samples: 24", "samples: 24, validation: 7"),
]


def refused_by_torch(spec: str) -> bool:
    """Train a step and evaluate, with the batches that the loader gives, on a plan that nobody checked."""
    lenient = loads(spec)
    from specc.compiler.checks.statistics import check_statistics
    from specc.pipeline import PASSES, run_passes
    from specc.plan import Plan

    draft = run_passes(lenient, tuple(step for step in PASSES if step is not check_statistics))
    assert draft.memory is not None
    plan = Plan(lenient.config, draft.info, draft.networks, draft.blocks, draft.units, draft.instructions, draft.memory)
    session, (channels, *size) = Session(plan), draft.info.shape
    batch, train = plan.config.data.batch_size, draft.info.train_size
    together, sizes = plan.config.together, (draft.info.test_size, draft.info.validation_size)
    count, last = min(batch, train), min(size % together or together for size in sizes)
    try:
        session.train_step(torch.rand(count, channels, *size), torch.zeros(count, dtype=torch.int64))
        told = [Part((torch.rand(last, channels, *size), torch.zeros(last, dtype=torch.int64)), last)]
        evaluated(session, told, units=plan.config.train.evaluate_units)
    except ValueError as error:
        return "more than 1 value" in str(error)
    return False


@pytest.mark.parametrize("spec", CASES, ids=range(len(CASES)))
def test_the_compiler_refuses_what_torch_would(spec: str) -> None:
    found = [d.code for d in check_text(spec).diagnostics if d.is_error]
    assert found == (["SPC605"] if refused_by_torch(spec) else [])


def test_the_batch_and_the_layer_are_pointed_at() -> None:
    (found,) = check_text(text()).diagnostics
    assert found.span is not None
    assert [found.span.line, *(label.span.line for label in found.secondary)] == [3, 7]
    assert text().splitlines()[2][found.span.column - 1 :].startswith("1}")
    assert "the batch norm `norm.bn` gets one value a channel" in found.message


def test_a_head_counts_too() -> None:
    layers = text().replace("op: batch_norm", "op: relu").replace("{blocks: 1}", "{after: [a]}")
    heads = "auxiliary: {classifier: {layers: 1c1f}}\n"
    with pytest.raises(SpecError) as caught:
        specc.compile(loads(layers + heads))
    (found,) = caught.value.diagnostics
    assert found.code == "SPC605"
    assert "`unit0.independent.classifier." in found.message
    specc.compile(loads(layers.replace("batch_size: 1", "batch_size: 2") + heads))


def test_what_only_the_disk_knows_ends_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A last test batch of one image."""
    images(tmp_path / "pictures", 5)
    monkeypatch.chdir(tmp_path)
    layers = [
        {"name": "a", "op": "conv", "out": 4},
        {"name": "pool", "op": "global_avg_pool"},
        {"name": "norm", "op": "group_norm", "groups": 4},
        {"name": "head", "op": "linear", "out": 2},
    ]
    trainer = trainer_in(tmp_path / "run", backbone={"layers": layers}, split={"blocks": 1}, auxiliary={}, ema_links=[])
    with pytest.raises(RunError, match="a norm gets one value a channel in the evaluation") as caught:
        trainer.train()
    assert "data.batch_size" in caught.value.help[0]
