"""What a copy with a part of the parameters takes: every instruction to the byte, under fake tensors and messages."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch._subclasses import FakeTensorMode

from runtime.engine.session import Session
from runtime.engine.sharding import own_part
from runtime.memory.meter import LiveTensors
from runtime.memory.trace import _fake_ranks, trace
from specc.graph.ops import numel
from specc.layout import laid_out, stages_of
from specc.memory.prediction import as_traced

from .documents import HPFF, MAN, Document, compiled

GRID: Document = {"grid": [2, 2], "weights": "shared"}
CASES: dict[str, Document] = {  # with rows that cannot be shared evenly
    "end to end": {
        "split": {"after": ["stage2.0"]},
        "levels": [{"name": "all", "window": "all"}],
        "train": {"recompute": True, "micro_batches": 2, "precision": "bf16"},
    },
    "patches": {
        "split": {"after": ["stage2.0"]},
        "auxiliary": {"reconstruction": {"patches": {**GRID, "execution": "joint"}},
                      "classifier": {"patches": {**GRID, "execution": "sequential"}}},
    },
    "stages": {**MAN, **HPFF, "devices": {"data_parallel": 2, "block_parallel": 2, "shard": True}},
}  # fmt: skip
SMALL: Document = {
    "devices": {"data_parallel": 2, "shard": True}, "split": {"after": ["stage1.0", "stage2.0"]},
    "backbone": {"family": "resnet_cifar", "depth": 8, "widths": [4, 4, 7, 8]},
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_copy_with_a_part_of_the_parameters_takes_what_is_predicted(case: str) -> None:
    plan = compiled(**SMALL | CASES[case])
    stages = stages_of(plan)
    for stage in range(len(stages)):
        own = laid_out(plan, len(stages) + stage, stages)
        moments = as_traced(own).timeline
        found = {str(own.instructions[moment.instruction]): moment.bytes for moment in moments}
        assert found == dict(zip(found, trace(own).timeline, strict=True))


def test_two_copies_have_half_of_what_lives_throughout() -> None:
    whole, half = (
        laid_out(compiled(**MAN, devices={"data_parallel": 2, "shard": shard}), 1).memory.timeline[-1].categories
        for shard in (False, True)
    )
    for category in ("parameters", "optimizer state", "EMA copies"):
        assert whole[category] // 2 <= half[category] < 0.6 * whole[category], category


class Placed(LiveTensors):
    """Counts what has a place: modules are made without one."""

    def add(self, tensor: Tensor) -> None:
        if tensor.device.type != "meta":
            super().add(tensor)


def test_a_network_is_built_in_parts_and_no_copy_ever_has_two_in_full() -> None:
    own = laid_out(compiled(**SMALL, **MAN), 1)
    parameters = [[4 * numel(s) for s in network.parameters.values()] for network in own.networks.values()]
    with _fake_ranks(own) as wire, FakeTensorMode(), Placed() as live:
        session = Session(own, "cpu", initialise=False, wire=wire)
        kept = sum(each.untyped_storage().nbytes() for each in map(own_part, session.resident()))
        assert live.alive - kept < 100, "what is left besides is the images' mean and the like"
    assert live.alive < 0.6 * sum(map(sum, parameters)), "rows are padded, and statistics are in every copy"
    assert live.peak <= live.alive + max(map(sum, parameters)), "the largest in full"


def test_what_is_resized_counts_as_large_as_it_is() -> None:
    """Seen by the next op, or by who asks."""
    kept, other = torch.zeros(10), torch.zeros(20)
    with LiveTensors([kept], lambda: [[kept, other]]) as live:
        kept.untyped_storage().resize_(0)
        other.untyped_storage().resize_(0)
        assert (live.alive, live.peak) == (0, 40)
        kept.untyped_storage().resize_(40)
        other.untyped_storage().resize_(80)
        made = torch.ones(5)
        kept.untyped_storage().resize_(0)
        other.untyped_storage().resize_(0)
        assert (live.alive, live.peak) == (20, 140)
        del made
    assert live.alive == 0
