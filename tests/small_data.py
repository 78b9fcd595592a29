"""Every data set that lies on a disk, with a handful of images, as files by name; and ways to put them down."""

from __future__ import annotations

import gzip
import io
import pickle
import struct
import tarfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

from runtime.data import DataConfig

Files = dict[str, bytes]
OPTIONS: dict[str, dict[str, object]] = {
    "image_folder": {"image_size": 8, "classes": 2},
    "tar_folder": {"image_size": 8, "classes": 2},
    "label_folder": {"image_size": 8, "classes": 5, "task": "multi_label"},
    "mask_folder": {"image_size": (8, 6), "classes": 3, "task": "segmentation"},
    "cityscapes": {"image_size": (8, 16), "task": "segmentation"},
    "voc": {"image_size": 8, "task": "segmentation"},
}


def config(dataset: str, root: Path, **options: object) -> DataConfig:
    """What reads it: folders of the user's own need more options."""
    return DataConfig(dataset, root=str(root), **(OPTIONS.get(dataset, {}) | options))


def put(root: Path, files: Mapping[str, bytes]) -> Path:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return root


def pixels(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(256, size=shape, dtype=np.uint8)


def idx(array: np.ndarray) -> bytes:
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()


def png(array: np.ndarray) -> bytes:
    return encoded(Image.fromarray(array), "PNG")


def encoded(image: Image.Image, form: str) -> bytes:
    file = io.BytesIO()
    image.save(file, form)
    return file.getvalue()


@cache
def mnist(train: int = 6, test: int = 3, size: tuple[int, int] = (28, 28), suffix: str = "") -> Files:
    files = {}
    for half, count in (("train", train), ("t10k", test)):
        files[f"{half}-images-idx3-ubyte"] = idx(pixels(count, *size))
        files[f"{half}-labels-idx1-ubyte"] = idx(np.arange(count, dtype=np.uint8) % 10)
    return {name + suffix: gzip.compress(content) if suffix else content for name, content in files.items()}


@cache
def cifar10() -> Files:
    batch = pickle.dumps({"data": pixels(2, 3072), "labels": [0, 9]})
    return {f"cifar-10-batches-py/{name}": batch for name in [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]}


@cache
def svhn() -> Files:
    from scipy.io import savemat

    file = io.BytesIO()
    savemat(file, {"X": pixels(32, 32, 3, 3), "y": np.array([[1], [10], [3]], dtype=np.uint8)}, do_compression=True)
    return {f"{half}_32x32.mat": file.getvalue() for half in ("train", "test")}


@cache
def stl10() -> Files:
    parts = {"X": pixels(2, 3, 96, 96).tobytes(), "y": bytes([1, 10])}
    return {f"stl10_binary/{half}_{part}.bin": parts[part] for half in ("train", "test") for part in parts}


@cache
def image_folder() -> Files:
    forms = {"0.png": "PNG", "1.jpg": "JPEG"}
    image = Image.fromarray(pixels(12, 10, 3))
    return {
        f"{half}/{name}/{file}": encoded(image, form)
        for half in ("train", "val")
        for name in ("cat", "dog")
        for file, form in forms.items()
    }


def tar(files: Mapping[str, bytes]) -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        for name, inside in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(inside)
            archive.addfile(entry, io.BytesIO(inside))
    return content.getvalue()


def shard(first: int, count: int, side: int = 12) -> bytes:
    """Images of their own colours with classes 0 and 1 in turn, named by their numbers."""
    files = {}
    for number in range(first, first + count):
        image = Image.fromarray(np.full((side, side, 3), number, np.uint8))
        files |= {f"{number:04}.png": encoded(image, "PNG"), f"{number:04}.cls": str(number % 2).encode()}
    return tar(files)


@cache
def tar_folder() -> Files:
    return {"train/0.tar": shard(0, 2), "train/1.tar": shard(2, 2), "val/0.tar": shard(4, 2)}


@cache
def label_folder() -> Files:
    files = {f"{half}/{i}.png": png(pixels(12, 10, 3)) for half in ("train", "val") for i in range(3)}
    lists = {"train": "0.png,dog,cat\n1.png\n2.png, fox,owl\n", "val": "0.png,cat,ant\n1.png,fox,dog\n2.png,\n"}
    return files | {f"{half}/labels.csv": text.encode() for half, text in lists.items()}


def mask(classes: int, *size: int) -> np.ndarray:
    """Every class, and pixels that count for nothing."""
    found = np.arange(size[0] * size[1], dtype=np.uint8).reshape(size) % (classes + 1)
    return np.where(found == classes, 255, found).astype(np.uint8)


@cache
def mask_folder() -> Files:
    image, truth = encoded(Image.fromarray(pixels(8, 6, 3)), "PNG"), png(mask(3, 8, 6))
    halves = {f"{half}/{i}": i for half in ("train", "val") for i in range(2)}
    return {place.replace("/", "/images/") + ".png": image for place in halves} | {
        place.replace("/", "/masks/") + ".png": truth for place in halves
    }


@cache
def cityscapes() -> Files:
    image, truth = png(pixels(8, 16, 3)), png(mask(19, 8, 16))
    places = [f"{half}/ulm/ulm_{i}" for half in ("train", "val") for i in range(2)]
    return {f"leftImg8bit/{place}_leftImg8bit.png": image for place in places} | {
        f"gtFine/{place}_gtFine_labelTrainIds.png": truth for place in places
    }


@cache
def voc() -> Files:
    truth = Image.fromarray(mask(21, 9, 9), "P")
    truth.putpalette(bytes(range(256)) * 3)
    images = {f"JPEGImages/{i}.jpg": encoded(Image.fromarray(pixels(9, 9, 3)), "JPEG") for i in range(4)}
    masks = {f"SegmentationClass/{i}.png": encoded(truth, "PNG") for i in range(4)}
    lists = {f"ImageSets/Segmentation/{half}.txt": text for half, text in (("train", b"0\n1\n"), ("val", b"2\n3\n"))}
    return {f"VOCdevkit/VOC2012/{name}": content for name, content in {**images, **masks, **lists}.items()}
