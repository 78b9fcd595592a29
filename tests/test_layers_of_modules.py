"""Layers of traced modules: a norm and an activation stay with their weights, and a U-Net can be cut inside."""

from __future__ import annotations

import json

import pytest
import torch
from torch import Tensor, nn

import specc
from runtime import Session
from runtime.memory.trace import trace
from specc.compiler.verify import verify
from specc.graph.graph import BackboneGraph
from specc.graph.problems import BackboneError
from specc.memory.prediction import as_traced, first_difference
from specc.plan import Plan

from .documents import document
from .own_modules import Drop, RotatedAttention

IMAGE = (3, 8, 8)
AVERAGED = ("adaptive_avg_pool", "flatten", "linear")


def twice(given: int, out: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(given, out, 3, padding=1), nn.BatchNorm2d(out), nn.ReLU(),
                         nn.Conv2d(out, out, 3, padding=1), nn.BatchNorm2d(out), nn.ReLU())  # fmt: skip


class UNet(nn.Module):
    """Whose pooling is one module that is called twice, and whose joints are functions."""

    def __init__(self) -> None:
        super().__init__()
        self.d1, self.d2, self.d3 = twice(3, 4), twice(4, 6), twice(6, 8)
        self.u2, self.u1 = twice(14, 6), twice(10, 4)
        self.pool, self.up, self.out = nn.MaxPool2d(2), nn.Upsample(scale_factor=2), nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        one = self.d1(x)
        two = self.d2(self.pool(one))
        two = self.u2(torch.cat([two, self.up(self.d3(self.pool(two)))], 1))
        out: Tensor = self.out(self.u1(torch.cat([one, self.up(two)], 1)).mean((2, 3)))
        return out


class Flat(nn.Module):
    """No module in it holds others; one shortcut goes around two convolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.c1, self.b1 = nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8)
        self.c2, self.b2 = nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8)
        self.c3, self.b3 = nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8)
        self.c4, self.b4, self.fc = nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8), nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.b1(self.c1(x)))
        x = torch.relu(x + self.b3(self.c3(torch.relu(self.b2(self.c2(x))))))
        x = torch.relu(self.b4(self.c4(x)))
        out: Tensor = self.fc(torch.max_pool2d(x, 2).mean((2, 3)))
        return out


class Residual(nn.Module):
    """Drops what it adds: in training something else happens in `drop` than in evaluation, and nowhere else."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.drop = nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8), Drop()

    def forward(self, x: Tensor) -> Tensor:
        return x + self.drop(self.norm(self.conv(x)))


class Noisy(Residual):
    """Decides itself whether it drops."""

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(self.conv(x))
        return x + (self.drop(y) if self.training else y)


class Scaled(nn.Module):
    """Does something in evaluation alone."""

    def forward(self, x: Tensor) -> Tensor:
        return x if self.training else x.mul(0.5).add(0.5)


class Halved(Residual):
    def __init__(self) -> None:
        super().__init__()
        self.drop = Scaled()


class More(nn.Module):
    """Calls another block in training only, of a kind that there is elsewhere as well."""

    def __init__(self) -> None:
        super().__init__()
        self.more = Residual()

    def forward(self, x: Tensor) -> Tensor:
        return self.more(x) if self.training else x


class Answering(nn.Module):
    """Its first answer is for training, its second one for evaluation; it computes both."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Linear(192, 4), nn.Linear(192, 4)

    def forward(self, x: Tensor) -> Tensor:
        one, two = self.one(x.flatten(1)), self.two(x.flatten(1))
        return one if self.training else two


class Merging(nn.Module):
    """Tokens that are put together four by four, by way of a map with the channels last, as Swin does it."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.reduction, self.fc = nn.Conv2d(3, 8, 1), nn.Linear(32, 8), nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed(x).flatten(2).transpose(1, 2)
        x = x.view(len(x), 8, 8, 8)
        x = torch.cat([x[:, i::2, j::2, :] for i in (0, 1) for j in (0, 1)], -1)
        out: Tensor = self.fc(self.reduction(x.view(len(x), 16, 32)).mean(1))
        return out


def residual(kind: type[Residual]) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 8, 1), kind(), kind(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4),
    )  # fmt: skip


def graph_of(module: nn.Module) -> BackboneGraph:
    return specc.trace(module, IMAGE).graph


def plan_of(module: nn.Module, **parts: object) -> Plan:
    data = {"dataset": "synthetic", "image_size": 8, "channels": 3, "classes": 4, "samples": 16, "batch_size": 4}
    whole = document(data=data, auxiliary={"classifier": {"layers": "0c1f"}}, **parts)
    whole.pop("backbone")
    return specc.compile(json.loads(json.dumps(whole)), backbone=specc.trace(module, IMAGE))


def test_a_u_net_is_layered_module_by_module_whatever_is_alive_beside() -> None:
    graph = graph_of(UNet())
    assert [layer.name for layer in graph.layers] == ["d1", "d2", "d3", "u2", "u1", "out"]
    assert graph.tiers[0] == ("d1", "u2", "u1")
    assert graph.tiers[1] == ("d1", "d2", "d3", "u2", "u1")
    assert [graph.layers[i].nodes[-1].op.name for i in range(3)] == ["relu"] * 3


def test_norms_and_activations_of_no_module_stay_with_their_convolution_and_poolings_go_with_the_head() -> None:
    graph = graph_of(Flat())
    assert [(layer.name, layer.nodes[-1].op.name) for layer in graph.layers[:-1]] == [
        ("c1", "relu"), ("c2", "relu"), ("c3", "relu"), ("c4", "relu"),
    ]  # fmt: skip
    assert graph.tiers[0] == ("c1", "c3", "c4")


@pytest.mark.parametrize("kind", [Residual, Halved])
def test_what_is_something_else_in_training_is_one_node_and_whoever_calls_it_is_taken_apart(
    kind: type[Residual],
) -> None:
    names = [node.op.name for node in graph_of(residual(kind)).nodes]
    assert names == ["conv", *["conv", "batch_norm", "opaque", "add"] * 2, *AVERAGED]


def test_whoever_calls_something_in_training_only_is_one_node() -> None:
    names = [node.op.name for node in graph_of(residual(Noisy)).nodes]
    assert names == ["conv", "opaque", "opaque", *AVERAGED]


def test_what_is_called_in_training_only_is_taken_apart_where_it_is_always_called() -> None:
    net = nn.Sequential(nn.Conv2d(3, 8, 1), More(), Residual(), nn.Flatten(), nn.Linear(512, 4))
    names = [node.op.name for node in graph_of(net).nodes]
    assert names == ["conv", "opaque", "conv", "batch_norm", "opaque", "add", "flatten", "linear"]


def test_a_network_that_answers_otherwise_in_evaluation_is_refused() -> None:
    with pytest.raises(BackboneError, match=r"cannot trace `Answering`: it does something else in evaluation"):
        graph_of(Answering())


def test_maps_that_tokens_are_seen_as_have_their_channels_last() -> None:
    """Whatever their sides: 8 × 8 × 8 could as well be read the other way round."""
    shapes = {node.shape for node in graph_of(Merging()).nodes if len(node.shape) == 2}
    assert shapes == {(64, 8), (16, 8), (16, 32)}
    assert [node.shape for node in graph_of(Merging()).nodes if len(node.shape) == 3] == [(8, 8, 8)]  # of `embed`


def test_ops_between_measured_parts_of_one_function_belong_to_them() -> None:
    """Attention that turns its queries and keys is one part, which is not called after the angles that it reads."""
    graph = specc.trace(RotatedAttention(), IMAGE).graph
    names = [node.name for node in graph.nodes]
    assert names[names.index("body.qkv") : names.index("body.out") + 1] == ["body.qkv", "reshape", "body.out"]


class Slopes(nn.Sequential):
    def __init__(self, act: type[nn.Module], *wide: int) -> None:
        body = [[nn.Conv2d(3 if i == 0 else 4, 4, 3, padding=1), act(*wide)] for i in range(6)]
        super().__init__(*(each for pair in body for each in pair), nn.Flatten(), nn.Linear(256, 4))


@pytest.mark.parametrize("wide", [(), (4,)])
def test_an_activation_that_learns_stays_with_its_convolution_as_others_do(wide: tuple[int, ...]) -> None:
    learnt, fixed = specc.trace(Slopes(nn.PReLU, *wide), IMAGE).graph, specc.trace(Slopes(nn.ReLU), IMAGE).graph
    assert {node.op.name for node in learnt.nodes} == {"conv", "prelu", "flatten", "linear"}
    assert [layer.name for layer in learnt.layers] == [layer.name for layer in fixed.layers]
    assert learnt.narrow_cuts == fixed.narrow_cuts


def test_a_u_net_of_somebody_else_is_trained_in_blocks_that_several_tensors_cross() -> None:
    module = UNet()
    plan = plan_of(module, split={"after": ["d1", "d2", "d3", "u2"], "read": {"d2": "d2"}})
    assert verify(plan) == []
    assert first_difference(as_traced(plan), trace(plan).timeline, tolerance=0.01) is None
    session = Session(plan, module=module)
    said = session.train_step(torch.rand(4, *IMAGE), torch.arange(4) % 4)
    assert len(said.losses) == 5
    assert all(each["classification"].isfinite() for each in said.losses.values())
