"""`train.recompute: {layers: ...}`: which layers are computed again, alone and together, and what that takes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from runtime import Session
from runtime.memory.trace import fake_batch, watch
from specc.diagnostics import Diagnostic
from specc.memory.prediction import as_traced
from specc.pipeline import run_passes
from specc.plan import Piece, Plan
from specc.plan.flops import again, flops_of
from specc.plan.sound import faults

from .documents import HPFF, MAN, Document, compiled, document, spec_of

WHOLE: Document = {"split": {"blocks": 1}}
SKIPS: Document = {  # a residual block spelled out: nothing between its first and its last layer is a joint
    "split": {"blocks": 1},
    "backbone": {
        "layers": [
            {"name": "stem", "op": "conv", "out": 4},
            {"name": "one", "op": "conv", "out": 4},
            {"name": "act", "op": "relu"},
            {"name": "two", "op": "conv", "out": 4},
            {"name": "sum", "op": "add", "from": ["two", "stem"]},
            {"name": "last", "op": "relu"},
            {"name": "pool", "op": "global_avg_pool"},
            {"name": "head", "op": "linear", "out": 4},
        ]
    },
}
CHOICES: dict[str, list[Any]] = {
    "a stage": ["stage1"],
    "alone and together": [["stem", "stage1"], "stage2.1", ["stage3.0", "stage3.1"]],
    "the last": ["stage1.1", ["stage2"], "head"],
    "everything at once": [["stem", "stage1", "stage2", "stage3", "head"]],
}


def plan_of(parts: Document, layers: list[Any] | bool, **train: Any) -> Plan:
    recompute = {"layers": layers} if isinstance(layers, list) else layers
    return compiled(**parts, train={"recompute": recompute, **train})


def found(parts: Document, layers: list[Any]) -> tuple[Diagnostic, ...]:
    return run_passes(spec_of(document(**parts, train={"recompute": {"layers": layers}}))).diagnostics


def gradients(plan: Plan) -> dict[str, Tensor | None]:
    session = Session(plan, dtype=torch.float64)
    images = torch.rand(6, 1, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    session.train_step(images, torch.arange(6) % 4, update=False)
    return {name: parameter.grad for name, parameter in session.named_parameters()}


def pieces(plan: Plan) -> list[list[tuple[int, bool]]]:
    """Nodes of every block's pieces, and whether they are computed again."""
    return [[(p.nodes, p.again) for p in plan.networks[block.name].pieces] for block in plan.blocks]


# ------------------------------------------------------------------------------------------------ the same numbers


@pytest.mark.parametrize("choice", CHOICES)
@pytest.mark.parametrize("parts", [WHOLE, HPFF, MAN], ids=["one block", "two levels", "averages"])
def test_gradients_are_those_without_recomputation_to_the_bit(parts: Document, choice: str) -> None:
    kept, recomputed = gradients(plan_of(parts, False)), gradients(plan_of(parts, CHOICES[choice]))
    assert kept.keys() == recomputed.keys()
    for name, gradient in kept.items():
        other = recomputed[name]
        assert (gradient is None) == (other is None), name
        assert gradient is None or (other is not None and torch.equal(gradient, other)), name


# ------------------------------------------------------------------------------------------------ memory


@pytest.mark.parametrize("choice", CHOICES)
@pytest.mark.parametrize(
    ("parts", "train"),
    [(WHOLE, {}), (WHOLE, {"micro_batches": 3}), (HPFF, {}), (HPFF, {"micro_batches": 2}), (MAN, {})],
    ids=["one block", "one block in slices", "two levels", "two levels in slices", "averages"],
)
def test_a_step_takes_what_was_predicted_to_the_byte(parts: Document, train: Document, choice: str) -> None:
    for order in ("slices", "blocks") if train else ("auto",):
        plan = plan_of(parts | {"schedule": {"order": order}}, CHOICES[choice], **train)
        images, labels = fake_batch(plan)
        real = watch(Session(plan), images, labels + torch.arange(len(labels)) % 4)
        assert [moment.bytes for moment in as_traced(plan).timeline] == list(real.timeline)


def test_what_enters_a_kept_piece_goes_when_it_was_read() -> None:
    """An activation keeps its result; what it read, handed on by the piece before, is held by nobody."""
    plan = plan_of(SKIPS, [["stem", "one", "act", "two", "sum"]])
    assert [piece.again for piece in plan.networks["block0"].pieces] == [True, False]
    images, labels = fake_batch(plan)
    real = watch(Session(plan), images, labels + torch.arange(len(labels)) % 4)
    assert [moment.bytes for moment in as_traced(plan).timeline] == list(real.timeline)


def test_a_group_keeps_less_than_its_layers_by_themselves() -> None:
    def kept(layers: list[Any]) -> int:
        """What is there after the forward pass."""
        plan = plan_of(WHOLE, layers)
        return next(m.bytes for m, i in zip(plan.memory.timeline, plan.instructions, strict=True) if i.kind == "head")

    assert kept([["stage1", "stage2"]]) < kept(["stage1", "stage2"]) < kept(["stage1"])


# ------------------------------------------------------------------------------------------------ FLOPs


@pytest.mark.parametrize(
    ("parts", "layers", "products", "others"),
    [
        (SKIPS, ["stem"], [], []),  # a product keeps what it reads, and that is kept anyway
        (SKIPS, [["one", "act", "two", "sum"]], ["one.conv"], ["act.relu"]),  # the sum keeps nothing
        (SKIPS, [["stem", "one", "act", "two", "sum"], "last"], ["stem.conv", "one.conv"], ["act.relu", "last.relu"]),
        (WHOLE, ["stem"], ["stem.conv"], ["stem.bn", "stem.relu"]),
    ],
    ids=["a product", "up to the last", "more", "all of it"],
)
def test_flops_of_what_is_computed_again_are_those_that_torch_takes(
    parts: Document, layers: list[Any], products: list[str], others: list[str]
) -> None:
    """It stops where the last op has all that it keeps. Torch counts the products, specc the other ops too."""

    def counted(plan: Plan) -> int:
        session = Session(plan)
        with FlopCounterMode(display=False) as counter:
            session.train_step(torch.rand(6, 1, 8, 8), torch.arange(6) % 4)
        return counter.get_total_flops()

    plan = plan_of(parts, layers)
    network = plan.networks["block0"]
    flops = {node.name: node.flops for node in network.graph.simple}
    assert counted(plan) - counted(plan_of(parts, False)) == 6 * sum(flops[name] for name in products)
    assert again(network, learns=False) == sum(flops[name] for name in (*products, *others))


def test_only_what_is_computed_again_is_paid_for() -> None:
    def backward(layers: list[Any] | bool) -> int:
        plan = plan_of(WHOLE, layers)
        return flops_of([i for i in plan.instructions if i.kind == "backward"], plan.networks, plan.units)

    none = backward(False)
    one, two, both = (backward(layers) - none for layers in (["stage1.0"], ["stage2.0"], ["stage1.0", "stage2.0"]))
    assert 0 < one < both
    assert one + two == both
    assert backward(True) > none + both


# ------------------------------------------------------------------------------------------------ pieces


def test_what_is_kept_between_is_one_piece_and_keeping_everything_is_no_piece() -> None:
    assert pieces(plan_of(WHOLE, ["stage1.1"])) == [[(10, False), (7, True), (34, False)]]
    assert pieces(plan_of({}, ["stage3.1"]))[:3] == [[], [], []]
    assert pieces(plan_of(WHOLE, False)) == [[]]


def test_every_name_of_several_layers_stands_for_all_of_them() -> None:
    everything = ["stem", "stage1", "stage2", "stage3", "head"]
    assert pieces(plan_of({}, everything)) == pieces(plan_of({}, True))
    own = {"layers": [
        {"name": "many", "op": "conv", "out": 4, "repeat": 3},
        {"name": "pool", "op": "global_avg_pool"}, {"name": "head", "op": "linear", "out": 4},
    ]}  # fmt: skip
    assert pieces(plan_of(WHOLE | {"backbone": own}, ["many"])) == [[(1, True), (1, True), (1, True), (2, False)]]


def test_a_group_across_a_cut_is_divided_there_and_that_is_said() -> None:
    assert pieces(plan_of({}, [["stage1"]]))[:2] == [[(3, False), (7, True)], [(7, True), (9, False)]]
    (note,) = found({}, [["stage1"]])
    assert (note.code, note.is_error) == ("SPC432", False)
    assert "after `stage1.0`, where block 0 ends" in note.message


# ------------------------------------------------------------------------------------------------ mistakes


@pytest.mark.parametrize(
    ("layers", "code", "says"),
    [
        (["stag1"], "SPC201", "no layer is called `stag1`"),
        ([["stem", "stage1.7"]], "SPC201", "no layer is called `stage1.7`"),
        (["stage1", "stage1.1"], "SPC429", "`stage1.1` is to be computed again twice"),
        ([["stem", "stage1.0"], "stem"], "SPC429", "`stem` is to be computed again twice"),
        ([["stem", "stage1.1"]], "SPC430", "`stage1.1` does not follow `stem`"),
        ([["stage1.0", "stem"]], "SPC430", "`stem` does not follow `stage1.0`"),
    ],
)
def test_a_name_that_cannot_be_meant_is_pointed_at(layers: list[Any], code: str, says: str) -> None:
    (wrong,) = found({}, layers)
    assert wrong.code == code
    assert says in wrong.message
    assert wrong.span is not None


def test_layers_that_no_joint_divides_are_named_together() -> None:
    (wrong,) = found(SKIPS, ["one", "last"])
    assert wrong.code == "SPC431"
    assert "`one` cannot be computed again without `act`, `two` and `sum`" in wrong.message
    assert wrong.help == ("name them together: `[one, act, two, sum]`",)
    assert not found(SKIPS, [["one", "act", "two", "sum"], "last"])


# ------------------------------------------------------------------------------------------------ plans from files


def test_a_plan_whose_pieces_do_not_hold_together_is_no_plan() -> None:
    plan = plan_of(WHOLE, ["stage1.1"])
    assert not list(faults(plan))
    network = plan.networks["block0"]
    for sizes in (10, 7), (10, 7, 40), (4, 47), (10, 7, 34, 0):
        broken = replace(network, pieces=tuple(Piece(size) for size in sizes))
        assert list(faults(replace(plan, networks={**plan.networks, "block0": broken}))), sizes
