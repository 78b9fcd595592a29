"""Samples of several inputs: `((image, metadata), label)`, or `({"image": ..., "age": ...}, label)`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from specc.tasks.inputs import Parts, told

from ...trace.packing import NotPacked, pack, parts_of

Inputs: TypeAlias = tuple[Tensor, ...] | dict[str, Tensor]
TEXT = "input_ids"  # as tokenizers of transformers say it: what stands beside it in a sample is an input too
_PICTURE = "of several inputs all numbers are taken as they are: `torchvision.transforms.functional.to_tensor(image)`"


class NoInputs(Exception):
    """What stands in place of the inputs of a sample is none: why, and what to do about it."""

    def __init__(self, message: str, *help: str) -> None:
        super().__init__(message)
        self.help = help


def are_several(found: Any) -> bool:
    """Whether what stands for the image of a sample is several inputs."""
    many = isinstance(found, tuple | list) and any(isinstance(each, Tensor | np.ndarray | np.generic) for each in found)
    return isinstance(found, Mapping) or many or is_vector(found)


def is_vector(found: Any) -> bool:
    """Whether it is floats along one axis, which are no image: one input, and a part of its own."""
    if isinstance(found, np.ndarray):
        return found.ndim == 1 and found.dtype.kind == "f"
    return isinstance(found, Tensor) and found.dim() == 1 and found.is_floating_point()


def beside_a_text(found: Mapping[Any, Any], truths: tuple[str, ...]) -> bool:
    """Whether a sample of names, `input_ids` among them, has further inputs."""
    return TEXT in found and len(found.keys() - {TEXT, *truths}) > 0


def inputs_of(found: Any) -> Inputs:
    """The inputs of one sample as tensors of floats, whole numbers or truth values; raises `NoInputs`."""
    if is_vector(found):
        return (_input(found, "input 0"),)
    if isinstance(found, Mapping):
        return {str(name): _input(each, f"`{name}`") for name, each in found.items()}
    return tuple(_input(each, f"input {place}") for place, each in enumerate(found))


def _input(found: Any, called: str) -> Tensor:
    if type(found).__module__.startswith("PIL."):
        raise NoInputs(f"has one of Pillow's images as {called}", _PICTURE)
    try:
        x = (
            found.detach().cpu().as_subclass(Tensor)
            if isinstance(found, Tensor)
            else torch.as_tensor(np.asarray(found))
        )
    except (TypeError, ValueError):
        what = f"has a {type(found).__name__} as {called}"
        raise NoInputs(what, "an input is a tensor, an array or a number") from None
    if x.dtype == torch.uint8 and x.dim() > 1:
        raise NoInputs(f"has bytes as {called}, and nothing says which number is white", _PICTURE)
    if x.dtype == torch.bool:
        return x
    return x.to(torch.float32 if x.is_floating_point() else torch.int64)


def parts_in(inputs: Inputs) -> Parts:
    """What a sample is made of; raises `NoInputs`."""
    try:
        return parts_of(_as_batch(inputs))
    except NotPacked as error:
        raise NoInputs(f"has other inputs than networks take: {error}") from None


def packed_as(parts: Parts, inputs: Inputs | Tensor) -> Tensor:
    """The sample as one row of numbers; raises `NoInputs` where it is not made of these parts."""
    if isinstance(inputs, Tensor):
        raise NoInputs(f"has one input, and was planned to have {told(parts)}")
    try:
        return pack(parts, _as_batch(inputs))[0]
    except NotPacked as error:
        raise NoInputs(f"has other inputs than were planned for: {error}") from None


def _as_batch(inputs: Inputs) -> Any:
    if isinstance(inputs, Mapping):
        return {name: x[None] for name, x in inputs.items()}
    return tuple(x[None] for x in inputs)


def rows(batch: Any, count: int) -> Iterator[Any]:
    """The inputs of each sample of a batch of so many; `ValueError` where there are not as many of each."""
    each = list(batch.values() if isinstance(batch, Mapping) else batch)
    if any(len(inputs) != count for inputs in each):
        raise ValueError(f"{', '.join(str(len(inputs)) for inputs in each)} inputs of {count} samples")
    for sample in zip(*each, strict=True):
        yield dict(zip(batch, sample, strict=True)) if isinstance(batch, Mapping) else sample
