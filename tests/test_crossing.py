"""Batches on their way to a GPU: pinned, ahead of it by a few, augmented over there; the numbers are the same."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import Tensor

from runtime.data import DataConfig, Loader, Splits, open_dataset
from runtime.data.arrays import CropFlip
from runtime.data.crossing import AHEAD, Crossing, Cuda
from runtime.data.draws import Draws
from runtime.data.loader import taken
from runtime.data.splits import ArraySplit, moving
from specc.diagnostics.notices import notice

from .small_data import pixels

CPU = torch.device("cpu")


class Waited:
    def __init__(self, gpu: Gpu, number: int) -> None:
        self.gpu, self.number = gpu, number

    def synchronize(self) -> None:
        self.gpu.asked.append(f"wait {self.number}")


class Gpu(Cuda):
    """What was asked of it, in order."""

    def __init__(self, *, full: bool = False) -> None:
        super().__init__(CPU)
        self.asked: list[str] = []
        self.marks, self.full = 0, full

    def pinned(self, tensor: Tensor) -> Tensor:
        if self.full:
            raise RuntimeError("CUDA error: out of memory")
        self.asked.append(f"pin {int(tensor)}")
        return tensor.clone()

    def mark(self) -> Waited:
        self.asked.append(f"mark {self.marks}")
        self.marks += 1
        return Waited(self, self.marks - 1)


@pytest.fixture(autouse=True)
def said() -> Iterator[list[str]]:
    lines: list[str] = []
    with notice.heard(lines.append):
        yield lines


def test_a_host_is_ahead_by_so_many_batches_and_no_more() -> None:
    gpu = Gpu()
    crossing = Crossing(CPU, gpu)
    there = [crossing(torch.tensor(10 + number))[0] for number in range(4)]
    assert AHEAD == 2
    assert gpu.asked == [
        "pin 10",
        "mark 0",
        "pin 11",
        "mark 1",
        "wait 0",
        "pin 12",
        "mark 2",
        "wait 1",
        "pin 13",
        "mark 3",
    ]
    assert [int(part) for part in there] == [10, 11, 12, 13]


def test_where_nothing_can_be_pinned_batches_wait_and_it_is_said_once(said: list[str]) -> None:
    crossing = Crossing(CPU, Gpu(full=True))
    assert [int(crossing(torch.tensor(number))[0]) for number in range(4)] == [0, 1, 2, 3]
    assert len(said) == 1
    assert said[0].startswith("note: no memory can be pinned")


def test_a_processor_is_handed_its_batches_as_they_are() -> None:
    tensor = torch.zeros(3)
    assert Crossing(CPU)(tensor)[0] is tensor


@pytest.mark.parametrize("mode", ["constant", "reflect"])
@pytest.mark.parametrize(("pad", "flip"), [(2, False), (0, True), (3, True), (0, False)])
def test_a_device_crops_and_mirrors_as_the_host_does(mode: str, pad: int, flip: bool) -> None:
    images, indices, draws = pixels(9, 3, 6, 5), np.arange(40, 49), Draws(1, 2)
    step = CropFlip(pad, mode, flip)
    rows, columns = map(torch.from_numpy, step.places((6, 5), indices, draws))
    found = taken(torch.from_numpy(images), rows, columns)
    assert torch.equal(found, torch.from_numpy(step(images, indices, draws).copy()))


def opened(pad: int = 2) -> Splits:
    found = open_dataset(DataConfig("synthetic", image_size=6, channels=3, classes=4, samples=23, seed=3))
    train = found.train
    assert isinstance(train, ArraySplit)
    return Splits(ArraySplit(train.info, train.data, CropFlip(pad, "reflect", True)), found.test, found.info)


def test_batches_of_a_gpu_are_those_of_a_processor() -> None:
    """From the middle of an epoch too."""
    split = opened().train
    on_gpu, plain = (Loader(split, 5, seed=1, train=True) for _ in range(2))
    assert plain._moving is None
    on_gpu._moving, on_gpu.crossing = moving(split), Crossing(CPU, NumberedGpu())
    assert on_gpu._moving is not None
    for epoch, start in ((0, 0), (3, 2)):
        pairs = zip(on_gpu.epoch(epoch, start), plain.epoch(epoch, start), strict=True)
        for one, other in pairs:
            assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


class NumberedGpu(Gpu):
    def pinned(self, tensor: Tensor) -> Tensor:
        return tensor.clone()


def test_a_device_augments_where_it_is_to_crop_and_mirror_and_nothing_else() -> None:
    assert moving(opened().train) is not None
    assert moving(opened(pad=6).train) is None  # a reflection of a reflection
    assert moving(open_dataset(DataConfig("synthetic", image_size=6, channels=3, classes=4, samples=9)).train) is None
