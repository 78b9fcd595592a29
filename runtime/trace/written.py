"""What the calls of a forward are called, what they are given and what they give: calls that write into tensors too."""

from __future__ import annotations

import operator
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

import torch
from torch import Tensor, nn

from .records import is_squeeze_excitation, of_a_library

LEAVES = frozenset({"StochasticDepth", "LayerNorm2d"})  # beside torch's own modules
# a method of Python's operators -> the operator, and whether the operands are exchanged
OPERATORS = {
    f"__{prefix}{name.strip('_')}__": (getattr(operator, name), prefix == "r")
    for name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul", "and_", "or_", "xor")
    for prefix in ("", "r", "i")
} | {f"__{name}__": (getattr(operator, name), False) for name in ("getitem", "neg", "eq", "ne", "lt", "le", "gt", "ge")}


def put(x: Tensor, index: Any, value: Any) -> Tensor:
    """``x[index] = value``, in a copy."""
    copy = x.clone()
    copy[index] = value
    return copy


def is_leaf(module: nn.Module) -> bool:
    """Whether the vocabulary, or torch, has a word for the module as a whole."""
    if (type(module).__name__ in LEAVES and of_a_library(module)) or is_squeeze_excitation(module):
        return True
    made_by_torch = (type(module).forward.__module__ or "").startswith("torch.nn")
    return made_by_torch and not isinstance(module, (nn.Sequential, nn.ModuleList, nn.ModuleDict))


def tensors(value: Any) -> Iterator[Tensor]:
    """All tensors in a value."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from tensors(item)
    elif isinstance(value, (tuple, list)):
        for item in value:
            yield from tensors(item)


def another(result: Any, given: Sequence[Any]) -> Any:
    """A call may hand on what it was given, in evaluation for example; it is told from that all the same."""
    same = isinstance(result, Tensor) and any(result is each for each in given)
    return result.view(result.shape) if same else result


class NoAnswer(Exception):
    """What a network gives is not one tensor, and nothing says which of them is the answer."""


def main(result: Any) -> Tensor:
    """The tensor that is the answer, of a network that gives several; raises `NoAnswer`.

    It is what is called `logits` or `out`, the first of a tuple, or the only one that there is.
    """
    if isinstance(result, Tensor):
        return result
    named = _named(result)
    if named is None and isinstance(result, (tuple, list)) and result:
        first, *others = result
        if isinstance(first, Tensor) and any(isinstance(x, Tensor) and x.shape == first.shape for x in others):
            raise NoAnswer(f"a {type(result).__name__} of several tensors {_sized(first)}")
        return main(first)
    found = {name: each for name, each in (named or {}).items() if any(True for _ in tensors(each))}
    answers: list[str] = [name for name in ("logits", "out") if name in found] or list(found)
    if len(answers) > 1 and "logits" not in answers:
        raise NoAnswer(f"tensors called {', '.join(f'`{name}`' for name in found)}")
    if not answers:
        raise NoAnswer(f"a `{type(result).__name__}` without a tensor")
    return main(found[answers[0]])


def _named(result: Any) -> dict[str, Any] | None:
    """What a mapping, a dataclass or a named tuple has, by its names; None of what has no names."""
    if isinstance(result, Mapping):
        return {str(key): value for key, value in result.items()}
    if hasattr(result, "_asdict"):
        named: dict[str, Any] = result._asdict()
        return named if {"logits", "out"} & named.keys() else None
    if is_dataclass(result):
        return {each.name: getattr(result, each.name) for each in fields(result)}
    return None if isinstance(result, (tuple, list)) else dict(getattr(result, "__dict__", {}))


def _sized(x: Tensor) -> str:
    return "×".join(map(str, x.shape[1:])) or "of no axes"


def writes(name: str, kwargs: Mapping[str, Any]) -> bool:
    """Whether a call writes into its first argument."""
    in_place = name.endswith("_") and not name.endswith("__")
    return in_place or bool(kwargs.get("inplace")) or (name.startswith("__i") and name in OPERATORS)


def called_plainly(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[Sequence[Any], dict[str, Any]]:
    """The arguments without the wish to work in place."""
    if "inplace" in kwargs:
        return args, {**kwargs, "inplace": False}
    return args, dict(kwargs)


def is_method(func: Any, name: str) -> bool:
    """Whether a function is a method of tensors; `x ** y` is a function of Python around one."""
    found = getattr(Tensor, name, None)
    around = getattr(func, "__module__", "") == "torch._tensor"
    return found is not None and (found is func or around or getattr(torch._C.TensorBase, name, None) is func)


def not_in_place(name: str) -> str:
    """The method that makes a new tensor."""
    plain = name[:-1] if name.endswith("_") and not name.endswith("__") else name
    return plain if hasattr(Tensor, plain) else name


def function(func: Any, name: str) -> Any:
    """The function that makes a new tensor."""
    plain = name[:-1] if name.endswith("_") and not name.endswith("__") else name
    return getattr(torch, plain, None) or getattr(nn.functional, plain, func) if plain != name else func
