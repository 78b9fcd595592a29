"""Which gradients are summed over the copies of a network in one message."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

MOST = 25 << 20  # bytes of a message of several tensors, as DistributedDataParallel has it
T = TypeVar("T")


def buckets(gradients: Sequence[T], size: Callable[[T], int], most: int = MOST) -> Iterator[list[T]]:
    """Runs of gradients that together take no more than `most` bytes; a larger one goes alone.

    >>> list(buckets([10, 20, 60, 90, 10], lambda size: size, most=70))
    [[10, 20], [60], [90], [10]]
    """
    bucket: list[T] = []
    total = 0
    for each in gradients:
        if bucket and total + size(each) > most:
            yield bucket
            bucket, total = [], 0
        bucket.append(each)
        total += size(each)
    if bucket:
        yield bucket
