"""No size that a spec may ask for fills the memory before there is a batch of it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from runtime.data import DataConfig, DataError, Loader, open_dataset, splits


def test_a_data_set_too_large_to_be_kept_resized_is_resized_batch_by_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    config = DataConfig("digits", image_size=12, augment="paper")
    kept = open_dataset(config).train
    monkeypatch.setattr(splits, "_KEPT", 1_797 * 144 - 1)
    late = open_dataset(config).train
    assert isinstance(late, splits.ArraySplit)
    assert late.data.images.shape[2:] == (8, 8)
    one, other = (next(Loader(half, 50, seed=0, train=True).epoch(0)) for half in (kept, late))
    assert torch.equal(one[0], other[0])
    assert torch.equal(one[1], other[1])


def test_seven_gigabytes_of_resized_images_can_be_opened() -> None:
    split = open_dataset(DataConfig("digits", image_size=2_048)).train
    ((images, _),) = split.batches([np.array([9])], None)
    assert images.shape == (1, 1, 2_048, 2_048)


def test_a_batch_larger_than_memory_is_an_error_with_a_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    split = open_dataset(DataConfig("digits")).test

    def full(*args: object) -> Iterator[None]:
        raise MemoryError
        yield

    monkeypatch.setattr(type(split), "batches", full)
    with pytest.raises(DataError, match=r"a batch of 7 images .* does not fit into memory") as caught:
        next(Loader(split, 7, seed=0, train=False).epoch(0))
    assert "data.batch_size" in caught.value.help[0]
