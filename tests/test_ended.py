"""Which of several ranks that ended a launcher names."""

from __future__ import annotations

import signal
from pathlib import Path

from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, ProcessFailure

from runtime.distributed.ended import ended


def test_a_rank_that_a_broken_pipe_ended_is_not_named_before_the_one_that_was_killed(tmp_path: Path) -> None:
    """It wrote to the other, which was there no more."""
    signals = {0: signal.SIGPIPE, 1: signal.SIGKILL}
    failures = {rank: ProcessFailure(rank, 100 + rank, -number, "") for rank, number in signals.items()}
    for rank, failure in failures.items():
        failure.timestamp = rank
    found = ended(tmp_path, ChildFailedError("run", failures), ["run"])
    assert str(found).startswith("rank 1 was killed (signal 9)")
