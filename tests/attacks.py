"""What is done to a run, and what must have become of it: nothing that an undisturbed one would not have."""

from __future__ import annotations

import csv
import io
import json
import os
import random
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runtime.run import checkpoint

from .documents import MAN, Document, document

# Audit events of what touches a disk, and which of their arguments are paths.
TOUCHING = {"open": 1, "os.rename": 2, "os.mkdir": 1, "os.remove": 1, "os.rmdir": 1, "os.truncate": 1}
DATA: Document = {"dataset": "synthetic", "image_size": 4, "channels": 1, "classes": 4, "samples": 15, "batch_size": 6}
LAYERS = [
    {"name": "a", "op": "conv_bn_relu", "out": 2}, {"name": "drop", "op": "dropout", "p": 0.5},
    {"name": "b", "op": "conv_bn_relu", "out": 2}, {"name": "pool", "op": "global_avg_pool"},
    {"name": "head", "op": "linear", "out": 4},
]  # fmt: skip


def spec(folder: Path, **train: Any) -> Path:
    """A spec that saves after every step, so that most of a run is what can go wrong with it."""
    train = {"epochs": 2, "optimizer": {"name": "adamw"}, "checkpoint": {"every": "1 step", "keep_last": 2}} | train
    parts = {"data": DATA, "backbone": {"layers": LAYERS}, "split": {"after": ["drop"]}, **MAN, "train": train}
    path = folder / "spec.yaml"
    path.write_text(json.dumps(document(**parts)))
    return path


@dataclass(frozen=True)
class Outcome:
    """All numbers of a run, to the bit."""

    weights: bytes
    optimizers: bytes
    metrics: list[dict[str, str]]
    summary: dict[str, Any]
    plan: bytes

    @classmethod
    def of(cls, run: Path) -> Outcome:
        """What is in a run directory, times aside."""
        newest = checkpoint.newest(run).path
        rows = csv.DictReader(io.StringIO((run / "metrics.csv").read_text(), newline=""))
        summary = json.loads((run / "summary.json").read_text())
        kept = ("status", "cause", "epochs", "steps", "test", "validation", "units")
        return cls(
            (newest / checkpoint.MODEL).read_bytes(),
            (newest / checkpoint.OPTIMIZER).read_bytes(),
            [{k: v for k, v in row.items() if k != "seconds"} for row in rows],
            {key: summary[key] for key in kept},
            (run / "plan.json").read_bytes(),
        )


class Killer:
    """SIGKILL at the `count`-th time that a process touches a disk below a folder.

    A file that is just being written may be torn then: nobody has waited yet for its bytes to arrive.
    """

    def __init__(self, folder: Path, count: int, *, torn: bool = False) -> None:
        self.folder, self.left, self.torn = str(folder), count, torn
        self.writing: str | None = None

    def __call__(self) -> None:
        """From now on."""
        sys.addaudithook(self._hook)

    def _hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event not in TOUCHING:
            return
        paths = [os.fspath(a) for a in arguments[: TOUCHING[event]] if isinstance(a, str | bytes | os.PathLike)]
        if not any(os.fsdecode(path).startswith(self.folder) for path in paths):
            return
        if not self.left:
            self._strike()
        self.left -= 1
        self.writing = os.fsdecode(paths[0]) if event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR) else None

    def _strike(self) -> None:
        self.left = -1  # what comes now is not the run's
        if self.torn and self.writing:
            os.truncate(self.writing, os.stat(self.writing).st_size // 2)
        os.kill(os.getpid(), signal.SIGKILL)


class Executioner:
    """SIGKILL after so many calls of Python functions: a moment of a run like any other, the same in every test."""

    def __init__(self, count: int) -> None:
        self.left = count

    def __call__(self) -> None:
        """From now on."""
        sys.setprofile(self._profile)

    def _profile(self, frame: object, event: str, argument: object) -> None:
        self.left -= 1
        if not self.left:
            os.kill(os.getpid(), signal.SIGKILL)


# ---------------------------------------------------------------------------------------------- damages


def flip(content: bytearray, draw: random.Random) -> None:
    """One byte is another."""
    content[draw.randrange(len(content))] ^= draw.randrange(1, 256)


def truncate(content: bytearray, draw: random.Random) -> None:
    """The end is missing."""
    del content[draw.randrange(len(content)) :]


def delete(content: bytearray, draw: random.Random) -> None:
    """Some bytes are missing."""
    place = draw.randrange(len(content))
    del content[place : place + draw.randint(1, 8)]


def duplicate(content: bytearray, draw: random.Random) -> None:
    """Some bytes are there twice."""
    place = draw.randrange(len(content))
    content[place:place] = content[place : place + draw.randint(1, 64)]


def insert(content: bytearray, draw: random.Random) -> None:
    """There are some bytes more."""
    content[(place := draw.randrange(len(content) + 1)) : place] = draw.randbytes(draw.randint(1, 8))


DAMAGES: tuple[Callable[[bytearray, random.Random], None], ...] = (flip, truncate, delete, duplicate, insert)


def damaged(content: bytes, seed: int) -> bytes:
    """The content after one damage, which it shows."""
    draw = random.Random(seed)
    while True:
        made = bytearray(content)
        DAMAGES[seed % len(DAMAGES)](made, draw)
        if made != content:
            return bytes(made)
