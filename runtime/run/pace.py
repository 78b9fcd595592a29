"""How fast a run goes, and how long it will still take: of what was measured, with a clock that is given."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic

HORIZON = 60.0  # seconds of training that the speed is of
METERED = 3  # steps at the beginning that are measured, which makes them slow


@dataclass(frozen=True, slots=True)
class Mark:
    """After so many seconds of training so many steps were done by this process."""

    seconds: float
    taken: int


class Pace:
    """Told when epochs begin and steps are done.

    What passes between the last step of an epoch and the first of the next (evaluation, checkpoints) is counted apart.
    """

    def __init__(self, epochs: int, clock: Callable[[], float] = monotonic) -> None:
        self.epochs, self.clock = epochs, clock
        self.epoch = self.steps = self.step = self.taken = 0
        self.between: float | None = None  # seconds, as they were the last time
        self._apart = 0.0  # of the clock's seconds, those that were no training
        self._last: float | None = None  # when a step was seen to be done
        self._marks: deque[Mark] = deque()

    def epoch_begins(self, epoch: int, steps: int) -> None:
        """Of so many steps; the first one that is done tells whether there were some before."""
        now = self.clock()
        if self._last is not None:
            self.between = now - self._last
            self._apart += self.between
        else:
            self._apart = now
        self.epoch, self.steps, self.step, self._last = epoch, steps, 0, now
        if not self._marks:
            self._marks.append(Mark(0.0, 0))

    def step_done(self, step: int, *, seen: bool) -> None:
        """The step of the epoch before `step` is done; `seen` where the device has been waited for."""
        self.step, self.taken = step, self.taken + 1
        if not seen:
            return
        self._last = self.clock()
        self._marks.append(Mark(self._last - self._apart, self.taken))
        if self._marks[0].taken < METERED < self.taken:  # from now on there are steps as all others will be
            self._marks = deque(mark for mark in self._marks if mark.taken >= METERED)
        while len(self._marks) > 2 and self._marks[-1].seconds - self._marks[1].seconds > HORIZON:
            self._marks.popleft()

    @property
    def step_seconds(self) -> float | None:
        """Of the last minute's steps."""
        if len(self._marks) < 2:
            return None
        first, last = self._marks[0], self._marks[-1]
        return (last.seconds - first.seconds) / (last.taken - first.taken)

    def left(self) -> float | None:
        """Seconds until the run is over; without evaluations as long as there was none."""
        seconds = self.step_seconds
        if seconds is None or self._last is None:
            return None
        epochs = self.epochs - self.epoch
        steps = epochs * self.steps - self.step
        return max(0.0, seconds * steps + epochs * (self.between or 0.0) - (self.clock() - self._last))

    def left_of_epoch(self) -> float | None:
        """Seconds until its last step."""
        seconds = self.step_seconds
        if seconds is None or self._last is None:
            return None
        return max(0.0, seconds * (self.steps - self.step) - (self.clock() - self._last))


def lasting(seconds: float) -> str:
    """A time as people say it.

    >>> [lasting(seconds) for seconds in (0.4, 59, 61, 3600, 5000, 200_000)]
    ['0 s', '59 s', '1 min 1 s', '1 h 0 min', '1 h 23 min', '2 d 7 h']
    """
    whole = round(seconds)
    for size, name, part, smaller in ((86_400, "d", 3_600, "h"), (3_600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size:
            return f"{whole // size} {name} {whole % size // part} {smaller}"
    return f"{whole} s"
