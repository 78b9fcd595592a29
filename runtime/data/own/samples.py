"""What a data set gives as a sample, as tensors: where only one reading is possible, else a `SampleError`.

An image becomes a tensor (channels, height, width) of bytes or of float32, a text one of whole numbers (length,), and
what is known of it one of whole numbers or of float32, of as many axes as it has.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from specc.tasks.own.facts import LOOP

from .several import Inputs, NoInputs, are_several, beside_a_text, inputs_of

_IMAGES = ("image", "images", "img", "pixel_values", "x", "input", "inputs", "input_ids", "tokens")
_TRUTHS = ("label", "labels", "target", "targets", "mask", "y", "class", "fine_label")
_COLOURS = (1, 3, 4)  # channels of arrays that may be the last of their axes
_PAIR = "a sample is (image, label), or a mapping with `image` and `label`"


class SampleError(Exception):
    """A sample that has no one meaning: what it is, after the words `sample 3`, and what would have one."""

    def __init__(self, message: str, *help: str) -> None:
        super().__init__(message)
        self.help = help


def sample_of(found: Any) -> tuple[Tensor | Inputs, Tensor]:
    """The image, or several inputs, and what is known of it."""
    image, truth = as_sample(found)
    if not are_several(image):
        return image_of(image), truth_of(truth)
    try:
        return inputs_of(image), truth_of(truth)
    except NoInputs as error:
        raise SampleError(str(error), *error.help) from None


def as_sample(found: Any) -> tuple[Any, Any]:
    """The two parts of a sample."""
    if isinstance(found, Mapping):
        if beside_a_text(found, _TRUTHS):
            return _named(found)
        parts = [[key for key in names if key in found] for names in (_IMAGES, _TRUTHS)]
        if any(len(keys) != 1 for keys in parts):
            raise SampleError(f"is a mapping of {', '.join(map(str, found))[:80]}", _PAIR)
        return found[parts[0][0]], found[parts[1][0]]
    if isinstance(found, tuple | list) and len(found) == 2:
        return found[0], found[1]
    many = f" of {len(found)}" if isinstance(found, tuple | list) else ""
    raise SampleError(f"is a {type(found).__name__}{many}, and no image with what is known of it", _PAIR)


def _named(found: Mapping[Any, Any]) -> tuple[Any, Any]:
    """What a tokenizer gives, and what is known of it."""
    truths = [key for key in _TRUTHS if key in found]
    if len(truths) != 1:
        raise SampleError(f"is a mapping of {', '.join(map(str, found))[:80]}", _PAIR)
    return {key: value for key, value in found.items() if key != truths[0]}, found[truths[0]]


def image_of(found: Any) -> Tensor:
    """(channels, height, width), bytes or float32; or (length,), whole numbers."""
    if (tokens := _tokens(found)) is not None:
        return tokens
    if isinstance(found, Tensor):
        return _typed(_with_channels(found.detach().cpu().as_subclass(Tensor)))
    if isinstance(found, np.ndarray):
        return _typed(_channels_first(found))
    if _is_picture(found):
        return _of_pillow(found)
    what = f"has a {type(found).__name__} for an image"
    raise SampleError(what, "an image is a tensor (channels, height, width), an array, or one of Pillow's")


def _tokens(found: Any) -> Tensor | None:
    """The tokens of a text, which are whole numbers along one axis; None where these are no such numbers."""
    if isinstance(found, list) and found and all(type(each) is int for each in found):
        return torch.tensor(found)
    if isinstance(found, np.ndarray) and found.dtype.kind in "iu":
        found = torch.from_numpy(np.ascontiguousarray(found, np.int64))
    whole = isinstance(found, Tensor) and found.dtype in (torch.int64, torch.int32, torch.int16)
    return found.detach().cpu().as_subclass(Tensor).to(torch.int64) if whole and found.dim() == 1 else None


def _with_channels(image: Tensor) -> Tensor:
    if image.dim() == 2:
        return image[None]
    if image.dim() != 3:
        what = f"has an image of {'×'.join(map(str, image.shape)) or 'no'} numbers"
        more = LOOP if image.dim() == 4 else ()
        raise SampleError(what, "a tensor is (channels, height, width), or (height, width) in grey", *more)
    return image


def _channels_first(array: Any) -> Tensor:
    """As Pillow, OpenCV and the like have arrays, (height, width, channels), unless the channels can only be first."""
    if array.ndim == 2:
        return torch.from_numpy(np.ascontiguousarray(array))[None]
    sides = (array.shape[0] in _COLOURS, array.shape[-1] in _COLOURS) if array.ndim == 3 else (False, False)
    if sides[0] == sides[1]:
        what = (
            f"has an array of {'×'.join(map(str, array.shape))} for an image, and nothing says where its channels are"
        )
        raise SampleError(what, "give it as a tensor (channels, height, width): `torch.from_numpy(array)`")
    found = torch.from_numpy(np.ascontiguousarray(array))
    return found if sides[0] else found.permute(2, 0, 1).contiguous()


def _typed(image: Tensor) -> Tensor:
    """Bytes, or float32 of what has a point."""
    if image.dtype == torch.uint8:
        return image
    if image.is_floating_point():
        return image.to(torch.float32)
    what = f"has an image of {str(image.dtype).removeprefix('torch.')}, and nothing says which number is white"
    raise SampleError(what, "bytes (`uint8`) are 0 to 255, and other numbers (`float32`) are taken as they are")


def _is_picture(found: Any) -> bool:
    return type(found).__module__.startswith("PIL.") and hasattr(found, "mode")


def _of_pillow(image: Any) -> Tensor:
    """Grey and in colour as it is; other modes have to be made one of these by whoever knows what they show."""
    if image.mode not in ("L", "RGB"):
        help = "`.convert('RGB')` or `.convert('L')` says what it is to be"
        raise SampleError(f"has one of Pillow's images of mode {image.mode}", help)
    array = np.array(image)
    return torch.from_numpy(array.reshape(*array.shape[:2], -1).transpose(2, 0, 1).copy())


def truth_of(found: Any) -> Tensor:
    """Whole numbers, or float32."""
    truth = _numbers(found)
    if truth.dtype == torch.bool or not (truth.is_floating_point() or truth.is_complex()):
        truth = truth.to(torch.int64)
    elif truth.is_floating_point():
        truth = truth.to(torch.float32)
    return truth[0] if truth.dim() == 3 and len(truth) == 1 else truth  # masks of torchvision have a channel


def _numbers(found: Any) -> Tensor:
    if isinstance(found, Tensor):
        return found.detach().cpu().as_subclass(Tensor)
    if _is_picture(found):
        if found.mode not in ("1", "L", "P", "I", "I;16"):
            what = f"has a mask of Pillow's mode {found.mode}"
            raise SampleError(what, "a mask has the number of a class in every pixel: mode L or P")
        return torch.from_numpy(np.array(found).astype(np.int64))
    try:
        array = np.asarray(found)
        if array.dtype.kind not in "biuf":
            raise TypeError
        return torch.from_numpy(array.astype(np.float32 if array.dtype.kind == "f" else np.int64))
    except (TypeError, ValueError):
        what = f"has a {type(found).__name__} for a label"
        raise SampleError(what, "the number of its class, a 0 or 1 a class, or a mask of numbers") from None
