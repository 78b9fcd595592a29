"""PyTorch's CUDA caching allocator without a GPU: what a step's takes and frees make it reserve of the device.

The rules are those of `c10/cuda/CUDACachingAllocator.cpp` (PyTorch 2.x) as it is set up by default: no expandable
segments, no limit on splitting, no rounding to powers of two, nothing given back before memory runs out; one stream.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Hashable
from dataclasses import dataclass, field

MIB = 1 << 20
SMALLEST = 512  # every block is a multiple of it
SMALL = MIB  # the largest block of the small pool
SMALL_SEGMENT = 2 * MIB
LARGE_SEGMENT = 20 * MIB  # of the large pool, for blocks below ...
ROUNDED_FROM = 10 * MIB  # ... this; larger ones have a segment to themselves
SEGMENT_STEP = 2 * MIB


class OutOfDevice(Exception):
    """The device has not so much left, free segments given back."""


def rounded(size: int) -> int:
    """The block that a tensor of so many bytes gets.

    >>> rounded(1), rounded(512), rounded(513)
    (512, 512, 1024)
    """
    return max(SMALLEST, -(-size // SMALLEST) * SMALLEST)


def segment_bytes(block: int) -> int:
    """What is asked of the device where no free block is large enough.

    >>> [segment_bytes(size) // MIB for size in (512, MIB + 512, 10 * MIB, 33 * MIB)]
    [2, 20, 10, 34]
    """
    if block <= SMALL:
        return SMALL_SEGMENT
    return LARGE_SEGMENT if block < ROUNDED_FROM else -(-block // SEGMENT_STEP) * SEGMENT_STEP


@dataclass(slots=True, eq=False)
class Block:
    """A piece of a segment, between its neighbours."""

    address: int
    size: int
    small: bool
    free: bool = False
    before: Block | None = None
    after: Block | None = None

    @property
    def whole(self) -> bool:
        """Whether it is all of its segment."""
        return self.before is None and self.after is None


@dataclass(slots=True)
class Pool:
    """Free blocks, the smallest first, of equal ones the one with the lowest address."""

    order: list[tuple[int, int]] = field(default_factory=list)
    blocks: dict[int, Block] = field(default_factory=dict)

    def add(self, block: Block) -> None:
        """A block that nobody uses."""
        insort(self.order, (block.size, block.address))
        self.blocks[block.address] = block

    def remove(self, block: Block) -> None:
        """It is used again, or becomes part of another."""
        del self.order[bisect_left(self.order, (block.size, block.address))], self.blocks[block.address]

    def fitting(self, size: int) -> Block | None:
        """The smallest that is large enough."""
        at = bisect_left(self.order, (size, 0))
        return self.blocks[self.order[at][1]] if at < len(self.order) else None


class CachingAllocator:
    """Blocks by the key of who took them, what they take, and what is reserved for them.

    With a `limit` it gives free segments back to the device before it asks for more than that, and raises
    `OutOfDevice` if that does not help.
    """

    def __init__(self, limit: int | None = None) -> None:
        self.limit = limit
        self.reserved = self.highest_reserved = 0  # of the device
        self.allocated = self.highest_allocated = 0  # in blocks that are used
        self.used: dict[Hashable, Block] = {}
        self.pools = {small: Pool() for small in (True, False)}
        self._next = SMALLEST  # an address that no segment has had

    def take(self, key: Hashable, size: int) -> None:
        """A tensor; one without bytes has no block."""
        if size:
            need = rounded(size)
            block = self._found(need)
            self._split(block, need)
            self.used[key] = block
            self.allocated += block.size
            self.highest_allocated = max(self.highest_allocated, self.allocated)

    def give(self, key: Hashable) -> None:
        """It is not used any more: its block grows together with free neighbours."""
        block = self.used.pop(key, None)
        if block is not None:
            self.allocated -= block.size
            self.pools[block.small].add(self._joined(block))

    def _found(self, need: int) -> Block:
        pool = self.pools[need <= SMALL]
        block = pool.fitting(need)
        if block is None:
            return self._segment(need)
        pool.remove(block)
        block.free = False
        return block

    def _segment(self, need: int) -> Block:
        size = segment_bytes(need)
        if self.limit is not None and self.reserved + size > self.limit:
            self._release()
            if self.reserved + size > self.limit:
                raise OutOfDevice(f"{size:,} bytes more than {self.reserved:,} of {self.limit:,}")
        self.reserved += size
        self.highest_reserved = max(self.highest_reserved, self.reserved)
        block = Block(self._next, size, need <= SMALL)
        self._next += size
        return block

    def _release(self) -> None:
        """Give back every segment that is free from end to end."""
        for pool in self.pools.values():
            for block in [block for block in pool.blocks.values() if block.whole]:
                pool.remove(block)
                self.reserved -= block.size

    def _split(self, block: Block, need: int) -> None:
        """What is left over stays free, if it is large enough to be worth it."""
        left = block.size - need
        if left < SMALLEST if block.small else left <= SMALL:
            return
        rest = Block(block.address + need, left, block.small, free=True, before=block, after=block.after)
        if block.after is not None:
            block.after.before = rest
        block.size, block.after = need, rest
        self.pools[block.small].add(rest)

    def _joined(self, block: Block) -> Block:
        block.free, pool = True, self.pools[block.small]
        if block.before is not None and block.before.free:
            pool.remove(block.before)
            block = _merged(block.before, block)
        if block.after is not None and block.after.free:
            pool.remove(block.after)
            block = _merged(block, block.after)
        return block


def _merged(first: Block, second: Block) -> Block:
    first.size += second.size
    first.after = second.after
    if second.after is not None:
        second.after.before = first
    return first
