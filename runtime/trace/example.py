"""What Python gives as an example of a batch, or of the shape of a sample: of one input, or of several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import torch
from torch import Tensor

from specc.estimating.example import NotAnExample
from specc.graph.ops import Shape
from specc.tasks.dtypes import DType
from specc.tasks.inputs import Part, Parts, packed

from .packing import NotPacked, parts_of

One: TypeAlias = Tensor | Sequence[int]
Example: TypeAlias = One | Sequence[One] | Mapping[str, One]
FORMS = "a batch, the shape of one sample, or several of these: (batch, batch), or a mapping of arguments' names"


def sample_of(example: Any) -> tuple[Shape, DType, Parts]:
    """Shape and kind of numbers of one sample, and its parts where there are several; raises `NotAnExample`."""
    if _is_array(example):
        return _of_one(torch.as_tensor(example))
    if not isinstance(example, Mapping | tuple | list) or not example:
        raise NotAnExample(f"an example is {FORMS}; not a `{type(example).__name__}`")
    if not isinstance(example, Mapping) and all(isinstance(size, int) for size in example):
        return _single(_shape(example), "float32")
    return _of_several(example)


def _of_one(batch: Tensor) -> tuple[Shape, DType, Parts]:
    if batch.dim() < 2 or not batch.numel() or batch.is_complex():
        shape, kind = tuple(batch.shape), str(batch.dtype).removeprefix("torch.")
        raise NotAnExample(f"the example is a batch of numbers, of at least two axes, and not {kind} of shape {shape}")
    return _single(tuple(batch.shape[1:]), "float32" if batch.is_floating_point() else "int64")


def _single(shape: Shape, dtype: DType) -> tuple[Shape, DType, Parts]:
    """Numbers along one axis are no image: they are the one part of a sample."""
    return shape, dtype, (Part("", shape),) if len(shape) == 1 and dtype == "float32" else ()


def _of_several(example: Any) -> tuple[Shape, DType, Parts]:
    try:
        if isinstance(example, Mapping):
            batches: Any = {name: _batch(each) for name, each in example.items()}
        else:
            batches = [_batch(each) for each in example]
        parts = parts_of(batches)
    except NotPacked as error:
        raise NotAnExample(f"an example is {FORMS}; {error}") from None
    values = batches.values() if isinstance(batches, Mapping) else batches
    rows = {len(batch) for batch, each in zip(values, _each(example), strict=True) if _is_array(each)}
    if len(rows) > 1:
        sizes = ", ".join(str(len(each)) for each in _each(example) if _is_array(each))
        raise NotAnExample(f"the inputs of a batch have as many samples each, and not {sizes}")
    return packed(parts), "float32", parts


def _each(example: Any) -> Any:
    return example.values() if isinstance(example, Mapping) else example


def _batch(given: Any) -> Any:
    """One of several inputs as a batch, or whatever it is."""
    if _is_array(given):
        return torch.as_tensor(given)
    if isinstance(given, tuple | list) and all(isinstance(size, int) for size in given):
        return torch.empty(1, *_shape(given), device="meta")
    return given


def _shape(given: Sequence[int]) -> Shape:
    if any(size < 1 for size in given):
        raise NotAnExample(f"the shape of a sample has no axis of {min(given)}")
    return tuple(given)


def _is_array(given: Any) -> bool:
    """Tensors, and what numpy has."""
    return isinstance(given, Tensor) or (hasattr(given, "__array__") and hasattr(given, "dtype"))


def like(parts: Parts) -> Example:
    """An example of samples of these parts."""
    made = [torch.empty(1, *part.shape, dtype=getattr(torch, part.kind), device="meta") for part in parts]
    named = [part.name for part in parts]
    return dict(zip(named, made, strict=True)) if all(named) else tuple(made)
