"""What the `data:` section of a spec says, as far as reading the data is concerned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runtime.data.errors import DataError
from specc.spec.sections.augment import Chosen
from specc.tasks.datasets import ResolvedData
from specc.tasks.registry import TASKS
from specc.tasks.segmentation import IGNORED
from specc.tasks.task import Task

AUGMENTATIONS = ("none", "paper")


@dataclass(frozen=True, slots=True)
class DataConfig:
    """Which data to read, and how.

    `augment` is `none`, `paper` (what the papers' code does for this data set) or the spec's list. `image_size`, in
    pixels, resizes to a square, or to (height, width): data sets held in memory once, when they are read (bilinear,
    antialiased), or batch by batch where they would take gigabytes; image folders while decoding; paddings stay the
    paper's number of pixels. `resplit` merges train and test and splits them anew at the same sizes, by a fixed
    permutation. `samples` is for `synthetic`, `channels` and `classes` for `synthetic` and folders of the user's own.
    `task` says what of the data set is learnt; `validation` is how many training images, or which part of them, are
    kept apart; `ignore_index` is the value in mask files of pixels that count for nothing. `workers` processes decode
    the images of folders; data sets held in memory need none. `skipped` are the names of files that are left out, as
    they were found to be damaged when the run began, and `on_bad_image` asked for that. `module` is the function of the
    user's file that makes the data sets, of `args`; what is `known` of such data is what they were planned with.
    """

    dataset: str
    root: str = "data"
    batch_size: int = 64
    augment: str | Sequence[Chosen] = "none"
    image_size: int | Sequence[int] | None = None
    classes: int | None = None
    channels: int | None = None
    samples: int | None = None
    length: int | None = None
    vocabulary: int | None = None
    seed: int = 0
    workers: int = 0
    download: bool = False
    resplit: bool = False
    validation: int | float | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    task: str = "classification"
    ignore_index: int = IGNORED
    on_bad_image: str = "error"
    skipped: Sequence[str] = ()
    module: str | None = None
    args: Mapping[str, Any] | None = None
    known: ResolvedData | None = None

    @property
    def learns(self) -> Task:
        """The task, by its name."""
        return TASKS[self.task]

    @property
    def folder(self) -> Path:
        """The absolute path of `root`."""
        try:
            return Path(self.root).expanduser().resolve()
        except (OSError, RuntimeError, ValueError) as error:  # a link to itself, an unknown user's home, a NUL
            raise DataError(f"{self.root!r} is no path: {error}", help=["data.root names a folder"]) from error
