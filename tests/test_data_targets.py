"""Data sets that know more of an image than one class: labels in a list, masks beside the images."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from runtime.data import DataError, Loader, Split, open_dataset
from runtime.data import masks as reading
from runtime.data.arrays import Arrays, CropFlip
from runtime.data.config import DataConfig
from runtime.data.draws import Draws
from runtime.data.splits import ArraySplit
from specc.tasks.datasets import INFO
from specc.tasks.segmentation import IGNORED

from . import small_data as small

MADE: dict[str, Callable[[], small.Files]] = {
    "label_folder": small.label_folder, "mask_folder": small.mask_folder,
    "cityscapes": small.cityscapes, "voc": small.voc,
}  # fmt: skip


def batch(split: Split, epoch: int | None = None) -> tuple[torch.Tensor, torch.Tensor]:
    """All samples; of an epoch they are augmented."""
    draws = None if epoch is None else Draws(0, epoch)
    ((images, labels),) = split.batches([np.arange(len(split))], draws)
    return images, labels


@pytest.fixture(params=MADE)
def dataset(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.parametrize("workers", [0, 2])
def test_what_is_learnt_comes_as_the_task_says(dataset: str, workers: int, tmp_path: Path) -> None:
    config = small.config(dataset, small.put(tmp_path, MADE[dataset]()), workers=workers)
    splits = open_dataset(config)
    target = config.learns.target
    dtype = getattr(torch, target.dtype)
    ((images, labels),) = Loader(splits.train, 8, seed=0, train=False, target=dtype).epoch(0)
    assert images.shape[1:] == splits.info.shape
    assert (labels.dtype, tuple(labels.shape[1:])) == (dtype, target.shape(splits.info))
    assert len(images) == len(labels) == splits.info.train_size


def test_labels_are_numbered_by_their_names(tmp_path: Path) -> None:
    splits = open_dataset(small.config("label_folder", small.put(tmp_path, small.label_folder())))
    named = "ant, cat, dog, fox, owl"
    assert batch(splits.train)[1].tolist() == [[0, 1, 1, 0, 0], [0, 0, 0, 0, 0], [0, 0, 0, 1, 1]], named
    assert batch(splits.test)[1].tolist() == [[1, 1, 0, 0, 0], [0, 0, 1, 1, 0], [0, 0, 0, 0, 0]], named


def test_an_image_that_no_list_names_is_left_out_with_a_remark(tmp_path: Path) -> None:
    files = small.label_folder() | {"train/more/4.png": small.png(small.pixels(4, 4))}
    splits = open_dataset(small.config("label_folder", small.put(tmp_path, files)))
    assert len(splits.train) == 3
    (remark,) = splits.remarks
    assert remark == f"1 images in {tmp_path / 'train'} are left out, as labels.csv does not list them"


@pytest.mark.parametrize(("dataset", "name"), [("label_folder", "val/notes.txt"), ("mask_folder", "val/masks/x.npy")])
def test_files_that_are_no_images_are_left_out_with_a_remark(dataset: str, name: str, tmp_path: Path) -> None:
    splits = open_dataset(small.config(dataset, small.put(tmp_path, MADE[dataset]() | {name: b""})))
    (remark,) = splits.remarks
    assert remark == f"1 files are left out, as their names are not those of images: {name[-4:]}"


def rewritten(name: str, content: bytes) -> Callable[[Path], object]:
    return lambda root: (root / name).write_bytes(content)


def renamed(name: str, new: str) -> Callable[[Path], object]:
    return lambda root: os.rename(root / name, root / new)


MASK, LIST, VOC = "val/masks/1.png", "val/labels.csv", "VOCdevkit/VOC2012"
IDS = "gtFine/val/ulm/ulm_1_gtFine_label{}Ids.png"
WRONG: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "twice": ("label_folder", rewritten(LIST, b"0.png,cat,dog,fox\n\n0.png,dog\n"), "labels.csv:3 lists `0.png` again"),
    "absent": ("label_folder", rewritten(LIST, b"7.png,ant\n"), "val has no 7.png, which labels.csv lists"),
    "nothing listed": ("label_folder", rewritten(LIST, b"\n"), "val/labels.csv lists no images"),
    "no text": ("label_folder", rewritten(LIST, b"\xff\xfe"), "val/labels.csv cannot be read"),
    "no list": ("label_folder", lambda root: (root / LIST).unlink(), "val/labels.csv cannot be read|labels.csv"),
    "a label more": (
        "label_folder",
        rewritten(LIST, b"0.png,cow,ant\n"),
        "should have 5 classes, 6 labels found: ant, cat, cow, ...",
    ),
    "no mask": ("mask_folder", renamed("val/masks/1.png", "val/masks/x.txt"), "val has no mask for 1"),
    "no image": ("mask_folder", renamed("val/images/1.png", "val/images/2.png"), "val has no (mask for 2|image for 1)"),
    "colours": (
        "mask_folder",
        rewritten(MASK, small.png(small.pixels(8, 6, 3))),
        "masks/1.png cannot be decoded: a mask has one byte a pixel",
    ),
    "sixteen bits": (
        "mask_folder",
        rewritten(MASK, small.png(np.ones((8, 6), np.uint16))),
        "masks/1.png cannot be decoded: a mask has one byte a pixel",
    ),
    "a class more": (
        "mask_folder",
        rewritten(MASK, small.png(np.full((8, 6), 3, np.uint8))),
        "masks/1.png has a pixel of class 3: classes are 0 to 2, and 255",
    ),
    "another size": (
        "mask_folder",
        rewritten(MASK, small.png(np.ones((6, 8), np.uint8))),
        "images/1.png and .*masks/1.png are of different sizes: 8×6 and 6×8",
    ),
    "half a mask": ("mask_folder", lambda root: os.truncate(root / MASK, 60), "masks/1.png cannot be decoded"),
    "no cities": ("cityscapes", renamed("gtFine", "gt"), "is not there\n  looked for .*leftImg8bit"),
    "no ids": ("cityscapes", renamed(IDS.format("Train"), IDS.format("")), "has no mask for ulm/ulm_1"),
    "not in the folder": (
        "voc",
        renamed(f"{VOC}/JPEGImages/3.jpg", f"{VOC}/3.jpg"),
        "3.jpg is not there, and .*val.txt names it",
    ),
    "no names": ("voc", rewritten(f"{VOC}/ImageSets/Segmentation/train.txt", b"\n"), "train.txt names no images"),
    "no list of voc": (
        "voc",
        lambda root: (root / VOC / "ImageSets/Segmentation/val.txt").unlink(),
        "val.txt cannot be read",
    ),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_does_not_go_together_is_named(wrong: str, tmp_path: Path) -> None:
    dataset, damage, message = WRONG[wrong]
    damage(small.put(tmp_path, MADE[dataset]()))
    with pytest.raises(DataError, match=message) as error:
        batch(open_dataset(small.config(dataset, tmp_path)).test)
    assert error.value.help, "and what to do about it"


def test_a_mask_at_its_own_size_is_as_it_was_written(tmp_path: Path) -> None:
    splits = open_dataset(small.config("mask_folder", small.put(tmp_path, small.mask_folder())))
    images, masks = batch(splits.test)
    assert np.array_equal(masks[1], small.mask(3, 8, 6))
    assert np.array_equal(images[1].permute(1, 2, 0), small.pixels(8, 6, 3))


def test_another_number_can_be_the_one_that_does_not_count(tmp_path: Path) -> None:
    root = small.put(tmp_path, small.mask_folder())
    truth = np.full((8, 6), 9, np.uint8)
    truth[0] = 1
    Image.fromarray(truth).save(root / MASK)
    _, masks = batch(open_dataset(small.config("mask_folder", root, ignore_index=9)).test)
    assert masks[1].unique(return_counts=True)[0].tolist() == [1, IGNORED]


def test_resizing_makes_no_classes_that_were_not_there(tmp_path: Path) -> None:
    truth = np.where(np.arange(16)[:, None] < 8, 0, 200) * np.ones((16, 24), int)
    root = small.put(
        tmp_path,
        small.mask_folder()
        | {
            "val/masks/1.png": small.png(truth.astype(np.uint8)),
            "val/images/1.png": small.png(truth.astype(np.uint8)),
        },
    )
    config = small.config("mask_folder", root, image_size=(10, 10), channels=1, classes=201)
    images, masks = batch(open_dataset(config).test)
    assert masks[1].unique().tolist() == [0, 200]
    assert torch.equal(masks[1][:4], torch.zeros(4, 10)), "the middle of an image that was made as high as it shall be"
    assert images[1, 0].unique().numel() > 2


@pytest.mark.parametrize("size", [(16, 24), (40, 12)])
def test_augmentation_keeps_a_mask_on_its_image(
    size: tuple[int, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cropped and mirrored at the same place; what is filled up is the mean, and does not count."""
    monkeypatch.setattr(reading, "_SCALES", (1.0, 1.0))
    truth = np.random.default_rng(0).integers(5, size=(20, 28), dtype=np.uint8)
    files = {
        f"{half}/{kind}/{i}.png": small.png(truth * factor)
        for half in ("train", "val")
        for i in range(6)
        for kind, factor in (("images", 40), ("masks", 1))
    }
    root = small.put(tmp_path, files)
    config = small.config("mask_folder", root, image_size=size, classes=5, channels=1, augment="paper")
    splits = open_dataset(config)
    first, second = batch(splits.train, 0), batch(splits.train, 1)
    for images, masks in (first, second):
        counts = masks != IGNORED
        assert torch.equal(images[:, 0][counts], masks[counts] * 40)
        assert counts.all() == (size[0] <= 20)
        assert (images[:, 0][~counts] == 128).all(), "half of 255, rounded to even"
    assert not torch.equal(first[1], second[1]), "another place every epoch"
    assert all(torch.equal(a, b) for a, b in zip(first, batch(splits.train, 0), strict=True))
    views = {tuple(mask[0].tolist()) for mask in first[1]}
    assert len(views) == 6, "and another one for every image"


def test_augmentation_scales_before_it_crops(tmp_path: Path) -> None:
    """A chequerboard of 2-pixel cells has runs of other lengths at other scales, and no other classes."""
    truth = (np.indices((32, 32)).sum(0) // 2 % 2 * 200).astype(np.uint8)
    files = {
        f"{half}/{kind}/{i}.png": small.png(truth)
        for half in ("train", "val")
        for i in range(8)
        for kind in ("images", "masks")
    }
    splits = open_dataset(
        small.config("mask_folder", small.put(tmp_path, files), image_size=16, classes=201, channels=1, augment="paper")
    )
    _, masks = batch(splits.train, 0)
    assert masks.unique().tolist() == [0, 200]
    changes = [(mask[:, 1:] != mask[:, :-1]).float().mean().item() for mask in masks]
    assert max(changes) > 1.5 * min(changes)


def test_a_crop_in_memory_takes_the_mask_along() -> None:
    truth = np.random.default_rng(0).integers(5, size=(40, 9, 7), dtype=np.uint8)
    info = replace(INFO["synthetic"].resolved(image_size=(9, 7), channels=1, classes=5, samples=40), mean=(0.5,))
    split = ArraySplit(info, Arrays(truth[:, None] * 50, truth), CropFlip(pad=3, flip=True))
    images, masks = batch(split, 0)
    counts = masks != IGNORED
    assert torch.equal(images[:, 0][counts], masks[counts] * 50)
    assert (images[:, 0][~counts] == 0).all()
    assert 0 < (~counts).sum() < counts.sum()
    assert not torch.equal(masks, torch.from_numpy(truth))


def test_the_added_masks_of_voc_are_used_where_they_are(tmp_path: Path) -> None:
    root = small.put(tmp_path, small.voc()) / "VOCdevkit/VOC2012"
    (root / "SegmentationClassAug").mkdir()
    for name in ("0", "1", "2"):
        Image.fromarray(np.full((9, 9), 7, np.uint8)).save(root / f"SegmentationClassAug/{name}.png")
    (root / "ImageSets/Segmentation/train_aug.txt").write_text("/JPEGImages/0.jpg /SegmentationClassAug/0.png\n1\n2\n")
    splits = open_dataset(small.config("voc", tmp_path))
    assert (len(splits.train), len(splits.test)) == (3, 2)
    assert batch(splits.train)[1].unique().tolist() == [7]
    assert batch(splits.test)[1].unique().numel() > 7


def made(task: str, **options: Any) -> DataConfig:
    return DataConfig("synthetic", image_size=(12, 20), channels=2, classes=4, samples=30, task=task, **options)


@pytest.mark.parametrize("task", ["multi_label", "segmentation"])
def test_made_up_targets_are_the_same_for_a_seed(task: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """And however they are made: kept, or one by one."""
    kept = open_dataset(made(task))
    monkeypatch.setattr("runtime.data.sources.made._KEPT", 0)
    lazy, other = open_dataset(made(task)), open_dataset(made(task, seed=1))
    for half in ("train", "test"):
        one, two, three = (batch(getattr(splits, half)) for splits in (kept, lazy, other))
        assert all(torch.equal(a, b) for a, b in zip(one, two, strict=True))
        assert not torch.equal(one[1], three[1])
    labels = batch(kept.train)[1]
    seen = set(labels.unique().tolist())
    assert seen == ({0, 1} if task == "multi_label" else {0, 1, 2, 3, IGNORED})
    assert not torch.equal(labels[:7], batch(kept.test)[1])
