"""What the calls of a forward are called, what they are given and what they give: calls that write into tensors too."""

from __future__ import annotations

import operator
from collections.abc import Iterator, Mapping, Sequence
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


def main(result: Any) -> Any:
    """The tensor that is the answer, of a network that gives several."""
    if isinstance(result, Mapping):
        named = next((result[key] for key in ("logits", "out") if key in result), None)
        return main(next(iter(result.values())) if named is None else named)
    return main(result[0]) if isinstance(result, (tuple, list)) and result else result


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
