"""Batches of data sets that were not written for specc: every sample checked, its random draws those of its place."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from specc.tasks.datasets import ResolvedData
from specc.tasks.segmentation import IGNORED
from specc.tasks.task import Task

from ..augmentation import Pipeline
from ..draws import Draws, Indices
from ..errors import DataError
from ..splits import Batch
from ..workers import Sample, batched, loading, worker_failures
from .sets import Set
from .several import Inputs, NoInputs, packed_as

_STILL = Draws(0, 0)  # of samples that are judged: a data set that draws gives the same ones every time


@dataclass(frozen=True, slots=True)
class OwnSplit:
    """The samples of one data set, as tensors of the shapes that were planned for; `native` is that of its images."""

    info: ResolvedData
    of: Set
    task: Task
    native: tuple[int, ...]
    ignored: int
    workers: int
    pipeline: Pipeline | None = None
    peak: int = 255

    def __len__(self) -> int:
        return len(self.of)

    def batches(self, batches: Iterable[Indices], draws: Draws | None) -> Iterator[Batch]:
        """See `Split.batches`."""
        if self.of.collate is None:
            yield from batched(partial(self.sample, draws=draws), batches, self.workers)
            return
        order = [[(int(index), draws) for index in batch] for batch in batches]
        with worker_failures(self.workers):
            for batch in loading(_Raw(self.of), self.workers, batch_sampler=order, collate_fn=self._together):
                if isinstance(batch, DataError):
                    raise batch
                yield batch

    def sample(self, index: int, draws: Draws | None) -> Sample:
        """A sample, augmented by the spec where there are draws."""
        with drawn(index, draws):
            image, truth = self.of.sample(index)
        return self._finished(image, truth, index, draws)

    def _together(self, samples: list[Any]) -> Batch | DataError:
        """A batch that the loader's own function puts together, each of its samples checked as all others are."""
        if error := next((each for each in samples if isinstance(each, DataError)), None):
            return error
        try:
            rows = self.of.collated([raw for raw, _, _ in samples])
            read = [
                (self.of.read(row, index), index, draws) for row, (_, index, draws) in zip(rows, samples, strict=True)
            ]
            done = [self._finished(*pair, index, draws) for pair, index, draws in read]
        except DataError as error:
            return error
        return torch.stack([image for image, _ in done]), torch.stack([torch.as_tensor(truth) for _, truth in done])

    def _finished(self, image: Tensor | Inputs, truth: Tensor, index: int, draws: Draws | None) -> Sample:
        if self.info.parts or not isinstance(image, Tensor):
            return self._packed(image, truth, index)
        image, known = self._sized(*self._checked(image, truth, index), index)
        if draws is None or self.pipeline is None:
            return image, known
        return self.pipeline(image, known, index, draws)

    def _packed(self, inputs: Tensor | Inputs, truth: Tensor, index: int) -> Sample:
        """Several inputs side by side, as they are."""
        if not self.info.parts:
            raise self._other(index, "has other inputs", "one image")
        try:
            row = packed_as(self.info.parts, inputs)
        except NoInputs as error:
            raise self.of.wrong(index, str(error), [*error.help, "all samples are to be alike"]) from None
        if not bool(row.isfinite().all()):
            raise self.of.wrong(index, "has numbers in its inputs that are infinite or none", ["mend the data"])
        known = self._known(truth, index)
        return row, known if known.dim() else int(known)

    def _checked(self, image: Tensor, truth: Tensor, index: int) -> tuple[Tensor, Tensor]:
        """The same; `DataError` where the sample is another than the first one was."""
        if self.info.vocabulary:
            return self._text(image, index), self._known(truth, index)
        has, wants = image.is_floating_point(), self.info.own_numbers
        if image.dim() != 3 or image.shape[0] != self.native[0] or has != wants:
            kinds = {True: "float32", False: "uint8"}
            what = f"has an image of {image.shape[0]} channels in {kinds[has]}"
            raise self._other(index, what, f"{self.native[0]} in {kinds[wants]}")
        if has and not bool(image.isfinite().all()):
            raise self.of.wrong(index, "has numbers in its image that are infinite or none", ["mend the data"])
        return image, self._known(truth, index)

    def _text(self, tokens: Tensor, index: int) -> Tensor:
        """The same; `DataError` where it is no text of the length and of the tokens that were planned for."""
        if tokens.dtype != torch.int64 or tuple(tokens.shape) != self.native:
            found = f"has {'×'.join(map(str, tokens.shape))} numbers in {str(tokens.dtype).removeprefix('torch.')}"
            help = "texts of other lengths are padded, or cut, by the data set"
            raise self._other(index, found, f"{self.native[0]} tokens, whole numbers", help)
        off = (tokens < 0) | (tokens >= self.info.vocabulary)
        if bool(off.any()):
            what = f"has the token {int(tokens[off][0])}, and tokens are 0 to {self.info.vocabulary - 1}"
            raise self.of.wrong(index, what, ["`data.vocabulary` says how many there are"])
        return tokens

    def _known(self, truth: Tensor, index: int) -> Tensor:
        """What is known of the sample, as the task has it; in range."""
        axes = {"class": 0, "multi_label": 1, "tokens": 1, "vector": 1, "map": 2}[self.task.kind]
        whole = self.task.kind in ("class", "map", "tokens")
        if truth.dim() != axes or (whole and truth.is_floating_point()):
            found = "×".join(map(str, truth.shape)) or "one"
            raise self._other(index, f"has a label of {found} numbers in {str(truth.dtype).removeprefix('torch.')}",
                              f"{self.task.learns}")  # fmt: skip
        if axes == 1 and len(truth) != self.info.classes:
            raise self._other(index, f"has a label of {len(truth)} numbers", f"{self.info.classes}")
        if self.task.kind == "vector":
            return truth.to(torch.float32)
        below = self.task.target.bound(self.info)
        off = (truth < 0) | (truth >= below) | (truth != truth.round())
        if self.task.kind == "map":
            counts_not = truth == self.ignored
            truth, off = torch.where(counts_not, IGNORED, truth), off & ~counts_not
        if bool(off.any()):
            bad = truth[off].flatten()[0].item()
            help = ["`data.classes` says how many classes there are"]
            help += [f"pixels that count for nothing are {self.ignored}: `data.ignore_index`"] * (axes == 2)
            raise self.of.wrong(index, f"has the label {bad:g}, and labels are 0 to {below - 1}", help)
        return truth if self.task.kind in ("class", "tokens") else truth.to(torch.uint8)

    def _sized(self, image: Tensor, known: Tensor, index: int) -> tuple[Tensor, Any]:
        """Brought to the size that the spec asks for; without such a word all samples are as large as the first."""
        size, mask = self.info.image_size, self.task.kind == "map"
        if mask and known.shape != image.shape[1:]:
            sizes = " and a mask of ".join("×".join(map(str, each)) for each in (image.shape[1:], known.shape))
            raise self.of.wrong(
                index, f"has an image of {sizes} pixels", ["a mask has a number for each of its pixels"]
            )
        if tuple(image.shape[1:]) == size:
            return image.contiguous(), known if known.dim() else int(known)
        if size == self.native[1:]:
            found = "×".join(map(str, image.shape[1:]))
            raise self._other(index, f"has an image of {found} pixels", f"{'×'.join(map(str, size))}",
                              "`data.image_size: [height, width]` has all brought to one size")  # fmt: skip
        image = F.interpolate(image[None], size, mode="bilinear", antialias=True)[0]
        if mask:
            return image, F.interpolate(known[None, None], size, mode="nearest-exact")[0, 0]
        return image, known if known.dim() else int(known)

    def _other(self, index: int, what: str, planned: str, *help: str) -> DataError:
        return self.of.wrong(
            index, f"{what}, and was planned to have {planned}", [*help, "all samples are to be alike"]
        )


class _Raw(torch.utils.data.Dataset[Any]):
    """Samples as the data set has them, with their places."""

    def __init__(self, of: Set) -> None:
        self.of = of

    def __getitem__(self, at: tuple[int, Draws | None]) -> Any:
        index, draws = at
        try:
            with drawn(index, draws):
                return self.of.raw(index), index, draws
        except DataError as error:
            return error


@contextmanager
def drawn(index: int, draws: Draws | None) -> Iterator[None]:
    """What code draws meanwhile follows from seed, epoch and sample alone; afterwards all go on as before."""
    seed = int((draws or _STILL).bits(np.array([index]), "own")[0])
    before = torch.default_generator.get_state(), np.random.get_state(), random.getstate()
    torch.default_generator.manual_seed(seed)
    np.random.seed(seed % (1 << 32))
    random.seed(seed)
    try:
        yield
    finally:
        torch.default_generator.set_state(before[0])
        np.random.set_state(before[1])
        random.setstate(before[2])
