"""The IDX files of MNIST and its relatives, plain or gzipped."""

from __future__ import annotations

import gzip
import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.data.archive import guarded
from runtime.data.config import DataConfig
from runtime.data.errors import missing
from runtime.data.splits import Arrays

_BYTES = 0x08  # the type code of unsigned bytes, the only type these data sets use


def read_idx(path: Path) -> NDArray[np.uint8]:
    """The array in an IDX file of bytes; the header holds two zeros, the type, the rank and the big-endian sizes."""
    content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    if len(content) < 4 or content[:3] != bytes([0, 0, _BYTES]):
        raise ValueError(f"{path} is not an IDX file of bytes")
    start = 4 + 4 * content[3]
    shape = [int(size) for size in np.frombuffer(content[4:start], dtype=">u4")]
    if len(content) != start + math.prod(shape):
        raise ValueError(f"{path} is cut off: {len(content)} bytes, {start + math.prod(shape)} expected")
    return np.frombuffer(content, dtype=np.uint8, offset=start).reshape(shape)


def read_mnist_like(config: DataConfig, torchvision_name: str) -> tuple[Arrays, Arrays]:
    """The train and test arrays of `root`, which may hold torchvision's folders or the files themselves."""
    if config.download:
        guarded(config, lambda: _download(config, torchvision_name))
    folders = [config.folder / torchvision_name / "raw", config.folder / "raw", config.folder]
    found = next((folder for folder in folders if _find(folder, "train-images-idx3-ubyte")), None)
    if found:
        return guarded(config, lambda: (_half(found, "train"), _half(found, "t10k")))
    raise missing(
        config.dataset,
        [folder / "train-images-idx3-ubyte[.gz]" for folder in folders],
        layout=f"{torchvision_name}/raw/{{train,t10k}}-{{images-idx3,labels-idx1}}-ubyte, plain or .gz",
        download=True,
    )


def _half(folder: Path, half: str) -> Arrays:
    images, labels = (read_idx(_must_find(folder, f"{half}-{kind}-ubyte")) for kind in ("images-idx3", "labels-idx1"))
    return Arrays(images[:, None], labels.astype(np.int64))


def _find(folder: Path, name: str) -> Path | None:
    return next((path for path in (folder / name, folder / f"{name}.gz") if path.is_file()), None)


def _must_find(folder: Path, name: str) -> Path:
    if path := _find(folder, name):
        return path
    raise FileNotFoundError(f"{folder / name} and {name}.gz are missing")


def _download(config: DataConfig, torchvision_name: str) -> Any:
    import torchvision  # late: takes seconds

    return getattr(torchvision.datasets, torchvision_name)(config.folder, download=True)
