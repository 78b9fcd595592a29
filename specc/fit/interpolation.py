"""What long blocks reach, from measurements of short ones.

While one segment of a block is at work, the others only add what they keep. So what a segment reaches far from both
ends of its block changes by the same bytes wherever the block is made longer, and a few short blocks tell it: one with
the segment in the middle, and pairs of which one is longer at one end. Only what lies near an end depends on that end.
Every split that the search proposes is compiled as a whole plan, so a network that does not keep to this is noticed
where it makes a proposal look better than it is; the brute force of the tests holds the other side.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from functools import cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Reached = Mapping[Hashable, Mapping[int, float]]  # of each kind of work, the highest points by segment
Sample = Callable[[int, int], Reached | None]  # of a block between two places; None where it cannot stand


class Unclear(Exception):
    """Too few short blocks can stand to tell of long ones."""


class BlockPeaks:
    """Highest points of all blocks between two places; `zone` segments are near to an end of a block."""

    def __init__(self, sample: Sample, places: int, zone: int) -> None:
        self.places, self.zone = places, zone
        self.length = 2 * zone + 1  # of the longest blocks that are measured
        self._sample = cache(sample)
        self._kinds: frozenset[Hashable] | None = None
        self.unlike = np.zeros((places, places), bool)  # blocks that do other work than the first that was measured

    def sample(self, first: int, last: int) -> Reached | None:
        """What a block reaches, where it does the same work as the others."""
        if not 0 <= first < last < self.places or (found := self._sample(first, last)) is None:
            return None
        self._kinds = self._kinds or frozenset(found)
        self.unlike[first, last] = found.keys() != self._kinds
        return None if self.unlike[first, last] else found

    def arrays(self, firsts: range, lasts: range) -> dict[Hashable, Array]:
        """For each kind of work the highest points of the blocks, NaN where none can stand; or `Unclear`."""
        top = max(lasts)
        pairs = [(a, b) for a in firsts for b in range(a + 1, min(a + self.length, top) + 1) if b in lasts]
        known = {(a, b): found for a, b in pairs if (found := self.sample(a, b)) is not None}
        arrays = {kind: np.full((self.places, self.places), np.nan) for kind in self._kinds or ()}
        for pair, found in known.items():
            for kind, reached in found.items():
                arrays[kind][pair] = max(reached.values())
        if top - min(firsts) > self.length:
            if not arrays:
                raise Unclear
            lengths = (self.length, self.length - 1, self.zone + 1)
            heads = [a for a in range(self.places) if any(self.sample(a, a + n) for n in lengths)]
            tails = [b for b in range(self.places) if any(self.sample(b - n, b) for n in lengths)]
            for kind, array in arrays.items():
                LongBlockPeaks(self, kind, heads, tails).fill(array, firsts, lasts)
        return arrays


class LongBlockPeaks:
    """Blocks longer than those that are measured, for one kind of work.

    What a segment reaches is a number of its own plus `starts` of the block's first place plus `stops` of its last.
    """

    def __init__(self, peaks: BlockPeaks, kind: Hashable, firsts: list[int], lasts: list[int]) -> None:
        self.peaks, self.kind, self.zone = peaks, kind, peaks.zone
        self.firsts, self.lasts = firsts, lasts
        self.starts = self._summed([(a, self._start_shift(a, b)) for a, b in reversed(list(pairwise(firsts)))])
        self.stops = self._summed([(b, self._stop_shift(a, b)) for a, b in pairwise(lasts)])

    def reached(self, first: int, last: int) -> Mapping[int, float]:
        """The highest points of a short block."""
        found = self.peaks.sample(first, last) if last - first <= self.peaks.length else None
        return {} if found is None else found[self.kind]

    def fill(self, array: Array, firsts: range, lasts: range) -> None:
        """Write the highest points of all long blocks."""
        ends = np.array([last for last in self.lasts if last in lasts])
        near, inner = np.array([self._near_end(last) for last in ends]), self._inner()
        for first in (first for first in self.firsts if first in firsts):
            long = ends - first > self.peaks.length
            if long.any():
                array[first, ends[long]] = self._highest(first, ends[long], near[long], inner)

    def _highest(self, first: int, lasts: NDArray[np.int64], near: Array, inner: Array) -> Array:
        start, stop, begin = self.starts[first], self.stops[lasts], first + self.zone + 1
        highest = np.fmax(self._near_start(first) + stop, near + start)
        if len(inner):
            between = np.maximum.accumulate(inner[begin:])  # of the segments from the first inner one on
            highest = np.maximum(highest, between[lasts - self.zone - begin] + start + stop)
        if np.isnan(highest).any():
            raise Unclear
        return np.asarray(highest)

    def _near_start(self, first: int) -> float:
        """The highest point near the start of a block, were it not for its end."""
        ends = (b for b in reversed(self.lasts) if self.zone < b - first <= self.peaks.length)
        for last in ends:
            if reached := self.reached(first, last):
                near = [peak for segment, peak in reached.items() if segment <= first + self.zone]
                return max(near, default=np.nan) - float(self.stops[last])
        return np.nan

    def _near_end(self, last: int) -> float:
        """The highest point near the end of a block, were it not for its start."""
        for first in (a for a in self.firsts if self.zone < last - a <= self.peaks.length):
            if reached := self.reached(first, last):
                near = [peak for segment, peak in reached.items() if segment > last - self.zone]
                return max(near, default=np.nan) - float(self.starts[first])
        return np.nan

    def _inner(self) -> Array:
        """The highest points far from both ends, were it not for those; nothing where work is at the ends only."""
        found = np.full(self.peaks.places, np.nan)
        for segment in range(1, self.peaks.places):
            first = next((a for a in reversed(self.firsts) if segment - a > self.zone), 0)
            last = next((b for b in self.lasts if b - segment >= self.zone), 0)
            if segment in (reached := self.reached(first, last)):
                found[segment] = reached[segment] - self.starts[first] - self.stops[last]
        return found if np.isfinite(found).any() else np.empty(0)

    def _start_shift(self, first: int, later: int) -> float:
        """How much higher everything lies in a block that begins one place earlier."""
        for last in (b for b in self.lasts if later + self.zone <= b <= first + self.peaks.length):
            one, other = self.reached(first, last), self.reached(later, last)
            if common := one.keys() & other.keys():
                return one[max(common)] - other[max(common)]
        return np.nan

    def _stop_shift(self, earlier: int, last: int) -> float:
        """How much higher in one that ends one place later."""
        for first in (a for a in reversed(self.firsts) if last - self.peaks.length <= a <= earlier - self.zone):
            one, other = self.reached(first, last), self.reached(first, earlier)
            if common := one.keys() & other.keys():
                return one[min(common)] - other[min(common)]
        return np.nan

    def _summed(self, shifts: list[tuple[int, float]]) -> Array:
        """The sum of all shifts up to each place; at first there may be none, for want of long enough blocks."""
        found, total, known = np.zeros(self.peaks.places), 0.0, False
        for place, shift in shifts:
            known = known or not np.isnan(shift)
            total += shift if known else 0
            found[place] = total
        return found
