"""How a run is shown: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


class Silence:
    """What is told how a run goes, and shows nothing of it."""

    def epoch_begins(self, epoch: int, steps: int) -> None:
        """An epoch (from 0) of so many steps begins."""

    def step_done(self, step: int, loss: float | None) -> None:
        """So many steps of the epoch are done; the loss is given now and then."""

    def epoch_ends(self, row: dict[str, Any]) -> None:
        """An epoch's metrics."""

    def close(self) -> None:
        """The run is over."""


class Lines(Silence):
    """One plain line an epoch, for logs."""

    def __init__(self, console: Console, epochs: int) -> None:
        self.console, self.epochs = console, epochs

    def epoch_ends(self, row: dict[str, Any]) -> None:
        """The epoch in one line."""
        self.console.print(epoch_line(row, self.epochs), soft_wrap=True)


class Bar(Lines):
    """A progress bar over the steps of the epoch, and a line above it for every epoch that is done."""

    def __init__(self, console: Console, epochs: int) -> None:
        super().__init__(console, epochs)
        columns = (TextColumn("epoch {task.fields[epoch]}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self.progress = Progress(*columns, TextColumn("{task.fields[loss]}"), console=console, transient=True)
        self.task = self.progress.add_task("", epoch=f"1/{epochs}", loss="")
        self.progress.start()

    def epoch_begins(self, epoch: int, steps: int) -> None:
        """A new bar."""
        self.progress.reset(self.task, total=steps, epoch=f"{epoch + 1}/{self.epochs}", loss="")

    def step_done(self, step: int, loss: float | None) -> None:
        """Move the bar."""
        if loss is not None:
            self.progress.update(self.task, loss=f"loss {loss:.3f}")
        self.progress.update(self.task, completed=step)

    def close(self) -> None:
        """Give the terminal back."""
        self.progress.stop()


def progress_on(console: Console, epochs: int) -> Lines:
    """What suits the console."""
    return Bar(console, epochs) if console.is_terminal else Lines(console, epochs)


def epoch_line(row: dict[str, Any], epochs: int) -> str:
    """``epoch 3/24  lr 0.1  train 95.10%  test 96.40%  loss 0.1200  1.9 s``: of each half the metric that comes first.

    At its end what every unit reaches by itself, as parts of a hundred, from the first to the last.
    """
    whole = [name for name in row if "." not in name]  # and no unit's loss
    half = next(name.partition("_")[0] for name in whole if name.startswith(("val_", "test_")))
    train, found = (row[next(name for name in whole if name.startswith(f"{part}_"))] for part in ("train", half))
    units = [f"{value:.0%}"[:-1] for name, value in row.items() if name.startswith(f"{half}_") and "." in name]
    return (
        f"epoch {row['epoch']:>{len(str(epochs))}}/{epochs}  lr {row['lr']:.4g}  train {train:.2%}  "
        f"{half} {found:.2%}  loss {row[f'{half}_loss']:.4f}  {row['seconds']:.1f} s"
        + (f"  units {' '.join(units)}" if len(units) > 1 else "")
    )
