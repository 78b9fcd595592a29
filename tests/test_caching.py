"""The caching allocator replayed: cases worked out by hand from its rules, and what must hold of every sequence."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from specc.memory.caching import (
    LARGE_SEGMENT,
    MIB,
    ROUNDED_FROM,
    SEGMENT_STEP,
    SMALL,
    SMALL_SEGMENT,
    SMALLEST,
    CachingAllocator,
    OutOfDevice,
    rounded,
    segment_bytes,
)

KIB = 1024


def taken(*sizes: int, limit: int | None = None) -> CachingAllocator:
    """An allocator of which tensors 0, 1, 2, ... were taken."""
    allocator = CachingAllocator(limit)
    for key, size in enumerate(sizes):
        allocator.take(key, size)
    return allocator


def address(allocator: CachingAllocator, key: int) -> int:
    return allocator.used[key].address


def test_small_tensors_share_a_segment_of_two_mebibytes() -> None:
    allocator = taken(1, 512, 513)
    assert allocator.reserved == 2 * MIB
    assert allocator.allocated == 512 + 512 + 1024
    assert [address(allocator, key) - address(allocator, 0) for key in range(3)] == [0, 512, 1024]


def test_a_tensor_without_bytes_takes_nothing() -> None:
    allocator = taken(0)
    assert allocator.reserved == 0
    allocator.give(0)


def test_the_largest_small_tensor_and_the_smallest_large_one_lie_apart() -> None:
    assert taken(MIB).reserved == 2 * MIB
    assert taken(MIB + 1).reserved == 20 * MIB
    assert taken(MIB, MIB + 1).reserved == 22 * MIB


def test_medium_tensors_share_a_segment_of_twenty_mebibytes() -> None:
    assert taken(9 * MIB, 9 * MIB).reserved == 20 * MIB
    assert taken(9 * MIB, 9 * MIB, 9 * MIB).reserved == 40 * MIB


def test_a_tensor_of_ten_mebibytes_and_more_has_a_segment_rounded_up_to_two() -> None:
    assert taken(10 * MIB).reserved == 10 * MIB
    assert taken(33 * MIB).reserved == 34 * MIB
    assert taken(33 * MIB).allocated == 34 * MIB  # the mebibyte left over is too small to be split off


def test_what_is_left_of_a_large_block_is_split_off_only_above_a_mebibyte() -> None:
    allocator = taken(40 * MIB)
    allocator.give(0)
    allocator.take(1, 39 * MIB)
    assert allocator.allocated == 40 * MIB
    allocator.give(1)
    allocator.take(2, 39 * MIB - SMALLEST)
    assert allocator.allocated == 39 * MIB - SMALLEST


def test_what_is_left_of_a_small_block_is_split_off_from_512_bytes_on() -> None:
    allocator = taken(SMALL, SMALL)  # a full segment
    allocator.give(0)
    allocator.take(2, SMALL - SMALLEST)
    allocator.take(3, 1)
    assert allocator.reserved == SMALL_SEGMENT


def test_the_smallest_free_block_that_is_large_enough_is_taken() -> None:
    allocator = taken(30 * MIB, 12 * MIB, 20 * MIB)
    places = {key: address(allocator, key) for key in range(3)}
    for key in range(3):
        allocator.give(key)
    allocator.take("twelve", 11 * MIB + 512 * KIB)
    allocator.take("twenty", 13 * MIB)
    assert allocator.used["twelve"].address == places[1]
    assert allocator.used["twenty"].address == places[2]
    assert allocator.reserved == 62 * MIB


def test_of_free_blocks_of_one_size_the_first_in_memory_is_taken() -> None:
    allocator = taken(12 * MIB, 12 * MIB)
    first = address(allocator, 0)
    allocator.give(1)
    allocator.give(0)
    allocator.take(2, 12 * MIB)
    assert address(allocator, 2) == first


def test_free_neighbours_grow_together_on_both_sides() -> None:
    allocator = taken(5 * MIB, 5 * MIB, 5 * MIB, 5 * MIB)  # one segment, full
    for key in (0, 2, 1):
        allocator.give(key)
    allocator.take(4, 14 * MIB)
    assert allocator.reserved == 20 * MIB


def test_free_blocks_of_different_segments_do_not_grow_together() -> None:
    allocator = taken(12 * MIB, 12 * MIB)
    allocator.give(0)
    allocator.give(1)
    allocator.take(2, 20 * MIB)
    assert allocator.reserved == 44 * MIB


def test_free_segments_go_back_before_memory_runs_out() -> None:
    allocator = taken(12 * MIB, 12 * MIB, limit=40 * MIB)
    allocator.give(0)
    allocator.give(1)
    allocator.take(2, 30 * MIB)
    assert (allocator.reserved, allocator.highest_reserved) == (30 * MIB, 30 * MIB)


def test_a_segment_with_a_tensor_in_it_does_not_go_back() -> None:
    allocator = taken(5 * MIB, 5 * MIB, limit=40 * MIB)
    allocator.give(0)
    with pytest.raises(OutOfDevice):
        allocator.take(2, 30 * MIB)


SIZES = st.one_of(st.integers(0, 4 * KIB), st.integers(0, 2 * MIB), st.integers(0, 64 * MIB))


@st.composite
def sequences(draw: st.DrawFn) -> list[tuple[bool, int, int]]:
    """Takes and frees; what is taken is let go of in the end."""
    sizes = draw(st.lists(SIZES, min_size=1, max_size=30))
    events: list[tuple[bool, int, int]] = []
    alive: list[int] = []
    for key, size in enumerate(sizes):
        events.append((True, key, size))
        alive.append(key)
        while alive and draw(st.booleans()):
            gone = alive.pop(draw(st.integers(0, len(alive) - 1)))
            events.append((False, gone, sizes[gone]))
    return [*events, *((False, key, sizes[key]) for key in alive)]


def live_peak(events: Sequence[tuple[bool, int, int]]) -> int:
    total = highest = 0
    for taken, _, size in events:
        total += size if taken else -size
        highest = max(highest, total)
    return highest


def replay(allocator: CachingAllocator, events: Sequence[tuple[bool, int, int]]) -> CachingAllocator:
    for taken, key, size in events:
        if taken:
            allocator.take(key, size)
        else:
            allocator.give(key)
    return allocator


def blocks(allocator: CachingAllocator) -> list[tuple[int, int]]:
    """Address and size of every block, free or used."""
    free = [block for pool in allocator.pools.values() for block in pool.blocks.values()]
    return sorted((block.address, block.size) for block in [*free, *allocator.used.values()])


@given(sequences())
@settings(max_examples=60, deadline=None)
def test_as_much_is_reserved_as_is_alive_and_all_of_it_is_in_blocks(events: list[tuple[bool, int, int]]) -> None:
    allocator = CachingAllocator()
    for event in events:
        replay(allocator, [event])
        found = blocks(allocator)
        assert sum(size for _, size in found) == allocator.reserved
        assert all(a + size <= b for (a, size), (b, _) in pairwise(found))
        assert allocator.allocated == sum(block.size for block in allocator.used.values()) <= allocator.reserved
    assert allocator.highest_reserved >= allocator.highest_allocated >= live_peak(events)


@given(sequences())
@settings(max_examples=60, deadline=None)
def test_when_all_is_free_every_segment_is_whole_and_could_go_back(events: list[tuple[bool, int, int]]) -> None:
    allocator = replay(CachingAllocator(), events)
    free = [block for pool in allocator.pools.values() for block in pool.blocks.values()]
    assert all(block.whole for block in free)
    assert sum(block.size for block in free) == allocator.reserved == allocator.highest_reserved


@given(sequences())
@settings(max_examples=60, deadline=None)
def test_the_same_steps_again_and_again_come_to_reserve_no_more(events: list[tuple[bool, int, int]]) -> None:
    allocator = CachingAllocator()
    found = [replay(allocator, events).highest_reserved for _ in range(2 + len(events))]
    assert found == sorted(found)
    assert found[-1] == found[-2]


@given(st.integers(1, 200 * MIB))
def test_blocks_and_segments_are_as_large_as_the_rules_say(size: int) -> None:
    block = rounded(size)
    assert 0 <= block - size < SMALLEST
    segment = segment_bytes(block)
    assert segment >= block
    assert segment == {True: SMALL_SEGMENT}.get(block <= SMALL, LARGE_SEGMENT if block < ROUNDED_FROM else segment)
    assert segment % SEGMENT_STEP == 0
