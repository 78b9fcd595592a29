"""Whatever kind of image a file holds, the network sees what a person would."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from runtime.data import Loader, open_dataset
from runtime.data.colours import coloured
from runtime.data.decoding import decode, decode_mask, size_of
from runtime.data.folder import pixels

from . import small_data as small

DEEP = (np.arange(16, dtype=np.uint16).reshape(4, 4) * 4369) ^ 0x0102  # no two alike in their lower 8 bits
COLOURS = small.pixels(6, 4, 3)


def pgm(values: np.ndarray, most: int) -> bytes:
    return b"P5 4 4 %d\n" % most + values.astype(">u2").tobytes()


def deep_png(values: np.ndarray) -> bytes:
    """A PNG of 16 bits a channel, grey or coloured, with transparency or without."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    height, width, channels = values.shape
    header = struct.pack(">IIBBBBB", width, height, 16, {1: 0, 2: 4, 3: 2, 4: 6}[channels], 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def seen(tmp_path: Path, content: bytes, channels: int) -> Tensor:
    (tmp_path / "x").write_bytes(content)
    found: Tensor = pixels(decode(str(tmp_path / "x"), channels))
    return found


# --- more than 8 bits ---


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    ("content", "most"),
    [
        (small.encoded(Image.fromarray(DEEP), "PNG"), 65535),
        (small.encoded(Image.fromarray(DEEP), "TIFF"), 65535),
        (pgm(DEEP, 65535), 65535),
        (deep_png(DEEP[..., None]), 65535),
    ],
    ids=["png", "tiff", "pgm", "png by hand"],
)
def test_every_level_of_grey_survives(tmp_path: Path, content: bytes, most: int, channels: int) -> None:
    found = seen(tmp_path, content, channels)
    assert found.dtype == torch.float32
    assert found.shape == (channels, 4, 4)
    assert np.array_equal((found.double() * most).round().numpy(), np.broadcast_to(DEEP, (channels, 4, 4)))


def test_twelve_bits_are_not_taken_for_sixteen(tmp_path: Path) -> None:
    found = seen(tmp_path, pgm(DEEP >> 4, 4095), 1)
    assert (found - torch.from_numpy((DEEP >> 4) / 4095)).abs().max() < 1e-4
    image = Image.fromarray(DEEP >> 4)
    image.tag_v2 = {258: (12,)}
    assert torch.equal(coloured(image, io.BytesIO(), 1)[0], torch.from_numpy((DEEP >> 4).astype(np.float32) / 4095))


@pytest.mark.parametrize("channels", [2, 3, 4])
def test_every_level_of_colour_survives(tmp_path: Path, channels: int) -> None:
    values = np.random.default_rng(0).integers(65536, size=(5, 4, channels)).astype(np.uint16)
    if channels in (2, 4):
        values[..., -1] = 65535  # opaque
    wanted = values[..., :3] if channels > 2 else np.repeat(values[..., :1], 3, 2)
    found = seen(tmp_path, deep_png(values), 3)
    assert np.array_equal((found.double() * 65535).round().numpy().transpose(1, 2, 0), wanted)


def test_a_damaged_deep_image_is_refused_as_any_other(tmp_path: Path) -> None:
    with pytest.raises(Exception, match=r"x cannot be decoded"):
        seen(tmp_path, deep_png(np.zeros((40, 40, 3), dtype=np.uint16) + np.arange(40)[:, None])[:-40], 3)


def test_images_of_different_depths_share_a_batch(tmp_path: Path) -> None:
    white = small.encoded(Image.fromarray(np.full((12, 10), 65535, dtype=np.uint16)), "PNG")
    root = small.put(tmp_path, small.image_folder() | {"val/dog/1.jpg": white})
    splits = open_dataset(small.config("image_folder", root, mean=(0.5,) * 3, std=(0.5,) * 3))
    assert splits.test is not None
    ((images, _),) = Loader(splits.test, 4, seed=0, train=False).epoch(0)
    assert images.dtype == torch.float32
    assert (images[3] - 1).abs().max() < 1e-5
    alone = open_dataset(small.config("image_folder", small.put(tmp_path / "8", small.image_folder())))
    assert alone.test is not None
    ((stored, _),) = alone.test.batches([np.arange(3)], None)
    assert stored.dtype == torch.uint8
    assert torch.allclose(images[:3] / 2 + 0.5, stored / 255, atol=1e-6)
    ((trained, _), *_) = Loader(splits.train, 4, seed=0, train=True).epoch(0)
    assert trained.abs().max() <= 1


def test_deep_images_are_cropped_and_augmented_like_others(tmp_path: Path) -> None:
    values = np.linspace(0, 65535, 12 * 10).reshape(12, 10).astype(np.uint16)
    kinds = {"deep": Image.fromarray(values), "flat": Image.fromarray((values >> 8).astype(np.uint8))}
    found = {}
    for kind, image in kinds.items():
        files = {name: small.encoded(image, "PNG") for name in small.image_folder()}
        options: dict[str, Any] = {"augment": "paper", "channels": 1}
        splits = open_dataset(small.config("image_folder", small.put(tmp_path / kind, files), **options))
        ((found[kind], _),) = Loader(splits.train, 4, seed=0, train=True).epoch(0)
    assert (found["deep"] - found["flat"]).abs().max() < 0.05


@pytest.mark.parametrize("augment", ["none", "paper"])
def test_masks_go_with_deep_images(tmp_path: Path, augment: str) -> None:
    deep = small.encoded(Image.fromarray(np.full((8, 6), 65535, dtype=np.uint16)), "PNG")
    files = {name: deep if "images" in name else content for name, content in small.mask_folder().items()}
    splits = open_dataset(small.config("mask_folder", small.put(tmp_path, files), augment=augment))
    ((images, masks),) = Loader(splits.train, 2, seed=0, train=True).epoch(0)
    assert images.shape == (2, 3, 8, 6)
    assert masks.shape == (2, 8, 6)


# --- kinds of 8 bits ---


def palette() -> Image.Image:
    image = Image.fromarray(np.arange(24, dtype=np.uint8).reshape(6, 4), "P")
    image.putpalette(COLOURS.tobytes())
    return image


@pytest.mark.parametrize(
    ("image", "form", "slack"),
    [
        (Image.fromarray(COLOURS), "PNG", 0),
        (palette(), "PNG", 0),
        (Image.fromarray(COLOURS).convert("RGBA"), "PNG", 0),
        (Image.fromarray(COLOURS).convert("CMYK"), "TIFF", 2),
    ],
    ids=["rgb", "palette", "rgba", "cmyk"],
)
def test_colours_are_those_that_were_drawn(tmp_path: Path, image: Image.Image, form: str, slack: int) -> None:
    found = seen(tmp_path, small.encoded(image, form), 3).numpy().transpose(1, 2, 0).astype(int)
    assert np.abs(found - COLOURS).max() <= slack


def test_a_cmyk_jpeg_is_no_negative(tmp_path: Path) -> None:
    red = Image.new("CMYK", (16, 16), (0, 255, 255, 0))
    found = seen(tmp_path, small.encoded(red, "JPEG"), 3)
    assert found[0].min() > 250
    assert found[1:].max() < 5


@pytest.mark.parametrize("mode", ["L", "LA", "1"])
def test_grey_is_grey_in_colour_too(tmp_path: Path, mode: str) -> None:
    values = np.array([[0, 255], [255, 0]], dtype=np.uint8)
    content = small.encoded(Image.fromarray(values).convert(mode), "PNG")
    for channels in (1, 3):
        assert np.array_equal(seen(tmp_path, content, channels).numpy(), np.broadcast_to(values, (channels, 2, 2)))


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_what_is_transparent_is_seen_on_white(tmp_path: Path, mode: str) -> None:
    """A drawing in black on nothing is often stored as black on transparent black."""
    drawing = np.zeros((2, 2, 4), dtype=np.uint8)
    drawing[0, 0, 3] = 255
    image = Image.fromarray(drawing, "RGBA")
    if mode == "P":
        image = Image.fromarray(np.array([[1, 0], [0, 0]], dtype=np.uint8), "P")
        image.putpalette([0] * 6)
        image.info["transparency"] = 0
    content = small.encoded(image if mode == "P" else image.convert(mode), "PNG")
    for channels in (1, 3):
        found = seen(tmp_path, content, channels)
        assert found[:, 0, 0].tolist() == [0] * channels
        assert found.float().mean() == 255 * 3 / 4


def test_what_is_transparent_in_16_bits_is_seen_on_white(tmp_path: Path) -> None:
    values = np.zeros((1, 2, 4), dtype=np.uint16)
    values[0, 1, 3] = 65535
    assert seen(tmp_path, deep_png(values), 1).tolist() == [[[1.0, 0.0]]]


# --- which way is up ---


def turned(orientation: int, form: str, mode: str = "L") -> bytes:
    """A file whose upright image is brightest in the top left corner, and two pixels high and three wide."""
    upright = np.array([[250, 100, 100], [10, 10, 10]], dtype=np.uint8).repeat(8, 0).repeat(8, 1)
    back = {1: lambda a: a, 2: np.fliplr, 3: lambda a: np.rot90(a, 2), 4: np.flipud, 5: np.transpose,
            6: lambda a: np.rot90(a, 1), 7: lambda a: np.rot90(a, 2).T, 8: lambda a: np.rot90(a, -1)}  # fmt: skip
    stored = np.ascontiguousarray(back[orientation](upright))
    image = Image.fromarray(stored.astype(np.uint16) * 257 if mode == "I;16" else stored)
    exif = Image.Exif()
    exif[274] = orientation
    file = io.BytesIO()
    image.save(file, form, exif=exif)
    return file.getvalue()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(("form", "mode"), [("JPEG", "L"), ("PNG", "L"), ("PNG", "I;16")])
def test_a_photograph_is_upright(tmp_path: Path, orientation: int, form: str, mode: str) -> None:
    found = seen(tmp_path, turned(orientation, form, mode), 1)[0]
    levels = found if found.is_floating_point() else found / 255
    assert levels.shape == (16, 24)
    assert levels[4, 4] > 0.9
    assert 0.3 < levels[4, 20] < 0.5
    assert levels[12].max() < 0.1


def test_a_mask_is_turned_as_its_image_is(tmp_path: Path) -> None:
    (tmp_path / "x.png").write_bytes(turned(6, "PNG"))
    assert size_of(decode_mask(str(tmp_path / "x.png"))) == (24, 16)


@pytest.mark.parametrize("exif", [b"Exif\0\0", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0" + b"\xff" * 20, b"x"])
def test_damaged_notes_of_a_camera_cost_no_image(tmp_path: Path, exif: bytes) -> None:
    file = io.BytesIO()
    Image.new("L", (8, 4), 200).save(file, "JPEG", exif=exif)
    assert seen(tmp_path, file.getvalue(), 1).shape == (1, 4, 8)
