"""What is given as an example of what a network reads: batches, or shapes of one sample. No torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..graph.traced.backbone import Backbone
from ..tasks.inputs import Kind, Part, Parts, packed, told

RANKS = (1, 2, 3, 4)  # how many numbers the shape of a sample has
FORMS = "(C, H, W), or (C, L) of a signal, or (C, D, H, W) of a volume, or (L,) of the tokens of a text"


class NotAnExample(ValueError):
    """What was given as an example is none."""


@dataclass(frozen=True, slots=True)
class Example:
    """What the network reads: the shape of a sample, and how many where that is known.

    `kind` is that of its numbers, None where only a shape is known; `parts` are those of a sample of several inputs.
    """

    sample: tuple[int, ...]  # channels, and one to three sizes; or the length of a text
    batch: int | None = None
    kind: Kind | None = None
    parts: Parts = ()

    def is_text(self, where_a_shape: bool) -> bool:
        """Whether it is one: whole numbers along one axis, or numbers whose kind nobody knows where those are."""
        whole = where_a_shape if self.kind is None else self.kind == "int64"
        return len(self.sample) == 1 and not self.parts and whole

    @property
    def of_one_row(self) -> Example:
        """The same: numbers along one axis are no image, but the one part of a sample."""
        row = len(self.sample) == 1 and not self.parts
        return replace(self, parts=(Part("", self.sample),)) if row else self

    def __str__(self) -> str:
        return told(self.parts or (Part("", self.sample, self.kind or "float32"),))


def of_traced(backbone: Backbone, example: Any) -> Example:
    """What a traced network reads; of an example that is given too it has the shape and the batch."""
    known = Example(backbone.input, None, backbone.source.dtype, backbone.source.parts)
    if example is None:
        return known
    said = example_of(example)
    return replace(known, sample=known.sample if known.parts else said.sample, batch=said.batch)


def example_of(given: Any) -> Example:
    """The example of a batch, or of the shape of one sample, or of several of these; raises `NotAnExample`.

    >>> example_of((3, 224, 224)), example_of([1, 16000]).sample
    (Example(sample=(3, 224, 224), batch=None, kind=None, parts=()), (1, 16000))
    >>> example_of({"image": (3, 8, 8), "row": (5,)}).parts[1]
    Part(name='row', shape=(5,), kind='float32')
    """
    if several(given):
        named = given.items() if isinstance(given, Mapping) else (("", each) for each in given)
        parts = tuple(_part(name, each) for name, each in named)
        if not parts:
            raise NotAnExample("an example of several inputs has at least one")
        return Example(packed(parts), batch_of(given), parts=parts)
    sizes, sample = _sizes(given)
    if len(sample) not in RANKS or not _lengths(sizes):
        form = "×".join(map(str, sizes)) or type(given).__name__
        raise NotAnExample(f"an example is a batch, or the shape of one sample, {FORMS}, and not {form}")
    return Example(sample, sizes[0], _kind(given)) if _is_array(given) else Example(sample)


def several(example: Any) -> bool:
    """Whether it is an example of several inputs.

    >>> several((3, 224, 224)), several(((3, 224, 224), (5,))), several({"image": (3, 8, 8)})
    (False, True, True)
    """
    return isinstance(example, Mapping) or (
        isinstance(example, (tuple, list)) and any(not isinstance(each, int) for each in example)
    )


def batch_of(example: Any) -> int | None:
    """How many samples an example of several inputs has, where it is a batch."""
    inputs = example.values() if isinstance(example, Mapping) else example
    return next((int(each.shape[0]) for each in inputs if _is_array(each)), None)


def batch_to_trace(example: Any, vocabulary: int | None) -> Any:
    """What a module is to be traced with: the length of a text is no shape of numbers. Raises `NotAnExample`."""
    if several(example):
        return example  # the tracer looks at it
    read = example_of(example)
    if vocabulary is None or not read.is_text(where_a_shape=True) or read.kind is not None:
        return example
    import numpy as np

    return np.zeros((1, *read.sample), "int64")


def _part(name: Any, given: Any) -> Part:
    sizes, sample = _sizes(given)
    if not _lengths(sizes) or not (_is_array(given) or isinstance(given, (tuple, list))):
        what = f"`{name}`" if name else "one of several inputs"
        raise NotAnExample(f"{what} is a batch, or the shape of one sample of it, and not a `{type(given).__name__}`")
    if not isinstance(name, str) or not (name == "" or name.isidentifier()):
        raise NotAnExample(f"`{name}` is not the name of an argument")
    return Part(name, sample, _kind(given) if _is_array(given) else "float32")


def _sizes(given: Any) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """All sizes, and those of a sample."""
    shape = given.shape if _is_array(given) else given
    sizes = tuple(shape) if isinstance(shape, Sequence) else ()
    return sizes, sizes[_is_array(given) :]


def _lengths(sizes: tuple[Any, ...]) -> bool:
    return all(isinstance(size, int) and size > 0 for size in sizes)


def _is_array(given: Any) -> bool:
    """Tensors, and what numpy has."""
    return hasattr(given, "shape")


def _kind(batch: Any) -> Kind:
    """What kind of numbers it has, whoever's they are."""
    kind = str(getattr(batch, "dtype", "float32"))
    return "bool" if "bool" in kind else "int64" if "int" in kind else "float32"
