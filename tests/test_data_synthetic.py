"""Made-up images: the same for a seed whether they are kept or made one by one, so any number of them can be had."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from runtime.data import DataConfig, Loader, Splits, open_dataset
from runtime.data.draws import Draws
from runtime.data.sources import made


def config(samples: int = 23, seed: int = 3) -> DataConfig:
    return DataConfig("synthetic", image_size=5, channels=3, classes=4, samples=samples, seed=seed)


@pytest.fixture
def nothing_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(made, "_KEPT", 0)


def test_any_byte_of_a_sequence_is_that_of_the_generator() -> None:
    """Stored runs can be resumed only while these numbers stay."""
    draws = Draws(1, 2)
    whole = draws.generator(0, "train").integers(256, size=300, dtype=np.uint8)
    assert all(np.array_equal(draws.noise("train", first, 40), whole[first : first + 40]) for first in range(0, 260, 7))


@pytest.mark.usefixtures("nothing_kept")
def test_images_made_one_by_one_are_those_made_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    lazy = open_dataset(config())
    monkeypatch.setattr(made, "_KEPT", 1 << 20)
    kept = open_dataset(config())
    assert isinstance(lazy.train.data, made.Made)
    assert not isinstance(kept.train.data, made.Made)
    assert [len(half) for half in (lazy.train, lazy.test)] == [len(half) for half in (kept.train, kept.test)] == [23, 5]
    for one, other in zip(batches(lazy), batches(kept), strict=True):
        assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def batches(splits: Splits) -> list[tuple[torch.Tensor, torch.Tensor]]:
    loaders = [Loader(half, 7, seed=1, train=train) for half, train in ((splits.train, True), (splits.test, False))]
    return [batch for loader in loaders for batch in loader.epoch(1)]


def test_ten_million_images_take_no_memory() -> None:
    splits = open_dataset(config(samples=10_000_000))
    ((images, labels),) = splits.train.batches([np.array([0, 9_999_999])], None)
    assert len(splits.train) == 10_000_000
    assert images.shape == (2, 3, 5, 5)
    assert labels.tolist() == [0, 3]
    assert not torch.equal(images[0], images[1])
