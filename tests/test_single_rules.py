"""Single rules of the compiler, each of which could go missing without any plan looking wrong."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.flop_counter import FlopCounterMode

import specc
from runtime import Session
from runtime.engine.losses import similarity
from runtime.engine.modules import BUILDERS
from runtime.memory.trace import fake_batch, watch
from runtime.run.averages import Averages
from runtime.run.learning_rate import learning_rate
from specc.compiler.dependencies import by_slices, hazards
from specc.compiler.schedule import order
from specc.compiler.verify import Replay, verify
from specc.fit.remedies import Remedy, remedies
from specc.graph import ops
from specc.graph.ops import numel
from specc.language.schema import parse_bytes
from specc.memory.prediction import as_traced
from specc.pipeline import run_passes
from specc.plan import Instruction, Plan
from specc.plan.flops import flops_of
from specc.plan.values import cotangent
from specc.spec.sections.train import Schedule

from .documents import HPFF, MAN, Document, compiled, document, documents, spec_of

# ---------------------------------------------------------------------------------------------- the verifier


def test_a_gradient_that_comes_from_elsewhere_is_noticed() -> None:
    """No instruction can bring one, so it is put there: what a leak in the executor would do."""
    plan = compiled(**HPFF)
    assert verify(plan) == []
    replay = Replay(plan)
    for position, instruction in enumerate(plan.instructions):
        if str(instruction) == "backward block0 to block0":
            replay._accumulate(cotangent(0, 0), {"unit2.independent.classifier"})
        replay.run(position, instruction)
    (found,) = replay.found
    assert found.endswith("`grad0to0` holds the gradient of unit2.independent.classifier, which must not come here")


def test_a_value_that_is_freed_an_instruction_late_is_noticed() -> None:
    plan = compiled(**HPFF)
    i = next(i for i, each in enumerate(plan.instructions) if each.kind == "free")
    free, following = plan.instructions[i : i + 2]
    late = (*plan.instructions[:i], following, free, *plan.instructions[i + 2 :])
    found = verify(replace(plan, instructions=late))
    assert found[0].startswith(f"{i + 1}: {free}: `{free.values[0]}` was read last at {i - 1}")


# ---------------------------------------------------------------------------------------------- the schedule


@given(documents())
@settings(max_examples=40)
def test_whatever_may_end_lives_goes_before_what_begins_them(drawn: Document) -> None:
    """Where a step, a backward and a head could come next, it is in this order: what ends lives goes first."""
    assert_urgent_first(by_slices(run_passes(spec_of(drawn))))


def assert_urgent_first(program: list[Instruction]) -> None:
    kinds = ("step", "backward", "head", "forward")
    before, number = hazards(program), {id(one): n for n, one in enumerate(program)}
    placed = [number[id(one)] for one in order(program)]
    at = {n: i for i, n in enumerate(placed)}
    ready = {n: max((at[p] for p in before.predecessors(n)), default=-1) for n in before}
    for i, n in enumerate(placed):
        kind = program[n].kind
        if kind not in kinds:
            continue
        waiting = [m for m in placed[i + 1 :] if ready[m] < i]
        better = kinds[: kinds.index(kind)]
        assert not [m for m in waiting if program[m].kind in better]


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
    op = ops.SqueezeExcite(s, activation)
    shape = (c, side, side)
    module = BUILDERS[op.name](op, (shape,))
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        module(torch.rand(1, *shape))
    assert op.flops((shape,), shape) == counter.get_total_flops() + 2 * numel(shape) + 5 * (s + c)


def instruction(plan: Plan, text: str) -> int:
    """FLOPs of one instruction."""
    found = next(i for i in plan.instructions if str(i) == text)
    return flops_of([found], plan.networks, plan.units)


def test_a_backward_takes_twice_its_forward_and_recomputation_once_more() -> None:
    for recompute, passes in (False, 2), (True, 3):
        plan = compiled(train={"recompute": recompute})
        forward = plan.networks["block1"].graph.flops
        assert instruction(plan, "forward block1") == forward
        assert instruction(plan, "backward block1 to block1") == passes * forward


def test_no_gradient_of_averages_is_computed() -> None:
    """Through the trained branch twice its forward, through the averaged one, whose weights stand still, once."""
    plan = compiled(**MAN)
    (link,) = plan.units[0].links
    assert link.bias is not None
    ema, bias = plan.networks[link.ema].graph.flops, plan.networks[link.bias].graph.flops
    assert instruction(plan, f"branch {plan.units[0].name}") == ema + bias
    assert instruction(plan, f"branch_backward {plan.units[0].name}") == ema + 2 * bias


# ---------------------------------------------------------------------------------------------- numbers


@pytest.mark.parametrize(("schedule", "rates"), [
    ({"name": "constant"}, [1, 1, 1, 1]),
    ({"name": "cosine"}, [1, 0.8535534, 0.5, 0.1464466]),
    ({"name": "cosine", "count_from": 1}, [0.8535534, 0.5, 0.1464466, 0]),
    ({"name": "step", "milestones": [1, 3], "gamma": 0.1}, [1, 0.1, 0.1, 0.01]),
    ({"name": "poly", "power": 2.0, "min_lr": 0.2}, [1, 0.65, 0.4, 0.25]),
    ({"name": "constant", "warmup_epochs": 2, "warmup_lr": 0.2}, [0.2, 0.6, 1, 1]),
], ids=lambda value: str(value) if isinstance(value, dict) else "")  # fmt: skip
def test_the_learning_rate_of_every_epoch(schedule: dict[str, Any], rates: list[float]) -> None:
    config = Schedule.model_validate(schedule)
    assert [learning_rate(config, 1.0, epoch, 4) for epoch in range(4)] == pytest.approx(rates, abs=1e-7)


@pytest.mark.parametrize(("text", "size"), [
    ("6 GiB", 6 << 30), ("512 MB", 512_000_000), ("1.5KiB", 1536), ("2 tb", 2 * 10**12), ("7", 7), ("7 B", 7), (99, 99),
])  # fmt: skip
def test_a_memory_size_in_bytes(text: str | int, size: int) -> None:
    assert parse_bytes(text) == size


# ---------------------------------------------------------------------------------------------- heads


@pytest.mark.parametrize("layers", ["0c1f", "1c2f", "3c3f"])
def test_a_classifier_has_as_many_layers_as_it_says(layers: str) -> None:
    """The first convolution halves an 8×8 map where the width grows; the others keep it."""
    plan = compiled(auxiliary={"classifier": {"layers": layers, "hidden": 5}})
    (head,) = plan.units[0].heads
    nodes = plan.networks[head.networks[0]].graph.nodes
    convolutions = [node for node in nodes if isinstance(node.op, ops.Conv)]
    linears = [node for node in nodes if isinstance(node.op, ops.Linear)]
    assert (len(convolutions), len(linears)) == (int(layers[0]), int(layers[2]))
    assert [node.shape for node in convolutions] == [(8, 4, 4)] * int(layers[0])
    assert [node.shape for node in linears] == [(5,)] * (int(layers[2]) - 1) + [(4,)]


def test_the_hidden_layers_of_pointwise_are_four_times_as_wide() -> None:
    plan = compiled(auxiliary={"pointwise": {"linears": 2}})
    for unit in plan.units[:-1]:
        nodes = plan.networks[unit.heads[0].networks[0]].graph.nodes
        widths = [node.shape for node in nodes if isinstance(node.op, ops.Linear)]
        assert widths == [(4 * unit.feature[0],)] * 2 + [(4,)]


def test_maps_are_compared_by_the_deviations_of_their_channels() -> None:
    maps = torch.rand(5, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    targets = torch.eye(5)[:, :3]
    moved = maps + torch.rand(5, 3, 1, 1)
    torch.testing.assert_close(similarity(moved, targets), similarity(maps.flatten(2).std(2), targets))


# ---------------------------------------------------------------------------------------------- remedies


@pytest.fixture(scope="module")
def remedied() -> list[Remedy]:
    data = document()["data"] | {"image_size": 16, "samples": 64, "batch_size": 61}
    draft = run_passes(spec_of(document(**HPFF, data=data, split={"blocks": 2})))
    assert draft.memory is not None
    return list(remedies(draft, int(0.9 * draft.memory.peak_bytes)))


def test_remedies_come_cheapest_first(remedied: list[Remedy]) -> None:
    """What costs nothing, then FLOPs, then statistics, then precision, then the batch."""
    kinds = [
        "patches.execution",
        "split",
        "train.recompute",
        "train.micro_batches",
        "train.precision",
        "data.batch_size",
    ]
    found = [remedy.change.partition(":")[0] for remedy in remedied]
    assert found == [kind for kind in kinds if kind in found]
    assert len(found) >= 3
    assert {"train.recompute", "train.precision"} <= set(found)


def test_a_smaller_batch_is_a_multiple_of_eight(remedied: list[Remedy]) -> None:
    size = int(remedied[-1].change.removeprefix("data.batch_size: "))
    assert 8 <= size < 61
    assert size % 8 == 0


# ---------------------------------------------------------------------------------------------- what is shared


def test_what_others_read_is_not_overwritten() -> None:
    layers = [
        {"name": "a", "op": "conv", "out": 4}, {"name": "norm", "op": "batch_norm"}, {"name": "r", "op": "relu"},
        {"name": "sum", "op": "add", "from": ["norm", "r"]}, {"name": "n", "op": "batch_norm"},
        {"name": "again", "op": "relu"}, {"name": "pool", "op": "global_avg_pool"},
        {"name": "head", "op": "linear", "out": 4},
    ]  # fmt: skip
    graph = compiled(backbone={"layers": layers}, split={"blocks": 1}).networks["block0"].graph
    relus = [node.name for node in graph.nodes if isinstance(node.op, ops.Relu)]
    assert graph.overwriting == {relus[1]}


def test_gradients_that_meet_take_more_on_a_cpu() -> None:
    """Nothing else tells the devices apart here: there is no dropout."""
    spec = spec_of(document(split={"blocks": 1}))
    cpu, cuda = (specc.compile(spec, device=device).memory.timeline for device in ("cpu", "cuda"))
    assert any(a.bytes > b.bytes for a, b in zip(cpu, cuda, strict=True))


def test_no_two_tensors_start_alike() -> None:
    tensors = dict(Session(compiled()).named_parameters())
    drawn = [t for t in tensors.values() if t.dim() == 4 and t.shape == (4, 4, 3, 3)]
    assert len(drawn) > 2
    assert not any(torch.equal(a, b) for i, a in enumerate(drawn) for b in drawn[:i])


def test_every_batch_weighs_as_many_as_it_has() -> None:
    averages = Averages()
    for value, weight in (1.0, 1), (2.0, 3):
        averages.add({"x": torch.tensor(value)}, weight)
    assert averages.means() == {"x": (1 + 2 * 3) / 4}


def test_an_evaluation_keeps_no_tape() -> None:
    assert Session(compiled()).predict(torch.rand(6, 1, 8, 8)).grad_fn is None
