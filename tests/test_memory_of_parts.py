"""Parts that the vocabulary has no word for: what they take is measured once and replayed, storage by storage."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from pydantic import TypeAdapter, ValidationError
from torch import Tensor, nn

import specc
from runtime.memory.trace import trace
from runtime.trace.measuring import footprints
from specc.graph.ops import Opaque, numel
from specc.graph.ops.footprint import Footprint
from specc.graph.traced.backbone import Backbone
from specc.memory import measured
from specc.memory.prediction import as_traced
from specc.memory.recording import Recording
from specc.memory.replay import recorded_steps
from specc.plan import Plan


class Around(nn.Module):
    """Two halves with a part in each, the second one at the beginning of its block."""

    width = 4

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, self.width, 3, padding=1)
        self.one, self.two = self.part(), self.part()
        self.last = nn.Linear(self.width, 4)

    def part(self) -> nn.Module:
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.last(self.two(self.one(self.first(x))).mean((2, 3)))
        return found


class Signal(nn.Module):
    """Along one axis only."""

    def __init__(self) -> None:
        super().__init__()
        self.along = nn.Conv1d(4, 4, 5, padding=2)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.along(x.flatten(2))).reshape(x.shape)


class Scored(nn.Module):
    """Attention as torch has it."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv, self.out = nn.Linear(4, 12), nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        tokens = x.flatten(2).mT
        q, k, v = self.qkv(tokens).unflatten(2, (3, 2, 2)).permute(2, 0, 3, 1, 4)
        found = self.scored(q, k, v)
        taken: Tensor = self.out(found.transpose(1, 2).flatten(2))
        return x + taken.mT.reshape(x.shape)

    def scored(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return F.scaled_dot_product_attention(q, k, v)


class WrittenOut(Scored):
    def scored(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return (q @ k.mT * 2**-0.5).softmax(-1) @ v


class Soft(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.mix = nn.Conv2d(4, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.mix(x)
        return found - x.logsumexp(1, keepdim=True)


class Held(nn.Module):
    """A convolution that no gradient comes to."""

    def __init__(self) -> None:
        super().__init__()
        self.still, self.moved = nn.Conv2d(4, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.moved(x * self.still(x).tanh().detach())
        return found


class Gathered(nn.Module):
    """Several weights in one tensor, whose gradients are parts of one storage."""

    def __init__(self) -> None:
        super().__init__()
        self.q, self.v = nn.Parameter(torch.zeros(4)), nn.Parameter(torch.zeros(4))
        self.weight = nn.Parameter(torch.zeros(8, 4))

    def forward(self, x: Tensor) -> Tensor:
        found = F.linear(x.permute(0, 2, 3, 1), self.weight, torch.cat((self.q, self.v)))
        return (found[..., :4] * found[..., 4:].sigmoid()).permute(0, 3, 1, 2)


class Twice(nn.Module):
    """One weight at two places: what is computed again ends before the second result is made."""

    def __init__(self) -> None:
        super().__init__()
        self.mix = nn.Conv2d(4, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.mix(torch.tanh(self.mix(x)))
        return found


PARTS = (Signal, Scored, WrittenOut, Soft, Held, Gathered, Twice)


def around(part: Callable[[], nn.Module]) -> nn.Module:
    """The network with such parts."""
    made: nn.Module = type("Net", (Around,), {"part": staticmethod(part)})()
    return made


WAYS: dict[str, dict[str, Any]] = {
    "plainly": {}, "bf16": {"precision": "bf16"}, "in slices": {"micro_batches": 2}, "again": {"recompute": True},
    "frozen": {"freeze": ["one"]}, "all of it frozen": {"freeze": ["first", "one"]},
}  # fmt: skip


@lru_cache
def backbone(part: Callable[[], nn.Module]) -> Backbone:
    return specc.trace(around(part), (3, 8, 8))


@lru_cache
def plan(part: Callable[[], nn.Module], way: str, batch: int = 4) -> Plan:
    data = {"dataset": "synthetic", "image_size": 8, "channels": 3, "classes": 4, "samples": 24, "batch_size": batch}
    document = {
        "specc": 1, "name": "parts", "data": data, "backbone": {"module": "handed_over.py:net"},
        "split": {"after": ["one"]}, "auxiliary": {"classifier": {"layers": "1c2f", "hidden": 4}},
        "train": {"epochs": 1, "optimizer": {"name": "sgd", "lr": 0.1, "momentum": 0.9}, **WAYS[way]},
    }  # fmt: skip
    return specc.compile(document, backbone=backbone(part))


def opaque(found: Plan) -> list[Opaque]:
    nodes = (node for network in found.networks.values() for node in network.graph.nodes)
    return [node.op for node in nodes if isinstance(node.op, Opaque)]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("part", PARTS)
def test_a_part_is_predicted_to_the_byte(part: Callable[[], nn.Module], way: str) -> None:
    """In the middle of a block and at the beginning of one; in what is no remedy, instruction by instruction."""
    found = plan(part, way)
    predicted, traced = as_traced(found), trace(found)
    assert any(part.footprints for part in opaque(found))
    assert predicted.peak_bytes == traced.peak_bytes
    if way in ("plainly", "bf16", "in slices"):
        assert tuple(moment.bytes for moment in predicted.timeline) == traced.timeline


@pytest.mark.parametrize(("batch", "rel"), [(1, 1e-2), (24, 0)])  # one sample more often lies as it should anyway
def test_of_other_batches_than_it_was_measured_with(batch: int, rel: float) -> None:
    found = plan(WrittenOut, "plainly", batch)
    assert as_traced(found).peak_bytes == pytest.approx(trace(found).peak_bytes, rel=rel)


def test_tensors_that_no_gradient_comes_to_have_no_state() -> None:
    """A convolution before a `detach` is trained as little as torch's optimizers train it."""
    found = plan(Held, "plainly")
    assert [part.held_back for part in opaque(found)] == [(0,), (0,)]
    state = as_traced(found).timeline[0].categories["optimizer state"]
    still = 2 * 4 * (4 * 4 * 9 + 4)
    trained = sum(4 * numel(shape) for net in found.networks.values() for shape in net.graph.trained.values())
    assert state == trained - still


def test_an_allocator_sees_every_storage_of_a_part() -> None:
    """Not one that is as large as all of them: what a device reserves depends on their sizes."""
    found = plan(WrittenOut, "plainly")
    (part,) = {each for each in opaque(found) if each.part.output == "softmax"} or {opaque(found)[1]}
    events = recorded_steps(found).events
    sizes = {event.bytes for event in events if event.taken and event.op.endswith("flatten")}
    assert len(sizes) > 2, part


@pytest.mark.parametrize(
    "change", [{"result": 9}, {"kept": [7]}, {"forward": "+8 -3"}, {"forward": "8"}, {"until": 5}, {"gradients": [4]},
               {"backward": "2>0"}, {"wanted": [True, False]}],
)  # fmt: skip
def test_a_footprint_of_what_is_not_there_is_refused(change: dict[str, Any]) -> None:
    good = {"low": False, "widths": [4], "wanted": [True], "trained": True, "gives": 4, "forward": "+8,4 +8 -1",
            "result": 2, "kept": [0], "until": 0, "backward": "+8 -1 2>0 -0", "gradients": [2]}  # fmt: skip
    reader = TypeAdapter(Footprint)
    reader.validate_python(good)
    with pytest.raises(ValidationError):
        reader.validate_python(good | change)


def test_what_is_computed_again_ends_where_all_is_there_that_is_kept() -> None:
    first, *_ = footprints(Twice().to("meta"), ((4, 8, 8),))
    made = []
    for stops in (True, False):
        memory = Recording()
        measured.forward(memory, first, 2, [memory.new(0)], stops=stops)
        made.append(sum(event.taken for event in memory.events) - 1)
    assert made == [2, 3]


class Odd(nn.Module):
    """Does something else for other batches."""

    def forward(self, x: Tensor) -> Tensor:
        return x.exp() if len(x) == 2 else x.exp().exp()


def test_a_part_that_does_other_things_for_other_batches_takes_what_it_takes_with_more() -> None:
    first, *_ = footprints(Odd(), ((4,),))
    assert (first.forward, first.kept) == ("+16 +16", (1, 2))
