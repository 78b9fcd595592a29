"""Every data set in the very format in which it is published, a few images of it written byte by byte here."""

from __future__ import annotations

import gzip
import io
import struct
import zlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from runtime.data import DataError, Split, Splits, open_dataset

from . import small_data as small

Arrays = tuple[np.ndarray, np.ndarray]


@pytest.fixture
def unchecked(monkeypatch: pytest.MonkeyPatch) -> None:
    """The checksums are those of all images, not of a few."""
    monkeypatch.setattr("runtime.data.archive.is_original", lambda content, checksum: True)


def content(split: Split | None) -> Arrays:
    assert split is not None
    ((images, labels),) = split.batches([np.arange(len(split))], None)
    return images.numpy(), labels.numpy()


def same(splits: Splits, train: Arrays, test: Arrays) -> None:
    for split, (images, labels) in ((splits.train, train), (splits.test, test)):
        found = content(split)
        assert np.array_equal(found[0], images)
        assert np.array_equal(found[1], labels)


def noise(count: int, *shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(256, size=(count, *shape), dtype=np.uint8)


# --- CIFAR-10: pickles of Python 2 ---


def text(value: str) -> bytes:
    """A `str` of Python 2, which is bytes."""
    return b"U" + bytes([len(value)]) + value.encode("latin1")


def number(value: int) -> bytes:
    return b"J" + struct.pack("<i", value)


def array(values: np.ndarray) -> bytes:
    """numpy's array as Python 2 pickled it: remade from nothing, then given its shape, type and bytes."""
    made = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n" + number(0) + b"\x85" + text("b") + b"tR"
    kind = b"cnumpy\ndtype\n(" + text("u1") + number(0) + number(1) + b"tR"
    kind += b"(" + number(3) + text("|") + b"NNN" + number(-1) + number(-1) + number(0) + b"tb"
    shape = number(values.shape[0]) + number(values.shape[1]) + b"\x86"
    raw = b"T" + struct.pack("<i", values.nbytes) + values.tobytes()
    return made + b"(" + number(1) + shape + kind + b"\x89" + raw + b"tb"


def cifar_batch(images: np.ndarray, labels: Iterable[int]) -> bytes:
    """A file of CIFAR-10: a dictionary under protocol 2, its keys in the order of the originals."""
    pairs = text("data") + array(images.reshape(len(images), -1))
    pairs += text("labels") + b"](" + b"".join(map(number, labels)) + b"e"
    pairs += text("batch_label") + text("testing batch 1 of 1")
    pairs += text("filenames") + b"](" + b"".join(text(f"image_s_{i:06}.png") for i in range(len(images))) + b"e"
    return b"\x80\x02}(" + pairs + b"u."


def test_cifar10_out_of_pickles_of_python_2(tmp_path: Path, unchecked: None) -> None:
    images = {name: noise(3, 3, 32, 32, seed=i) for i, name in enumerate([*"12345", "test"])}
    names = {name: "test_batch" if name == "test" else f"data_batch_{name}" for name in images}
    files = {f"cifar-10-batches-py/{names[name]}": cifar_batch(images[name], (9, 0, 4)) for name in images}
    splits = open_dataset(small.config("cifar10", small.put(tmp_path, files)))
    labels = np.array([9, 0, 4])
    same(splits, (np.concatenate([images[n] for n in "12345"]), np.tile(labels, 5)), (images["test"], labels))


@pytest.mark.parametrize(
    "program",
    [
        b"cos\nsystem\n(U\x0dtouch it-ranXtR.",
        b"\x80\x02cbuiltins\neval\nU\x011\x85R.",
        b"\x80\x02csubprocess\nPopen\nU\x04true\x85R.",
        b"\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c\x04true\x85R.",
        b"\x80\x02ccopyreg\n_reconstructor\n.",
        b"\x80\x02cnumpy.core.multiarray\nscalar\n.",
        b"\x80\x02cruntime.data.sources.pickled\ncodecs.encode\n.",
    ],
)
def test_a_pickle_that_names_anything_but_an_array_is_refused(tmp_path: Path, unchecked: None, program: bytes) -> None:
    small.put(tmp_path, small.cifar10() | {"cifar-10-batches-py/test_batch": program})
    with pytest.raises(DataError, match=r"no part of an array|damaged"):
        open_dataset(small.config("cifar10", tmp_path))
    assert not Path("it-ran").exists()


# --- SVHN: MATLAB's format 5 ---


def element(kind: int, content: bytes) -> bytes:
    return struct.pack("<II", kind, len(content)) + content + bytes(-len(content) % 8)


def matrix(name: str, values: np.ndarray) -> bytes:
    """A matrix of bytes (class 9, data type 2), its numbers column by column, packed as MATLAB packs it."""
    flags = element(6, struct.pack("<II", 9, 0))
    shape = element(5, struct.pack(f"<{values.ndim}i", *values.shape))
    whole = element(14, flags + shape + element(1, name.encode()) + element(2, values.tobytes("F")))
    packed = zlib.compress(whole)
    return struct.pack("<II", 15, len(packed)) + packed


def matlab(**values: np.ndarray) -> bytes:
    head = b"MATLAB 5.0 MAT-file, Platform: GLNXA64".ljust(116) + bytes(8) + struct.pack("<H", 0x0100) + b"IM"
    return head + b"".join(matrix(name, each) for name, each in values.items())


def test_svhn_out_of_matlab_files(tmp_path: Path, unchecked: None) -> None:
    halves = {"train": noise(3, 3, 32, 32), "test": noise(2, 3, 32, 32, seed=1)}
    digits = {"train": [1, 10, 9], "test": [10, 2]}  # ten stands for 0
    files = {
        f"{half}_32x32.mat": matlab(X=images.transpose(2, 3, 1, 0), y=np.array(digits[half], dtype=np.uint8)[:, None])
        for half, images in halves.items()
    }
    splits = open_dataset(small.config("svhn", small.put(tmp_path, files)))
    same(splits, (halves["train"], np.array([1, 0, 9])), (halves["test"], np.array([0, 2])))


# --- STL-10: pixels column by column ---


def test_stl10_out_of_its_binaries(tmp_path: Path, unchecked: None) -> None:
    halves = {"train": noise(2, 3, 96, 96), "test": noise(3, 3, 96, 96, seed=1)}
    labels = {"train": np.array([0, 9]), "test": np.array([4, 4, 1])}
    files = {}
    for half, images in halves.items():
        files[f"stl10_binary/{half}_X.bin"] = images.transpose(0, 1, 3, 2).tobytes()
        files[f"stl10_binary/{half}_y.bin"] = (labels[half] + 1).astype(np.uint8).tobytes()
    splits = open_dataset(small.config("stl10", small.put(tmp_path, files)))
    same(splits, (halves["train"], labels["train"]), (halves["test"], labels["test"]))


# --- MNIST and its relatives: IDX ---


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
@pytest.mark.parametrize("dataset", ["mnist", "fashion_mnist"])
def test_idx_files(tmp_path: Path, dataset: str, packed: bool) -> None:
    halves = {"train": noise(3, 28, 28), "t10k": noise(2, 28, 28, seed=1)}
    files = {}
    for half, images in halves.items():
        header = b"\0\0\x08\x03" + struct.pack(">III", len(images), 28, 28)
        files[f"{half}-images-idx3-ubyte"] = header + images.tobytes()
        files[f"{half}-labels-idx1-ubyte"] = (
            b"\0\0\x08\x01" + struct.pack(">I", len(images)) + bytes(range(len(images)))
        )
    if packed:
        files = {f"{name}.gz": gzip.compress(content) for name, content in files.items()}
    splits = open_dataset(small.config(dataset, small.put(tmp_path, files)))
    same(splits, (halves["train"][:, None], np.arange(3)), (halves["t10k"][:, None], np.arange(2)))


# --- folders of images ---


def flat(level: int, form: str = "PNG", size: tuple[int, int] = (9, 12)) -> bytes:
    """An image of one colour, which stays as it is whatever is cut out of it and however it is resized."""
    return small.encoded(Image.new("RGB", size, (level, level // 2, 255 - level)), form)


def levels(split: Split | None) -> tuple[list[int], list[int]]:
    images, labels = content(split)
    return images[:, 0, 0, 0].round().astype(int).tolist(), labels.tolist()


def test_an_image_folder(tmp_path: Path) -> None:
    files = {
        "train/b/1.png": flat(10),
        "train/a/2.PNG": flat(20),
        "val/a/x/3.png": flat(30),
        "val/b/4.bmp": flat(40, "BMP"),
    }
    splits = open_dataset(small.config("image_folder", small.put(tmp_path, files)))
    assert levels(splits.train) == ([20, 10], [0, 1])
    assert levels(splits.test) == ([30, 40], [0, 1])


def test_imagenet_in_its_folders(tmp_path: Path) -> None:
    """A thousand WordNet ids, one image each, which end in .JPEG."""
    ids = [f"n{1_440_000 + 7 * i:08}" for i in range(1000)]
    grey = flat(128, "JPEG", (8, 8))
    files = {f"{half}/{wnid}/{wnid}_{i}.JPEG": grey for half in ("train", "val") for i, wnid in enumerate(ids)}
    small.put(tmp_path / "imagenet", files)
    splits = open_dataset(small.config("imagenet", tmp_path, image_size=8))
    assert splits.info.class_names == tuple(ids)
    ((images, labels),) = splits.train.batches([np.array([0, 500, 999])], None)
    assert labels.tolist() == [0, 500, 999]
    assert np.abs(images.numpy()[:, 0].astype(int) - 128).max() <= 2
    assert splits.remarks == (
        "imagenet has 1,000 training images here, not 1,281,167",
        "imagenet has 1,000 test images here, not 50,000",
    )


def test_a_label_folder(tmp_path: Path) -> None:
    files = {f"{half}/{i}.png": flat(10 * i) for half in ("train", "test") for i in range(2)}
    lists = {
        "train/labels.csv": "\ufeff0.png,sky,sea\r\n1.png\r\n",
        "test/labels.csv": '0.png," sea "\n1.png,tree,sky\n',
    }
    small.put(tmp_path, files | {name: text.encode() for name, text in lists.items()})
    splits = open_dataset(small.config("label_folder", tmp_path, classes=3))
    assert splits.info.class_names == ("sea", "sky", "tree")
    assert levels(splits.train) == ([0, 10], [[1, 1, 0], [0, 0, 0]])
    assert levels(splits.test) == ([0, 10], [[1, 0, 0], [0, 1, 1]])


TRUTH = np.array([[0, 1, 2, 255], [2, 1, 0, 0]], dtype=np.uint8)


def colours(values: np.ndarray) -> bytes:
    """A mask as VOC has them: a palette, so that programs show classes in colours."""
    image = Image.fromarray(values, "P")
    image.putpalette([(7 * i) % 256 for i in range(768)])
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


CITY, VOC = "{half}/ulm/ulm_000000_000019", "VOCdevkit/VOC2012"
PLACES = {
    "mask_folder": ("{half}/images/street.png", "{half}/masks/street.png"),
    "cityscapes": (f"leftImg8bit/{CITY}_leftImg8bit.png", f"gtFine/{CITY}_gtFine_labelTrainIds.png"),
    "voc": (VOC + "/JPEGImages/2007_{half}.jpg", VOC + "/SegmentationClass/2007_{half}.png"),
}


@pytest.mark.parametrize("dataset", PLACES)
def test_images_with_masks(tmp_path: Path, dataset: str) -> None:
    files, form = {}, "JPEG" if dataset == "voc" else "PNG"
    for half in ("train", "val"):
        image, mask = (place.format(half=half) for place in PLACES[dataset])
        files[image] = flat(128, form, (4, 2))
        files[mask] = colours(TRUTH) if dataset == "voc" else small.png(TRUTH)
        files[f"{VOC}/ImageSets/Segmentation/{half}.txt"] = f"2007_{half}\n".encode()
    splits = open_dataset(small.config(dataset, small.put(tmp_path, files), image_size=(2, 4)))
    for split in (splits.train, splits.test):
        images, masks = content(split)
        assert np.abs(images[:, 0].astype(int) - 128).max() <= 2
        assert np.array_equal(masks, TRUTH[None])
