"""Modules that Python hands over: traced, planned, trained in place, and known again."""

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
from runtime.errors import RunError
from runtime.memory.trace import trace as traced_memory
from runtime.trace import laboratory
from specc.compiler.verify import verify
from specc.diagnostics import SpecError
from specc.graph.traced import cache, tracing
from specc.memory.prediction import as_traced
from specc.plan import Plan

SPEC = {
    "data": {"batch_size": 4}, "split": {"blocks": 2}, "auxiliary": {"classifier": {"layers": "1c1f"}},
    "train": {"optimizer": {"name": "sgd", "lr": 0.1}},
}  # fmt: skip


class Net(nn.Module):
    """Convolutions, a part that no op is a word for, and a number that only the code knows."""

    def __init__(self, factor: float = 2.0) -> None:
        super().__init__()
        self.factor = factor
        self.stem = nn.Conv2d(3, 4, 3, padding=1)
        self.convs = nn.ModuleList(nn.Conv2d(4, 4, 3, padding=1) for _ in range(3))
        self.scales = nn.ParameterList(torch.full((4, 1, 1), 0.5) for _ in range(3))
        self.head = nn.Linear(4, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.stem(x))
        for conv, scale in zip(self.convs, self.scales, strict=True):
            x = x + torch.sinh(conv(x)) * self.factor * scale
        return self.head(x.mean((2, 3)))


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No module was handed over before."""
    monkeypatch.setenv("SPECC_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(tracing, "_given", {})
    monkeypatch.setattr(laboratory, "_kept", type(laboratory._kept)())


def planned(module: nn.Module, **parts: Any) -> Plan:
    return specc.compile({**SPEC, **parts}, backbone=specc.trace(module, torch.zeros(2, 3, 8, 8)))


def test_a_traced_module_says_what_it_takes_gives_and_where_it_may_be_cut() -> None:
    backbone = specc.trace(Net(), torch.zeros(7, 3, 8, 8))
    assert isinstance(backbone, specc.Backbone)
    assert (backbone.name, backbone.input, backbone.output) == ("Net", (3, 8, 8), (5,))
    assert backbone.cuts[0] == "stem"
    assert specc.trace(Net(), (3, 8, 8)) == backbone


def test_a_module_is_traced_without_being_touched() -> None:
    module = Net().eval()
    module.act = nn.ReLU(inplace=True)
    before, numbers = dict(module.named_parameters()), copy.deepcopy(module.state_dict())
    specc.trace(module, (3, 8, 8))
    assert all(module.get_parameter(name) is tensor for name, tensor in before.items())
    assert all(torch.equal(numbers[name], tensor) for name, tensor in module.state_dict().items())
    assert not module.training
    assert module.act.inplace


def test_samples_and_classes_are_those_of_the_module_where_the_spec_names_no_data_set() -> None:
    plan = planned(Net())
    assert (plan.data.shape, plan.data.classes, plan.batch) == ((3, 8, 8), 5, 4)


def test_a_session_trains_the_parameters_of_the_module_itself() -> None:
    module = Net()
    begun = copy.deepcopy(module)
    plan = planned(module)
    session = Session(plan, module=module)
    session.train_step(torch.rand(4, 3, 8, 8), torch.arange(4))
    for name, parameter in module.named_parameters():
        assert not torch.equal(parameter, begun.get_parameter(name)), name
    images = torch.rand(2, 3, 8, 8)
    with torch.no_grad():
        assert torch.allclose(session.predict(images), module.eval()(images), atol=1e-6)


def test_the_plan_is_read_again_as_json_and_holds_all_that_it_promises() -> None:
    plan = planned(Net())
    assert Plan.from_json(plan.to_json()) == plan
    assert verify(plan) == []
    assert as_traced(plan).peak_bytes == pytest.approx(traced_memory(plan).peak_bytes, rel=1e-2)


def test_a_plan_of_another_process_trains_the_module_that_it_was_made_of() -> None:
    module = Net()
    text = planned(module).to_json()
    tracing._given.clear()
    laboratory._kept.clear()
    plan = Plan.from_json(text)
    with pytest.raises(specc.graph.problems.BackboneError, match="no such module is here"):
        Session(plan, initialise=False)
    Session(plan, module=Net()).train_step(torch.rand(4, 3, 8, 8), torch.arange(4))


def test_a_module_that_does_something_else_is_refused() -> None:
    """Even where every name and shape is the same."""
    plan = planned(Net())
    with pytest.raises(RunError, match=r"the module, a `Net`, is not the `Net` .* something else, call by call"):
        Session(plan, module=Net(factor=3.0))
    with pytest.raises(RunError, match=r"a `Linear`, is not the `Net` .* cannot be traced"):
        Session(plan, module=nn.Linear(3, 4))


def test_a_constant_of_the_module_is_what_it_does() -> None:
    class Fixed(nn.Module):
        def __init__(self, number: float) -> None:
            super().__init__()
            self.conv, self.number = nn.Conv2d(3, 5, 1), torch.full((5, 1, 1), number)

        def forward(self, x: Tensor) -> Tensor:
            return (self.conv(x) * self.number).mean((2, 3))

    plan = planned(Fixed(2.0), split={"blocks": 1})
    Session(plan, module=Fixed(2.0))
    with pytest.raises(RunError, match="call by call"):
        Session(plan, module=Fixed(3.0))


def test_a_plan_of_a_module_is_not_begun_without_it() -> None:
    plan = planned(Net())
    with pytest.raises(RunError, match="trains a module that was given in Python, a `Net`, and is given none"):
        Session(plan)


def test_a_parameter_that_asks_for_no_gradient_is_not_trained_behind_anybodys_back() -> None:
    module = Net()
    plan = planned(module)
    module.stem.requires_grad_(False)
    with pytest.raises(RunError, match=r"`stem\.weight` of the module asks for no gradient"):
        Session(plan, module=module)


def test_the_module_stands_in_place_of_what_the_spec_says(tmp_path: Path) -> None:
    file = tmp_path / "spec.yaml"
    file.write_text(json.dumps({"specc": 1, "name": "mine", **SPEC, "backbone": {"family": "resnet_cifar"}}))
    backbone = specc.trace(Net(), (3, 8, 8))
    plans = [specc.compile(source, backbone=backbone) for source in (file, str(file), specc.load(file))]
    assert {plan.fingerprint for plan in plans} == {plans[0].fingerprint}
    assert plans[0].config.backbone.traced == "Net"


def codes(error: pytest.ExceptionInfo[SpecError]) -> list[str]:
    return [d.code for d in error.value.diagnostics]


def test_samples_of_another_shape_than_the_examples_are_an_error() -> None:
    with pytest.raises(SpecError, match="was traced for 3×8×8, and the data set's samples are 3×32×32") as error:
        planned(Net(), data={"dataset": "cifar10"})
    assert codes(error) == ["SPC301"]


def test_without_module_and_cache_the_backbone_is_said_to_be_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = {**SPEC, "backbone": {"traced": "Net", "digest": "12ab", "image": [1, 8, 8]}}
    for here in ([], [laboratory.trace]):
        monkeypatch.setattr(tracing, "_here", here)
        with pytest.raises(SpecError, match="no such module is here") as error:
            specc.compile(spec)
        assert codes(error) == ["SPC313"]


def test_a_cache_that_cannot_be_written_keeps_nobody_from_compiling(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "save", lambda *_: None)
    backbone = specc.trace(Net(), (3, 8, 8))
    laboratory._kept.clear()
    assert specc.compile(SPEC, backbone=backbone).blocks


def test_copies_of_trained_norms_begin_as_norms_do() -> None:
    class Normed(Net):
        def __init__(self) -> None:
            super().__init__()
            self.norm = nn.InstanceNorm2d(4, affine=True)
            nn.init.uniform_(self.norm.weight)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.norm(self.convs[0](self.stem(x))).mean((2, 3)))

    (node,) = (node for node in specc.trace(Normed(), (3, 8, 8)).graph.nodes if node.name == "norm")
    assert [node.op.initial(name) for name in node.parameters] == [1.0, 0.0]
