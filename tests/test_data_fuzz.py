"""Damage every data set on the disk in every way: what comes out is a data set, or a `DataError`."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.data import DataError, Split, open_dataset
from specc.tasks.segmentation import IGNORED
from specc.tasks.task import Task

from . import small_data as small

MADE: dict[str, tuple[str, Callable[[], small.Files]]] = {
    "mnist": ("mnist", small.mnist),
    "mnist.gz": ("mnist", partial(small.mnist, suffix=".gz")),
    "cifar10": ("cifar10", small.cifar10),
    "svhn": ("svhn", small.svhn),
    "stl10": ("stl10", small.stl10),
    "image_folder": ("image_folder", small.image_folder),
    "label_folder": ("label_folder", small.label_folder),
    "tar_folder": ("tar_folder", small.tar_folder),
    "mask_folder": ("mask_folder", small.mask_folder),
    "cityscapes": ("cityscapes", small.cityscapes),
    "voc": ("voc", small.voc),
}


@pytest.fixture(autouse=True)
def any_checksum(monkeypatch: pytest.MonkeyPatch) -> None:
    """The readers behind the checksums must stand on their own."""
    monkeypatch.setattr("runtime.data.archive.is_original", lambda content, checksum: True)


@dataclass(frozen=True)
class Damage:
    """What happens to a file, at a place between its beginning (0) and its end (1); early: among its first bytes."""

    kind: str
    place: float
    early: bool
    bits: int
    size: int

    def do(self, files: small.Files, name: str, other: str) -> None:
        content = files[name]
        at = round(self.place * (min(len(content), 200) if self.early else len(content)))
        hit = content[at : at + self.size]
        changed = {
            "flip": content[:at] + bytes(byte ^ self.bits for byte in hit) + content[at + self.size :],
            "cut": content[:at],
            "drop": content[:at] + content[at + self.size :],
            "insert": content[:at] + bytes([self.bits]) * self.size + content[at:],
            "empty": b"",
            "swap": files[other],
        }
        files[other] = content if self.kind == "swap" else files[other]
        files[name] = changed.get(self.kind, content)
        if self.kind == "lose":
            del files[name]


DAMAGES = st.builds(
    Damage,
    st.sampled_from(["flip", "cut", "drop", "insert", "empty", "swap", "lose"]),
    st.floats(0, 1),
    st.booleans(),
    st.integers(1, 255),
    st.integers(1, 16),
)


@pytest.mark.parametrize("made", MADE)
@settings(max_examples=40)
@given(data=st.data())
def test_a_damaged_data_set_is_refused_or_whole(made: str, data: st.DataObject) -> None:
    dataset, files = MADE[made][0], dict(MADE[made][1]())
    names = st.sampled_from(sorted(files))
    data.draw(DAMAGES).do(files, data.draw(names), data.draw(names))
    root = Path(tempfile.mkdtemp())
    try:
        config = small.config(dataset, small.put(root, files))
        splits = open_dataset(config)
        whole(splits.train, config.learns)
        whole(splits.test, config.learns)
    except DataError as error:
        assert dataset in str(error) or str(root) in str(error)  # noqa: PT017 - it need not be raised
    finally:
        shutil.rmtree(root)


def whole(split: Split, task: Task) -> None:
    """Every sample can be had, in the shape and with what is learnt of it as the facts announce."""
    assert len(split)
    ((images, labels),) = split.batches([np.arange(len(split))], None)
    assert images.dtype == torch.uint8
    assert images.shape == (len(split), *split.info.shape)
    assert labels.shape == (len(split), *task.target.shape(split.info))
    counting = labels[labels != IGNORED].tolist()
    assert all(0 <= label < task.target.bound(split.info) for label in counting)
