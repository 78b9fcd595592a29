"""`train.freeze`: parts of a network that stay as they are, in every number, gradient and byte."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from runtime import Session
from runtime.errors import RunError
from runtime.memory.trace import trace
from specc.checking import check_text
from specc.compiler.verify import verify
from specc.diagnostics import Diagnostic
from specc.layout import laid_out
from specc.layout.volume import summed
from specc.memory.prediction import as_traced
from specc.plan import Backward, Forward, Plan, Reduce, Step
from specc.plan.flops import step_flops

from .documents import HPFF, MAN, compiled, document


def batch() -> tuple[Tensor, Tensor]:
    drawn = torch.Generator().manual_seed(0)
    return torch.randn(6, 1, 8, 8, generator=drawn, dtype=torch.float64), torch.arange(6) % 4


def frozen(*names: str, **parts: Any) -> Plan:
    return compiled(train={"freeze": list(names)} | parts.pop("train", {}), **parts)


def findings(**parts: Any) -> tuple[Diagnostic, ...]:
    return check_text(json.dumps(document(**parts))).diagnostics


def trained(plan: Plan, steps: int = 2) -> tuple[Session, dict[str, Tensor]]:
    """A session after some steps, and its parameters before."""
    session = Session(plan, dtype=torch.float64)
    before = {name: parameter.detach().clone() for name, parameter in session.named_parameters()}
    for _ in range(steps):
        session.train_step(*batch())
    return session, before


def gradients(plan: Plan) -> dict[str, Tensor]:
    session = Session(plan, dtype=torch.float64)
    session.train_step(*batch(), update=False)
    return {name: p.grad for name, p in session.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("more", [{}, MAN, HPFF], ids=["heads", "links", "windows"])
def test_steps_change_all_but_what_is_frozen(more: dict[str, Any]) -> None:
    decay = {"optimizer": {"name": "adamw", "lr": 0.01, "weight_decay": 0.1}, "clip": {"norm": 1.0}}
    session, before = trained(frozen("stem", "stage2.0", train=decay, **more))
    still = {name for name, p in session.named_parameters() if torch.equal(p, before[name])}
    assert still == {name for name in before if name.startswith(("stem.", "stage2.0."))}
    stepped = {id(p) for each in session.optimizers.values() for group in each.param_groups for p in group["params"]}
    own = dict(session.named_parameters())
    assert stepped.isdisjoint(id(own[name]) for name in still)


def test_a_part_of_a_layer_is_frozen_by_the_name_of_its_module() -> None:
    session, before = trained(frozen("stage1.0.conv1"))
    assert [n for n, p in session.named_parameters() if torch.equal(p, before[n])] == ["stage1.0.conv1.weight"]


def test_gradients_pass_frozen_layers_as_if_they_were_not() -> None:
    whole, some = gradients(compiled(**HPFF)), gradients(frozen("stage1.1", "stage3.0", **HPFF))
    left = {name for name in whole if not name.startswith(("stage1.1.", "stage3.0."))}
    assert some.keys() == left
    assert all(torch.equal(some[name], whole[name]) for name in left)


def test_running_statistics_of_frozen_layers_go_on_moving() -> None:
    session, _ = trained(frozen("stem"), steps=1)
    assert not torch.equal(dict(session.named_buffers())["stem.bn.running_mean"], torch.zeros(4))


@pytest.mark.parametrize(
    ("names", "train", "more"),
    [
        (["stem"], {}, HPFF),
        (["stem", "stage1", "stage2.0"], {"optimizer": {"name": "adamw"}, "weight_average": {"decay": 0.9}}, MAN),
        (["stage1.0.conv1", "stage2.0", "head"], {"recompute": True}, HPFF),
        (["stem", "stage2", "stage3.0"], {"precision": "bf16", "optimizer": {"name": "nadam"}}, MAN),
        (["stem", "stage1.0", "stage3"], {"offload": ["optimizer", "parameters"]}, MAN),
        (["stage1"], {"micro_batches": 2, "memory_format": "channels_last"}, {}),
    ],
    ids=["stem", "adamw", "middle", "bf16", "offload", "slices"],
)
def test_the_predicted_peak_is_the_traced_one(names: list[str], train: dict[str, Any], more: dict[str, Any]) -> None:
    plan = frozen(*names, train=train, **more)
    assert as_traced(plan).peak_bytes == trace(plan).peak_bytes
    assert not list(verify(plan))


@pytest.mark.parametrize("op", ["prelu", "rms_norm", "batch_norm", "layer_norm", "layer_scale"])
def test_what_a_backward_makes_of_frozen_parameters_is_predicted(op: str) -> None:
    """Some make all gradients at once, and torch drops those that nobody wants."""
    layers = [
        {"name": "first", "op": "conv", "out": 6}, {"name": "middle", "op": op},
        {"name": "pool", "op": "global_avg_pool"}, {"name": "head", "op": "linear", "out": 4},
    ]  # fmt: skip
    plan = compiled(backbone={"layers": layers}, split={"blocks": 1}, train={"freeze": ["middle"]})
    assert [moment.bytes for moment in as_traced(plan).timeline] == list(trace(plan).timeline)


def test_what_lives_on_the_host_trains_to_the_same_numbers() -> None:
    here, _ = trained(frozen("stem", "stage2.0"))
    for parts in (["optimizer"], ["optimizer", "parameters"]):
        there, _ = trained(frozen("stem", "stage2.0", train={"offload": parts}))
        own = dict(there.named_parameters())
        assert all(torch.equal(own[name], p) for name, p in here.named_parameters())


def test_frozen_layers_take_less_memory_and_fewer_flops() -> None:
    whole, some = compiled(), frozen("stem", "stage1", "stage2")
    assert some.memory.peak_bytes < whole.memory.peak_bytes
    assert step_flops(some) < step_flops(whole)


def test_the_witness_sees_what_is_frozen_by_itself() -> None:
    plan, other = frozen("stem"), compiled()
    assert list(verify(replace(plan, networks=other.networks)))
    assert list(verify(replace(other, networks=plan.networks)))


def test_flops_of_a_backward_leave_out_what_has_no_gradient() -> None:
    plan, whole = frozen("stem", split={"blocks": 1}), compiled(split={"blocks": 1})
    flops = {node.name: node.flops for node in whole.networks["block0"].graph.nodes}
    stem = sum(count for name, count in flops.items() if name.startswith("stem."))
    assert step_flops(whole) - step_flops(plan) == 2 * stem  # neither is a gradient of what it reads


def test_a_block_of_frozen_layers_needs_no_backward_and_no_step() -> None:
    plan = frozen("stem", "stage1.0")
    first = [i for i in plan.instructions if isinstance(i, Forward | Backward) and i.block == 0]
    assert [(i.kind, getattr(i, "graph", None)) for i in first] == [("forward", None)]
    assert "block0" not in {i.group for i in plan.instructions if isinstance(i, Step)}
    (found,) = findings(train={"freeze": ["stem", "stage1.0"]})
    assert (found.code, found.is_error) == ("SPC408", False)
    assert "all of it is frozen" in found.message
    assert found.help[1] == "`levels: [{..., skip: [0]}]` leaves its unit out"


def test_a_block_of_frozen_layers_needs_no_loss() -> None:
    levels = [{"name": "independent", "skip": [0]}]
    assert {d.code for d in findings(train={"freeze": ["stem", "stage1.0"]}, levels=levels)} == {"SPC408"}
    assert "SPC414" in {d.code for d in findings(levels=levels)}
    session, before = trained(frozen("stem", "stage1.0", levels=levels))
    assert not torch.equal(dict(session.named_parameters())["stage1.1.conv1.weight"], before["stage1.1.conv1.weight"])


def test_where_specc_chooses_the_cuts_every_block_has_something_left() -> None:
    plan = frozen("stem", "stage1", split={"blocks": 3})
    assert all(plan.networks[block.name].graph.trained for block in plan.blocks)
    (error,) = findings(train={"freeze": ["stem", "stage1"]}, split={"blocks": 7})
    assert (error.code, error.label) == ("SPC402", "at most 5")


def test_names_that_freeze_nothing_are_pointed_at() -> None:
    text = json.dumps(document(train={"freeze": ["stage4", "stage1", "stage1.0"]}), indent=1)
    unknown, twice = check_text(text).diagnostics
    assert (unknown.code, unknown.is_error, twice.code, twice.is_error) == ("SPC201", True, "SPC434", False)
    assert unknown.help[0] == "did you mean `stage3`?"
    lines = [text.splitlines()[d.span.line - 1].strip(' ",') for d in (unknown, twice) if d.span]
    assert lines == ["stage4", "stage1.0"]
    (nothing,) = findings(train={"freeze": ["stem.relu"]})
    assert (nothing.code, nothing.message) == ("SPC434", "`stem.relu` has no parameters")


def test_to_freeze_everything_is_an_error() -> None:
    (error,) = findings(train={"freeze": ["stem", "stage1", "stage2", "stage3", "head"]})
    assert (error.code, error.message) == ("SPC408", "every layer with parameters is frozen")


def test_shards_have_no_frozen_parts() -> None:
    found = findings(train={"freeze": ["stem"]}, devices={"data_parallel": 2, "shard": True})
    assert [d.code for d in found if d.is_error] == ["SPC690"]


def test_a_link_to_frozen_layers_is_pointed_at_and_its_branch_trains() -> None:
    parts = {"train": {"freeze": ["stage1.1"]}, **MAN}
    assert [d.code for d in findings(**parts)] == ["SPC435"]
    session, before = trained(compiled(**parts))
    bias = "unit0.independent.bias.conv1.weight"
    assert not torch.equal(dict(session.named_parameters())[bias], before[bias])


def test_averaged_weights_leave_out_what_never_changes() -> None:
    session, _ = trained(frozen("stem", train={"weight_average": {"decay": 0.9}}))
    assert session.average is not None
    names = set(session.average.tensors)
    assert "stem.conv.weight" not in names
    assert {"stem.bn.running_mean", "stage1.0.conv1.weight"} <= names


def test_copies_sum_the_gradients_of_what_is_trained() -> None:
    def bytes_of(*names: str) -> int:
        plan = frozen(*names, devices={"data_parallel": 2})
        rank = laid_out(plan, 0)
        return sum(summed(rank, i).bytes for i in rank.instructions if isinstance(i, Reduce))

    own = dict(Session(compiled()).named_parameters())
    assert bytes_of() - bytes_of("stage2.0") == sum(4 * p.numel() for n, p in own.items() if n.startswith("stage2.0."))


NETS = """
from torch import nn

def make() -> nn.Module:
    layers = [nn.Conv2d(1, 3, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 4)]
    return nn.Sequential(*layers)
"""


def test_a_module_of_ones_own_is_frozen_where_the_plan_says_so(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPECC_TRUST_CODE", "1")
    (tmp_path / "nets.py").write_text(NETS)
    backbone = {"module": f"{tmp_path / 'nets.py'}:make"}
    plan = frozen("0", backbone=backbone, split={"blocks": 1})
    module = nn.Sequential(nn.Conv2d(1, 3, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
                           nn.Linear(3, 4)).double()  # fmt: skip
    before = {name: p.detach().clone() for name, p in module.named_parameters()}
    Session(plan, dtype=torch.float64, module=module).train_step(*batch())
    assert [name for name, p in module.named_parameters() if not torch.equal(p, before[name])] == ["4.weight", "4.bias"]
    other = compiled(backbone=backbone, split={"blocks": 1})
    with pytest.raises(RunError, match=r"`0.weight` of the module asks for no gradient, and the plan trains it"):
        Session(other, dtype=torch.float64, module=module)
