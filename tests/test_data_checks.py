"""What a data set on the disk must not be: mismatched, mislabelled, empty, endless, or a program."""

from __future__ import annotations

import gzip
import http.client
import os
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from runtime.data import DataError, open_dataset
from runtime.data.sources import pickled

from . import small_data as small

IMAGES, LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"


def refused(root: Path, files: small.Files, match: str, dataset: str = "mnist") -> DataError:
    with pytest.raises(DataError, match=match) as caught:
        open_dataset(small.config(dataset, small.put(root, files)))
    assert caught.value.help
    return caught.value


def labels(*values: int) -> bytes:
    return small.idx(np.array(values, dtype=np.uint8))


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({LABELS: labels(0, 1, 2, 3)}, "training half .* has 6 images and 4 labels"),
        ({LABELS: labels(*range(8))}, "has 6 images and 8 labels"),
        ({LABELS: labels(0, 1, 2, 77, 4, 5)}, r"the label 77 at image 3: labels are 0 to 9"),
        ({LABELS: small.idx(small.pixels(6, 2))}, "labels-idx1-ubyte holds 6×2 bytes, not N"),
        ({IMAGES: small.idx(small.pixels(6, 32, 20))}, "holds 6×32×20 bytes, not N×28×28"),
        ({IMAGES: small.idx(small.pixels(6, 28, 28, 3))}, "not N×28×28"),
        ({IMAGES: small.idx(small.pixels(0, 28, 28)), LABELS: labels()}, "training half .* has no images"),
        (dict(list(small.mnist(test=0).items())[2:]), "test half .* has no images"),
        ({LABELS: labels(*range(6)) + b"x"}, "goes on after its end"),
    ],
    ids=["fewer labels", "more labels", "label", "label rank", "size", "rank", "no training", "no test", "longer"],
)
def test_images_and_labels_are_what_the_data_set_says(tmp_path: Path, changes: small.Files, match: str) -> None:
    refused(tmp_path, small.mnist() | changes, match)


@pytest.mark.parametrize("dataset", ["cifar10", "svhn", "stl10"])
def test_no_reader_takes_labels_that_are_no_class(
    tmp_path: Path, dataset: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from scipy.io import savemat

    monkeypatch.setattr("runtime.data.archive.is_original", lambda content, checksum: True)
    savemat(tmp_path / "wrong.mat", {"X": small.pixels(32, 32, 3, 2), "y": np.array([[1], [11]], dtype=np.uint8)})
    wrong = {
        "cifar10": {"cifar-10-batches-py/test_batch": pickle.dumps({"data": small.pixels(2, 3072), "labels": [0, 10]})},
        "svhn": {"test_32x32.mat": (tmp_path / "wrong.mat").read_bytes()},
        "stl10": {"stl10_binary/test_y.bin": bytes([1, 0])},
    }
    files = {"cifar10": small.cifar10, "svhn": small.svhn, "stl10": small.stl10}[dataset]()
    refused(tmp_path, files | wrong[dataset], "test half .* has the label .* at image 1", dataset)


def test_another_number_of_images_than_the_original_is_remarked_on(tmp_path: Path) -> None:
    splits = open_dataset(small.config("mnist", small.put(tmp_path, small.mnist())))
    assert splits.remarks == (
        "mnist has 6 training images here, not 60,000",
        "mnist has 3 test images here, not 10,000",
    )
    assert open_dataset(small.config("digits", tmp_path)).remarks == ()


# --- files that are no files, or no end of one ---


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: os.symlink("/dev/zero", path)])
def test_only_regular_files_are_opened(tmp_path: Path, make: Callable[[Path], None]) -> None:
    small.put(tmp_path, {name: content for name, content in small.mnist().items() if name != LABELS})
    make(tmp_path / LABELS)
    refused(tmp_path, {}, "no regular file")


def test_a_file_that_becomes_a_fifo_after_it_was_found_does_not_hang(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small.put(tmp_path, small.mnist())
    (tmp_path / LABELS).unlink()
    os.mkfifo(tmp_path / LABELS)
    monkeypatch.setattr(Path, "is_file", lambda path: path.exists())
    refused(tmp_path, {}, "Not a regular file")


def test_no_more_is_unpacked_than_the_header_announces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    read = gzip.GzipFile.read

    def counted(file: gzip.GzipFile, size: int | None = -1) -> bytes:
        asked.append(-1 if size is None else size)
        return read(file, size)

    monkeypatch.setattr(gzip.GzipFile, "read", counted)
    bomb = gzip.compress(small.idx(small.pixels(6, 28, 28)) + bytes(1 << 20))
    refused(tmp_path, small.mnist(suffix=".gz") | {f"{IMAGES}.gz": bomb}, "goes on after its end")
    assert min(asked) > 0
    assert max(asked) == 6 * 28 * 28 + 1


def test_a_header_that_announces_gigabytes_is_refused_before_they_are_read(tmp_path: Path) -> None:
    header = small.idx(small.pixels(0, 28, 28))[:4] + b"".join(n.to_bytes(4, "big") for n in (10**9, 28, 28))
    refused(tmp_path, small.mnist() | {IMAGES: header}, "announces 1,000,000,000 items")


def test_a_file_larger_than_any_original_is_not_read(tmp_path: Path) -> None:
    small.put(tmp_path, small.cifar10())
    os.truncate(tmp_path / "cifar-10-batches-py" / "data_batch_1", 1 << 32)  # sparse
    refused(tmp_path, {}, "has 4,294,967,296 bytes, more than", "cifar10")


def test_a_pickle_runs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Program:
        def __reduce__(self) -> tuple[object, ...]:
            return os.mkdir, (str(tmp_path / "it ran"),)

    wrong = {"cifar-10-batches-py/test_batch": pickle.dumps(Program())}
    refused(tmp_path, small.cifar10() | wrong, "checksum", "cifar10")
    monkeypatch.setattr("runtime.data.archive.is_original", lambda content, checksum: True)
    refused(tmp_path, small.cifar10() | wrong, "names posix.mkdir, which is no part of an array", "cifar10")
    assert not (tmp_path / "it ran").exists()


@pytest.mark.parametrize("fortran", [False, True])
def test_pickles_of_both_pythons_are_read(fortran: bool) -> None:
    """Python 2 wrote the originals: their bytes are a text in latin 1."""
    array = small.pixels(2, 3072)
    text = array.tobytes("F" if fortran else "C").decode("latin1")
    found = pickled._Pickled()
    found.__setstate__((1, (2, 3072), pickled._Pickled("u1", 0, 1), fortran, text))
    assert np.array_equal(found.pixels(), array)


# --- roots that are none ---


@pytest.mark.parametrize("dataset", ["mnist", "svhn", "imagenet"])
@pytest.mark.parametrize("root", ["no\0path", "file", "~nobody-of-this-name/data", "x" * 300, "loop"])
def test_a_root_that_is_no_folder_is_a_data_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dataset: str, root: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(DataError) as caught:
        open_dataset(small.config(dataset, Path(root)))
    assert caught.value.help
    assert root != "file" or f"{tmp_path / 'file'} is no folder" in str(caught.value)


# --- downloads ---


def test_both_halves_are_downloaded_where_they_are_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []
    monkeypatch.setattr("torchvision.datasets.SVHN", lambda root, **options: asked.append(options))
    with pytest.raises(DataError, match="is not there"):
        open_dataset(small.config("svhn", tmp_path, download=True))
    assert asked == [{"download": True, "split": "train"}, {"download": True, "split": "test"}]


@pytest.mark.parametrize("name", ["MNIST", "FashionMNIST", "CIFAR10", "SVHN", "STL10", "ImageNet"])
def test_a_download_that_fails_is_a_data_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    def fails(*args: object, **options: object) -> None:
        raise http.client.IncompleteRead(b"")

    monkeypatch.setattr(f"torchvision.datasets.{name}", fails)
    dataset = {"FashionMNIST": "fashion_mnist"}.get(name, name.lower())
    with pytest.raises(DataError, match=f"`{dataset}` cannot be fetched into {tmp_path}: IncompleteRead"):
        open_dataset(small.config(dataset, tmp_path, download=True))
