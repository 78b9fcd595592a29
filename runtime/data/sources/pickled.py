"""CIFAR-10, 32 x 32 RGB, out of pickled files that are trusted with nothing."""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from runtime.data.archive import Archive
from runtime.data.arrays import Arrays, CropFlip, Pixels
from runtime.data.config import DataConfig
from runtime.data.errors import parsed
from runtime.data.splits import Splits, in_memory
from specc.tasks.datasets import ResolvedData

_FOLDER = "cifar-10-batches-py"
_TRAIN = {
    f"{_FOLDER}/data_batch_1": "c99cafc152244af753f735de768cd75f",
    f"{_FOLDER}/data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
    f"{_FOLDER}/data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
    f"{_FOLDER}/data_batch_4": "634d18415352ddfa80567beed471001a",
    f"{_FOLDER}/data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
}
_TEST = {f"{_FOLDER}/test_batch": "40351d587109b95175f43aff81a1287e"}


def cifar10(config: DataConfig, info: ResolvedData) -> Splits:
    """`paper` crops out of four pixels of reflected padding and mirrors."""
    archive = Archive(_TRAIN | _TEST, most=1 << 26, torchvision="CIFAR10")
    train, test = archive.read(config, lambda content: (_joined(content, _TRAIN), _joined(content, _TEST)))
    return in_memory(config, info, train, test, paper=CropFlip(pad=4, mode="reflect", flip=True))


def _joined(content: Callable[[str], bytes], names: Iterable[str]) -> Arrays:
    halves = [_batch(name, content(name)) for name in names]
    return Arrays(np.concatenate([half.images for half in halves]), np.concatenate([half.labels for half in halves]))


def _batch(name: str, content: bytes) -> Arrays:
    """The images and labels of one pickled file."""
    return parsed(name, lambda: _arrays(_OnlyArrays(io.BytesIO(content), encoding="latin1").load()))


def _arrays(found: Any) -> Arrays:
    images, labels = found["data"], np.array(found["labels"], dtype=np.int64)
    if not isinstance(images, _Pickled):
        raise ValueError("it holds no array of images")
    return Arrays(images.pixels().reshape(-1, 3, 32, 32), labels)


class _OnlyArrays(pickle.Unpickler):
    """Reads numbers, texts, lists and arrays; a pickle that names anything else is refused before that is called."""

    def find_class(self, module: str, name: str) -> Any:
        if found := _ARRAYS.get((module, name)):
            return found
        raise pickle.UnpicklingError(f"it names {module}.{name}, which is no part of an array")


class _Pickled:
    """What a pickle says of an array or of its type: numpy itself would believe whatever stands there."""

    state: tuple[Any, ...] = ()

    def __init__(self, *parts: Any) -> None:
        self.parts = parts

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.state = state

    def pixels(self) -> Pixels:
        """The array, which must be one of bytes."""
        _, shape, kind, fortran, content = self.state
        if not isinstance(kind, _Pickled) or kind.parts[0] != "u1":
            raise ValueError("its images are no bytes")
        raw = content.encode("latin1") if isinstance(content, str) else content  # a text as Python 2 wrote it
        return np.frombuffer(raw, dtype=np.uint8).reshape(shape, order="F" if fortran else "C")


def _bytes(text: str, encoding: str) -> bytes:
    """A text as the bytes that it stands for; other encodings would make anything of it, twice as long for example."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"its bytes are written as {encoding!r:.20}")
    return text.encode("latin1")


_ARRAYS: dict[tuple[str, str], Any] = {  # all that a pickled array is made of
    ("numpy", "ndarray"): _Pickled,
    ("numpy", "dtype"): _Pickled,
    ("numpy.core.multiarray", "_reconstruct"): _Pickled,
    ("numpy._core.multiarray", "_reconstruct"): _Pickled,
    ("_codecs", "encode"): _bytes,  # how Python 3 writes bytes for Python 2
}
