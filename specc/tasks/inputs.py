"""Samples of several inputs: what lies side by side in the one row of numbers that such a sample is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter

from ..language.schema import Count, Matching
from .dtypes import DType

Kind = Literal["float32", "int64", "bool"]  # of the numbers that the network is given; all of them travel as float32
Name = Annotated[str, Matching(r"([^\W\d]\w*)?", "the name of an argument, or nothing")]
EXACT = 1 << 24  # whole numbers up to this size are float32's


@dataclass(frozen=True, slots=True)
class Part:
    """One input of a network that takes several: an argument's `name`, "" of one that goes by its place.

    `shape` is that of one sample, () of a number; its numbers follow those of the parts before it.
    """

    name: Name
    shape: tuple[Count, ...]
    kind: Kind = "float32"

    @property
    def length(self) -> int:
        """How many numbers a sample has of it."""
        return prod(self.shape)


Parts = tuple[Part, ...]
PartsIfAny = Annotated[Parts, Field(exclude_if=lambda parts: not parts)]  # most samples are one input


def parts_in(value: Any) -> Any:
    """The parts that a document says, or what it says in their place."""
    return TypeAdapter(Parts).validate_python(value, strict=False)


def dtype_of_samples(shape: tuple[int, ...], parts: Parts) -> DType:
    """What they are made of: along one axis lie the tokens of a text, unless they are several inputs.

    >>> dtype_of_samples((128,), ()), dtype_of_samples((3, 8, 8), ()), dtype_of_samples((5,), (Part("", (5,)),))
    ('int64', 'float32', 'float32')
    """
    return "int64" if len(shape) == 1 and not parts else "float32"


def packed(parts: Parts) -> tuple[int]:
    """The shape of a sample of which these are the parts."""
    return (sum(part.length for part in parts),)


def places(parts: Parts) -> Iterator[tuple[Part, int, int]]:
    """Every part with where it begins, and where it ends.

    >>> [place[1:] for place in places((Part("image", (3, 2, 2)), Part("age", ())))]
    [(0, 12), (12, 13)]
    """
    start = 0
    for part in parts:
        yield part, start, start + part.length
        start += part.length


def called(parts: Parts, place: int) -> str:
    """A part as it is spoken of.

    >>> called((Part("", (3,)), Part("mask", (8,))), 0), called((Part("", (3,)), Part("mask", (8,))), 1)
    ('input 0', '`mask`')
    """
    return f"`{parts[place].name}`" if parts[place].name else f"input {place}"


def told(parts: Parts) -> str:
    """All of them in words.

    >>> told((Part("", (3, 8, 8)), Part("", (5,), "int64"), Part("age", ())))
    '3×8×8 floats, 5 whole numbers, `age` one float'
    """
    kinds = {"float32": "float", "int64": "whole number", "bool": "truth value"}
    return ", ".join(
        (f"`{part.name}` " if part.name else "")
        + (f"{'×'.join(map(str, part.shape))} {kinds[part.kind]}s" if part.shape else f"one {kinds[part.kind]}")
        for part in parts
    )
