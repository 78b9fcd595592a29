"""What the parts of blocks take, kept or computed again, as matrices over the runs of parts that a search chooses of.

A part takes the same wherever it stands, but for whether it begins or ends a run: then what enters it or leaves it is
a tensor by itself. So a few watched steps tell what every run of every block takes in every instruction.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

from ..plan import Backward, Forward, Free
from .watching import OUTSIDE, Pass, Run, Seen, Step, patterns

Array = npt.NDArray[np.int64]
NEVER = -(1 << 60)  # the bytes of what does not happen
Context = tuple[bool, bool, bool]  # of a part: computed again, the first of its run, the last of it


@dataclass
class Figures:
    """A quantity of each part of a block, by its context."""

    size: int
    by_context: dict[Context, Array] = field(default_factory=dict)

    def note(self, context: Context, part: int, value: int) -> None:
        """What was seen."""
        if context not in self.by_context:
            self.by_context[context] = np.full(self.size, NEVER, np.int64)
        self.by_context[context][part] = value

    def of(self, again: bool, first: bool, last: bool) -> Array:
        """Of all parts in a context."""
        return self.by_context.get((again, first, last), np.full(self.size, NEVER, np.int64))

    def summed(self, again: bool) -> Array:
        """The sum over every run: row is its first part, column its last."""
        return self._before(again) + self._last(again)

    def _before(self, again: bool) -> Array:
        """The sum over a run's parts before its last, or before any that could be the last."""
        n = self.size
        first, middle = (_known(self.of(again, first, False)) for first in (True, False))
        found = np.zeros((n, n), np.int64)
        for i in range(n - 1):
            found[i, i + 1 :] = first[i] + np.concatenate([[0], np.cumsum(middle[i + 1 : n - 1])])
        return found

    def _last(self, again: bool) -> Array:
        last = np.broadcast_to(_known(self.of(again, False, True)), (self.size, self.size)).copy()
        np.fill_diagonal(last, _known(self.of(again, True, True)))
        return last

    def highest(self, again: bool, rising: Figures) -> Array:
        """The highest over every run of the quantity above the sum of what was there by then."""
        n, before = self.size, rising._before(again)
        first, middle = self.of(again, True, False), self.of(again, False, False)
        found = np.broadcast_to(self.of(again, False, True), (n, n)).copy()
        np.fill_diagonal(found, self.of(again, True, True))
        found += before
        for i in range(n - 1):
            inner = np.concatenate([[first[i]], middle[i + 1 : n - 1] + before[i, i + 1 : n - 1]])
            found[i, i + 1 :] = np.maximum(found[i, i + 1 :], np.maximum.accumulate(inner))
        return found


def _known(found: Array) -> Array:
    return np.where(found > NEVER // 2, found, 0)


@dataclass
class PassFigures:
    """What one slice's forward of a block leaves, part by part, and what else goes with it."""

    kept: Figures  # what is there after a part, of what was not there before
    gone: dict[Context, int] = field(default_factory=dict)  # of the input, after the pass, by its first part's context


@dataclass
class Figured:
    """One instruction: its highest point above what passes have left; of a pass part by part."""

    fixed: int = NEVER
    peaks: Figures | None = None
    begins: Figures | None = None  # what is there when something is computed again, by the last part of that
    rising: Figures | None = None  # what is there after each part that was computed again
    again: Figures | None = None  # the highest point meanwhile


class Measured:
    """The figures of a step."""

    def __init__(self, step: Step) -> None:
        self.step, self.passes = step, step.passes
        self.sizes = [len(parts) for parts in step.parts]
        self.left = [PassFigures(Figures(self.sizes[p.block])) for p in self.passes]
        self.instructions = [self._empty(i) for i in step.draft.instructions]
        for runs in patterns(self.sizes):
            self._look(step.watched(runs), runs)

    @cached_property
    def own(self) -> dict[int, int]:
        """The pass that an instruction belongs to, for the passes forward and backward."""
        by_place = {(i.block, i.slice): k for k, i in enumerate(self._forwards)}
        return {
            n: by_place[i.block, i.slice]
            for n, i in enumerate(self.step.draft.instructions)
            if isinstance(i, Forward | Backward)
        }

    @property
    def _forwards(self) -> list[Forward]:
        return [i for i in self.step.draft.instructions if isinstance(i, Forward)]

    def _empty(self, instruction: object) -> Figured:
        if not isinstance(instruction, Forward | Backward):
            return Figured()
        return Figured(NEVER, *(Figures(self.sizes[instruction.block]) for _ in range(4)))

    def alive(self, instruction: int) -> list[int]:
        """The passes of others of which all that is kept is there."""
        own = self.own.get(instruction)
        return [k for k, each in enumerate(self.passes) if k != own and each.alive(instruction)]

    def retains(self, instruction: int) -> bool:
        """Whether a backward leaves everything that its pass has kept."""
        found = self.step.draft.instructions[instruction]
        return isinstance(found, Backward) and found.retain

    # ------------------------------------------------------------------------------------------------ one pattern

    def _look(self, seen: list[Seen], runs: list[list[Run]]) -> None:
        left = [self._left(k, each, seen, runs[each.block]) for k, each in enumerate(self.passes)]
        for n, instruction in enumerate(self.step.draft.instructions):
            if isinstance(instruction, Free):
                continue  # what was there before was more
            others = sum(left[k][1] for k in self.alive(n))
            if n not in self.own:
                self.instructions[n].fixed = max(self.instructions[n].fixed, seen[n].highest - others)
                continue
            k = self.own[n]
            own = runs[self.passes[k].block]
            outside = max(seen[n].start, seen[n].peaks.get((False, OUTSIDE), 0)) - others
            before = left[k][1] * (n != self.passes[k].instruction)
            self.instructions[n].fixed = max(self.instructions[n].fixed, outside - before)
            if n == self.passes[k].instruction:
                self._forward(n, seen[n], others, left[k][0], own)
            else:
                base = [others + (left[k][1] if self.retains(n) else left[k][2] + at) for at in left[k][0]]
                self._backward(n, seen[n], base, own)

    def _left(self, k: int, each: Pass, seen: list[Seen], runs: list[Run]) -> tuple[list[int], int, int]:
        """What is there when each part begins, at the end, and what of the input goes then."""
        found, size = seen[each.instruction], self.sizes[each.block]
        end, quiet = seen[each.instruction + 1].start, seen[self.step.quiet_after(each.instruction)].start
        at = [end] * (size + 1)
        for part in reversed(range(size)):
            at[part] = found.entered.get((False, part), at[part + 1])
        for context, part in _contexts(runs):
            self.left[k].kept.note(context, part, at[part + 1] - at[part])
        gone = quiet - end
        self.left[k].gone[_contexts(runs)[0][0]] = gone
        return [each - at[0] for each in at], quiet - at[0], gone

    def _forward(self, n: int, seen: Seen, others: int, at: list[int], runs: list[Run]) -> None:
        peaks = self.instructions[n].peaks
        assert peaks is not None
        for context, part in _contexts(runs):
            if (False, part) in seen.peaks:
                peaks.note(context, part, seen.peaks[False, part] - others - at[part])

    def _backward(self, n: int, seen: Seen, base: list[int], runs: list[Run]) -> None:
        figured = self.instructions[n]
        assert figured.peaks is not None
        assert figured.begins is not None
        assert figured.rising is not None
        assert figured.again is not None
        for first, last, twice in runs:
            start = next((seen.entered[True, i] for i in range(first, last + 1) if (True, i) in seen.entered), None)
            if start is not None:
                figured.begins.note((True, True, True), last, start - base[first])
            for context, part in _contexts([(first, last, twice)]):
                below = base[first if twice else part]
                if (True, part) in seen.entered:
                    entered, following = seen.entered[True, part], seen.entered.get((True, part + 1))
                    figured.again.note(context, part, seen.peaks[True, part] - entered)
                    if part < last and following is not None:
                        figured.rising.note(context, part, following - entered)
                    assert start is not None
                    below += entered - start
                if (False, part) in seen.peaks:
                    figured.peaks.note(context, part, seen.peaks[False, part] - below)


def _contexts(runs: Sequence[Run]) -> list[tuple[Context, int]]:
    """Every part of the runs with its context."""
    return [
        ((twice, part == first, part == last), part) for first, last, twice in runs for part in range(first, last + 1)
    ]


# ---------------------------------------------------------------------------------------------------- what runs take


@dataclass(frozen=True)
class Runs:
    """A quantity of every run of a block's parts, kept and computed again: rows are first parts, columns last ones."""

    kept: Array
    again: Array

    @property
    def key(self) -> bytes:
        """Equal for equal quantities."""
        return self.kept.tobytes() + self.again.tobytes()

    def of(self, run: Run) -> int:
        """Of one run."""
        first, last, again = run
        return int((self.again if again else self.kept)[first, last])

    def both(self, other: Runs) -> Runs:
        """The higher of two."""
        return Runs(np.maximum(self.kept, other.kept), np.maximum(self.again, other.again))


def left_by(figures: PassFigures, *, after: bool) -> Runs:
    """What a run leaves; `after`: without what of the block's input goes when the pass is over."""
    found = Runs(*(figures.kept.summed(again) for again in (False, True)))
    for again, matrix in ((False, found.kept), (True, found.again)) if after else ():
        matrix[0, 0] += figures.gone.get((again, True, True), 0)
        matrix[0, 1:] += figures.gone.get((again, True, False), figures.gone.get((again, True, True), 0))
    return found


def forward_peaks(figured: Figured, figures: PassFigures) -> Runs:
    """The highest point of a run's forward above what was there when it began."""
    assert figured.peaks is not None
    return Runs(*(figured.peaks.highest(again, figures.kept) for again in (False, True)))


def backward_peaks(figured: Figured, figures: PassFigures, *, retains: bool) -> Runs:
    """The highest point of a run's backward above what was there when its forward began, or above all that is kept."""
    assert figured.peaks is not None
    assert figured.begins is not None
    assert figured.rising is not None
    assert figured.again is not None
    nothing = Figures(figured.peaks.size)
    kept = figured.peaks.highest(False, nothing if retains else figures.kept)
    begins = figured.begins.of(True, True, True)[None, :]
    computing = np.maximum(figured.again.highest(True, figured.rising) + begins, NEVER)
    return Runs(kept, np.maximum(computing, figured.peaks.highest(True, figured.rising)))
