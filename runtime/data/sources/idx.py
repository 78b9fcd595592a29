"""MNIST and its relatives, 28 x 28 grey, from IDX files, plain or gzipped."""

from __future__ import annotations

import gzip
import math
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from runtime.data.archive import downloaded, guarded
from runtime.data.arrays import Arrays, CropFlip
from runtime.data.config import DataConfig
from runtime.data.errors import described, missing, remark
from runtime.data.splits import Splits, in_memory
from specc.system.files import open_regular
from specc.tasks.datasets import INFO, ResolvedData

_BYTES = 0x08  # the type code of unsigned bytes, the only type these data sets use
_MOST = 1_000_000  # images a file: larger than every relative of MNIST, and small enough for any memory (748 MiB)


def mnist(config: DataConfig, info: ResolvedData) -> Splits:
    """`paper` crops out of two pixels of zero padding."""
    return in_memory(config, info, *_halves(config, "MNIST"), paper=CropFlip(pad=2))


def fashion_mnist(config: DataConfig, info: ResolvedData) -> Splits:
    """`paper` crops out of two pixels of zero padding and mirrors."""
    return in_memory(config, info, *_halves(config, "FashionMNIST"), paper=CropFlip(pad=2, flip=True))


def read_idx(path: Path, item: tuple[int, ...]) -> NDArray[np.uint8]:
    """The array in an IDX file of bytes: any number of items of the shape `item`.

    The header holds two zeros, the type, the rank and the big-endian sizes. What it announces is checked before
    anything else is read, so that no more is unpacked than the data set can have.
    """
    with _unpacked(path) as file:
        shape = _shape(path, file)
        if shape[1:] != item or len(shape) != 1 + len(item):
            raise ValueError(f"{path} holds {_show(shape)} bytes, not N{''.join(f'×{size}' for size in item)}")
        if shape[0] > _MOST:
            raise ValueError(f"{path} announces {shape[0]:,} items, more than the {_MOST:,} that are read")
        content = file.read(math.prod(shape) + 1)  # one more than there should be: at the end gzip checks its sum
    if len(content) != math.prod(shape):
        wrong = "goes on after its end" if len(content) > math.prod(shape) else "is cut off"
        raise ValueError(f"{path} {wrong}: {len(content):,} bytes after the header, {math.prod(shape):,} expected")
    return np.frombuffer(content, dtype=np.uint8).reshape(shape).copy()  # bytes cannot be written to, and torch warns


@contextmanager
def _unpacked(path: Path) -> Iterator[BinaryIO]:
    """The file's bytes, unpacked; what a damaged archive raises becomes a `ValueError` with the file's name."""
    with open_regular(path) as file:
        try:
            yield cast(BinaryIO, gzip.GzipFile(fileobj=file)) if path.suffix == ".gz" else file
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise ValueError(f"{path} is damaged: {described(error)}") from error


def _shape(path: Path, file: BinaryIO) -> tuple[int, ...]:
    start = file.read(4)
    sizes = file.read(4 * start[3]) if len(start) == 4 else b""
    if start[:3] != bytes([0, 0, _BYTES]) or not sizes or len(sizes) != 4 * start[3]:
        raise ValueError(f"{path} is not an IDX file of bytes")
    return tuple(int(size) for size in np.frombuffer(sizes, dtype=">u4"))


def _show(shape: tuple[int, ...]) -> str:
    return "×".join(f"{size}" for size in shape[:8])


def _halves(config: DataConfig, torchvision_name: str) -> tuple[Arrays, Arrays]:
    """The train and test arrays of `root`, which may hold torchvision's folders or the files themselves."""
    if config.download:
        downloaded(config, torchvision_name)
    folders = [config.folder / torchvision_name / "raw", config.folder / "raw", config.folder]
    found = next((folder for folder in folders if _find(folder, "train-images-idx3-ubyte")), None)
    if found:
        height, width = INFO[config.dataset].resolved().image_size
        return guarded(config, lambda: (_half(found, "train", (height, width)), _half(found, "t10k", (height, width))))
    raise missing(
        config.dataset,
        [folder / "train-images-idx3-ubyte[.gz]" for folder in folders],
        layout=f"{torchvision_name}/raw/{{train,t10k}}-{{images-idx3,labels-idx1}}-ubyte, plain or .gz",
        download=True,
    )


def _half(folder: Path, half: str, item: tuple[int, int]) -> Arrays:
    images = read_idx(_must_find(folder, f"{half}-images-idx3-ubyte"), item)
    labels = read_idx(_must_find(folder, f"{half}-labels-idx1-ubyte"), ())
    return Arrays(images[:, None], labels.astype(np.int64))


def _find(folder: Path, name: str) -> Path | None:
    return next((path for path in (folder / name, folder / f"{name}.gz") if path.is_file()), None)


def _must_find(folder: Path, name: str) -> Path:
    if path := _find(folder, name):
        return path
    raise FileNotFoundError(f"{folder / name} and {name}.gz are missing{remark(folder / name)}")
