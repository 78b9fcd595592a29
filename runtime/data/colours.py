"""What the many kinds of images become: upright, without transparency, grey or red, green and blue.

An image of 8 bits a channel stays one of Pillow's. One of more bits, which Pillow cannot crop and resize in colour,
is a tensor (channels, height, width) of float32 in 0..1, so that none of its levels is lost.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, BinaryIO

import numpy as np
import torch
from torch import Tensor

_MODES = {1: "L", 3: "RGB"}  # Pillow's, by the number of channels
_GREY = (0.299, 0.587, 0.114)  # of red, green and blue, as Pillow weighs them
_ORIENTATION, _BITS_PER_SAMPLE = 274, 258  # tags of EXIF and TIFF
_PNG_DEPTH, _PNG_COLOUR = 24, 25  # where a PNG's header says its bits a channel, and which channels
_MOST_BYTES, _ROOM = 16, 1 << 24  # of a PNG, for each pixel and for all that is no pixel
_WITH_ALPHA = (2, 4)  # numbers of channels

Image = Any  # one of Pillow's


def coloured(image: Image, file: BinaryIO, channels: int) -> Image | Tensor:
    """The opened image in as many channels."""
    turn = _turning(image)
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format in ("PPM", "PNG")):
        return _in_channels(_stacked([np.asarray(turn(image))], _bits(image)), channels)
    if image.mode in ("I", "F"):
        raise ValueError("its pixels are 32-bit numbers, and nothing says which of them is white")
    if image.format == "PNG" and (planes := _sixteen_bits(image, file)) is not None:
        return _in_channels(_opaque(_stacked([np.asarray(turn(_plane(each))) for each in planes], 16)), channels)
    return _eight_bits(turn(image), channels)


def numbers(image: Image) -> Image:
    """The numbers of a mask, one a pixel, upright as its image is."""
    from PIL import Image

    if image.mode not in ("1", "L", "P"):
        raise ValueError(f"a mask has one byte a pixel, its class, and this is of Pillow's mode {image.mode}")
    return Image.fromarray(np.asarray(_turning(image)(image)).astype(np.uint8))


def _eight_bits(image: Image, channels: int) -> Image:
    """What is transparent is seen on white, as programs show it: the colours below are often those of nothing."""
    from PIL import Image

    if image.has_transparency_data:
        seen = image.convert("RGBA")
        white = Image.new("RGBA", seen.size, "white")
        return Image.alpha_composite(white, seen).convert("RGB").convert(_MODES[channels])
    return image.convert(_MODES[channels])


def _turning(image: Image) -> Callable[[Image], Image]:
    """What puts it upright, as cameras note in its EXIF data; what is wrong with those turns nothing."""
    from PIL.Image import Transpose as To

    turns = {2: To.FLIP_LEFT_RIGHT, 3: To.ROTATE_180, 4: To.FLIP_TOP_BOTTOM, 5: To.TRANSPOSE, 6: To.ROTATE_270,
             7: To.TRANSVERSE, 8: To.ROTATE_90}  # fmt: skip
    try:
        turn = turns.get(image.getexif().get(_ORIENTATION))
    except Exception:  # Pillow's reader raises whatever damaged data make it stumble over, and the pixels may be whole
        turn = None
    return lambda image: image if turn is None else image.transpose(turn)


def _bits(image: Image) -> int:
    """The bits of a grey pixel; TIFF may have 12."""
    return int(image.tag_v2[_BITS_PER_SAMPLE][0]) if _BITS_PER_SAMPLE in getattr(image, "tag_v2", ()) else 16


def _sixteen_bits(image: Image, file: BinaryIO) -> Tensor | None:
    """The channels of a coloured or transparent PNG of 16 bits, of which Pillow would take the higher 8."""
    file.seek(0)
    header = file.read(_PNG_COLOUR + 1)
    if header[_PNG_DEPTH] != 16 or header[_PNG_COLOUR] == 0:
        return None
    from torchvision.io import ImageReadMode, decode_image

    image.load()  # to the end: Pillow says what is wrong with a damaged file
    file.seek(0)
    most = image.width * image.height * _MOST_BYTES + _ROOM  # packed, pixels are hardly more than they are unpacked
    content = np.frombuffer(file.read(most), dtype=np.uint8)
    found: Tensor = decode_image(torch.from_numpy(content.copy()), ImageReadMode.UNCHANGED)
    return found


def _plane(values: Tensor) -> Image:
    from PIL import Image

    return Image.fromarray(values.numpy())


def _stacked(planes: list[Any], bits: int) -> Tensor:
    return torch.from_numpy(np.stack(planes).astype(np.float32) / np.float32((1 << bits) - 1))


def _opaque(image: Tensor) -> Tensor:
    if len(image) not in _WITH_ALPHA:
        return image
    colours, alpha = image[:-1], image[-1:]
    return colours * alpha + (1 - alpha)


def _in_channels(image: Tensor, channels: int) -> Tensor:
    if len(image) == channels:
        return image
    if channels == 3:
        return image.expand(3, -1, -1).contiguous()
    return (image * torch.tensor(_GREY).view(3, 1, 1)).sum(0, keepdim=True)
