"""Single rules of the compiler, each of which could go missing without any plan looking wrong."""

from __future__ import annotations

import networkx as nx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.flop_counter import FlopCounterMode

from runtime import Session
from runtime.modules import BUILDERS
from runtime.trace import fake_batch, watch
from specc.backbone import ops
from specc.backbone.ops import numel
from specc.compiler import run_passes
from specc.compiler.memory import as_traced
from specc.compiler.schedule import order
from specc.compiler.verify import Replay, verify
from specc.plan import cotangent

from .documents import HPFF, MAN, Document, compiled, documents, spec_of

# ---------------------------------------------------------------------------------------------- the verifier


def test_a_gradient_that_comes_from_elsewhere_is_noticed() -> None:
    """No instruction can bring one, so it is put there: what a leak in the executor would do."""
    plan = compiled(**HPFF)
    assert verify(plan) == []
    replay = Replay(plan)
    for position, instruction in enumerate(plan.instructions):
        if str(instruction) == "backward block0 to block0":
            replay._accumulate(cotangent(0, 0), {("unit2.independent", "classifier")})
        replay.run(position, instruction)
    (found,) = replay.found
    assert found.endswith("`grad0to0` holds the gradient of unit2.independent.classifier, which must not come here")


# ---------------------------------------------------------------------------------------------- the schedule


@given(documents())
@settings(max_examples=40)
def test_whatever_may_end_lives_goes_before_what_begins_them(drawn: Document) -> None:
    """Where a step, a backward and a head could come next, it is in this order: what ends lives goes first."""
    tasks = run_passes(spec_of(drawn)).tasks
    assert tasks is not None
    assert_urgent_first(tasks)


def assert_urgent_first(tasks: nx.DiGraph) -> None:
    kinds = ("step", "backward", "head", "forward")
    number = {id(tasks.nodes[n]["task"]): n for n in tasks}
    placed = [number[id(task)] for task in order(tasks)]
    at = {n: i for i, n in enumerate(placed)}
    ready = {n: max((at[p] for p in tasks.predecessors(n)), default=-1) for n in tasks}
    for i, n in enumerate(placed):
        kind = tasks.nodes[n]["task"].instruction.kind
        if kind not in kinds:
            continue
        waiting = [m for m in placed[i + 1 :] if ready[m] < i]
        better = kinds[: kinds.index(kind)]
        assert not [m for m in waiting if tasks.nodes[m]["task"].instruction.kind in better]


# ---------------------------------------------------------------------------------------------- recomputation


@pytest.mark.parametrize("parts", [{"split": {"blocks": 1}}, HPFF, MAN], ids=["one block", "two levels", "averages"])
def test_a_recomputed_step_takes_what_was_predicted_to_the_byte(parts: Document) -> None:
    """The copies of running statistics that a batch norm makes when it is computed again are a few bytes of it."""
    plan = compiled(**parts, train={"recompute": True})
    images, labels = fake_batch(plan)
    real = watch(Session(plan), images, labels + torch.arange(len(labels)) % 4)
    assert [moment.bytes for moment in as_traced(plan).timeline] == list(real.timeline)


def test_a_batch_counts_once_in_the_statistics_however_often_it_is_computed() -> None:
    sessions = [Session(compiled(**HPFF, train={"recompute": on}), dtype=torch.float64) for on in (False, True)]
    images = torch.rand(6, 1, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    for _ in range(2):
        for session in sessions:
            session.train_step(images, torch.arange(6) % 4)
    plain, again = (dict(session.named_buffers()) for session in sessions)
    assert any(name.endswith("running_var") for name in plain)
    for name, buffer in plain.items():
        assert torch.equal(buffer, again[name]), name
    counts = {int(b) for name, b in plain.items() if name.endswith("num_batches_tracked") and "stem" in name}
    assert len(counts) == 1
    assert counts.pop() % 2 == 0


# ---------------------------------------------------------------------------------------------- FLOPs


@given(st.integers(2, 9), st.integers(2, 7), st.integers(2, 5), st.sampled_from(["relu", "silu"]))
@settings(max_examples=10)
def test_a_gate_takes_two_products_of_its_channels_and_hidden_ones(c: int, s: int, side: int, activation: str) -> None:
    """Products as torch counts them; a mean, a product for every number; 5 for each number between and gate."""
    op = ops.SqueezeExcite(s, activation)  # type: ignore[arg-type]
    shape = (c, side, side)
    module = BUILDERS[op.name](op, (shape,))
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        module(torch.rand(1, *shape))
    assert op.flops((shape,), shape) == counter.get_total_flops() + 2 * numel(shape) + 5 * (s + c)
