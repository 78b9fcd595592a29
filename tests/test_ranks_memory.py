"""What each rank of a layout takes: predicted, and traced to the byte in a process group that moves nothing."""

from __future__ import annotations

import pytest

from runtime.memory.trace import trace
from specc.layout import every_rank, stages_of
from specc.memory.prediction import as_traced

from .documents import HPFF, MAN, Document, compiled

LAYOUTS: dict[str, Document] = {
    "stages": {"block_parallel": 3},
    "copies": {"data_parallel": 2},
    "copies of stages": {"data_parallel": 2, "block_parallel": 2},
    "decoupled stages": {"block_parallel": 3, "mode": "decoupled", "staleness": 3},
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_what_each_rank_takes_is_traced_to_the_byte(layout: str) -> None:
    levels = {} if layout == "decoupled stages" else HPFF  # no gradient goes back between those
    plan = compiled(**MAN, **levels, train={"micro_batches": 2}, devices=LAYOUTS[layout])
    stages = stages_of(plan)
    for own in every_rank(plan, stages)[: len(stages)]:  # copies have their parts of a batch, and else the same
        predicted, traced = as_traced(own), trace(own)
        assert tuple(moment.bytes for moment in predicted.timeline) == traced.timeline, own.layout
        assert predicted.peak_bytes == traced.peak_bytes
