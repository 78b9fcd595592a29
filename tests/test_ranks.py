"""What the tests of several ranks rest on: results come back, and whatever goes wrong ends soon and says where."""

from __future__ import annotations

import time

import pytest
import torch
import torch.distributed as dist

from .ranks import in_ranks


def summed(rank: int, factor: float) -> tuple[int, torch.Tensor]:
    x = torch.full((2,), factor * rank)
    dist.all_reduce(x)
    return rank, x


def failing(rank: int) -> None:
    if rank == 1:
        raise ValueError("this one fails")
    dist.barrier()


def hanging(rank: int) -> None:
    if rank == 1:
        time.sleep(100)
    dist.barrier()


def test_ranks_reach_one_another_and_their_results_come_back_in_order() -> None:
    first, second, third = in_ranks(summed, 3, 0.5)
    assert [first[0], second[0], third[0]] == [0, 1, 2]
    assert first[1].tolist() == second[1].tolist() == third[1].tolist() == [1.5, 1.5]


def test_a_rank_that_fails_ends_all_and_says_why() -> None:
    began = time.monotonic()
    with pytest.raises(AssertionError, match=r"rank 1 \(exit code 1\)\n(.*\n)*ValueError: this one fails"):
        in_ranks(failing, 2)
    assert time.monotonic() - began < 30, "nobody waits for one that has failed"


def test_a_rank_that_hangs_says_where() -> None:
    with pytest.raises(AssertionError, match=r"rank 1 \(exit code 1\)\n(.*\n)*.* in hanging"):
        in_ranks(hanging, 2, timeout=1.5)
