"""The inputs of a network that takes several, as one tensor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from specc.tasks.inputs import EXACT, Part, Parts, called, told

KINDS = {"float32": "floats", "int64": "whole numbers", "bool": "truth values"}


class NotPacked(ValueError):
    """Inputs that are not those that the network takes: which of them, and why."""


def pack(parts: Parts, given: Any) -> Tensor:
    """One tensor (N, numbers) of the inputs of a batch, a mapping or as many as there are; raises `NotPacked`.

    Whole numbers that floats cannot hold are refused, never rounded.
    """
    found = in_order(parts, given)
    rows = {len(x) for x in found if x.dim()}
    if len(rows) > 1 or any(not x.dim() for x in found):
        raise NotPacked(f"the inputs of a batch have as many samples each, and not {_many(found)}")
    flat = [_flat(parts, i, x) for i, x in enumerate(found)]
    wide = max((x.dtype for x in flat if x.is_floating_point()), default=torch.float32, key=lambda kind: kind.itemsize)
    return torch.cat([x.to(wide if wide.itemsize > 4 else torch.float32) for x in flat], 1)


def _many(found: Sequence[Tensor]) -> str:
    return ", ".join(str(len(x)) if x.dim() else "one number" for x in found)


def in_order(parts: Parts, given: Any) -> list[Tensor]:
    """The inputs in the order of the parts; raises `NotPacked` where they are not these."""
    if isinstance(given, Mapping):
        by_name = dict(given)
        if missing := [called(parts, i) for i, part in enumerate(parts) if part.name not in by_name]:
            raise NotPacked(f"{missing[0]} is missing: the network takes {told(parts)}")
        if other := sorted(str(key) for key in by_name.keys() - {part.name for part in parts}):
            raise NotPacked(f"`{other[0]}` is none of the inputs: the network takes {told(parts)}")
        found = [by_name[part.name] for part in parts]
    else:
        found = list(given) if isinstance(given, tuple | list) else [given]
        if any(part.name for part in parts):
            raise NotPacked(f"the inputs go by their names, in a mapping: the network takes {told(parts)}")
        if len(found) != len(parts):
            count = f"{len(found)} input{'s' * (len(found) != 1)}"
            raise NotPacked(f"{count} for a network that takes {len(parts)}: {told(parts)}")
    for i, x in enumerate(found):
        if not isinstance(x, Tensor):
            raise NotPacked(f"{called(parts, i)} is no tensor, but a `{type(x).__name__}`")
    return found


def _flat(parts: Parts, place: int, x: Tensor) -> Tensor:
    """One input of a batch as rows of numbers."""
    part, name = parts[place], called(parts, place)
    if tuple(x.shape[1:]) != part.shape:
        shapes = ["×".join(map(str, shape)) or "one number" for shape in (tuple(x.shape[1:]), part.shape)]
        raise NotPacked(f"a sample of {name} is of {shapes[0]}, and was planned to be of {shapes[1]}")
    if kind_of(x) != part.kind:
        raise NotPacked(f"{name} has {KINDS[kind_of(x)]}, and was planned to have {KINDS[part.kind]}")
    if part.kind == "int64" and x.numel() and int(x.abs().max()) > EXACT:
        raise NotPacked(f"{name} has whole numbers beyond {EXACT:,}, which beside other inputs would be rounded")
    return x.flatten(1) if x.dim() > 1 else x[:, None]


def kind_of(x: Tensor) -> Any:
    """What kind of numbers a tensor has, as a network is given them."""
    if x.is_floating_point():
        return "float32"
    return "bool" if x.dtype == torch.bool else "int64"


def parts_of(given: Any) -> Parts:
    """What a batch of several inputs is made of: a mapping, or one after the other; raises `NotPacked`."""
    named = given.items() if isinstance(given, Mapping) else (("", x) for x in given)
    found = tuple(_part(str(name), x, place) for place, (name, x) in enumerate(named))
    if not found:
        raise NotPacked("there are no inputs in it")
    return found


def _part(name: str, x: Any, place: int) -> Part:
    what = f"`{name}`" if name else f"input {place}"
    if not isinstance(x, Tensor):
        help = "what is none is said in the module itself, or in one around it"
        raise NotPacked(f"{what} is a `{type(x).__name__}`, and inputs are tensors: {help}")
    if x.dim() < 1 or x.is_complex() or not x[:1].numel():
        shape = "×".join(map(str, x.shape)) or "a single one"
        raise NotPacked(f"{what} is no batch of numbers: {shape} of {str(x.dtype).removeprefix('torch.')}")
    if name and not name.isidentifier():
        raise NotPacked(f"{what} is not the name of an argument")
    return Part(name, tuple(x.shape[1:]), kind_of(x))
