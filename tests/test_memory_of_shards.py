"""What a copy with a part of the parameters takes: every instruction to the byte, under fake tensors and messages."""

from __future__ import annotations

import pytest
import torch

from runtime.memory.meter import LiveTensors
from runtime.memory.trace import trace
from specc.layout import laid_out, stages_of
from specc.memory.prediction import as_traced

from .documents import HPFF, MAN, Document, compiled

GRID: Document = {"grid": [2, 2], "weights": "shared"}
CASES: dict[str, Document] = {  # with rows that cannot be shared evenly
    "end to end": {
        "levels": [{"name": "all", "window": "all"}],
        "train": {"recompute": True, "micro_batches": 2, "precision": "bf16"},
    },
    "patches": {"auxiliary": {"reconstruction": {"patches": {**GRID, "execution": "joint"}},
                              "classifier": {"patches": {**GRID, "execution": "sequential"}}}},
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
        assert (live.alive, live.peak) == (140, 140)
        del made
    assert live.alive == 120
