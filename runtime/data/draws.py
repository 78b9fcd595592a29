"""Random numbers without a state: each is a function of (seed, epoch, sample index, stream) and of nothing else.

So nothing drifts: not with the batch size, not with the number of workers, not with the step a run is resumed at.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int64]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX2 = np.uint64(0x94D049BB133111EB)
_BLOCK = 32  # bytes that Philox makes of one value of its counter


@dataclass(frozen=True, slots=True)
class Draws:
    """The random draws of one epoch of one seed; a stream is a name for what is drawn ("order", "flip", ...)."""

    seed: int
    epoch: int

    def bits(self, indices: Indices, stream: str) -> NDArray[np.uint64]:
        """64 random bits for each of the samples `indices` (n,)."""
        # SplitMix64 is a counter hashed: its state after i steps is key + (i + 1) * golden, so any step is free.
        state = self._key(stream) + (indices.astype(np.uint64) + np.uint64(1)) * _GOLDEN
        state = (state ^ (state >> np.uint64(30))) * _MIX1
        state = (state ^ (state >> np.uint64(27))) * _MIX2
        mixed: NDArray[np.uint64] = state ^ (state >> np.uint64(31))
        return mixed

    def below(self, bound: int, indices: Indices, stream: str) -> Indices:
        """A uniform integer in 0 .. bound-1 for each of the samples `indices` (n,)."""
        high = self.bits(indices, stream) >> np.uint64(32)
        return ((high * np.uint64(bound)) >> np.uint64(32)).astype(np.int64)

    def permutation(self, size: int, stream: str) -> Indices:
        """The numbers 0 .. size-1 in random order."""
        return np.argsort(self.bits(np.arange(size), stream), kind="stable")

    def generator(self, index: int, stream: str) -> np.random.Generator:
        """A generator of its own for one sample, for draws whose number is not known beforehand."""
        return np.random.Generator(np.random.Philox(key=self._philox_key(index, stream)))

    def noise(self, stream: str, first: int, count: int) -> NDArray[np.uint8]:
        """The random bytes `first` to `first + count` of an endless sequence; those before need not be made."""
        block, skipped = divmod(first, _BLOCK)
        bits = np.random.Philox(key=self._philox_key(0, stream), counter=block)
        words = bits.random_raw(-(-(skipped + count) // 8)).astype("<u8")
        return words.view(np.uint8)[skipped : skipped + count]

    def _philox_key(self, index: int, stream: str) -> NDArray[np.uint64]:
        return np.append(self._key(stream), np.uint64(index))  # Philox takes 128 bits of key

    def _key(self, stream: str) -> NDArray[np.uint64]:
        # One element, not a scalar: numpy warns of overflow in scalars, and overflow is the point here.
        text = f"{self.seed}/{self.epoch}/{stream}".encode()
        return np.frombuffer(blake2b(text, digest_size=8).digest(), dtype="<u8").astype(np.uint64)
