"""Image folders: every file becomes pixels of 8 bits, or an error that names it; in worker processes too."""

from __future__ import annotations

import json
import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from PIL import Image

from runtime.data import DataError, Splits, open_dataset
from runtime.data.decoding import centre_crop, decode
from specc.cli import main

from . import small_data as small
from .documents import document

SHADES = np.arange(16, dtype=np.uint16).reshape(4, 4) * 4369  # 0 .. 65535


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return small.put(tmp_path, small.image_folder())


def all_of(splits: Splits) -> torch.Tensor:
    ((images, _),) = splits.test.batches([np.arange(len(splits.test))], None)
    return images


# --- grey, and more than 8 bits ---


@pytest.mark.parametrize("kind", [np.float32, np.int32])
def test_numbers_without_a_white_are_refused(tmp_path: Path, kind: type) -> None:
    path = tmp_path / "x.tif"
    path.write_bytes(small.encoded(Image.fromarray(SHADES.astype(kind)), "TIFF"))
    with pytest.raises(DataError, match=r"x\.tif cannot be decoded: its pixels are 32-bit numbers"):
        decode(str(path), 3)


def test_an_image_folder_can_be_grey(root: Path) -> None:
    splits = open_dataset(small.config("image_folder", root, channels=1))
    colour = open_dataset(small.config("image_folder", root))
    assert all_of(splits).shape == (4, 1, 8, 8)
    assert (splits.info.shape, splits.info.mean, splits.info.std) == ((1, 8, 8), (0.5,), (0.5,))
    weights = torch.tensor([299, 587, 114]).view(3, 1, 1) / 1000
    assert (all_of(splits)[:, 0] - (all_of(colour) * weights).sum(1)).abs().max() <= 2


# --- files that give no image ---


def header_of(width: int, height: int) -> bytes:
    chunk = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    start = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))
    return start + struct.pack(">I", 100) + b"IDAT"


def fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "truncated": (lambda path: os.truncate(path, 200), "cannot be decoded: .*truncated"),
    "empty": (lambda path: os.truncate(path, 0), "cannot be decoded: the file is empty"),
    "text": (lambda path: path.write_text("no image"), "cannot be decoded: it is no image"),
    "header": (lambda path: path.write_bytes(header_of(5, 5)), "cannot be decoded: "),
    "bomb": (lambda path: path.write_bytes(header_of(50_000, 50_000)), "cannot be decoded: .*2500000000 pixels"),
    "vanished": (Path.unlink, "is no longer there"),
    "fifo": (fifo, "cannot be decoded: Not a regular file"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_file_that_is_no_image_is_named_with_what_to_do(root: Path, damage: str) -> None:
    splits, path = open_dataset(small.config("image_folder", root)), root / "val/dog/0.png"
    DAMAGES[damage][0](path)
    with pytest.raises(DataError, match=f"{path} {DAMAGES[damage][1]}") as caught:
        all_of(splits)
    assert caught.value.help


def test_a_file_that_may_not_be_read_is_named(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    splits = open_dataset(small.config("image_folder", root))

    def denied(path: str, *rest: object) -> int:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(os, "open", denied)
    with pytest.raises(DataError, match=r"0\.png may not be read: Permission denied"):
        all_of(splits)


@pytest.mark.filterwarnings("error")
def test_large_photographs_are_decoded_without_a_warning(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)  # the images have 120
    assert len(all_of(open_dataset(small.config("image_folder", root)))) == 4


def test_a_thin_image_is_not_resized_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    from torchvision.transforms import functional

    sizes: list[tuple[int, int]] = []
    resize = functional.resize
    monkeypatch.setattr(functional, "resize", lambda image, *how: sizes.append(image.size) or resize(image, *how))
    assert centre_crop(Image.new("L", (2, 3000)), (28, 28)).size == (28, 28)
    assert sizes == [(2, 32)]


def run(tmp_path: Path, root: Path, workers: int = 0) -> Result:
    data = {"dataset": "image_folder", "root": str(root), "image_size": 8, "classes": 2, "batch_size": 4}
    (tmp_path / "spec.yaml").write_text(json.dumps(document(data=data | {"workers": workers})))
    return CliRunner().invoke(main, ["run", "spec.yaml", "--device", "cpu"])


@pytest.mark.parametrize("workers", [0, 1])
def test_a_run_ends_at_a_damaged_image_with_its_name_and_no_traceback(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    (root / "train/cat/1.jpg").write_bytes(b"no image")
    monkeypatch.chdir(tmp_path)
    result = run(tmp_path, root, workers)
    assert result.exit_code == 3, result.output
    assert f"{root}/train/cat/1.jpg cannot be decoded: it is no image" in result.output
    assert "replace or remove them" in result.output
    assert "Traceback" not in result.output


def test_workers_that_cannot_be_had_are_an_error_with_a_way_out(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    splits = open_dataset(small.config("image_folder", root, workers=1))

    def refused(*args: object) -> None:
        raise OSError(11, "Resource temporarily unavailable")

    monkeypatch.setattr("multiprocessing.process.BaseProcess.start", refused)
    with pytest.raises(DataError, match=r"1 worker processes failed: .*temporarily unavailable") as caught:
        all_of(splits)
    assert "data.workers" in caught.value.help[0]


def test_workers_are_born_with_all_that_decoding_needs(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []

    def started(*args: object) -> None:
        order.append("a worker")
        raise OSError(11, "not in this test")

    monkeypatch.setattr("runtime.data.workers.warm_up", lambda: order.append("the libraries"))
    monkeypatch.setattr("multiprocessing.process.BaseProcess.start", started)
    with pytest.raises(DataError):
        all_of(open_dataset(small.config("image_folder", root, workers=1)))
    assert order == ["the libraries", "a worker"]


# --- folders ---


def test_the_order_is_that_of_torchvision(root: Path) -> None:
    from torchvision.datasets import ImageFolder

    small.put(root, {f"train/{name}": b"" for name in ("cat/b/9.JPG", "cat/a/x/0.png", "cat/a-b/1.webp", "dog/.2.bmp")})
    (root / "train/dog/linked").symlink_to(root / "val/dog")
    theirs = ImageFolder(str(root / "train"))
    splits = open_dataset(small.config("image_folder", root))
    assert splits.train.samples == theirs.samples
    assert len(splits.train) == 10


def test_links_that_go_round_in_circles_come_to_an_end(root: Path) -> None:
    for name in ("a", "b"):
        (root / "train/cat" / name).symlink_to(root / "train")
    assert len(open_dataset(small.config("image_folder", root)).train) == 4 + 2 * 2  # the dogs again, by a and by b


def test_what_is_left_out_is_said(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small.put(root, {"train/cat/notes.txt": b"", "train/dog/x.avif": b"", "val/cat/.DS_Store": b""})
    assert open_dataset(small.config("image_folder", root)).remarks == (
        "2 files are left out, as their names are not those of images: .avif .txt",
        "1 files are left out, as their names are not those of images: .DS_Store",
    )
    monkeypatch.chdir(tmp_path)
    assert "note: 2 files are left out, as their names are not those of images: .avif" in run(tmp_path, root).output


def test_a_folder_that_may_not_be_read_is_not_an_empty_one(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scandir = os.scandir

    def guarded(path: str | Path) -> object:
        if str(path).endswith("dog"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", guarded)
    with pytest.raises(DataError, match="dog cannot be searched: Permission denied"):
        open_dataset(small.config("image_folder", root))


@pytest.mark.parametrize("half", ["train", "val"])
def test_no_half_may_be_empty(root: Path, half: str) -> None:
    for name in ("cat", "dog"):
        for path in (root / half / name).iterdir():
            path.unlink()
    with pytest.raises(DataError, match=f"{half} has no images in cat, dog"):
        open_dataset(small.config("image_folder", root))


# --- formats and processes ---


def test_no_file_is_handed_to_another_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pillow has PostScript drawn by Ghostscript, whatever the file is called."""
    (tmp_path / "x.png").write_bytes(small.encoded(Image.new("RGB", (8, 8)), "EPS"))
    with pytest.raises(DataError, match=r"x\.png cannot be decoded: it is no image"):
        decode(str(tmp_path / "x.png"), 3)


@pytest.mark.parametrize("form", ["GIF", "JPEG", "BMP", "TIFF", "PPM", "WEBP"])
def test_formats_are_recognised_whatever_a_file_is_called(tmp_path: Path, form: str) -> None:
    (tmp_path / "x.png").write_bytes(small.encoded(Image.new("RGB", (8, 8), (200, 200, 200)), form))
    assert np.abs(np.array(decode(str(tmp_path / "x.png"), 3)).astype(int) - 200).max() <= 2


@pytest.mark.filterwarnings("error")
def test_transparent_palettes_are_decoded_without_a_warning(tmp_path: Path) -> None:
    image = Image.fromarray(small.pixels(4, 4, 3)).quantize(4)
    image.info["transparency"] = bytes([0, 128, 255, 255])
    (tmp_path / "x.png").write_bytes(small.encoded(image, "PNG"))
    assert decode(str(tmp_path / "x.png"), 3).mode == "RGB"


@pytest.mark.filterwarnings("error")
def test_more_workers_than_cores_are_remarked_on_once(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0})
    splits = open_dataset(small.config("image_folder", root, workers=2))
    assert splits.remarks == ("2 worker processes share 1 cores (`data.workers`)",)
    assert len(all_of(splits)) == 4
