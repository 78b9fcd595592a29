"""What a person sees on terminals of 60, 80 and 120 columns, stored; `python -m tests.screens` stores it anew."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runtime.run.launch import closing, say
from runtime.run.progress import epoch_line
from specc.commands.output import echo

from ..terminals import Terminal, shown, surroundings

FOLDER = Path(__file__).parent
ROOT = FOLDER.parents[1]
QUIET = {"TERM": "dumb", "NO_COLOR": "1"}  # no colours, and no line that comes and goes
CPU = ("--device", "cpu")


@dataclass(frozen=True, slots=True)
class Screen:
    """A command, or a function that writes what one would say."""

    name: str
    words: tuple[str, ...]
    does: Callable[[], None] | None = None
    widths: tuple[int, ...] = (60, 80, 120)
    messages: bool = False

    @property
    def path(self) -> Path:
        """Where it is stored."""
        return FOLDER / f"{self.name}.txt"

    def text(self) -> str:
        """The screen at every width, each under a title."""
        return "\n".join(self._parts())

    def _parts(self) -> Iterator[str]:
        yield f"$ specc {' '.join(self.words)}\n"
        for width in self.widths:
            title = f"==== {width} columns "
            yield f"{title.ljust(width, '=')}\n\n{self.taken(width)}"

    def taken(self, width: int) -> str:
        """What stands on the terminal."""
        with contextlib.chdir(ROOT):
            if self.does is None:
                return shown(*self.words, columns=width, both=self.messages, **QUIET)
            screen = Terminal()
            with surroundings(width, **QUIET), contextlib.redirect_stdout(screen):
                self.does()
            return screen.text


SUMMARY: dict[str, Any] = {
    "task": "classification",
    "device": "cuda:0",
    "epochs": 24,
    "test": {"accuracy": 0.9312, "loss": 0.2345},
    "validation": {"accuracy": 0.9298, "loss": 0.2412},
    "stopped_early": None,
    "best": {"metric": "accuracy", "value": 0.9301, "epoch": 21, "checkpoint": "000008190", "test": {"accuracy": 0.93}},
    "memory": {
        "budget_bytes": 2 * 2**30,
        "predicted_peak_bytes": 1_384_120_320,
        "measured_peak_bytes": 1_391_460_352,
        "within_budget": True,
        "requested_peak_bytes": 1_391_460_352,
        "allocated_peak_bytes": 1_392_508_928,
        "margin_bytes": 33_554_432,
    },
    "step_seconds_median": 0.0421,
    "images_per_second": 24_312.0,
}
ROWS = [
    {"epoch": epoch, "lr": 0.8, "train_accuracy": 0.4 + epoch / 50, "val_accuracy": 0.42 + epoch / 50,
     "val_loss": 1.5 - epoch / 20, "seconds": 8.4,
     **{f"val_accuracy.unit{k}.independent": 0.3 + k / 40 for k in range(15)}}
    for epoch in (1, 24)
]  # fmt: skip


def _run() -> None:
    for row in ROWS:
        echo(epoch_line(row, 24), wrap=True)
    say(closing(SUMMARY, Path("runs/man_cifar10/20260101T120000Z-0a1b2c3d")))


SCREENS = (
    Screen("plan", ("plan", "specs/quickstart.yaml", *CPU)),
    Screen("plan_of_2_blocks", ("plan", "specs/man_imagenet.yaml", *CPU)),
    Screen("plan_of_16_blocks", ("plan", "specs/man_svhn.yaml", *CPU), widths=(80, 120)),
    Screen("plan_of_55_blocks", ("plan", "specs/dgl_cifar10.yaml", *CPU, "backbone.depth=110", "split={blocks: 55}"),
           widths=(80, 120)),
    Screen("plan_of_long_names", ("plan", "tests/screens/long.yaml", *CPU)),
    Screen("graph", ("graph", "specs/quickstart.yaml")),
    Screen("fit", ("fit", "tests/screens/small.yaml", "--for", "blocks", *CPU)),
    Screen("rivals", ("fit", "tests/screens/small.yaml", "--rivals", "--methods", "dgl",
                      "--device-profile", "rtx3090")),
    Screen("compare", ("compare", "specs/man_cifar10.yaml", "specs/hpff_cifar10.yaml", "specs/e2e_cifar10.yaml", *CPU)),
    Screen("run", ("run", "specs/man_cifar10.yaml", "--gpu", "0"), _run),
    Screen("validate", ("validate", "tests/screens/wrong.yaml"), messages=True),
    Screen("explain", ("explain", "train.optimizer.lr")),
    Screen("help", ("--help",)),
)  # fmt: skip
