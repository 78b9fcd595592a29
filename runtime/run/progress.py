"""How a run is shown: a picture that lives on a terminal, plain lines elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import ceil
from time import monotonic
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from torch import Tensor

from specc.diagnostics.words import hanging, printable
from specc.system.streams import animated
from specc.system.ticking import Ticker

from .epoch_line import epoch_line
from .frame import History, Scene, drawn
from .pace import Pace, lasting
from .shown import Facts, Silence

FRAME = 0.4  # seconds from one picture to the next, between two steps or batches
STILL = 1.0  # and while there is no such moment: another thread draws it, for which it takes the training's interpreter
READ = 0.3  # seconds between two looks at the units' losses
AGAIN = 30.0  # seconds until a plain line says how far it is


class Shown(Silence):
    """Keeps what there is to show: where the run is, how fast it goes, and what it does beside training."""

    def __init__(self, console: Console, epochs: int, clock: Callable[[], float] = monotonic) -> None:
        self.console, self.clock = console, clock
        self.pace, self.facts = Pace(epochs, clock), Facts()
        self.units: dict[str, History] = {}
        self.doings: list[str] = []
        self.count = (0, 0)  # of what it does beside training
        self._read = clock() - READ

    def run_begins(self, facts: Facts) -> None:
        """All is ready."""
        self.facts = facts

    def epoch_begins(self, epoch: int, steps: int) -> None:
        """The clock of the epoch."""
        self.pace.epoch_begins(epoch, steps)

    def step_done(self, step: int, losses: Mapping[str, Tensor | float] | None) -> None:
        """Look at the losses now and then."""
        self.pace.step_done(step, seen=losses is not None)
        if not losses or self.clock() - self._read < READ:
            return
        self._read = self.clock()
        for name, loss in losses.items():
            self.units.setdefault(name, History()).add(float(loss))

    def begins(self, what: str, *, at_once: bool = False) -> None:
        """Something beside training."""
        self.doings.append(what)
        self.count = (0, 0)

    def so_far(self, done: int, all: int) -> None:
        """So much of it."""
        self.count = (done, all)

    def ends(self) -> None:
        """And on it goes."""
        self.doings.pop()
        self.count = (0, 0)

    @property
    def activity(self) -> str:
        """What the run does now."""
        done, all = self.count
        if self.doings:
            return printable(self.doings[-1] + (f" {done}/{all}" if all else ""))
        if self.facts.stopping():
            return "stopping after this step"
        return "training" if self.pace.taken else "beginning"

    def figures(self) -> list[str]:
        """How fast it goes and how long it takes, as far as that is known."""
        seconds, left = self.pace.step_seconds, self.pace.left()
        if not seconds or left is None:
            return []
        rate = self.facts.batch / seconds
        more = "at least " if self.pace.between is None else ""  # evaluations come on top
        return [f"{rate:.{0 if rate >= 10 else 2}f} {self.facts.samples} a second",
                f"{more}{lasting(left)} left"]  # fmt: skip


class Lines(Shown):
    """One plain line an epoch, for logs; and where half a minute passes without a line, one that says how far it is."""

    def __init__(self, console: Console, epochs: int, clock: Callable[[], float] = monotonic) -> None:
        super().__init__(console, epochs, clock)
        self._due = clock() + AGAIN
        self._ticker = Ticker(self.tick)

    def tick(self) -> float:
        """Say how far it is where it is time to; gives the seconds until that."""
        if self.clock() >= self._due:
            self.say(self.how_far())
        return max(0.0, self._due - self.clock())

    def how_far(self) -> str:
        """``epoch 2/24  step 412/781  loss 1.2345  1873 images a second  1 h 12 min left``."""
        pace = self.pace
        doing = [] if self.activity == "training" else [self.activity]
        loss = [f"loss {[*self.units.values()][-1].last:.4f}"] if self.units else []
        where = [f"epoch {min(pace.epoch + 1, pace.epochs)}/{pace.epochs}", f"step {pace.step}/{pace.steps}"]
        return "  ".join([*(where if pace.steps else []), *doing, *loss, *self.figures()])

    def epoch_ends(self, row: dict[str, Any]) -> None:
        """The epoch in one line."""
        self.say(epoch_line(row, self.pace.epochs))

    def say(self, text: str) -> None:
        """Then there need not be a line for a while."""
        self._due = self.clock() + AGAIN
        self.console.print("\n".join(hanging(printable(text), self.console.width)), soft_wrap=True)

    def close(self) -> None:
        """Nobody looks at the clock any more."""
        self._ticker.stop()


class Picture(Shown):
    """A picture of the run on a terminal, and a line above it for every epoch that is done."""

    def __init__(self, console: Console, epochs: int, clock: Callable[[], float] = monotonic) -> None:
        super().__init__(console, epochs, clock)
        self._widths: list[int] = []  # of the lines of the last picture
        self._drawn = clock()
        self.live = Live(console=console, get_renderable=self.picture, auto_refresh=False, transient=True)
        self.live.start(refresh=True)
        console.show_cursor(True)  # what is killed cannot give it back
        self._ticker = Ticker(self.tick)

    def _draw(self, seconds: float = FRAME) -> None:
        """A new picture where the last one is so old."""
        if self.clock() - self._drawn >= seconds:
            self._drawn = self.clock()
            self.live.refresh()

    def tick(self) -> float:
        """A new picture where nothing has happened; gives the seconds until the next one may be needed."""
        self._draw(STILL)
        return STILL

    def step_done(self, step: int, losses: Mapping[str, Tensor | float] | None) -> None:
        """A moment to draw."""
        super().step_done(step, losses)
        self._draw()

    def begins(self, what: str, *, at_once: bool = False) -> None:
        """Another one."""
        super().begins(what)
        self._draw()

    def so_far(self, done: int, all: int) -> None:
        """And another one."""
        super().so_far(done, all)
        self._draw()

    def picture(self) -> Group:
        """As it is now."""
        width = self.console.width
        self._go_to_its_top(width)
        lines = drawn(self._scene(), width, plain=self.console.options.ascii_only)
        self._widths = [line.cell_len for line in lines]
        return Group(*lines)

    def _scene(self) -> Scene:
        pace = self.pace
        title = f"epoch {min(pace.epoch + 1, pace.epochs)}/{pace.epochs}"
        parts = [*self.figures(), *self.facts.memory()]
        return Scene(title, pace.step, pace.steps, self.activity, parts, dict(self.units))

    def _go_to_its_top(self, width: int) -> None:
        """A terminal that was made narrower has broken the lines of the last picture, which are more of them now."""
        more = sum(max(1, ceil(each / width)) - 1 for each in self._widths)
        if more:
            self.console.file.write(f"\x1b[{more}A\x1b[J")

    def epoch_ends(self, row: dict[str, Any]) -> None:
        """The epoch in one line, as much of it as there is room for."""
        whole = epoch_line(row, self.pace.epochs)
        self.say(whole if len(whole) < self.console.width else epoch_line(row, self.pace.epochs, units=False))

    def say(self, text: str) -> None:
        """Above the picture."""
        self.console.print("\n".join(hanging(printable(text), self.console.width)), soft_wrap=True)

    def close(self) -> None:
        """Give the terminal back."""
        self._ticker.stop()
        self.live.stop()


def progress_on(console: Console, epochs: int) -> Shown:
    """What suits the console."""
    return Picture(console, epochs) if animated(console.file) else Lines(console, epochs)
