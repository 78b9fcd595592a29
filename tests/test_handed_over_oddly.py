"""Modules as they come: with fixed parameters, compiled, without shapes, with answers that are none."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import runtime
import specc
from runtime import Session
from runtime.errors import RunError
from runtime.memory.trace import trace as traced_memory
from specc.checking import given
from specc.diagnostics import Severity, SpecError
from specc.graph.ops import ShapeError
from specc.graph.problems import BackboneError
from specc.memory.prediction import as_traced
from specc.pipeline import compile_spec
from specc.plan import Plan

SPEC: dict[str, Any] = {
    "data": {"batch_size": 4}, "split": {"blocks": 2}, "auxiliary": {"classifier": {"layers": "1c1f"}},
    "train": {"optimizer": {"name": "adamw", "lr": 0.01}},
}  # fmt: skip
LABELS = torch.arange(4)


class Adapted(nn.Module):
    """A layer that stays as it is, with a small one beside it that learns."""

    def __init__(self) -> None:
        super().__init__()
        self.base, self.down, self.up = nn.Linear(6, 6), nn.Linear(6, 2, bias=False), nn.Linear(2, 6, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        weight = self.base.weight + self.up.weight @ self.down.weight
        return x + torch.sinh(F.linear(x, weight, self.base.bias))


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU())
        self.body = nn.Sequential(nn.Conv2d(6, 6, 3, padding=1), nn.ReLU())
        self.adapted, self.head = Adapted(), nn.Linear(6, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.adapted(self.body(self.stem(x)).mean((2, 3))))


def fixed() -> Net:
    """A whole layer, one of two tensors of a layer, and what an adapter is beside."""
    torch.manual_seed(0)
    net = Net().double()
    for parameter in (*net.stem.parameters(), net.body[0].bias, *net.adapted.base.parameters()):
        parameter.requires_grad_(False)
    return net


def test_parameters_that_ask_for_no_gradient_stay_as_they_are_to_the_last_number() -> None:
    own = fixed()
    plain, begun = copy.deepcopy(own), copy.deepcopy(own)
    plan = specc.compile({**SPEC, "split": {"blocks": 1}}, backbone=specc.trace(own, (3, 8, 8)))
    session = Session(plan, dtype=torch.float64, module=own)
    settings = session.optimizers["block0"].param_groups[0]
    optimizer = torch.optim.AdamW((p for p in plain.parameters() if p.requires_grad), settings["lr"],
                                  weight_decay=settings["weight_decay"])  # fmt: skip
    for seed in range(2):
        images = torch.rand(4, 3, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
        session.train_step(images, LABELS)
        optimizer.zero_grad()
        F.cross_entropy(plain(images), LABELS).backward()
        optimizer.step()
    assert all(
        torch.allclose(tensor, plain.state_dict()[name], rtol=1e-10) for name, tensor in own.state_dict().items()
    )
    held = {name for name, p in own.named_parameters() if not p.requires_grad}
    assert held == {name for name, p in begun.named_parameters() if not p.requires_grad}
    stepped = {id(p) for each in session.optimizers.values() for group in each.param_groups for p in group["params"]}
    assert stepped == {id(p) for p in own.parameters() if p.requires_grad}


def test_fixed_parameters_have_no_gradient_and_no_state_in_a_prediction() -> None:
    """Whole layers stay ops, and are frozen; of a layer that has others they are none of its parameters."""
    backbone = specc.trace(fixed(), (3, 8, 8))
    assert backbone.fixed == ("stem.0", "stem.1")
    assert [node.op.name for node in backbone.graph.layers[0].nodes] == ["conv", "batch_norm", "relu"]
    plan, whole = (specc.compile(SPEC, backbone=specc.trace(net, (3, 8, 8))) for net in (fixed(), Net()))
    assert as_traced(plan).peak_bytes == pytest.approx(traced_memory(plan).peak_bytes, rel=1e-2)
    assert plan.memory.peak_bytes < whole.memory.peak_bytes
    assert Plan.from_json(plan.to_json()) == plan
    trained = sum(p.numel() for p in fixed().parameters() if p.requires_grad)
    network = [network for name, network in plan.networks.items() if name.startswith("block")]
    assert sum(torch.Size(shape).numel() for each in network for shape in each.graph.trained.values()) == trained
    estimates = [specc.estimate(net, (3, 8, 8), precision="fp32") for net in (fixed(), Net())]
    state, of_all = (each.categories["optimizer state"] for each in estimates)
    assert 0 <= state - 8 * trained < 100 < of_all - state  # two moments of each, and a step of each tensor


def test_a_plan_of_a_module_with_fixed_parameters_knows_it_again() -> None:
    """Also after a session has frozen what the spec says, and in a module that was saved."""
    net = fixed()
    plan = specc.compile({**SPEC, "train": {**SPEC["train"], "freeze": ["body"]}}, backbone=specc.trace(net, (3, 8, 8)))
    for _ in range(2):
        Session(plan, dtype=torch.float64, module=net).train_step(torch.rand(4, 3, 8, 8), LABELS)
    assert not net.body[0].weight.requires_grad
    other = fixed()
    other.adapted.base.requires_grad_(True)
    with pytest.raises(RunError, match=r"`adapted\.base\.weight` of the module asks for a gradient"):
        Session(plan, dtype=torch.float64, module=other)


def test_a_module_of_which_nothing_learns_is_refused() -> None:
    with pytest.raises(SpecError, match="every layer with parameters is frozen"):
        runtime.wrap(Net().requires_grad_(False), SPEC, example=(3, 8, 8))


class OptimizedModule(nn.Module):
    """As what `torch.compile` gives, which takes seconds to load."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self._orig_mod = module


class Answering(nn.Module):
    def __init__(self, what: str) -> None:
        super().__init__()
        self.what, self.layer = what, nn.Linear(3, 4)

    def forward(self, x: Tensor) -> Tensor:
        y = self.layer(x)
        return {
            "classes": lambda: y.argmax(1), "a sum": lambda: y.sum(), "one each": lambda: y[:, 0], "itself": lambda: x,
            "no key": lambda: {}["key"], "a weight": lambda: self.layer.weight,
            "two": lambda: y[: len(x) // (len(x) - 2)],
            "no name": lambda: self.missing(x),
        }[self.what]()  # fmt: skip


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("classes", "`Answering` gives int64 of shape (2,) for a batch of 2, and an answer is floats"),
        ("a sum", "gives float32 of shape () for a batch of 2"),
        ("one each", "gives float32 of shape (2,) for a batch of 2"),
        ("itself", "gives back what it is given"),
        ("a weight", "gives float32 of shape (4, 3) for a batch of 2"),
        ("no key", "Answering says: KeyError: 'key' ("),
        ("no name", "AttributeError: 'Answering' object has no attribute 'missing' ("),
        ("two", "ZeroDivisionError"),
    ],
)  # fmt: skip
def test_an_answer_that_is_none_is_refused_in_a_sentence(what: str, said: str) -> None:
    with pytest.raises((BackboneError, ShapeError)) as caught:
        specc.trace(Answering(what), (3,))
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("module", "said"),
    [
        (lambda: nn.Sequential(nn.Flatten(), nn.LazyLinear(4)), "`1.weight` has no shape yet: call the module once"),
        (lambda: nn.DataParallel(nn.Linear(3, 4)), "made for several devices: trace what is in it, `.module`"),
        (lambda: OptimizedModule(nn.Linear(3, 4)), "compiled: trace what is in it, `._orig_mod`"),
        (lambda: torch.jit.script(nn.Linear(3, 4)), "a script"),
    ],
    ids=["lazy", "parallel", "compiled", "scripted"],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:.*torch.jit.script:FutureWarning")
def test_what_hides_what_it_does_is_said_to_do_so(module: Callable[[], Any], said: str) -> None:
    with pytest.raises(BackboneError) as caught:
        specc.trace(module(), (3,))
    assert said in str(caught.value)


def test_a_module_without_numbers_is_not_wrapped() -> None:
    assert specc.trace(nn.Linear(3, 4).to("meta"), (3,)).output == (4,)
    with pytest.raises(RunError, match=r"`weight` of the module is on meta"):
        runtime.wrap(nn.Linear(3, 4).to("meta"), SPEC, example=(3,))
    with pytest.raises(RunError, match=r"`0\.weight` of the module has no shape yet"):
        runtime.wrap(nn.Sequential(nn.LazyLinear(4)), SPEC, example=(3,))


def test_rows_of_numbers_are_samples_too() -> None:
    net = nn.Sequential(nn.Linear(5, 6), nn.ReLU(), nn.Linear(6, 4))
    local = runtime.wrap(net, SPEC, example=torch.rand(2, 5))
    (node,) = (node for node in local.plan.networks["block0"].graph.nodes if node.op.name != "relu")
    assert node.op.name == "linear"  # nothing is copied out of the batch
    before = float(next(iter(local.training_step(torch.rand(4, 5), LABELS).total.values())))
    rows = torch.utils.data.TensorDataset(torch.rand(8, 5), torch.arange(8) % 4)
    assert runtime.ask(rows).parts == local.plan.data.parts
    assert before > 0


def test_that_a_module_stands_in_place_of_a_backbone_is_noted_where_the_spec_names_one() -> None:
    backbone = specc.trace(Net(), (3, 8, 8))
    for source in ({**SPEC, "backbone": {"family": "vgg"}}, specc.load({**SPEC, "backbone": {"family": "vgg"}})):
        (note,) = (d for d in compile_spec(given(source, (), backbone))[1] if d.code == "SPC108")
        assert (note.severity, note.span.file) == (Severity.NOTE, "<mapping>")
        assert "the module that Python gives, a `Net`, stands in its place" in note.message
        assert note.span.line > 1
    assert not [d for d in compile_spec(given(SPEC, (), backbone))[1] if d.code == "SPC108"]
